/** Acting for another never yields more than both have, under policies by chance. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compilePolicy } from '@doorward/core'
import type { DecisionRequest, Principal } from '@doorward/core'
import { PolicyJudge } from '../../../packages/core/src/policy/policy-judge.ts'
import { agent, caller, toolCall, trustDomain } from '../../contract/decision-requests.ts'
import { parsed } from '../../fuzz/cedar-official.ts'
import { seeded } from '../../fuzz/chance.ts'
import type { Chance } from '../../fuzz/chance.ts'

const user = { kind: 'user', issuer: 'https://idp', subject: 'ann', groups: ['g'] } as const

/** Of the party and the call, not of the chain. */
const conditions: readonly string[] = [
  'principal is User',
  'principal is Workload',
  'principal in Role::"r0"',
  'principal in Role::"r1"',
  `principal == Workload::"${agent('a').uri}"`,
  `principal == Workload::"${agent('b').uri}"`,
  'principal has path && principal.path like "agent/*"',
  'principal has groups && principal.groups.contains("g")',
  'principal.id like "*c"',
  'context.args.n > 1',
  'context.args has n',
  'true',
]

function policyText(chance: Chance): string {
  const effect = chance.next() < 0.75 ? 'permit' : 'forbid'
  const [one, other] = [chance.of(conditions), chance.of(conditions)]
  const body = chance.of([one, `(${one}) && (${other})`, `(${one}) || (${other})`, `!(${one})`])
  return `${effect}(principal, action, resource) when { ${body} };`
}

/** The same call, made by each workload of the chain for itself, with the roles that it has there. */
function alone({ presenter, act, subject, roles }: Principal): readonly Principal[] {
  const workloads = [presenter, ...act, ...(subject.kind === 'workload' ? [subject.id] : [])]
  return workloads.map((id) =>
    caller('a', id.uri === presenter.uri ? roles : [], { presenter: id, subject: { kind: 'workload', id } }),
  )
}

test('what a chain is allowed, everyone in it is allowed alone', () => {
  const chance = seeded(20_261_122)
  const ids = ['a', 'b', 'c'].map(agent)
  let [allowedChains, deniedChains] = [0, 0]
  const texts = Array.from({ length: 120 }, () => policyText(chance))
  const pool = texts.map((text, i) => parsed(text, `p${i}`))
  for (let round = 0; round < 1500; round++) {
    const bindings = ids.flatMap((id) =>
      chance.next() < 0.5 ? [{ role: chance.of(['r0', 'r1']), workloads: [id.uri] }] : [],
    )
    const roles = ['r0', 'r1'].map((role) => ({ role, permissions: [] }))
    const compiled = compilePolicy({ trustDomain, rbac: [], roles, bindings, servers: ['files'] })
    assert(compiled.ok)
    const policies = [...new Set(Array.from({ length: chance.below(4) + 1 }, () => chance.of(pool)))]
    const judge = new PolicyJudge(compiled.policy, policies, { digest: '', sequence: 1 })
    const presenter = chance.of(ids)
    const subject = chance.next() < 0.4 ? user : { kind: 'workload' as const, id: chance.of(ids) }
    const act = Array.from({ length: chance.below(3) }, () => chance.of(ids))
    const principal = caller('a', chance.of([[], ['r0'], ['r1']]), { presenter, subject, act })
    const ask = (one: Principal): DecisionRequest => toolCall(one, 'files/read', 'write', { n: round % 4 })
    if (judge.decide(ask(principal)).effect === 'deny') {
      deniedChains++
      continue
    }
    allowedChains++
    for (const one of alone(principal)) {
      const verdict = judge.decide(ask(one))
      const shown = () =>
        JSON.stringify({ principal, one, texts: policies.map(({ id }) => texts[Number(id.slice(1))]) })
      assert.equal(verdict.effect, 'allow', verdict.effect === 'deny' ? `${verdict.explanation} ${shown()}` : '')
    }
    // One more actor narrows what is left, or leaves it as it is; it never comes back.
    const longer = { ...principal, act: [...act, chance.of(ids)] }
    const narrower = { ...longer, act: [...longer.act, chance.of(ids)] }
    if (judge.decide(ask(narrower)).effect === 'allow') assert.equal(judge.decide(ask(longer)).effect, 'allow')
  }
  assert(allowedChains > 200 && deniedChains > 200, `${allowedChains} allowed, ${deniedChains} denied`)
})
