/** The stages between identity and record, one by one: what each passes on, and how each refuses. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochMillis } from '@doorward/core'
import type { DecisionRequest, Verdict } from '@doorward/core'
import { isDenial } from '@doorward/enforcement'
import type { DecisionPort, Identified, Inbound, RateLimiter } from '@doorward/enforcement'
import { authorize, couldCall } from '../../../packages/enforcement/src/authorize.ts'
import type { Authorized } from '../../../packages/enforcement/src/authorize.ts'
import { classify } from '../../../packages/enforcement/src/classify.ts'
import type { Call, Classified } from '../../../packages/enforcement/src/classify.ts'
import { deny } from '../../../packages/enforcement/src/denial.ts'
import { limit, limitArrival } from '../../../packages/enforcement/src/limit.ts'
import { Permit } from '../../../packages/enforcement/src/permit.ts'
import type { Take, TakeResult } from '../../../packages/enforcement/src/ports.ts'
import { caller } from '../../contract/decision-requests.ts'

const now = epochMillis(1_800_000_000_999)
const principal = caller('a', ['r'])
const inbound = { connection: { remoteAddress: '10.1.2.3' } } as Inbound
const identified = { principal, inbound } as Identified
const body = new Uint8Array([1, 2, 3])
const call: Call<string> = {
  action: { name: 'tools/call', group: 'write' },
  resource: { server: 'files', kind: 'tool', name: 'read' },
  args: { n: 1 },
  rpcId: 7,
  detail: 'more',
}
const { action, resource } = call
const version = { digest: 'd', sequence: 3 }
const allow = { effect: 'allow', policies: ['p'], obligations: [{ kind: 'filter-list' }], version } satisfies Verdict
const shadow = { effect: 'deny', reason: 'none', policies: [], version } as const

function decisions(over: Partial<DecisionPort>): DecisionPort {
  const unexpected = async () => assert.fail('not asked for')
  return { decide: unexpected, list: unexpected, some: unexpected, ...over }
}

function classified(): Classified<string> {
  const result = classify(identified, body, () => call)
  assert(!isDenial(result))
  return result
}

async function authorized(): Promise<Authorized<string>> {
  const result = await authorize(classified(), decisions({ decide: async () => allow }), now)
  assert(!isDenial(result))
  return result
}

test('classify hands the body to the classifier, and keeps it with what was understood', () => {
  const seen: unknown[] = []
  const result = classify(identified, body, (...given) => {
    seen.push(...given)
    return call
  })
  assert.deepEqual(seen, [body, identified])
  assert.deepEqual(result, { identified, call, body })
})

test('a refusal of the classifier names the caller', () => {
  const result = classify(identified, body, () => deny('body_too_large', 'no JSON'))
  assert(isDenial(result))
  assert.deepEqual([result.code, result.explanation, result.caller], ['body_too_large', 'no JSON', principal])
})

test('authorize asks with everything that is known, and passes the verdict on', async () => {
  const asked: DecisionRequest[] = []
  const decide = async (request: DecisionRequest) => {
    asked.push(request)
    return allow
  }
  const [given, result] = [classified(), await authorize(classified(), decisions({ decide }), now)]
  const context = { args: { n: 1 }, timeSeconds: 1_800_000_000, remoteAddress: '10.1.2.3' }
  assert.deepEqual(asked, [{ principal, action, resource, context }])
  const { policies, obligations } = allow
  assert.deepEqual(result, { classified: given, policies, obligations, policyVersion: version, shadow: null })
  const watched = await authorize(classified(), decisions({ decide: async () => ({ ...allow, shadow }) }), now)
  assert(!isDenial(watched))
  assert.equal(watched.shadow, shadow)
})

test('a denial has the code of its reason, and says what would have allowed it', async () => {
  const codes = { none: 'policy_denied', forbid: 'policy_forbidden', error: 'policy_error' } as const
  for (const reason of ['none', 'forbid', 'error'] as const) {
    const verdict = {
      effect: 'deny',
      reason,
      policies: ['p'],
      explanation: 'why',
      wouldAllow: 'read',
      version,
    } as const
    const result = await authorize(classified(), decisions({ decide: async () => verdict }), now)
    assert(isDenial(result))
    const { code, explanation, caller: who, wouldAllow, policies, policyVersion, rpcId } = result
    assert.deepEqual(
      {
        code,
        explanation,
        who,
        action: result.action,
        resource: result.resource,
        wouldAllow,
        policies,
        policyVersion,
        rpcId,
      },
      {
        code: codes[reason],
        explanation: 'why',
        who: principal,
        action,
        resource,
        wouldAllow: 'read',
        policies: ['p'],
        policyVersion: version,
        rpcId: 7,
      },
    )
    assert.equal(result.shadow, null)
    const watched = await authorize(classified(), decisions({ decide: async () => ({ ...verdict, shadow }) }), now)
    assert(isDenial(watched))
    assert.equal(watched.shadow, shadow)
  }
})

test('an engine that fails denies, in calls and in lists', async () => {
  const broken = decisions({
    decide: () => Promise.reject(new Error('gone')),
    list: () => Promise.reject(new Error('gone')),
  })
  const result = await authorize(classified(), broken, now)
  assert(isDenial(result))
  assert.deepEqual(
    [result.code, result.caller, result.action, result.resource, result.rpcId],
    ['policy_unavailable', principal, action, resource, 7],
  )
  assert.match(result.explanation, /gone/)
  assert.equal(await couldCall(identified, { action, resource }, broken, now), false)
})

test('an item is shown unless every call of it is denied', async () => {
  const asked: DecisionRequest[] = []
  for (const verdict of ['allow', 'depends', 'deny'] as const) {
    const list = async (request: DecisionRequest) => {
      asked.push(request)
      return verdict
    }
    assert.equal(await couldCall(identified, { action, resource }, decisions({ list }), now), verdict !== 'deny')
  }
  const context = { args: undefined, timeSeconds: 1_800_000_000, remoteAddress: '10.1.2.3' }
  assert.deepEqual(asked[0], { principal, action, resource, context })
})

const rate = (count: number) => ({ count, periodSeconds: 60 })
const limits = {
  global: rate(9),
  perIp: (address: string) => rate(address === '10.1.2.3' ? 5 : 1),
  ipKey: (address: string) => `key ${address}`,
}

function limiter(answer: TakeResult | Error): RateLimiter & { readonly taken: (readonly Take[])[] } {
  const taken: (readonly Take[])[] = []
  const take = async (takes: readonly Take[]) => {
    taken.push(takes)
    if (answer instanceof Error) throw answer
    return answer
  }
  return { taken, take, charge: async () => assert.fail('not asked for') }
}

test('arrivals are counted by address and altogether, at once', async () => {
  const free = limiter({ ok: true })
  assert.equal(await limitArrival(inbound, free, limits), null)
  const takes = [
    { scope: 'ip', key: 'key 10.1.2.3', rate: rate(5) },
    { scope: 'global', key: 'all', rate: rate(9) },
  ]
  assert.deepEqual(free.taken, [takes])
  for (const [scope, code] of [
    ['global', 'limit_global'],
    ['ip', 'limit_ip'],
  ] as const) {
    const denial = await limitArrival(inbound, limiter({ ok: false, scope, index: 0, retryAfterSeconds: 4 }), limits)
    assert.deepEqual([denial?.code, denial?.retryAfterSeconds], [code, 4])
  }
  const denial = await limitArrival(inbound, limiter(new Error('gone')), limits)
  assert.equal(denial?.code, 'limits_unavailable')
})

test('quotas count the calls of one action by one presenter', async () => {
  const given = await authorized()
  const free = limiter({ ok: true })
  const quotas = [
    { action: 'tools/call', rate: rate(1) },
    { action: 'tools/list', rate: rate(2) },
    { action: 'tools/call', rate: rate(3) },
  ]
  assert.deepEqual(await limit(given, { limiter: free, quotas }), { authorized: given })
  const key = `${principal.presenter.uri} tools/call`
  assert.deepEqual(free.taken, [[rate(1), rate(3)].map((one) => ({ scope: 'user', key, rate: one }))])
  const unasked = limiter(new Error('not asked for'))
  for (const none of [[], quotas.slice(1, 2)])
    assert.deepEqual(await limit(given, { limiter: unasked, quotas: none }), { authorized: given })
  assert.deepEqual(unasked.taken, [])
})

test('a quota that is used up, or cannot be counted, refuses the call', async () => {
  const given = await authorized()
  const quotas = [{ action: 'tools/call', rate: rate(1) }]
  const over = await limit(given, {
    limiter: limiter({ ok: false, scope: 'user', index: 0, retryAfterSeconds: 4 }),
    quotas,
  })
  const broken = await limit(given, { limiter: limiter(new Error('gone')), quotas })
  assert(isDenial(over) && isDenial(broken))
  assert.deepEqual([over.code, over.retryAfterSeconds, broken.code], ['limit_user', 4, 'limits_unavailable'])
  for (const denial of [over, broken])
    assert.deepEqual([denial.caller, denial.action, denial.resource, denial.rpcId], [principal, action, resource, 7])
})

test('a permit is used once', async () => {
  const admitted = await limit(await authorized(), { limiter: limiter({ ok: true }), quotas: [] })
  assert(!isDenial(admitted))
  const entry = { text: 'e' } as never
  const permit = Permit.afterRecord(admitted, entry)
  assert.deepEqual([permit.admitted, permit.entry], [admitted, entry])
  assert.equal(permit.use(), admitted)
  assert.throws(() => permit.use(), TypeError)
})
