/** What a connection's certificate is worth: judged once per set of keys, its time and its denials on every request. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseTrustDomain, toMillis, epochMillis } from '@doorward/core'
import type { ImportP256, PeerCertificate } from '@doorward/core'
import { CertificateStanding, isDenial, standingProblem } from '@doorward/enforcement'
import type { AcceptedToken, TrustView } from '@doorward/enforcement'
import { importP256 } from '@doorward/sdk'
import { assemble, goodLeaf, issue, makeAuthority, mustRead, uriNames, extension } from '../core/identity-fixture.ts'
import { after, authority, denials, id, leaf, now, partial, viewOf } from './call-fixture.ts'

const clock = toMillis(now)

/** `accepted`, or the code of a refusal, which names nobody. */
function judged(certificate: PeerCertificate | null, view: TrustView, at = clock): string {
  const result = new CertificateStanding().judge(certificate, view, at, importP256)
  if (!isDenial(result)) {
    assert.deepEqual(result, { certificate, id: certificate?.spiffeId })
    return 'accepted'
  }
  assert.equal(result.caller, null)
  return result.code
}

const refusal = (certificate: PeerCertificate, view: TrustView, at = clock) =>
  standingProblem({ certificate, id }, view, at)

test('a leaf of the trust domain under a current anchor is accepted', () => {
  assert.equal(judged(leaf, viewOf()), 'accepted')
})

test('each way in which a certificate is none of ours has its code', async () => {
  const foreign = await makeAuthority(parseTrustDomain('other.example'))
  const parts = goodLeaf(authority, authority.key.privateKey)
  const named = (uri: string) =>
    mustRead(assemble({ ...parts, names: extension('11', true, uriNames(uri)) }, authority.key.privateKey))
  const cases: readonly (readonly [PeerCertificate | null, string])[] = [
    [null, 'certificate_missing'],
    [authority.certificate, 'certificate_profile'],
    [named('spiffe://example.org'), 'certificate_profile'],
    [named('https://example.org/agent/planner'), 'certificate_profile'],
    [named('spiffe://other.example/agent/planner'), 'certificate_profile'],
    [await issue(await makeAuthority()), 'certificate_untrusted'],
    [await issue(foreign), 'certificate_untrusted'],
  ]
  for (const [certificate, code] of cases) assert.equal(judged(certificate, viewOf()), code)
  assert.equal(judged(leaf, viewOf({ anchors: [] })), 'certificate_untrusted')
  const elsewhere = viewOf({ trustDomain: parseTrustDomain('other.example') })
  assert.equal(judged(leaf, elsewhere), 'certificate_profile')
})

test('a certificate begins with its first second, and is not used in its last', () => {
  const [from, until] = [toMillis(leaf.notBefore), toMillis(leaf.notAfter)]
  // The path is good through the last second (RFC 5280 §4.1.2.5); a request is not.
  for (const [at, path, standing] of [
    [from - 1, 'certificate_not_yet_valid', 'certificate_not_yet_valid'],
    [from, 'accepted', null],
    [until - 1, 'accepted', null],
    [until, 'accepted', 'certificate_expired'],
    [until + 1000, 'certificate_expired', 'certificate_expired'],
  ] as const) {
    assert.equal(judged(leaf, viewOf(), epochMillis(at)), path)
    const denial = refusal(leaf, viewOf(), epochMillis(at))
    assert.deepEqual(denial && [denial.code, denial.caller], standing && [standing, partial])
  }
})

test('CA-2: an authority that is denied and gone says so; any other that is missing is unknown', () => {
  const gone = { anchors: [], ...denials({ authorities: [authority.issuer.keyId] }) }
  assert.equal(judged(leaf, viewOf(gone)), 'certificate_denied')
  const nameless = { ...leaf, authorityKeyId: null }
  assert.equal(
    judged(nameless, viewOf({ anchors: [], ...denials({ authorities: ['null', ''] }) })),
    'certificate_untrusted',
  )
})

test('TR-1: profile and chain are judged once for each set of keys, and a refusal stays one as long', () => {
  const standing = new CertificateStanding()
  let imports = 0
  const counted: ImportP256 = (jwk) => {
    imports++
    return importP256(jwk)
  }
  const at = (view: TrustView) => standing.judge(leaf, view, clock, counted)
  const first = at(viewOf())
  assert.equal(imports, 1)
  assert.equal(at(viewOf({ anchors: [] }, 2)), first, 'the same keys')
  assert.equal(imports, 1)
  const denied = at(viewOf({ anchors: [] }, 3, 3))
  assert(isDenial(denied))
  assert.equal(denied.code, 'certificate_untrusted')
  assert.equal(at(viewOf({}, 4, 3)), denied)
  assert.deepEqual(at(viewOf({}, 5, 4)), first)
})

test('accepted tokens are remembered as long as the keys, the eight newest of them', () => {
  const standing = new CertificateStanding()
  const token = (n: number) => ({ generation: n }) as AcceptedToken
  const remembered = () => Array.from({ length: 10 }, (_, n) => standing.remembered(`t${n}`)?.generation ?? null)
  standing.judge(leaf, viewOf(), clock, importP256)
  for (let n = 0; n < 8; n++) standing.remember(`t${n}`, token(n))
  assert.deepEqual(remembered(), [0, 1, 2, 3, 4, 5, 6, 7, null, null])
  standing.remember('t8', token(8))
  assert.deepEqual(remembered(), [null, 1, 2, 3, 4, 5, 6, 7, 8, null])
  standing.remember('t9', token(9))
  assert.deepEqual(remembered(), [null, null, 2, 3, 4, 5, 6, 7, 8, 9])
  standing.judge(leaf, viewOf({}, 2), clock, importP256)
  assert.equal(remembered()[9], 9, 'the same keys')
  standing.judge(leaf, viewOf({}, 3, 3), clock, importP256)
  assert.deepEqual(remembered(), Array(10).fill(null))
})

test('a certificate in good standing has nothing against it', () => {
  assert.equal(refusal(leaf, viewOf()), null)
  const others = denials({
    identities: [{ id: `${id.uri}/x`, issuedBefore: after(1000) }],
    serials: ['0a'],
    authorities: ['ff'],
  })
  assert.equal(refusal(leaf, viewOf(others)), null)
})
