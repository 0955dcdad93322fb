/**
 * Tokens of our own front at the edge: they are judged by the keys of the trust state, and are another kind than the tokens
 * of workloads, which the same keys sign. Each attempt has one thing wrong: it is refused with its code, nothing reaches the
 * server, and the record has it.
 */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { epochClaim, epochSeconds, userClaim } from '@doorward/core'
import type { DenialCode } from '@doorward/enforcement'
import { generateP256 } from '@doorward/sdk'
import { digestOf, EdgeStage, front, frontUrl, issuerUrl, publicUrl } from '../fixtures/edge-stage.ts'
import type { Shown } from '../fixtures/edge-stage.ts'
import { audienceOf } from '../fixtures/gateway-fixture.ts'
import { modern } from '../fixtures/modern-server.ts'
import { forged } from '../fixtures/platform-issuer.ts'
import type { Claims } from '../fixtures/platform-issuer.ts'
import { talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'

const call = () => modern('tools/call', { params: { name: 'write_note', arguments: { text: 'x' } } })
const at = () => Math.floor(Date.now() / 1000)
const codeOf = (answer: RawAnswer) => answer.headers['doorward-code'] ?? answer.status

/** Of a token, on the record and in denials. */
const nameOf = (jti: string) => digestOf(`${issuerUrl}\0${jti}`).slice(0, 22)

async function passes(stage: EdgeStage, shown: Shown): Promise<RawAnswer> {
  const before = stage.tap.having('tools/call').length
  const answer = await stage.send(call(), shown)
  equal(answer.status, 200, answer.text)
  equal(stage.tap.having('tools/call').length, before + 1)
  return answer
}

async function refused(stage: EdgeStage, code: DenialCode, shown: Shown): Promise<RawAnswer> {
  const before = stage.tap.having('tools/call').length
  const answer = await stage.send(call(), shown)
  equal(codeOf(answer), code, answer.text)
  equal(stage.tap.having('tools/call').length, before, 'reached the server')
  const entries = await stage.gateway.entries('refusals')
  const told = stage.entryOf(answer) ?? entries.findLast(({ body }) => body['reason'] === code)?.body
  equal(told?.['code'] ?? told?.['reason'], code, 'not on the record')
  ok(!JSON.stringify(stage.gateway.record.entries).includes('eyJ'), 'a token is on the record')
  return answer
}

async function staged(use: (stage: EdgeStage) => Promise<void>, edge: object = {}) {
  const stage = await EdgeStage.open({ edge: { ...front, ...edge } })
  try {
    await use(stage)
  } finally {
    await stage.close()
  }
}

describe('tokens of the front', () => {
  let stage: EdgeStage
  before(async () => void (stage = await EdgeStage.open({ edge: front })))
  after(() => stage.close())

  test('a call with a bound token and its proof is on record as the person of the provider, by the client', async () => {
    const entry = stage.entryOf(await passes(stage, { token: await stage.frontToken({ jti: 'one' }) }))
    equal(entry?.['caller'], `spiffe://test.example/edge/cursor for ${issuerUrl}#ada`)
    deepEqual([entry?.['strength'], entry?.['listener'], entry?.['token']], ['dpop-bound-token', 'edge', nameOf('one')])
  })

  const claims = (code: DenialCode, what: string, change: () => Claims) =>
    void test(`${what} is refused`, async () => {
      await passes(stage, { token: await stage.frontToken() })
      const answer = await refused(stage, code, { token: await stage.frontToken(change()) })
      if (code.startsWith('token_')) match(answer.text, /www-authenticate: DPoP error="invalid_token"/i)
    })
  claims('token_audience', 'a token of the front for another server', () => ({ aud: `${publicUrl}/mcp/hidden` }))
  claims('token_audience', 'a token of the front for the edge as a whole', () => ({ aud: publicUrl }))
  claims('token_audience', 'a token of the front for callers with a certificate', () => ({ aud: audienceOf('notes') }))
  claims('token_claims', 'a token of the front for two resources', () => ({
    aud: [`${publicUrl}/mcp/notes`, 'https://x'],
  }))
  claims('token_issuer', 'a token of the front that says it is of another one', () => ({ iss: `${frontUrl}/` }))
  claims('token_expired', 'a token of the front that has expired', () => ({ iat: at() - 400, exp: at() - 100 }))
  claims('token_not_yet_valid', 'a token of the front that is not good yet', () => ({
    iat: at() + 100,
    exp: at() + 200,
  }))
  claims('token_lifetime', 'a token of the front that lives too long', () => ({ exp: at() + 301 }))
  claims('token_epoch', 'a token of the front of an earlier epoch', () => ({ [epochClaim]: 0 }))
  claims('token_claims', 'a token of the front with a claim that nobody knows', () => ({ act: { sub: 'x' } }))
  claims('token_claims', 'a token of the front that names nobody', () => ({ [userClaim]: undefined }))
  claims('token_claims', 'a token of the front with two names', () => ({ sub: `${issuerUrl}#eve` }))
  claims('token_subject', 'a token of the front for a person of another provider', () => ({
    sub: 'https://other.test.example#ada',
    [userClaim]: { issuer: 'https://other.test.example', subject: 'ada', groups: [] },
  }))
  claims('client_unlisted', 'a token of the front for a client that is not listed', () => ({ client_id: 'evil' }))
  claims('token_scheme', 'a token of the front that is bound to no key, with a proof', () => ({ cnf: undefined }))
  claims('policy_denied', 'a token of the front for a person whom no policy allows this', () => ({
    sub: `${issuerUrl}#eve`,
    [userClaim]: { issuer: issuerUrl, subject: 'eve', groups: ['readers'] },
  }))

  const own = () => ({ iss: frontUrl, aud: `${publicUrl}/mcp/notes`, iat: at(), exp: at() + 300 })
  const headers: readonly (readonly [string, Claims, DenialCode])[] = [
    ['signed with a public key as a secret', { alg: 'HS256', typ: 'at+jwt' }, 'token_algorithm'],
    ['signed by nobody', { alg: 'none', typ: 'at+jwt' }, 'token_algorithm'],
    ['with a key of its own', { typ: 'at+jwt', jwk: { kty: 'EC' } }, 'token_header'],
    ['with a header that nobody knows', { typ: 'at+jwt', cty: 'x' }, 'token_header'],
    ['of another type', { typ: 'doorward-user+jwt' }, 'token_type'],
    ['without a type', {}, 'token_type'],
    ['by a key that nobody knows', { typ: 'at+jwt', kid: 'token-2' }, 'token_key_unknown'],
  ]
  for (const [what, header, code] of headers)
    test(`a token of the front ${what} is refused`, () =>
      refused(stage, code, { token: forged(stage.tokenKey, own(), header) }).then(() => undefined))

  test('a token of the front that somebody else has signed is refused, also by the key of the provider', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    await refused(stage, 'token_signature', { token: await stage.frontToken({}, { ...stage.tokenKey, privateKey }) })
    await refused(stage, 'token_key_unknown', { token: await stage.frontToken({}, stage.issuer) })
  })

  test('a token of the front without its proof, with that of another key, or as a bearer token, is refused', async () => {
    await refused(stage, 'dpop_invalid', { token: await stage.frontToken(), proof: null })
    await refused(stage, 'dpop_invalid', { token: await stage.frontToken({ cnf: { jkt: 'A'.repeat(43) } }) })
    await refused(stage, 'bearer_refused', { token: await stage.frontToken(), scheme: 'Bearer' })
    await refused(stage, 'bearer_refused', { token: await stage.frontToken({ cnf: undefined }), scheme: 'Bearer' })
  })

  test('a token of the provider itself is refused: the front is the authorization server', async () => {
    await refused(stage, 'token_issuer', { token: await stage.token() })
  })

  test('the metadata of a server names the front, and nobody else', async () => {
    const path = '/.well-known/oauth-protected-resource/mcp/notes'
    const answer = await stage.raw(`GET ${path} HTTP/1.1\r\nHost: edge.test.example\r\n\r\n`)
    deepEqual((JSON.parse(answer.body) as Record<string, unknown>)['authorization_servers'], [frontUrl])
  })
})

