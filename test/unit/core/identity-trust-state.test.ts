import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  decodeTrustState,
  encodeTrustState,
  isDoorwardError,
  openHeartbeat,
  parseTrustDomain,
  parseTrustMessage,
  signHeartbeat,
  toBase64,
  trustStateDigest,
  utf8,
} from '@doorward/core'
import type { AuthorityPlace } from '@doorward/core'
import { generateP256, sha256 } from '@doorward/sdk'
import { after, issue, makeAuthority, now, trustDomain } from './identity-fixture.ts'
import {
  authority,
  codeOf,
  delegate,
  open,
  opened,
  payloadText,
  resigned,
  root,
  signed,
  state,
  stateKey,
  tokenKey,
} from './trust-state-stage.ts'

describe('a signed state', () => {
  test('opens to what was signed', async () => {
    const result = opened(await signed())
    assert.deepEqual(result.state, state)
    assert.equal(result.order, 'newer')
    assert.equal(result.digest, trustStateDigest(encodeTrustState(state), sha256))
  })
  test('survives its line in the stream', async () => {
    const message = await signed()
    assert.deepEqual(parseTrustMessage(JSON.stringify(message)), message)
    assert.deepEqual(parseTrustMessage(utf8(JSON.stringify(message))), message)
  })
  test('under another root is refused', async () => {
    const stranger = await generateP256()
    assert.equal(codeOf(open(await signed({}, stateKey, await delegate({}, stranger)))), 'delegation_root')
  })
  test('under a delegation that claims the pinned root but is signed by another is refused', async () => {
    const stranger = await generateP256()
    const fake = { ...(await delegate({}, stranger)), root: root.jwk }
    assert.equal(codeOf(open(await signed({}, stateKey, fake))), 'delegation_signature')
  })
  test('under a delegation that ended, or has not begun, is refused', async () => {
    assert.equal(
      codeOf(open(await signed({}, stateKey, await delegate({ issuedAt: after(-100), expiresAt: now })))),
      'delegation_expired',
    )
    assert.equal(
      codeOf(open(await signed({}, stateKey, await delegate({ issuedAt: after(61) })))),
      'delegation_not_yet_valid',
    )
  })
  test('under a delegation for another trust domain is refused', async () => {
    const other = await delegate({ trustDomain: parseTrustDomain('evil.example') })
    assert.equal(codeOf(open(await signed({}, stateKey, other))), 'delegation_trust_domain')
  })
  test('by a key that is not the delegated one, the token key and the root itself included, is refused', async () => {
    for (const key of [await generateP256(), tokenKey, root, authority.key]) {
      assert.equal(codeOf(open(await signed({}, key))), 'trust_state_signature')
    }
  })
  test('signed for another kind of statement is refused', async () => {
    const bytes = encodeTrustState(state)
    assert.equal(codeOf(open(resigned(bytes))), 'accepted')
    for (const prefix of ['doorward heartbeat v1\n', 'doorward delegation v1\n', '']) {
      assert.equal(codeOf(open(resigned(bytes, prefix))), 'trust_state_signature')
    }
  })
  test('that names another delegation than the one it came with is refused', async () => {
    assert.equal(codeOf(open(await signed({ delegation: 2 }))), 'trust_state_delegation')
  })
  test('that has ended, or lies in the future, is refused', async () => {
    assert.equal(codeOf(open(await signed(), { now: after(3600) })), 'trust_state_expired')
    assert.equal(codeOf(open(await signed(), { now: after(3599) })), 'accepted')
    assert.equal(codeOf(open(await signed({ issuedAt: after(61) }))), 'trust_state_not_yet_valid')
  })
  test('of another trust domain than the pinned one is refused', async () => {
    assert.equal(
      codeOf(open(await signed(), { trustDomain: parseTrustDomain('other.example') })),
      'delegation_trust_domain',
    )
    const foreign = {
      trustDomain: 'evil.example',
      anchors: [],
      workloads: [],
      issued: [],
      denied: { ...state.denied, identities: [] },
    }
    assert.equal(codeOf(open(await signed(foreign))), 'trust_state_trust_domain')
  })
})

describe('scope', () => {
  const callers = { scope: 'callers', workloads: [], issued: [] } as const

  test('RV-1: what callers follow is never taken for the full state, nor the full state by who follows as a caller', async () => {
    assert.equal(codeOf(open(await signed(callers))), 'trust_state_scope')
    assert.equal(codeOf(open(await signed(), { scope: 'callers' })), 'trust_state_scope')
    const result = open(await signed(callers), { scope: 'callers' })
    assert.ok(!('code' in result) && result.scope === 'callers' && result.state.workloads.length === 0)
  })
  test('the same version has a content per scope, and each is remembered by itself', async () => {
    const full = opened(await signed())
    const other = open(await signed(callers), { scope: 'callers' })
    assert.ok(!('code' in other) && other.digest !== full.digest)
    assert.equal(codeOf(open(await signed(callers), { scope: 'callers', current: other })), 'accepted')
    assert.equal(codeOf(open(await signed(callers), { scope: 'callers', current: full })), 'trust_state_equivocation')
  })
})

