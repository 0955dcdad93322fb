/** What gives a stolen key away, and what does not. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochClaim, epochSeconds, mintToken, toSeconds, userClaim } from '@doorward/core'
import type { AccessTokenClaims, FrontTokenClaims, JsonObject } from '@doorward/core'
import { generateP256, importP256, systemClock } from '@doorward/sdk'
import { signCompactJws } from '../../../packages/core/src/token/sign-compact-jws.ts'
import { CertificateStanding } from '../../../packages/enforcement/src/certificate-standing.ts'
import { deny } from '../../../packages/enforcement/src/denial.ts'
import type { DenialCode } from '../../../packages/enforcement/src/denial.ts'
import type { Inbound } from '../../../packages/enforcement/src/inbound.ts'
import { Sightings } from '../../../packages/enforcement/src/sightings.ts'
import { TrustFixture } from '../../fixtures/trust-fixture.ts'
import type { TestSvid } from '../../fixtures/trust-fixture.ts'

const audience = 'https://gateway.test.example/mcp/files'

async function stage() {
  const trust = await TrustFixture.create()
  const at = { ahead: 0 }
  const source = {
    current: () => trust.holder.current(),
    ageSeconds: () => 0,
    next: () => Promise.resolve(null),
    now: () => (systemClock() + at.ahead * 1000) as ReturnType<typeof systemClock>,
  }
  const sightings = new Sightings({ trust: source, importP256 })
  trust.holder.onApply((view) => sightings.remember(view))
  trust.apply()
  return { trust, at, sightings }
}

function inbound(svid: TestSvid, token?: string): Inbound {
  const { certificate } = svid
  return {
    connection: {
      id: 1,
      remoteAddress: '192.0.2.1',
      listener: 'main',
      certificate,
      resumed: false,
      standing: new CertificateStanding(),
    },
    head: {
      method: 'POST',
      path: '/',
      query: '',
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    },
    audience,
  }
}

const denied = (code: DenialCode) => deny(code, 'test')

test('DT-1: a certificate outside the mirror is a sighting of its anchor, while it lives', async () => {
  const { trust, at, sightings } = await stage()
  const forged = await trust.issue('agent/x', { mirrored: false, secondsLeft: 600 })
  const seen = sightings.judge(inbound(forged), denied('certificate_not_issued'))
  assert.deepEqual(seen, {
    kind: 'certificate',
    keyId: trust.anchor.keyId,
    credential: forged.certificate.fingerprint,
    claimed: forged.id.uri,
    reason: 'not_issued',
    unissued: forged.certificate.fingerprint,
    remoteAddress: '192.0.2.1',
    listener: 'main',
  })
  at.ahead = 601
  assert.equal(
    sightings.judge(inbound(forged), denied('certificate_not_issued')),
    null,
    'the mirror forgets what has ended',
  )
})

test('DT-1: other refusals of a certificate say nothing about its anchor', async () => {
  const { trust, sightings } = await stage()
  const svid = await trust.issue('agent/x')
  for (const code of [
    'certificate_untrusted',
    'certificate_denied',
    'certificate_expired',
    'identity_denied',
    'limit_user',
    'certificate_epoch',
  ] as const)
    assert.equal(sightings.judge(inbound(svid), denied(code)), null, code)
})

test('DT-1: a token of an ended key is a sighting only when it says that it was made after its end', async () => {
  const { trust, at, sightings } = await stage()
  const svid = await trust.issue('agent/x')
  trust.denied.authorities.push('token-1')
  trust.apply()
  const shown = async (iat: number) => {
    const token = await trust.token(svid, audience, { iat, nbf: iat, exp: iat + 300 } as Partial<AccessTokenClaims>)
    return sightings.judge(inbound(svid, token), denied('token_key_unknown'))?.reason ?? null
  }
  const ended = toSeconds(systemClock())
  assert.equal(await shown(ended - 10), null)
  assert.equal(await shown(ended + 60), null, 'clocks differ')
  at.ahead = 300
  assert.equal(await shown(ended + 200), 'old_key')
  const forger = await generateP256()
  const claims = { kid: 'token-1', signKey: forger.signKey }
  const other = await mintToken({ iat: ended + 200 } as AccessTokenClaims, claims).catch(() => 'a.b.c')
  assert.equal(sightings.judge(inbound(svid, other), denied('token_key_unknown')), null, 'anybody can write a kid')
})

test('DT-1: what is of an earlier epoch is a sighting only when it says that it was made in this one', async () => {
  const { trust, at, sightings } = await stage()
  const before = await trust.issue('agent/before')
  const claims = (iat: number) => ({ [epochClaim]: 1, iat, nbf: iat, exp: iat + 300 }) as Partial<AccessTokenClaims>
  trust.epoch = 2
  trust.apply()
  const raised = toSeconds(systemClock())
  const reason = async (iat: number) =>
    sightings.judge(inbound(before, await trust.token(before, audience, claims(iat))), denied('token_epoch'))?.reason ??
    null
  assert.equal(await reason(raised - 5), null)
  at.ahead = 600
  assert.equal(await reason(raised + 300), 'old_epoch')
  assert.equal(sightings.judge(inbound(before), denied('certificate_epoch')), null)
  const later = await trust.issue('agent/later', { startsIn: 300, secondsLeft: 900 })
  assert.equal(sightings.judge(inbound(later), denied('certificate_epoch'))?.reason, 'old_epoch')
})

/** As the front gives it to a client; `claims` replaces what a test wants wrong. */
function frontToken({ tokenKey, epoch }: TrustFixture, claims: Partial<FrontTokenClaims> = {}): Promise<string> {
  const iat = toSeconds(systemClock())
  const person = { issuer: 'https://login.test.example', subject: 'ada', groups: [] }
  const plain = {
    iss: 'https://front.test.example',
    sub: 'https://login.test.example#ada',
    aud: audience,
    client_id: 'claude',
    iat,
    exp: iat + 300,
    jti: 'one',
    [epochClaim]: epoch,
    [userClaim]: person,
    ...claims,
  }
  return signCompactJws('at+jwt', JSON.parse(JSON.stringify(plain)) as JsonObject, {
    kid: 'token-1',
    signKey: tokenKey.signKey,
  })
}