describe('kinds of tokens that the same keys sign', () => {
  let stage: EdgeStage
  before(async () => void (stage = await EdgeStage.open({ edge: front })))
  after(() => stage.close())

  test('a token of a workload is refused at the edge, also if it says it is of the front', async () => {
    const { trust } = stage.gateway
    const agent = await trust.issue('agent/planner', { roles: ['writer'] })
    const aud = `${publicUrl}/mcp/notes`
    await refused(stage, 'token_issuer', { token: await trust.token(agent, aud) })
    await refused(stage, 'token_claims', { token: await trust.token(agent, aud, { iss: frontUrl }) })
  })

  test('a token that a workload has for a person is refused at the edge, also if it says it is of the front', async () => {
    const { trust } = stage.gateway
    const agent = await trust.issue('agent/planner', { roles: ['writer'] })
    const person = { issuer: issuerUrl, subject: 'ada', groups: [] }
    const delegated = { sub: `${issuerUrl}#ada`, act: { sub: agent.id.uri }, [userClaim]: person }
    const aud = `${publicUrl}/mcp/notes`
    await refused(stage, 'token_issuer', { token: await trust.token(agent, aud, delegated) })
    await refused(stage, 'token_claims', { token: await trust.token(agent, aud, { ...delegated, iss: frontUrl }) })
  })

  test('a token of the front is refused where callers have a certificate, also if it says it is of the authority', async () => {
    const { gateway, tap } = stage
    const agent = await gateway.trust.issue('agent/planner', { roles: ['writer'] })
    const good = await gateway.rpc(agent, 'notes', call())
    equal(good.status, 200, good.text)
    const reached = tap.reached.length
    for (const change of [{}, { aud: audienceOf('notes') }, { iss: gateway.trust.issuer, aud: audienceOf('notes') }]) {
      const answer = await gateway.rpc(agent, 'notes', { ...call(), token: await stage.frontToken(change) })
      equal(codeOf(answer), 'token_claims', answer.text)
    }
    equal(tap.reached.length, reached)
  })
})