describe('several authorities', () => {
  test('CA-4: each of the delegated keys may sign, and who verifies one state takes heartbeats and states of the others', async () => {
    const keys = await Promise.all(Array.from({ length: 8 }, generateP256))
    const shared = await delegate({ keys: keys.map(({ jwk }) => jwk) })
    let current = opened(await signed({}, keys[0], shared))
    for (const [index, key] of keys.entries()) {
      const next = open(await signed({ sequence: 6 + index }, key, shared), { current })
      assert.ok(!('code' in next) && next.order === 'newer')
      current = next
    }
    const { digest } = current
    for (const key of keys) {
      const sequence = 13
      const beat = { scope: 'full', trustDomain, delegation: 1, sequence, digest, time: now } as const
      const message = await signHeartbeat(beat, key.signKey)
      assert.equal(codeOf(openHeartbeat(message, { current, trustDomain, now })), 'accepted')
    }
    assert.equal(codeOf(open(await signed({ sequence: 14 }, stateKey, shared), { current })), 'trust_state_signature')
  })
  test('a delegation to no key, to more than eight, to one twice or to what is no key is refused', async () => {
    const keys = await Promise.all(Array.from({ length: 9 }, generateP256))
    const [key] = keys
    assert.ok(key !== undefined)
    for (const jwks of [
      [],
      keys.map(({ jwk }) => jwk),
      [key.jwk, key.jwk],
      [key.jwk, { ...stateKey.jwk, y: stateKey.jwk.x }],
    ]) {
      const message = await signed({}, key, await delegate({ keys: jwks }))
      assert.equal(codeOf(open(message)), 'delegation_malformed', String(jwks.length))
    }
  })
  test('places without a name, with one twice, with an address that is none, or more than eight are refused', async () => {
    const [place] = state.authorities
    assert.ok(place !== undefined)
    const bad = [
      [place, { ...place, main: 'other.example:1' }],
      Array.from({ length: 9 }, (_, index) => ({ ...place, name: `authority-${index}` })),
      [{ ...place, name: '' }],
      ...[
        '',
        'host',
        'host:',
        'host:0',
        'host:65536',
        ':1',
        'a b:1',
        'u@host:1',
        'host:1/path',
        '::1:1',
        '[::1]',
      ].flatMap((address) => [
        [{ ...place, main: address }],
        [{ ...place, enrol: address }],
        [{ ...place, admin: address }],
      ]),
    ]
    for (const authorities of bad)
      assert.equal(
        decodeTrustState(encodeTrustState({ ...state, authorities }), sha256),
        null,
        JSON.stringify(authorities),
      )
    for (const address of ['a:1', 'authority-1.example.org:65535', '10.0.0.1:8446', '[2001:db8::1]:8446']) {
      const one: AuthorityPlace = { ...place, main: address, enrol: address }
      for (const authority of [one, { ...one, admin: address }]) {
        const read = decodeTrustState(encodeTrustState({ ...state, authorities: [authority] }), sha256)
        assert.deepEqual(read?.authorities, [authority])
      }
    }
  })
})

describe('order', () => {
  test('a lower sequence is a rollback, the same state confirms, a higher one replaces', async () => {
    const current = opened(await signed())
    assert.equal(codeOf(open(await signed({ sequence: 4 }), { current })), 'trust_state_rollback')
    const same = open(await signed(), { current })
    assert.ok(!('code' in same) && same.order === 'same')
    const newer = open(await signed({ sequence: 6 }), { current })
    assert.ok(!('code' in newer) && newer.order === 'newer')
  })
  test('an equal sequence with other content is equivocation', async () => {
    const current = opened(await signed())
    assert.equal(codeOf(open(await signed({ epoch: 3 }), { current })), 'trust_state_equivocation')
  })
  test('a new delegation outranks any sequence of an earlier one, and never the other way', async () => {
    const thief = opened(await signed({ sequence: 1_000_000 }))
    const key = await generateP256()
    const second = await delegate({ version: 2, keys: [key.jwk] })
    const recovered = open(await signed({ delegation: 2, sequence: 1, epoch: 3 }, key, second), { current: thief })
    assert.ok(!('code' in recovered) && recovered.order === 'newer')
    assert.equal(codeOf(open(await signed({ sequence: 1_000_001 }), { current: recovered })), 'trust_state_rollback')
  })
  test('two delegations of one version are equivocation', async () => {
    const current = opened(await signed())
    const key = await generateP256()
    const fork = await delegate({ keys: [key.jwk] })
    assert.equal(codeOf(open(await signed({ sequence: 6 }, key, fork), { current })), 'trust_state_equivocation')
  })
  test('a lower epoch is a rollback whatever the sequence', async () => {
    const current = opened(await signed())
    assert.equal(codeOf(open(await signed({ sequence: 6, epoch: 1 }), { current })), 'trust_state_rollback')
  })
  test('what is remembered across a restart is enough', async () => {
    const { delegation: version, sequence, epoch, digest, delegationDigest } = opened(await signed())
    const current = JSON.parse(JSON.stringify({ delegation: version, sequence, epoch, digest, delegationDigest }))
    assert.equal(codeOf(open(await signed({ sequence: 4 }), { current })), 'trust_state_rollback')
  })
})

