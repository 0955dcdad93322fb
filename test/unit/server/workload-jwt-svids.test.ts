/** JWT-SVIDs that the Workload API keeps and judges: what the trust state says against one counts there too. */

import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { epochClaim, epochSeconds, mintJwtSvid, parseSpiffeId, Secret } from '@doorward/core'
import type { JwtSvidClaims, TrustState } from '@doorward/core'
import { generateP256, systemRuntime } from '@doorward/sdk'
import type { P256KeyPair } from '@doorward/sdk'
import type { HeldIdentity, UsableIdentity } from '../../../packages/server/src/apps/workload-api/held-identities.ts'
import { JwtSvids } from '../../../packages/server/src/apps/workload-api/jwt-svids.ts'

const id = parseSpiffeId('spiffe://test.example/agent/a')
const audience = 'spiffe://test.example/service/b'
const now = epochSeconds(Math.floor(Date.now() / 1000))
const noDenials: TrustState['denied'] = { identities: [], serials: [], tokens: [], authorities: [] }
let key: P256KeyPair
let other: P256KeyPair
before(async () => {
  key = await generateP256()
  other = await generateP256()
})

function mint(change: Partial<JwtSvidClaims> = {}, signer = key, kid = 'k1'): Promise<string> {
  const claims = { sub: id.uri, aud: audience, iat: now, exp: epochSeconds(now + 300), jti: 'j1', [epochClaim]: 2 }
  return mintJwtSvid({ ...claims, ...change }, { kid, signKey: signer.signKey })
}

/** An identity that trusts the key, with what else its trust state says; asked for a JWT-SVID it gives these. */
function heldWith(change: Partial<TrustState> = {}, given: readonly string[] = []): HeldIdentity & { asked: number } {
  const trust = {
    trustDomain: 'test.example',
    epoch: 2,
    jwtSvidKeys: [{ kid: 'k1', state: 'active', jwk: key.jwk }],
    tokenKeys: [{ kid: 't1', state: 'active', jwk: other.jwk }],
    denied: noDenials,
    ...change,
  }
  const held = {
    name: 'agent/a',
    asked: 0,
    identity: {
      id,
      trust: { now: () => 0 },
      jwtSvid: async () => new Secret(given[held.asked++ % given.length] ?? ''),
    },
    now: () => ({ kind: 'usable', svid: { fingerprint: 'f' }, anchors: [], trust }),
  }
  return held as object as HeldIdentity & { asked: number }
}

function judge(text: string, held: HeldIdentity, expected = audience): string {
  const verdict = new JwtSvids(systemRuntime).judge(text, held, expected)
  return verdict.ok ? verdict.svid.id.uri : verdict.code
}

test('WA-5: one that holds is accepted, and refused for audience, end, signature and key', async () => {
  const held = heldWith()
  assert.equal(judge(await mint(), held), id.uri)
  assert.equal(judge(await mint(), held, 'spiffe://test.example/service/c'), 'token_audience')
  const past = { iat: epochSeconds(now - 600), exp: epochSeconds(now - 300) }
  assert.equal(judge(await mint(past), held), 'token_expired')
  assert.equal(judge(await mint({}, other), held), 'token_signature')
  assert.equal(judge(await mint({}, other, 't1'), held), 'token_key_unknown')
  assert.equal(judge(await mint({ sub: 'spiffe://other.example/agent/a' }), held), 'token_subject')
})

test('RV-5, RV-6: one of a denied key, id, subject or epoch is refused, and so is one without an epoch', async () => {
  const denied = (change: Partial<TrustState['denied']>) => heldWith({ denied: { ...noDenials, ...change } })
  const text = await mint()
  assert.equal(judge(text, denied({ tokens: ['j2'], authorities: ['k2'] })), id.uri)
  assert.equal(judge(text, denied({ authorities: ['k1'] })), 'token_key_unknown')
  assert.equal(judge(text, denied({ tokens: ['j1'] })), 'token_denied')
  const before = (moment: number) => denied({ identities: [{ id: id.uri, issuedBefore: epochSeconds(moment) }] })
  assert.equal(judge(text, before(now)), id.uri)
  assert.equal(judge(text, before(now + 1)), 'token_denied')
  assert.equal(judge(text, heldWith({ epoch: 3 })), 'token_denied')
  assert.equal(judge(await mint({ [epochClaim]: 'two' }), heldWith()), 'token_denied')
})

test('one is kept for half of its life for its audience, and asked for anew when it is denied meanwhile', async () => {
  const held = heldWith({}, [await mint({ jti: 'j1' }), await mint({ jti: 'j2' })])
  const svids = new JwtSvids(systemRuntime)
  const { signal } = new AbortController()
  const get = (one: HeldIdentity & { asked: number }) => svids.for(one, one.now() as UsableIdentity, audience, signal)
  const first = (await get(held)).reveal()
  assert.equal((await get(held)).reveal(), first)
  assert.equal(held.asked, 1)
  const later = Object.assign(heldWith({ denied: { ...noDenials, tokens: ['j1'] } }, [await mint({ jti: 'j2' })]))
  assert.notEqual((await get(later)).reveal(), first)
})

test('one that the authority gave for somebody else, or that does not hold, is not handed on', async () => {
  const svids = new JwtSvids(systemRuntime)
  const { signal } = new AbortController()
  const wrong = [
    await mint({ sub: 'spiffe://test.example/agent/z' }),
    await mint({ aud: 'spiffe://test.example/service/c' }),
    await mint({}, other),
  ]
  for (const text of wrong) {
    const held = heldWith({}, [text])
    await assert.rejects(svids.for(held, held.now() as UsableIdentity, audience, signal), /cannot be used/)
  }
})