describe('what is taken away', () => {
  let stage: EdgeStage
  before(async () => void (stage = await EdgeStage.open({ edge: front, gateway: { keepAliveMilliseconds: 20 } })))
  after(() => stage.close())

  /** Nothing is denied any more. */
  function forget(): void {
    const { trust } = stage.gateway
    for (const list of Object.values(trust.denied)) list.length = 0
    trust.tokenKeyState = 'active'
    trust.moreTokenKeys = []
    trust.apply()
  }

  const denied = (what: string, code: DenialCode, deny: () => void) =>
    void test(`${what} is refused`, async () => {
      const token = await stage.frontToken({ jti: 'one' })
      await passes(stage, { token })
      deny()
      stage.gateway.trust.apply()
      await refused(stage, code, { token })
      forget()
    })
  const denyIdentity = (id: string, issuedBefore = at() + 1) =>
    stage.gateway.trust.denied.identities.push({ id, issuedBefore: epochSeconds(issuedBefore) })
  denied('a person of the front who is denied', 'identity_denied', () => denyIdentity(`${issuerUrl}#ada`))
  denied('a client of the front that is denied', 'identity_denied', () =>
    denyIdentity('spiffe://test.example/edge/cursor'),
  )
  denied('a token of the front that is denied', 'token_denied', () =>
    stage.gateway.trust.denied.tokens.push(nameOf('one')),
  )
  denied('a token of the front whose key is denied', 'token_key_unknown', () =>
    stage.gateway.trust.denied.authorities.push('token-1'),
  )
  denied('a token of the front of the epoch before', 'token_epoch', () => stage.gateway.trust.epoch++)
  denied('a token of the front by a key that has not been published', 'token_key_unknown', () => {
    stage.gateway.trust.tokenKeyState = 'prepared'
  })

  test('what the front gave a person after a denial is good: clocks of the two are one', async () => {
    const then = at() - 5
    denyIdentity(`${issuerUrl}#ada`, then)
    stage.gateway.trust.apply()
    await passes(stage, { token: await stage.frontToken() })
    await refused(stage, 'identity_denied', { token: await stage.frontToken({ iat: then - 1, exp: then + 200 }) })
    forget()
  })

  test('a token of the front by a key that is retired is good, and refused once the key is gone', async () => {
    const { trust } = stage.gateway
    const { privateKey, jwk } = await generateP256()
    const token = await stage.frontToken({}, { kid: 'token-0', alg: 'ES256', privateKey })
    await refused(stage, 'token_key_unknown', { token })
    trust.moreTokenKeys = [{ kid: 'token-0', state: 'retired', jwk }]
    trust.apply()
    await passes(stage, { token })
    forget()
    await refused(stage, 'token_key_unknown', { token })
  })

  const ends = (what: string, deny: () => void) =>
    void test(what, async () => {
      const { gateway } = stage
      const listen = modern('subscriptions/listen', { params: { notifications: { toolsListChanged: true } } })
      const socket = await stage.connect()
      let begun: () => void = () => undefined
      const open = new Promise<void>((resolve) => (begun = resolve))
      const ended = talk(socket, await stage.request(listen, { token: await stage.frontToken() }), (soFar) => {
        if (soFar.includes('event-stream')) begun()
        return soFar.endsWith('0\r\n\r\n')
      })
      await Promise.race([open, ended])
      equal(gateway.pipeline.open.size, 1)
      deny()
      gateway.trust.apply()
      await gateway.pipeline.review()
      match(await Promise.race([ended, sleep(20_000).then(() => 'it goes on')]), /event-stream/)
      socket.destroy()
      forget()
    })
  ends('what is under way with a token of the front ends with the person', () => denyIdentity(`${issuerUrl}#ada`))
  ends('what is under way with a token of the front ends with the epoch', () => stage.gateway.trust.epoch++)
})

