/** The front of an authority with a real provider behind it: a person signs in, allows a client, and the client has tokens. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { epochSeconds, keySetOf, readP256Jwk, userClaim, verifyFrontToken } from '@doorward/core'
import type { TokenKey } from '@doorward/core'
import { importP256 } from '@doorward/sdk'
import { FrontStage, partsOf, redirect, resource } from '../fixtures/front-stage.ts'
import { jwkThumbprintOf } from '../fixtures/dpop-proofs.ts'

let stage: FrontStage
before(async () => {
  stage = await FrontStage.open()
})
after(() => stage.close())

test('a person signs in at the provider, allows it, and the client has tokens for its key and one resource', async () => {
  stage.provider?.groups.set('ada', ['staff'])
  const flow = stage.flow()
  const page = await stage.signIn(flow, 'ada')
  equal(page.status, 200, page.body)
  ok(page.body.includes('claude') && page.body.includes(resource) && page.body.includes('client.test.example'))
  const back = await stage.answer(flow, page)
  equal(`${back.origin}${back.pathname}`, redirect)
  deepEqual([back.searchParams.get('state'), back.searchParams.get('iss')], [flow.state, stage.publicUrl])
  const code = back.searchParams.get('code') ?? ''
  const { status, body, headers } = await stage.redeem({ flow, code })
  equal(status, 200, JSON.stringify(body))
  deepEqual([body['token_type'], body['expires_in'], body['scope']], ['DPoP', 300, 'notes:read'])
  equal(headers['cache-control'], 'no-store')
  const [header, claims] = partsOf(body['access_token'])
  equal(header['typ'], 'at+jwt')
  deepEqual(claims['cnf'], { jkt: jwkThumbprintOf(stage.key) })
  deepEqual(claims[userClaim], { issuer: stage.provider?.url, subject: 'ada', groups: ['staff'] })
  const verdict = verifyFrontToken(String(body['access_token']), await check())
  ok(!('ok' in verdict), JSON.stringify(verdict))
  deepEqual([verdict.clientId, verdict.scopes, verdict.user.subject], ['claude-client', ['notes:read'], 'ada'])
})

/** By the keys that the front publishes. */
async function check() {
  const { body } = await stage.visitor().visit(`${stage.publicUrl}/jwks`)
  const { keys } = JSON.parse(body) as {
    readonly keys: readonly Readonly<Record<'kid' | 'kty' | 'crv' | 'x' | 'y', string>>[]
  }
  const tokenKeys = keys.flatMap(({ kid, kty, crv, x, y }) => {
    const jwk = readP256Jwk({ kty, crv, x, y })
    const key: TokenKey[] = jwk === null ? [] : [{ kid, state: 'active', jwk }]
    return key
  })
  const now = epochSeconds(Math.floor(Date.now() / 1000))
  return { issuer: stage.publicUrl, audience: resource, epoch: 1, keys: keySetOf(tokenKeys, importP256), now }
}

test('a refresh token goes on once, for the same key, and each step is on the record', async () => {
  const { body } = await stage.redeem(await stage.code('grace'))
  const again = await stage.refresh(body['refresh_token'])
  equal(again.status, 200, JSON.stringify(again.body))
  ok(again.body['refresh_token'] !== body['refresh_token'])
  const third = await stage.refresh(again.body['refresh_token'])
  equal(third.status, 200)
  const user = `${stage.provider?.url}#grace`
  const entries = (await stage.entries()).filter((one) => one['user'] === user)
  deepEqual(
    entries.map(({ phase, by = null, decision = null }) => [phase, by, decision]),
    [
      ['front-sign-in', null, null],
      ['front-consent', null, 'allow'],
      ['front-token', 'code', null],
      ['front-token', 'refresh', null],
      ['front-token', 'refresh', null],
    ],
  )
  const text = JSON.stringify(await stage.entries())
  for (const secret of [body, again.body, third.body].flatMap((one) => [one['access_token'], one['refresh_token']]))
    ok(!text.includes(String(secret)))
})

test('what was allowed is not asked again for the same client, redirect, resource and scopes', async () => {
  const first = stage.flow()
  await stage.answer(first, await stage.signIn(first, 'edith'))
  const again = await stage.signIn(stage.flow(first.visitor), 'edith')
  ok(again.url.searchParams.get('code') !== null, again.url.href)
  const wider = await stage.signIn(stage.flow(first.visitor), 'edith', { scope: 'notes:read notes:write' })
  ok(wider.body.includes('notes:write') && wider.body.includes('<form'))
})

test('a program on the own device is answered at any port, and asked about each time', async () => {
  const change = { redirect_uri: 'http://127.0.0.1:4711/cb' }
  const first = stage.flow()
  const back = await stage.answer(first, await stage.signIn(first, 'joan', change))
  equal(back.host, '127.0.0.1:4711')
  const again = await stage.signIn(stage.flow(first.visitor), 'joan', change)
  ok(again.body.includes('<form') && again.body.includes('your own device'))
})

test('a client revokes its refresh token, and nobody else does', async () => {
  const { body } = await stage.redeem(await stage.code('mary'))
  const form = { token: String(body['refresh_token']) }
  equal((await stage.post('/revoke', { ...form, client_id: 'other-client' })).status, 200)
  const again = await stage.refresh(body['refresh_token'])
  equal(again.status, 200)
  const next = { token: String(again.body['refresh_token']), client_id: 'claude-client' }
  equal((await stage.post('/revoke', next)).status, 200)
  const late = await stage.refresh(again.body['refresh_token'])
  deepEqual([late.status, late.body['error']], [400, 'invalid_grant'])
})

test('its metadata says what it does, under both names', async () => {
  const visits = ['oauth-authorization-server', 'openid-configuration'].map((name) =>
    stage.visitor().visit(`${stage.publicUrl}/.well-known/${name}`),
  )
  const [one, two] = await Promise.all(visits)
  equal(one?.body, two?.body)
  const metadata = JSON.parse(one?.body ?? '') as Readonly<Record<string, string>>
  equal(metadata['issuer'], stage.publicUrl)
  for (const name of ['authorization_endpoint', 'token_endpoint', 'revocation_endpoint', 'jwks_uri'])
    ok(String(metadata[name]).startsWith(`${stage.publicUrl}/`), name)
  deepEqual(metadata['code_challenge_methods_supported'], ['S256'])
  deepEqual(metadata['response_types_supported'], ['code'])
  equal(metadata['authorization_response_iss_parameter_supported'], true)
})