describe('the payload is strict', () => {
  const cases: readonly (readonly [string, (text: string) => string])[] = [
    ['an unknown member', (text) => text.replace('{"v":1', '{"v":1,"x":1')],
    ['an unknown member of an anchor', (text) => text.replace('"key_id"', '"x":1,"key_id"')],
    ['an unknown member of the denials', (text) => text.replace('"serials"', '"x":[],"serials"')],
    ['an unknown scope', (text) => text.replace('"scope":"full"', '"scope":"all"')],
    ['an anchor without epoch', (text) => text.replace(/,"epoch":2,"reissue":false/, ',"reissue":false')],
    ['an anchor with a negative epoch', (text) => text.replace('"epoch":2,"reissue"', '"epoch":-2,"reissue"')],
    ['an anchor that is not told to reissue or not', (text) => text.replace(',"reissue":false', '')],
    ['an anchor with a reissue that is no truth value', (text) => text.replace('"reissue":false', '"reissue":0')],
    ['another version', (text) => text.replace('"v":1', '"v":2')],
    ['the version as a text', (text) => text.replace('"v":1', '"v":"1"')],
    ['a repeated member', (text) => text.replace('{"v":1', '{"v":1,"epoch":9')],
    ['a missing member', (text) => text.replace('"epoch":2,', '')],
    ['a sequence beyond 2^53', (text) => text.replace('"sequence":5', '"sequence":9007199254740993')],
    ['a sequence of 1e400', (text) => text.replace('"sequence":5', '"sequence":1e400')],
    ['a negative sequence', (text) => text.replace('"sequence":5', '"sequence":-5')],
    ['an unknown slot state', (text) => text.replace('"state":"active"', '"state":"trusted"')],
    [
      'a workload of another trust domain',
      (text) => text.replace('"workloads":[{"id":"spiffe://example.org', '"workloads":[{"id":"spiffe://evil.example'),
    ],
    ['an end before the beginning', (text) => text.replace(/"expires_at":\d+/, '"expires_at":1')],
    ['a serial in capitals', (text) => text.replace('0abc', '0ABC')],
    ['a short fingerprint', (text) => text.replace(/"fingerprint":"./, '"fingerprint":"')],
    ['roles that are not a list', (text) => text.replace('["researcher"]', '"admin"')],
    ['bytes after it', (text) => `${text} `.concat('{}')],
    ['a byte order mark', (text) => `\ufeff${text}`],
    ['an anchor under another key id', (text) => text.replace(/"key_id":"[0-9a-f]{2}/, '"key_id":"zz')],
    [
      'an anchor with the key id of another',
      (text) => text.replace(/"key_id":"[0-9a-f]{40}"/, `"key_id":"${'ab'.repeat(20)}"`),
    ],
  ]
  for (const [what, change] of cases) {
    test(`${what} is refused`, async () => {
      const text = payloadText(await signed())
      assert.notEqual(change(text), text)
      assert.equal(codeOf(open(resigned(change(text)))), 'trust_state_malformed')
    })
  }
  test('a leaf as anchor, a foreign anchor and a repeated anchor are refused', async () => {
    const leaf = await issue(authority)
    const foreign = await makeAuthority(parseTrustDomain('evil.example'))
    const text = payloadText(await signed())
    const swap = (der: Uint8Array) => text.replace(toBase64(authority.certificate.der), toBase64(der))
    assert.equal(codeOf(open(resigned(swap(leaf.der)))), 'trust_state_malformed')
    assert.equal(codeOf(open(resigned(swap(foreign.certificate.der)))), 'trust_state_malformed')
    const [anchor] = state.anchors
    assert.equal(decodeTrustState(encodeTrustState({ ...state, anchors: [anchor!, anchor!] }), sha256), null)
  })
  test('what no receiver would read is not signed', async () => {
    const invalid = (error: unknown) => isDoorwardError(error, 'trust_state_invalid')
    const [workload] = state.workloads
    await assert.rejects(signed({ workloads: [workload!, { ...workload!, roles: ['admin'] }] }), invalid)
    await assert.rejects(signed({ sequence: -1 }), invalid)
    await assert.rejects(signed({ expiresAt: now }), invalid)
  })
  test('a change of one byte anywhere in the message is refused', async () => {
    const line = JSON.stringify(await signed())
    fc.assert(
      fc.property(fc.nat(line.length - 1), fc.integer({ min: 33, max: 126 }), (at, code) => {
        const mutant = line.slice(0, at) + String.fromCharCode(code) + line.slice(at + 1)
        if (mutant === line) return true
        const message = parseTrustMessage(mutant)
        return 'code' in message || message.kind !== 'trust-state' || 'code' in open(message)
      }),
      { numRuns: 300 },
    )
  })
})
