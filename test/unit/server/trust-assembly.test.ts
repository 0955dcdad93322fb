import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochSeconds } from '@doorward/core'
import type { TrustState } from '@doorward/core'
import { onlyAdds } from '../../../packages/server/src/authority/trust-assembly.ts'

const jwk = { kty: 'EC', crv: 'P-256', x: 'x', y: 'y' } as const
const end = epochSeconds(2000)

const held: TrustState = {
  scope: 'callers',
  trustDomain: 'test.example',
  delegation: 1,
  sequence: 7,
  issuedAt: epochSeconds(1000),
  expiresAt: end,
  epoch: 1,
  authorities: [{ name: 'main', main: '127.0.0.1:1', enrol: '127.0.0.1:2' }],
  anchors: [{ keyId: 'a1', state: 'active', certificate: new Uint8Array([1]), epoch: 1, reissue: false }],
  tokenKeys: [{ kid: 't1', state: 'active', jwk }],
  jwtSvidKeys: [{ kid: 'j1', state: 'active', jwk }],
  workloads: [],
  issued: [{ fingerprint: 'f1', id: 'spiffe://test.example/doorward/gateway/g', notAfter: end }],
  denied: { identities: [], serials: [], tokens: [], authorities: [] },
}

const second = <T extends object>(list: readonly T[], change: Partial<T>) => [...list, { ...list[0]!, ...change }]

const additions: Readonly<Record<string, Partial<TrustState>>> = {
  'nothing but a later version': { sequence: 8, issuedAt: epochSeconds(1001) },
  'an authority': { authorities: second(held.authorities, { name: 'west', main: '127.0.0.1:3' }) },
  'an anchor': { anchors: second(held.anchors, { keyId: 'a2', state: 'published' }) },
  'an anchor that signs no more': { anchors: [{ ...held.anchors[0]!, state: 'retired' }] },
  'a token key': { tokenKeys: second(held.tokenKeys, { kid: 't2', state: 'published' }) },
  'a key for JWT-SVIDs': { jwtSvidKeys: second(held.jwtSvidKeys, { kid: 'j2', state: 'published' }) },
  'a certificate': { issued: second(held.issued, { fingerprint: 'f2' }) },
}

const reductions: Readonly<Record<string, Partial<TrustState>>> = {
  'another delegation': { delegation: 2 },
  'an epoch': { epoch: 2 },
  'an authority that is gone': { authorities: [] },
  'an authority that has moved': { authorities: [{ ...held.authorities[0]!, main: '127.0.0.1:9' }] },
  'an anchor that is gone': { anchors: [] },
  'an anchor whose certificates are recalled': { anchors: [{ ...held.anchors[0]!, reissue: true }] },
  'a token key that is gone': { tokenKeys: [] },
  'a key for JWT-SVIDs that is gone': { jwtSvidKeys: [] },
  'a certificate that is gone': { issued: [] },
  'a denied serial': { denied: { ...held.denied, serials: ['01'] } },
  'a denied identity': {
    denied: { ...held.denied, identities: [{ id: 'spiffe://test.example/a', issuedBefore: end }] },
  },
  'a denied token': { denied: { ...held.denied, tokens: ['jti'] } },
  'a denied key': { denied: { ...held.denied, authorities: ['a1'] } },
}

for (const [name, change] of Object.entries(additions))
  test(`RV-1: callers may hear of ${name} a moment later`, () => assert.ok(onlyAdds(held, { ...held, ...change })))

for (const [name, change] of Object.entries(reductions))
  test(`RV-1: callers hear of ${name} at once`, () => {
    assert.ok(!onlyAdds(held, { ...held, ...change }))
    // Whatever is added beside it does not make it wait.
    assert.ok(!onlyAdds(held, { ...held, ...additions['a certificate'], ...change }))
  })
