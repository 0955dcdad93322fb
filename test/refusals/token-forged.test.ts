/**
 * `security.auth`: tokens that the gateway must not take. The thief has the authority's own token key, so that each
 * forged token differs from the right one in what its name says, and in nothing else.
 */

import { equal } from 'node:assert/strict'
import { createHmac, createPublicKey, randomUUID } from 'node:crypto'
import { after, before, test } from 'node:test'
import { epochClaim, signHeartbeat, toBase64url, utf8 } from '@doorward/core'
import { generateP256 } from '@doorward/sdk'
import { dial } from '../fixtures/raw-http.ts'
import { stealKeys } from '../fixtures/stolen-keys.ts'
import type { StolenKeys } from '../fixtures/stolen-keys.ts'
import { now, pemOf } from '../fixtures/trust-fixture.ts'
import { Stage } from './stage.ts'
import type { Attempt, Caller } from './stage.ts'

let stage: Stage
let agent: Caller
let other: Caller
let keys: StolenKeys

before(async () => {
  stage = await Stage.open()
  agent = await stage.caller('agent/planner')
  other = await stage.caller('agent/other')
  keys = await stealKeys(stage.system)
})
after(() => stage.close())

type Claims = Readonly<Record<string, unknown>>

const header = () => ({ alg: 'ES256', typ: 'at+jwt', kid: keys.token.keyId })

function claimsOf(caller: Caller): Claims {
  const iat = now()
  const { state } = caller.identity.trustStore.view()!
  return {
    iss: stage.deployment.authority.publicUrl,
    sub: caller.id,
    aud: stage.audience(),
    iat,
    nbf: iat,
    exp: iat + 300,
    jti: randomUUID(),
    client_id: caller.id,
    cnf: { 'x5t#S256': caller.identity.credentials.current().fingerprint },
    [epochClaim]: state.epoch,
  }
}

const signed = (head: object, claims: Claims) => keys.sign(JSON.stringify(head), JSON.stringify(claims))
const withHeader = (change: object) => () => signed({ ...header(), ...change }, claimsOf(agent))
const withClaims = (change: (claims: Claims) => Claims) => () => {
  const claims = claimsOf(agent)
  return signed(header(), { ...claims, ...change(claims) })
}
const parts = async () => (await signed(header(), claimsOf(agent))).split('.') as [string, string, string]
const encoded = (value: object) => toBase64url(utf8(JSON.stringify(value)))
const at = (name: string, claims: Claims) => Number(claims[name])

/** The right token passes, the forged one does not, over the same kind of connection with the same request. */
async function contrast(forge: () => Promise<string>, code: string): Promise<void> {
  const right: Attempt = { caller: agent, token: await signed(header(), claimsOf(agent)) }
  const answer = await stage.contrast(right, { token: await forge() }, code)
  equal(answer?.status, 401)
  equal(answer?.headers['www-authenticate']?.startsWith('Bearer'), true)
}

