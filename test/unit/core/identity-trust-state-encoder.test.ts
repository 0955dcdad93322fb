import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeTrustState, encodeTrustState, epochSeconds, TrustStateEncoder } from '@doorward/core'
import type { Issued, RegisteredWorkload, TrustState } from '@doorward/core'
import { sha256 } from '@doorward/sdk'

const trustDomain = 'example.org'
const empty: TrustState = {
  scope: 'full',
  trustDomain,
  delegation: 1,
  sequence: 1,
  issuedAt: epochSeconds(100),
  expiresAt: epochSeconds(200),
  epoch: 1,
  authorities: [],
  anchors: [],
  tokenKeys: [],
  jwtSvidKeys: [],
  workloads: [],
  issued: [],
  denied: { identities: [], serials: [], tokens: [], authorities: [] },
}

/** Mostly what a receiver reads, now and then what it does not. */
const id = fc.oneof(
  { weight: 30, arbitrary: fc.nat(9).map((n) => `spiffe://${trustDomain}/agent/${n}`) },
  { weight: 1, arbitrary: fc.constantFrom(`spiffe://${trustDomain}`, 'spiffe://other.example/a', 'no id', '') },
)
const role = fc.oneof(
  { weight: 30, arbitrary: fc.constantFrom('reader', 'admin', 'é "quoted" \\', '"workloads":[],"issued":[],') },
  { weight: 1, arbitrary: fc.constantFrom('', '\ud800', 'x'.repeat(129)) },
)
const workload = fc.record({ id, roles: fc.array(role, { maxLength: 3 }) })
const fingerprint = fc.oneof(
  { weight: 30, arbitrary: fc.nat(19).map((n) => String.fromCharCode(65 + n).repeat(43)) },
  { weight: 1, arbitrary: fc.constantFrom('short', '+'.repeat(43)) },
)
const issued = fc.record({ fingerprint, id, notAfter: fc.nat(1_000_000).map((seconds) => epochSeconds(seconds)) })
const header = fc.record({
  sequence: fc.oneof({ weight: 20, arbitrary: fc.nat(9) }, { weight: 1, arbitrary: fc.constant(-1) }),
  authorities: fc.array(
    fc.record(
      {
        name: fc.constantFrom('main', 'second', '"workloads":[],"issued":[],'),
        main: fc.constant('127.0.0.1:8446'),
        enrol: fc.constantFrom('127.0.0.1:8448', 'nowhere'),
        admin: fc.constant('127.0.0.1:8447'),
      },
      { requiredKeys: ['name', 'main', 'enrol'] },
    ),
    { maxLength: 2 },
  ),
})

/** States that share entries, as one publication and the next do. */
const history = fc
  .tuple(fc.array(workload, { maxLength: 8 }), fc.array(issued, { maxLength: 12 }))
  .chain(([workloads, mirror]) =>
    fc.array(fc.tuple(header, fc.subarray(workloads), fc.subarray(mirror)), { minLength: 1, maxLength: 6 }),
  )

function stateOf(head: Partial<TrustState>, workloads: readonly RegisteredWorkload[], mirror: readonly Issued[]) {
  return { ...empty, ...head, workloads, issued: mirror }
}

test('what an encoder writes entry by entry is what the whole encodes to, and nothing when that does not read back', () => {
  let readable = 0
  let refused = 0
  fc.assert(
    fc.property(history, (states) => {
      const encoder = new TrustStateEncoder(trustDomain, sha256)
      for (const parts of states) {
        const state = stateOf(...parts)
        const whole = encodeTrustState(state)
        const expected = decodeTrustState(whole, sha256) === null ? null : whole
        assert.deepEqual(encoder.encode(state), expected)
        if (expected === null) refused += 1
        else readable += 1
      }
    }),
    { numRuns: 400 },
  )
  assert.ok(readable > 100 && refused > 100, `${readable} readable, ${refused} refused`)
})

test('a state of another trust domain, or with lists that are too long, is not encoded', () => {
  const encoder = new TrustStateEncoder(trustDomain, sha256)
  assert.notEqual(encoder.encode(empty), null)
  assert.equal(encoder.encode({ ...empty, trustDomain: 'other.example' }), null)
  const many = Array.from({ length: 20_001 }, (_, n) => ({ id: `spiffe://${trustDomain}/${n}`, roles: [] }))
  assert.notEqual(encoder.encode({ ...empty, workloads: many.slice(1) }), null)
  assert.equal(encoder.encode({ ...empty, workloads: many }), null)
})

test('lists of full length leave no more keys than a reader allows', () => {
  const numbered = <Entry>(length: number, of: (n: number) => Entry) => Array.from({ length }, (_, n) => of(n))
  const state: TrustState = {
    ...empty,
    authorities: numbered(8, (n) => ({ name: `${n}`, main: 'a:1', enrol: 'a:1', admin: 'a:1' })),
    workloads: numbered(20_000, (n) => ({ id: `spiffe://${trustDomain}/${n}`, roles: [] })),
    issued: numbered(100_000, (n) => ({
      fingerprint: String(n).padStart(43, 'f'),
      id: `spiffe://${trustDomain}/1`,
      notAfter: epochSeconds(1),
    })),
    denied: {
      ...empty.denied,
      identities: numbered(20_000, (n) => ({ id: `spiffe://${trustDomain}/${n}`, issuedBefore: epochSeconds(1) })),
    },
  }
  const payload = new TrustStateEncoder(trustDomain, sha256).encode(state)
  assert.notEqual(payload, null)
  assert.notEqual(decodeTrustState(payload!, sha256), null)
})