describe('with bearer tokens, as an operator insisted', () => {
  test('a token of the front that is bound to no key passes, and one that is bound does not', () =>
    staged(
      async (stage) => {
        const token = await stage.frontToken({ cnf: undefined })
        equal(stage.entryOf(await passes(stage, { token, scheme: 'Bearer' }))?.['strength'], 'bearer-token')
        await refused(stage, 'token_scheme', { token: await stage.frontToken(), scheme: 'Bearer' })
      },
      { bearer: true },
    ))
})

describe('beside issuers', () => {
  test('both are named, ours first, and a client of the front is none of theirs', () =>
    staged(
      async (stage) => {
        await passes(stage, { token: await stage.frontToken() })
        await passes(stage, { token: await stage.token() })
        await refused(stage, 'client_unlisted', { claims: { client_id: 'front-client' } })
        const path = '/.well-known/oauth-protected-resource/mcp/notes'
        const answer = await stage.raw(`GET ${path} HTTP/1.1\r\nHost: edge.test.example\r\n\r\n`)
        const { authorization_servers: named } = JSON.parse(answer.body) as Record<string, unknown>
        deepEqual(named, [frontUrl, issuerUrl])
      },
      { issuers: ['login'] },
    ))

  test('without a front its tokens are those of nobody', () =>
    staged(
      async (stage) => {
        await passes(stage, { token: await stage.token() })
        await refused(stage, 'token_issuer', { token: await stage.frontToken() })
      },
      { issuers: ['login'], front: null },
    ))
})
