/** The stages in their order: what each of them sees, and what happens after one that refuses, fails or is overtaken. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochMillis, epochSeconds, toMillis } from '@doorward/core'
import type { DecisionRequest, Verdict } from '@doorward/core'
import { CallPlaces, deny, EntryReference, isRefusal, Permit, Pipeline } from '@doorward/enforcement'
import type { Approvals, Denial, TakeResult } from '@doorward/enforcement'
import { denials, id, inboundOf, leaf, now, partial, viewOf } from './call-fixture.ts'
import { allow, body, call, header, newPipeline, permitOf, refusalOf, STAGES, version } from './pipeline-fixture.ts'
import type { Answers, PipelineStage } from './pipeline-fixture.ts'

const { action, resource, rpcId } = call
const verdictAgainst: Verdict = {
  effect: 'deny',
  reason: 'none',
  policies: [],
  explanation: 'nothing allows it',
  wouldAllow: 'read on files',
  version,
}
const over = (scope: 'global' | 'ip' | 'user'): TakeResult => ({ ok: false, scope, index: 0, retryAfterSeconds: 4 })

test('a call that every stage accepts is recorded, and then permitted', async () => {
  const made = newPipeline()
  const requests: DecisionRequest[] = []
  made.answers.decide = async (request) => {
    requests.push(request)
    return allow
  }
  const inbound = inboundOf(header)
  const permit = await made.enforce(inbound)
  assert(permit instanceof Permit)
  assert.deepEqual(made.asked, [...STAGES, 'record allow'])
  const { classified } = permit.use().authorized
  assert.deepEqual([classified.call, classified.body, classified.identified.inbound], [call, body, inbound])
  const context = { args: { n: 1 }, timeSeconds: now, remoteAddress: '192.0.2.1' }
  assert.deepEqual(requests, [{ principal: classified.identified.principal, action, resource, context }])
  assert.ok(EntryReference.isReference(permit.entry))
  assert.equal(permit.entry.index, 0)
  assert.equal(made.log.entries.length, 1)
})

test('the decision is asked about the time of the trust state', async () => {
  const made = newPipeline()
  made.trust.time = epochMillis(toMillis(now) + 1999)
  const times: number[] = []
  made.answers.decide = async ({ context }) => {
    times.push(context.timeSeconds)
    return allow
  }
  await permitOf(made)
  assert.deepEqual(times, [now + 1])
})

test('nobody has to watch', async () => {
  const { watch: _watch, ...unwatched } = newPipeline().pipeline.dependencies
  const pipeline = new Pipeline(unwatched)
  const options = { credential: 'token', readBody: async () => body, classifier: () => call } as const
  assert((await pipeline.enforce(inboundOf(header), options)) instanceof Permit)
  await refusalOf(pipeline.enforce(inboundOf(null), options))
})

test('after a stage that refuses nobody is asked, and the refusal is recorded with what was known by then', async () => {
  const known = { caller: id.uri, certificate: { fingerprint: leaf.fingerprint, serial: leaf.serial } }
  const said = { action: 'tools/call', group: 'write', resource }
  const cases: readonly (readonly [string, number, (answers: Answers) => unknown, object | null])[] = [
    ['body_too_large', 4, (to) => (to.body = async () => deny('body_too_large', 'why')), known],
    ['json_syntax', 5, (to) => (to.classify = () => deny('json_syntax', 'why')), known],
    ['policy_denied', 6, (to) => (to.decide = async () => verdictAgainst), { ...known, ...said }],
    ['policy_unavailable', 6, (to) => (to.decide = () => Promise.reject(new Error('gone'))), null],
    ['limit_user', 7, (to) => to.limits.set('quota', over('user')), null],
  ]
  for (const [code, stages, change, recorded] of cases) {
    const made = newPipeline()
    change(made.answers)
    const { denial, entry } = await refusalOf(made.enforce())
    assert.equal(denial.code, code)
    assert.ok(denial.caller !== null && 'presenter' in denial.caller && denial.caller.presenter === id)
    const written = recorded === null ? [] : ['record deny']
    assert.deepEqual(made.asked, [...STAGES.slice(0, stages), `refused ${code}`, ...written])
    assert.equal(entry === 'counted', recorded === null)
    assert.partialDeepStrictEqual(made.recorded(), recorded === null ? [] : [{ decision: 'deny', code, ...recorded }])
    assert.equal(made.log.entries.length, written.length)
  }
})

test('who is refused before the body is read costs nothing more, and floods are counted', async () => {
  const cases = [
    ['limit_global', 1, 'ip+global', over('global')],
    ['limit_ip', 1, 'ip+global', over('ip')],
    ['limits_unavailable', 1, 'ip+global', new Error('gone')],
    ['limit_user', 2, 'user', over('user')],
  ] as const
  for (const [code, stages, limit, answer] of cases) {
    const made = newPipeline()
    made.answers.limits.set(limit, answer)
    const { denial, entry } = await refusalOf(made.enforce())
    const [caller, source] = stages === 1 ? [null, '192.0.2.1'] : [partial, id.uri]
    assert.deepEqual([denial.code, denial.caller, entry], [code, caller, 'counted'])
    assert.deepEqual(made.asked, [...STAGES.slice(0, stages), `refused ${code}`])
    await made.refusals.flush(true)
    assert.deepEqual(made.recorded(), [{ source, reason: code, second: now, count: 1 }])
  }
})

test('a caller of ours without a good token is refused before the body is read, and recorded by name', async () => {
  const made = newPipeline()
  const { denial, entry } = await refusalOf(made.enforce(inboundOf(null)))
  assert.deepEqual([denial.code, denial.caller], ['token_missing', partial])
  assert.ok(EntryReference.isReference(entry))
  assert.deepEqual(made.asked, [...STAGES.slice(0, 2), 'refused token_missing', 'record deny'])
  assert.partialDeepStrictEqual(made.recorded(), [{ decision: 'deny', code: 'token_missing', caller: id.uri }])
})

test('a decision that cannot be recorded permits nothing', async () => {
  const made = newPipeline()
  made.log.failWith(new Error('disk full'))
  const { denial, entry } = await refusalOf(made.enforce())
  const { code, action: what, resource: which, rpcId: to } = denial
  assert.deepEqual([code, what, which, to, entry], ['record_unavailable', action, resource, rpcId, 'counted'])
  assert.deepEqual(made.asked, [...STAGES, 'record allow', 'refused record_unavailable'])
})

test('a stage that fails refuses the call, and says so in the record', async () => {
  const failing: readonly ((answers: Answers) => unknown)[] = [
    (to) => (to.body = () => Promise.reject(new Error('torn'))),
    (to) =>
      (to.classify = () => {
        throw new Error('torn')
      }),
  ]
  for (const fail of failing) {
    const made = newPipeline()
    fail(made.answers)
    const { denial, entry } = await refusalOf(made.enforce())
    assert.equal(denial.code, 'internal')
    assert.match(denial.explanation, /torn/)
    assert.ok(denial.caller !== null && 'presenter' in denial.caller && denial.caller.presenter === id)
    assert.ok(EntryReference.isReference(entry))
    assert.partialDeepStrictEqual(made.recorded(), [{ decision: 'deny', code: 'internal', caller: id.uri }])
  }
})

test('a failure before anybody is identified names nobody, and is counted', async () => {
  const made = newPipeline()
  made.trust.current = () => {
    throw new Error('torn')
  }
  const { denial, entry } = await refusalOf(made.enforce())
  assert.deepEqual([denial.code, denial.caller, entry], ['internal', null, 'counted'])
})

test('RV-4: a call that is overtaken by a change of trust is refused, and not recorded as allowed', async () => {
  const overtaking: readonly ((made: PipelineStage, apply: () => void) => unknown)[] = [
    ({ answers }, apply) =>
      (answers.body = async () => {
        apply()
        return body
      }),
    ({ answers }, apply) =>
      (answers.decide = async () => {
        apply()
        return allow
      }),
  ]
  for (const overtake of overtaking) {
    const made = newPipeline()
    overtake(made, () => (made.trust.view = viewOf(denials({ tokens: ['token-id'] }), 2)))
    const { denial } = await refusalOf(made.enforce())
    const { code, action: what, resource: which, rpcId: to } = denial
    assert.deepEqual([code, what, which, to], ['token_denied', action, resource, rpcId])
    assert.deepEqual(made.asked, [...STAGES, 'refused token_denied', 'record deny'])
    assert.partialDeepStrictEqual(made.recorded(), [{ decision: 'deny', code: 'token_denied', caller: id.uri }])
  }
})

test('RV-4: a change of trust that is not about the caller lets its call go on', async () => {
  const made = newPipeline()
  made.answers.body = async () => {
    made.trust.view = viewOf(denials({ tokens: ['other'] }), 2)
    return body
  }
  await permitOf(made)
})

test('RV-4: what overtakes a call while its entry is written is found by asking again', async () => {
  const made = newPipeline()
  const admitted = (await permitOf(made)).use()
  assert.equal(made.pipeline.overtaken(admitted), null)
  made.trust.view = viewOf({}, 2)
  assert.equal(made.pipeline.overtaken(admitted), null)
  made.trust.view = viewOf({ workloads: [] }, 3)
  const denial = made.pipeline.overtaken(admitted)
  assert.deepEqual(
    [denial?.code, denial?.action, denial?.resource, denial?.rpcId],
    ['identity_unregistered', action, resource, rpcId],
  )
})

test('what is held for a call that an objection, a change meanwhile or a failure keeps back is given back', async () => {
  const made = newPipeline()
  const places = new CallPlaces()
  const quotas = [{ action: 'tools/call', concurrent: 1 }]
  const pipeline = new Pipeline({ ...made.pipeline.dependencies, places, quotas })
  const objections: (() => Promise<Denial | null>)[] = [
    async () => deny('definition_unapproved', 'changed'),
    async () => {
      made.answers.decide = async () => verdictAgainst
      return null
    },
    async () => {
      throw new Error('broken')
    },
  ]
  const codes: string[] = []
  for (const objection of objections) {
    made.answers.decide = async () => allow
    const options = { credential: 'token', readBody: async () => body } as const
    const refused = pipeline.enforce(inboundOf(header), {
      ...options,
      classifier: () => ({ ...call, objection }),
    })
    codes.push((await refusalOf(refused)).denial.code)
    assert.equal(places.size, 0)
  }
  assert.deepEqual(codes, ['definition_unapproved', 'policy_denied', 'internal'])
  assert.ok(made.recorded().every((entry) => entry['decision'] === 'deny'))
})

test('after a human was waited for, what keeps a call back is asked for once more, and the approval is not used', async () => {
  const made = newPipeline()
  const claims: string[] = []
  let approved = false
  const approvals: Approvals = {
    claim: async ({ key }) => {
      if (!approved) return null
      claims.push(key)
      return { id: 'a', giveBack: async () => undefined }
    },
    ask: async () => {
      approved = true
      return { kind: 'approved', id: 'a', by: ['team'], expires: epochSeconds(0) }
    },
  }
  const pipeline = new Pipeline({ ...made.pipeline.dependencies, approvals })
  made.answers.decide = async () => ({ ...allow, obligations: [{ kind: 'approval', by: 'team', rules: ['p'] }] })
  const options = { credential: 'token', readBody: async () => body } as const
  let asked = 0
  const objection = async () => (++asked === 1 ? null : deny('definition_unapproved', 'changed meanwhile'))
  const classifier = () => ({ ...call, objection })
  const refusal = await refusalOf(pipeline.enforce(inboundOf(header), { ...options, classifier }))
  assert.deepEqual([refusal.denial.code, asked, claims], ['definition_unapproved', 2, []])
})

test('a fault in the head of a request counts against its address, and is refused as that or as the limit', async () => {
  const denial = deny('host_unknown', 'why')
  for (const [answer, code] of [
    [{ ok: true }, 'host_unknown'],
    [over('ip'), 'limit_ip'],
  ] as const) {
    const made = newPipeline()
    made.answers.limits.set('ip+global', answer)
    const refusal = await refusalOf(made.pipeline.refuseHead(inboundOf(null), denial))
    assert.deepEqual([refusal.denial.code, refusal.entry], [code, 'counted'])
    assert.deepEqual(made.asked, ['ip+global', `refused ${code}`])
  }
})

test('a refusal of a transport is recorded, and passed on as it is', async () => {
  const made = newPipeline()
  const denial = deny('upstream_invalid', 'why', { caller: partial })
  const refusal = await refusalOf(made.pipeline.refuse(inboundOf(null), denial))
  assert.equal(refusal.denial, denial)
  assert.ok(EntryReference.isReference(refusal.entry))
  assert.deepEqual(made.asked, ['refused upstream_invalid', 'record deny'])
})

test('a refusal is told from everything else by its own mark', () => {
  assert.equal(isRefusal({ refused: true, denial: deny('internal', ''), entry: 'counted' }), true)
  for (const other of [{}, { refused: false }, { refused: 'true' }, deny('internal', '')])
    assert.equal(isRefusal(other), false)
})