const forged: readonly (readonly [name: string, code: string, forge: () => Promise<string>])[] = [
  // verify_exp, and the other times.
  [
    'an expired token',
    'token_expired',
    withClaims((c) => ({ iat: at('iat', c) - 360, nbf: at('iat', c) - 360, exp: at('iat', c) - 60 })),
  ],
  ['a token without exp', 'token_claims', withClaims(() => ({ exp: undefined }))],
  ['a token that lives longer than five minutes', 'token_lifetime', withClaims((c) => ({ exp: at('iat', c) + 301 }))],
  ['a token that ends before it begins', 'token_lifetime', withClaims((c) => ({ exp: at('iat', c) - 1 }))],
  ['a token whose nbf is in the future', 'token_not_yet_valid', withClaims((c) => ({ nbf: at('iat', c) + 120 }))],
  [
    'a token whose iat is in the future',
    'token_not_yet_valid',
    withClaims((c) => ({ iat: at('iat', c) + 120, exp: at('iat', c) + 400 })),
  ],
  ['a token of the previous epoch', 'token_epoch', withClaims((c) => ({ [epochClaim]: at(epochClaim, c) - 1 }))],
  // verify_aud.
  ['a token for another server', 'token_audience', withClaims(() => ({ aud: stage.audience('other') }))],
  [
    'a token for this server and another one',
    'token_claims',
    withClaims(() => ({ aud: [stage.audience(), stage.audience('other')] })),
  ],
  [
    'a token for the gateway instead of its server',
    'token_audience',
    withClaims(() => ({ aud: stage.deployment.gateway.publicUrl })),
  ],
  ['a token for a longer path', 'token_audience', withClaims(() => ({ aud: `${stage.audience()}/` }))],
  ['a token for nobody', 'token_claims', withClaims(() => ({ aud: undefined }))],
  // verify_iss.
  ['a token of a foreign issuer', 'token_issuer', withClaims(() => ({ iss: 'https://idp.example' }))],
  ['a token of an issuer with a trailing slash', 'token_issuer', withClaims((c) => ({ iss: `${String(c['iss'])}/` }))],
  ['a token of no issuer', 'token_claims', withClaims(() => ({ iss: undefined }))],
  // Binding and subject.
  ['a token bound to another certificate', 'token_binding', withClaims(() => ({ cnf: claimsOf(other)['cnf'] }))],
  ['a token bound to nothing', 'token_claims', withClaims(() => ({ cnf: undefined }))],
  [
    'a token bound to a key instead of a certificate',
    'token_claims',
    withClaims(() => ({ cnf: { jkt: 'A'.repeat(43) } })),
  ],
  [
    'a token of another workload, bound to this certificate',
    'token_subject',
    withClaims(() => ({ sub: other.id, client_id: other.id })),
  ],
  [
    'a token of another trust domain',
    'token_subject',
    withClaims(() => ({ sub: 'spiffe://other.example/a', client_id: 'spiffe://other.example/a' })),
  ],
  [
    'a token on behalf of another workload',
    'token_subject',
    withClaims(() => ({ sub: other.id, act: { sub: agent.id } })),
  ],
  ['a token that brings its own roles', 'token_claims', withClaims(() => ({ roles: ['admin'] }))],
  [
    'a token that says its subject twice',
    'token_claims',
    () => keys.sign(JSON.stringify(header()), JSON.stringify(claimsOf(agent)).replace('{', `{"sub":"${other.id}",`)),
  ],
  [
    'a token that says its audience twice, once escaped',
    'token_claims',
    () => keys.sign(JSON.stringify(header()), JSON.stringify(claimsOf(agent)).replace('{', '{"a\\u0075d":"x",')),
  ],
  // Signature and algorithm.
  ['an unsigned token', 'token_malformed', async () => `${(await parts()).slice(0, 2).join('.')}.`],
  ['a token without its signature part', 'token_malformed', async () => (await parts()).slice(0, 2).join('.')],
  [
    'a token of algorithm none',
    'token_algorithm',
    async () => `${encoded({ ...header(), alg: 'none' })}.${(await parts())[1]}.${(await parts())[2]}`,
  ],
  [
    'a token of algorithm none without signature',
    'token_malformed',
    async () => `${encoded({ ...header(), alg: 'none' })}.${(await parts())[1]}.`,
  ],
  ['a token of algorithm nOnE', 'token_algorithm', withHeader({ alg: 'nOnE' })],
  ['a token signed by HMAC with the public key', 'token_algorithm', hmacToken],
  [
    'a token with the signature of another one',
    'token_signature',
    async () => [...(await parts()).slice(0, 2), (await parts())[2]].join('.'),
  ],
  [
    'a token with altered claims',
    'token_signature',
    async () => [(await parts())[0], encoded({ ...claimsOf(agent), exp: now() + 299 }), (await parts())[2]].join('.'),
  ],
  [
    'a token signed by a key of its own',
    'token_signature',
    async () => keys.sign(JSON.stringify(header()), JSON.stringify(claimsOf(agent)), (await generateP256()).signKey),
  ],
  ['a token of an unknown key', 'token_key_unknown', withHeader({ kid: 'another' })],
  [
    'a token signed by the anchor, which signs certificates',
    'token_key_unknown',
    () =>
      keys.sign(
        JSON.stringify({ ...header(), kid: keys.anchor.keyId }),
        JSON.stringify(claimsOf(agent)),
        keys.anchor.key,
      ),
  ],
  [
    'a token signed by the trust-state key',
    'token_signature',
    () => keys.sign(JSON.stringify(header()), JSON.stringify(claimsOf(agent)), keys.trustState.key),
  ],
  // Other kinds.
  ['JW-8: a JWT-SVID', 'token_type', withHeader({ typ: 'JWT' })],
  ['JW-8: a JWT-SVID without type', 'token_type', withHeader({ typ: undefined })],
  ['WI-3: a WIT-SVID', 'token_type', withHeader({ typ: 'wit+jwt' })],
  ['a transaction token', 'token_type', withHeader({ typ: 'txntoken+jwt' })],
  ['a DPoP proof', 'token_type', withHeader({ typ: 'dpop+jwt' })],
  ['an ID token of the full media type', 'token_type', withHeader({ typ: 'application/at+jwt' })],
  ['a heartbeat of the trust state', 'token_signature', heartbeatToken],
  // What a header may carry.
  ['a token that brings its key', 'token_header', async () => withHeader({ jwk: (await generateP256()).jwk })()],
  ['a token that says where its key is', 'token_header', withHeader({ jku: 'https://idp.example/keys' })],
  ['a token that brings a certificate', 'token_header', async () => withHeader({ x5c: [(await parts())[2]] })()],
  ['a token that says where a certificate is', 'token_header', withHeader({ x5u: 'https://idp.example/chain' })],
  ['a token with critical parameters', 'token_header', withHeader({ crit: ['exp'] })],
  ['a token with an unencoded payload', 'token_header', withHeader({ b64: false, crit: ['b64'] })],
  ['a token that is compressed', 'token_header', withHeader({ zip: 'DEF' })],
  [
    'a token that says its algorithm twice',
    'token_malformed',
    () => keys.sign(JSON.stringify(header()).replace('{', '{"alg":"none",'), JSON.stringify(claimsOf(agent))),
  ],
  // Grammar.
  ['a token with padding', 'token_malformed', async () => `${(await parts()).join('.')}==`],
  ['a token of five parts', 'token_malformed', async () => `${(await parts()).join('.')}.AA.AA`],
  ['a token above 4 KiB', 'token_too_large', withClaims(() => ({ jti: 'x'.repeat(4096) }))],
  ['no token at all', 'token_malformed', async () => 'undefined'],
]

