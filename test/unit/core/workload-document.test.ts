import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  isReservedId,
  parseSpiffeId,
  parseTrustDomain,
  readIpAddress,
  readWorkloadDocument,
  workloadChanges,
} from '@doorward/core'
import type { JsonObject, JsonValue, WorkloadDocument } from '@doorward/core'
import { anyWorkload, trustDomain } from './workload-arbitraries.ts'

const id = 'spiffe://acme.example/agent/a'

function read(value: JsonValue, reserved = false): WorkloadDocument {
  const document = readWorkloadDocument(value, { trustDomain, reserved })
  assert.ok(!('problems' in document), JSON.stringify(document))
  return document
}

/** Where and what; the words are nobody's contract. */
function places(value: JsonValue): readonly string[] {
  const document = readWorkloadDocument(value, { trustDomain, reserved: false })
  return 'problems' in document ? document.problems.map(({ keys }) => keys.join('.')) : []
}

describe('a workload document', () => {
  test('needs an id; everything else has a default', () => {
    assert.deepEqual(read({ id }), {
      id,
      roles: [],
      ttl_seconds: 3600,
      dns_names: [],
      ip_addresses: [],
      shared_names: false,
      attest: [{ join_token: true }],
      single_instance: false,
      canary: false,
      audiences: [],
    })
    assert.deepEqual(places({}), ['id'])
  })

  test('lists have no order', () => {
    fc.assert(
      fc.property(anyWorkload(), (workload) => {
        const backwards = Object.fromEntries(
          Object.entries(workload).map(([name, value]) => [name, Array.isArray(value) ? value.toReversed() : value]),
        )
        assert.deepEqual(read(backwards), read({ ...workload }))
        assert.deepEqual(workloadChanges(read({ ...workload }), read(backwards)), [])
      }),
    )
  })

  test('what was read is read as itself', () => {
    fc.assert(
      fc.property(anyWorkload(), (workload) => {
        const once = read({ ...workload })
        assert.deepEqual(read({ ...once }), once)
      }),
    )
  })

  const refused: readonly (readonly [string, JsonObject, readonly string[]])[] = [
    ['an unknown key', { id, rolez: [] }, ['rolez']],
    ['an id of another trust domain', { id: 'spiffe://other.example/agent/a' }, ['id']],
    ['an id without path', { id: 'spiffe://acme.example' }, ['id']],
    ['a relative id', { id: 'spiffe://acme.example/agent/../a' }, ['id']],
    ['an id that is no text', { id: 7 }, ['id']],
    ['a repeated role', { id, roles: ['a', 'b', 'a'] }, ['roles.2']],
    ['a role with a space', { id, roles: ['a b'] }, ['roles.0']],
    ['too many roles', { id, roles: Array.from({ length: 65 }, (_, i) => `r${i}`) }, ['roles']],
    ['a lifetime below five minutes', { id, ttl_seconds: 299 }, ['ttl_seconds']],
    ['a lifetime above a day', { id, ttl_seconds: 86_401 }, ['ttl_seconds']],
    ['a lifetime as text', { id, ttl_seconds: '1h' }, ['ttl_seconds']],
    ['a wildcard name', { id, dns_names: ['*.acme.example'] }, ['dns_names.0']],
    ['a capital in a name', { id, dns_names: ['A.example'] }, ['dns_names.0']],
    ['an address with a zone', { id, ip_addresses: ['fe80::1%eth0'] }, ['ip_addresses.0']],
    ['the same address in two forms', { id, ip_addresses: ['::1', '0:0:0:0:0:0:0:1'] }, ['ip_addresses.1']],
    ['an audience without TLS', { id, audiences: ['http://a.example'] }, ['audiences.0']],
    ['an audience with the usual port', { id, audiences: ['https://a.example:443'] }, ['audiences.0']],
    ['an audience in capitals', { id, audiences: ['https://A.example'] }, ['audiences.0']],
    ['an audience with a final slash', { id, audiences: ['https://a.example/'] }, ['audiences.0']],
    ['an audience with a query', { id, audiences: ['https://a.example/x?y'] }, ['audiences.0']],
    ['an audience with a user', { id, audiences: ['https://a@b.example'] }, ['audiences.0']],
    ['an audience with a step up', { id, audiences: ['https://a.example/x/..'] }, ['audiences.0']],
    ['an audience at no address', { id, audiences: ['https://256.1.1.1'] }, ['audiences.0']],
    ['an audience at a port that is none', { id, audiences: ['https://a.example:65536'] }, ['audiences.0']],
    ['a flag as text', { id, canary: 'yes' }, ['canary']],
    ['an unknown way to join', { id, attest: [{ password: 'x' }] }, ['attest.0.password']],
    ['two ways in one entry', { id, attest: [{ join_token: true, bound_key: 'x' }] }, ['attest.0']],
    ['a join token that is not', { id, attest: [{ join_token: false }] }, ['attest.0.join_token']],
    ['a thumbprint of another length', { id, attest: [{ bound_key: 'abc' }] }, ['attest.0.bound_key']],
    ['a platform without claims', { id, attest: [{ oidc: { issuer: 'ci', claims: {} } }] }, ['attest.0.oidc.claims']],
    [
      'a claim that is no text',
      { id, attest: [{ oidc: { issuer: 'ci', claims: { n: 1 } } }] },
      ['attest.0.oidc.claims.n'],
    ],
    ['anchors without a certificate', { id, attest: [{ x509_pop: { anchors: 'corp' } }] }, ['attest.0.x509_pop']],
    [
      'two names of one certificate',
      { id, attest: [{ x509_pop: { anchors: 'corp', dns: 'a.example', uri: 'urn:a' } }] },
      ['attest.0.x509_pop'],
    ],
  ]
  for (const [what, value, at] of refused)
    test(`refuses ${what}, and says where`, () => assert.deepEqual(places(value), at))

  test('every mistake is told', () => {
    assert.deepEqual(places({ id: 'x', roles: ['a b'], ttl_seconds: 1, foo: 1 }).toSorted(), [
      'foo',
      'id',
      'roles.0',
      'ttl_seconds',
    ])
  })

  test('nothing at all is accepted that is not a document: never throws', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) =>
        assert.ok(
          'problems' in readWorkloadDocument(value as JsonValue, { trustDomain, reserved: true }) ||
            typeof value === 'object',
        ),
      ),
    )
  })

  test('SID-8: ids of parts of Doorward are reserved, by whole segments', () => {
    for (const [path, reserved] of [
      ['doorward', true],
      ['doorward/gateway/main', true],
      ['doorward-like', false],
      ['agent/doorward', false],
    ] as const) {
      const text = `spiffe://acme.example/${path}`
      assert.equal(isReservedId(parseSpiffeId(text)), reserved)
      assert.deepEqual(places({ id: text }), reserved ? ['id'] : [])
      assert.equal(read({ id: text }, true).id, text)
    }
  })

  test('the trust domain is compared whole', () => {
    const longer = readWorkloadDocument({ id }, { trustDomain: parseTrustDomain('acme.example.org'), reserved: false })
    assert.ok('problems' in longer)
  })
})

describe('an IP address', () => {
  test('has one form, the one that the URL standard gives it', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const own = readIpAddress(text)
        const host = isIP(text) === 6 ? `[${text}]` : text
        if (text.includes(':') && text.includes('.')) assert.equal(own, null)
        else assert.equal(own, new URL(`http://${host}`).hostname.replaceAll(/[[\]]/g, ''))
        if (own !== null) assert.equal(readIpAddress(own), own)
      }),
    )
  })

  test('refuses what programs read in different ways', () => {
    for (const text of [
      '1.2.3',
      '01.2.3.4',
      '1.2.3.256',
      '1:2',
      '::1::',
      '1::2::3',
      ':1',
      '12345::',
      '::ffff:1.2.3.4',
      '::1%1',
      '1:2:3:4:5:6:7:8::',
      '',
    ])
      assert.equal(readIpAddress(text), null, text)
  })

  test('nothing else than addresses is accepted', () => {
    fc.assert(fc.property(fc.string(), (text) => assert.ok(readIpAddress(text) === null || isIP(text) !== 0)))
  })
})