test('a token of the front where callers have a certificate is no sighting: whoever holds it may show it', async () => {
  const { trust, sightings } = await stage()
  const svid = await trust.issue('agent/x')
  const token = await frontToken(trust)
  assert.equal(sightings.judge(inbound(svid, token), denied('token_claims')), null)
  trust.denied.authorities.push('token-1')
  trust.apply()
  assert.equal(sightings.judge(inbound(svid, token), denied('token_key_unknown')), null)
})

test('DT-1: at the edge a token that the front does not make is a sighting of its key', async () => {
  const { trust, at, sightings } = await stage()
  const svid = await trust.issue('agent/x')
  const seen = (token: string, code: DenialCode) => {
    const { connection, head } = inbound(svid, token)
    return sightings.judge({ connection: { ...connection, certificate: null }, head, audience }, denied(code))
  }
  const iat = epochSeconds(toSeconds(systemClock()) + 400)
  const reason = async (code: DenialCode, claims: object) => seen(await frontToken(trust, claims), code)?.reason ?? null
  assert.equal(await reason('token_lifetime', { exp: iat + 9999 }), 'lifetime')
  assert.equal(await reason('token_claims', { admin: true }), 'claims')
  for (const code of ['token_expired', 'token_audience', 'token_denied', 'dpop_invalid', 'client_unlisted'] as const)
    assert.equal(await reason(code, {}), null, code)
  const forger = await TrustFixture.create()
  assert.equal(seen(await frontToken(forger, { exp: iat }), 'token_lifetime'), null, 'anybody can write a kid')
  assert.equal(seen(await trust.token(svid, audience), 'token_claims'), null, 'issued, and shown in the wrong place')
  trust.epoch = 2
  trust.apply()
  assert.equal(await reason('token_epoch', { [epochClaim]: 1 }), null)
  at.ahead = 600
  assert.equal(await reason('token_epoch', { [epochClaim]: 1, iat, exp: iat + 300 }), 'old_epoch')
  trust.denied.authorities.push('token-1')
  trust.apply()
  assert.equal(await reason('token_key_unknown', {}), null)
  const late = epochSeconds(iat + 400)
  assert.equal(await reason('token_key_unknown', { iat: late, exp: late + 300 }), 'old_key')
})

test('what has ended long ago is forgotten, so that memory is bounded', async () => {
  const { trust, sightings } = await stage()
  const svid = await trust.issue('agent/x')
  const state = trust.state()
  for (let generation = 0; generation < 60; generation++) {
    const key = { kid: `key-${generation}`, state: 'active', jwk: (await generateP256()).jwk } as const
    sightings.remember({ ...trust.holder.current()!, state: { ...state, tokenKeys: [key] } })
  }
  assert.equal(sightings.judge(inbound(svid, await trust.token(svid, audience)), denied('token_key_unknown')), null)
})