async function hmacToken(): Promise<string> {
  const { jwk } = agent.identity.trustStore.view()!.state.tokenKeys.find(({ kid }) => kid === keys.token.keyId)!
  const pem = createPublicKey({ key: { ...jwk }, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
  const input = `${encoded({ ...header(), alg: 'HS256' })}.${encoded(claimsOf(agent))}`
  return `${input}.${createHmac('sha256', pem).update(input).digest('base64url')}`
}

/** A statement that the trust-state key has really signed, in the form of a token. */
async function heartbeatToken(): Promise<string> {
  const { delegation, sequence } = agent.identity.trustStore.view()!.state
  const { trustDomain } = keys
  const heartbeat = {
    scope: 'callers',
    trustDomain,
    delegation,
    sequence,
    digest: 'A'.repeat(43),
    time: now(),
  } as const
  const { payload, signature } = await signHeartbeat(heartbeat, keys.trustState.key)
  return `${encoded(header())}.${payload}.${signature}`
}

for (const [name, code, forge] of forged) test(`${name} is refused`, () => contrast(forge, code))

test('a token that the authority itself gave for another audience is refused', async () => {
  for (const audience of [
    stage.audience('other'),
    `${stage.deployment.gateway.publicUrl}/admin`,
    stage.deployment.authority.publicUrl,
  ])
    await stage.contrast({ caller: agent }, { token: await stage.token(agent, audience) }, 'token_audience')
})

test('RP-1: a token that the authority itself gave to another caller is refused, and passes with that caller', async () => {
  const token = await stage.token(other)
  await stage.contrast({ caller: other, token }, { caller: agent }, 'token_binding')
})

test('RP-3: a token is good again, on the next request and on another connection of its own certificate', async () => {
  const token = await stage.token(agent)
  const on = await dial(agent.tls)
  for (const attempt of [{ on }, { on }, {}]) await stage.passes({ caller: agent, token, ...attempt })
  on.destroy()
})

test('a token of before a renewal is refused over the renewed certificate', async () => {
  const caller = await stage.caller('agent/renewing')
  const old = await stage.token(caller)
  await caller.identity.renew()
  await stage.contrast({ caller, connect: stage.tlsOf(caller.identity) }, { token: old }, 'token_binding')
})

test('every request brings its token: one that passed lends nothing to the next on its connection', async () => {
  const on = await dial(agent.tls)
  await stage.contrast({ caller: agent, on }, { token: null }, 'token_missing')
  await stage.passes({ caller: agent, on })
  on.destroy()
})

test('JW-5: a token anywhere but in the Authorization header is no token', async () => {
  const token = await stage.token(agent)
  const right: Attempt = { caller: agent }
  const places: readonly Partial<Attempt>[] = [
    { target: `/mcp/files?access_token=${token}` },
    { headers: { Cookie: `access_token=${token}` } },
    { headers: { 'X-Access-Token': token } },
    { headers: { 'Proxy-Authorization': `Bearer ${token}` } },
    { headers: { 'X-Forwarded-Authorization': `Bearer ${token}` } },
    { headers: { Authorization: `Basic ${token}` } },
    { headers: { Authorization: `DPoP ${token}` } },
    { headers: { Authorization: token } },
  ]
  for (const place of places) await stage.contrast(right, { ...place, token: null }, 'token_missing')
})

test('an Authorization header that stands twice is refused, whichever token is the right one', async () => {
  const right = `Bearer ${await stage.token(agent)}`
  const wrong = `Bearer ${await stage.token(other)}`
  for (const Authorization of [
    [right, right],
    [wrong, right],
    [right, wrong],
  ])
    await stage.contrast({ caller: agent }, { headers: { Authorization } }, 'header_duplicate')
  for (const Authorization of [`${right}, ${right}`, `${right} ${right}`])
    await stage.contrast({ caller: agent }, { headers: { Authorization } }, 'token_malformed')
})

test('X5-10: what is said about a caller beside its token counts for nothing', async () => {
  const { fingerprint } = other.identity.credentials.current()
  const headers = {
    'X-Forwarded-Client-Cert': `Hash=${fingerprint};URI=${other.id}`,
    'X-Client-Cert': pemOf(other.identity.credentials.current().chain[0]!).replaceAll('\n', ' '),
    'X-Spiffe-Id': other.id,
    'X-Forwarded-For': '10.0.0.1',
  }
  await stage.contrast({ caller: agent, headers }, { token: await stage.token(other) }, 'token_binding')
})

test('the record counts each refusal without a caller by its reason, and no others', () => stage.settle())
