/**
 * Callers at the edge have no certificate: everything hangs on the token and the proof. Each attempt has one thing wrong: it
 * is refused with its code, nothing reaches the server, and the record has it.
 */

import { equal, match, ok } from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import type { DenialCode } from '@doorward/enforcement'
import { EdgeStage, issuerUrl, otherIssuer, publicUrl } from '../fixtures/edge-stage.ts'
import type { Shown } from '../fixtures/edge-stage.ts'
import { publicOf } from '../fixtures/dpop-proofs.ts'
import { modern } from '../fixtures/modern-server.ts'
import { forged } from '../fixtures/platform-issuer.ts'

let stage: EdgeStage
before(async () => void (stage = await EdgeStage.open()))
after(() => stage.close())

const call = () => modern('tools/call', { params: { name: 'write_note', arguments: { text: 'x' } } })
const at = () => Math.floor(Date.now() / 1000)

/** The same request passes without the change. */
async function passes(shown: Shown = {}): Promise<void> {
  const before = stage.tap.having('tools/call').length
  const answer = await stage.send(call(), shown)
  equal(answer.status, 200, answer.text)
  ok(answer.body.includes('noted'), answer.text)
  equal(stage.tap.having('tools/call').length, before + 1)
}

async function refused(code: DenialCode, shown: Shown): Promise<void> {
  const before = stage.tap.having('tools/call').length
  const answer = await stage.send(call(), shown)
  equal(answer.headers['doorward-code'], code, answer.text)
  equal(stage.tap.having('tools/call').length, before, 'reached the server')
  const entries = await stage.gateway.entries('refusals')
  const told = stage.entryOf(answer) ?? entries.findLast(({ body }) => body['reason'] === code)?.body
  ok(told !== undefined, 'not on the record')
  equal(told['code'] ?? told['reason'], code)
  ok(!JSON.stringify(stage.gateway.record.entries).includes('eyJ'), 'a token is on the record')
}

test('a call with a bound token and its proof is on record as the user through the client', async () => {
  const answer = await stage.send(call())
  equal(answer.status, 200, answer.text)
  const entry = stage.entryOf(answer)
  equal(entry?.['caller'], `spiffe://test.example/edge/claude for ${issuerUrl}#ada`)
  equal(entry?.['strength'], 'dpop-bound-token')
  equal(entry?.['listener'], 'edge')
  equal(entry?.['certificate'], undefined)
  match(String(entry?.['token']), /^[A-Za-z0-9_-]{22}$/)
})

test('the server hears nothing of the token, the proof and the nonce of the caller', async () => {
  await passes()
  const { headers, body } = stage.tap.having('tools/call').at(-1) ?? { headers: {}, body: '' }
  for (const name of ['authorization', 'dpop', 'cookie', 'origin']) equal(Reflect.get(headers, name), undefined, name)
  ok(!JSON.stringify({ headers, body }).includes('eyJ'))
})

describe('tokens', () => {
  const claims = (code: DenialCode, what: string, change: () => Readonly<Record<string, unknown>>) =>
    void test(`${what} is refused`, async () => {
      await passes()
      await refused(code, { claims: change() })
    })
  claims('token_audience', 'a token for another server of the same gateway', () => ({ aud: `${publicUrl}/mcp/hidden` }))
  claims('token_audience', 'a token for the origin alone', () => ({ aud: publicUrl }))
  claims('token_audience', 'a token for ours and somebody else', () => ({
    aud: [`${publicUrl}/mcp/notes`, 'https://else'],
  }))
  claims('token_audience', 'a token for the audience of callers with a certificate', () => ({
    aud: 'https://gateway.test.example/mcp/notes',
  }))
  claims('token_issuer', 'a token of an issuer that is not configured', () => ({ iss: 'https://evil.test.example' }))
  claims('token_issuer', 'a token of an issuer that is configured, but not for the edge', () => ({ iss: otherIssuer }))
  claims('token_expired', 'a token that has expired', () => ({ iat: at() - 900, nbf: at() - 900, exp: at() - 300 }))
  claims('token_not_yet_valid', 'a token that is not good yet', () => ({
    nbf: at() + 200,
    iat: at() + 200,
    exp: at() + 300,
  }))
  claims('token_lifetime', 'a token that lives too long', () => ({ exp: at() + 86_400 }))
  claims('token_claims', 'a token without subject', () => ({ sub: undefined }))
  claims('client_unlisted', 'a token of a client that is not listed', () => ({ client_id: 'evil-client' }))
  claims('client_unlisted', 'a token that names no client', () => ({ client_id: undefined }))
  claims('token_scheme', 'a token that is bound to no key, shown with a proof', () => ({ cnf: undefined }))

  test('a token signed by a key of another issuer is refused', async () => {
    await refused('token_algorithm', { token: await stage.token({}, stage.other) })
    const stolen = { ...stage.issuer, privateKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey }
    await refused('token_signature', { token: await stage.token({}, stolen) })
  })

  const own = () => ({
    iss: issuerUrl,
    sub: 'ada',
    aud: `${publicUrl}/mcp/notes`,
    client_id: 'claude-client',
    iat: at(),
    exp: at() + 300,
  })
  const headers: readonly (readonly [string, Readonly<Record<string, unknown>>, DenialCode])[] = [
    ['a token signed with a public key as a secret', { alg: 'HS256', typ: 'at+jwt' }, 'token_algorithm'],
    ['a token signed by nobody', { alg: 'none', typ: 'at+jwt' }, 'token_algorithm'],
    ['a token with a key of its own', { typ: 'at+jwt', jwk: { kty: 'EC' } }, 'token_header'],
    ['a token with the address of a key', { typ: 'at+jwt', jku: 'https://evil/jwks' }, 'token_header'],
    ['a token with the address of a certificate', { typ: 'at+jwt', x5u: 'https://evil/x5' }, 'token_header'],
    ['a token with critical parameters', { typ: 'at+jwt', crit: ['b64'], b64: false }, 'token_header'],
    ['a token of another type', { typ: 'dpop+jwt' }, 'token_type'],
  ]
  for (const [what, header, code] of headers)
    test(`${what} is refused`, async () => {
      await refused(code, { token: forged(stage.issuer, own(), header) })
    })

  test('a token that is larger than any of ours is refused', async () => {
    await refused('token_too_large', { token: `${await stage.token()}${'A'.repeat(9000)}` })
  })

  test('without a token a caller is told where the metadata is', async () => {
    const answer = await stage.send(call(), { token: null })
    equal(answer.status, 401)
    equal(answer.headers['doorward-code'], 'token_missing')
    const lines = answer.text.split('\r\n').filter((line) => /^www-authenticate:/i.test(line))
    const where = `resource_metadata="${publicUrl}/.well-known/oauth-protected-resource/mcp/notes"`
    equal(lines.length, 2)
    equal(lines[0]?.toLowerCase(), `www-authenticate: bearer ${where}`.toLowerCase())
    equal(lines[1]?.toLowerCase(), `www-authenticate: dpop algs="es256 eddsa", ${where}`.toLowerCase())
  })

  test('a token in the query is refused, and nothing of it is on the record', async () => {
    await refused('token_misplaced', { path: `/mcp/notes?access_token=${await stage.token()}` })
    await refused('token_misplaced', { path: `/mcp/notes?ACCESS%5FTOKEN=${await stage.token()}` })
  })

  test('a bearer token is refused where bearer tokens are off', async () => {
    await refused('bearer_refused', { scheme: 'Bearer' })
    await refused('bearer_refused', { scheme: 'Bearer', claims: { cnf: undefined } })
  })

  test('a token of somebody whom no policy allows this is refused', async () => {
    await refused('policy_denied', { claims: { sub: 'eve' } })
    await refused('policy_denied', { claims: { sub: 'bob', groups: ['readers'] } })
  })
})

describe('proofs', () => {
  const proof = (what: string, change: () => Shown['proof'], code: DenialCode = 'dpop_invalid') =>
    void test(`${what} is refused`, async () => {
      await passes()
      await refused(code, { proof: change() ?? null })
    })
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  proof('a proof that is missing', () => null)
  proof('a proof by another key than the token is bound to', () => ({ key: other }))
  proof('a proof by one key that says it is by another', () => ({ key: other, header: { jwk: publicOf(stage.key) } }))
  proof('a proof for another method', () => ({ method: 'GET' }))
  proof('a proof for the path of another server', () => ({ url: `${publicUrl}/mcp/hidden` }))
  proof('a proof for another host', () => ({ url: 'https://evil.test.example/mcp/notes' }))
  proof('a proof for the address that Host could name', () => ({ url: `https://127.0.0.1:${stage.port}/mcp/notes` }))
  proof('a proof over plain HTTP', () => ({ url: 'http://edge.test.example/mcp/notes' }))
  proof('a proof with somebody in front of the host', () => ({ url: 'https://edge.test.example@evil/mcp/notes' }))
  proof('a proof for another token', () => ({ token: 'another' }))
  proof('a proof for no token', () => ({ claims: { ath: undefined } }))
  proof('a proof without an id', () => ({ claims: { jti: undefined } }))
  proof('a proof without a time', () => ({ claims: { iat: undefined } }))
  proof('a proof with a time that is no whole number', () => ({ claims: { iat: '1' } }))
  proof('a proof that is too old, even with a nonce', () => ({ iat: at() - 400 }))
  proof('a proof from too far ahead, even with a nonce', () => ({ iat: at() + 400 }))
  proof('a proof of another type', () => ({ header: { typ: 'JWT' } }))
  proof('a proof signed by nobody', () => ({ header: { alg: 'none' } }))
  proof('a proof with an algorithm that is not accepted', () => ({ header: { alg: 'ES384' } }))
  proof('a proof with a private key', () => ({ header: { jwk: { ...publicOf(stage.key), d: 'AAAA' } } }))
  proof('a proof with a symmetric key', () => ({ header: { jwk: { kty: 'oct', k: 'AAAA' }, alg: 'HS256' } }))
  proof('a proof with the address of a key', () => ({ header: { jku: 'https://evil/jwks' } }))
  proof('a proof with the name of a key', () => ({ header: { kid: 'own' } }))
  proof('a proof that was changed', () => ({
    text: (text) => text.replace(/.(?=\.[^.]+$)/, (last) => (last === 'A' ? 'B' : 'A')),
  }))
  proof('a proof beside another in one header', () => ({ text: (text) => `${text}, ${text}` }))
  proof('a proof that is larger than it may be', () => ({ claims: { padding: 'x'.repeat(4000) } }))
  proof('a proof without a nonce', () => ({ nonce: null }), 'dpop_nonce')
  proof('a proof with the nonce of somebody else', () => ({ nonce: 'A'.repeat(48) }), 'dpop_nonce')

  test('a proof that is used a second time is refused', async () => {
    const token = await stage.token()
    const request = await stage.request(call(), { token })
    equal((await stage.raw(request)).status, 200)
    const before = stage.tap.having('tools/call').length
    const again = await stage.raw(request)
    equal(again.headers['doorward-code'], 'dpop_replayed')
    equal(stage.entryOf(again)?.['code'], 'dpop_replayed')
    match(again.text, /DPoP error="invalid_dpop_proof"/)
    equal(stage.tap.having('tools/call').length, before)
  })

  test('of a proof that is used fifty times at once, one use passes', async () => {
    const request = await stage.request(call())
    const answers = await Promise.all(Array.from({ length: 50 }, () => stage.raw(request)))
    equal(answers.filter(({ status }) => status === 200).length, 1)
    equal(answers.filter(({ headers }) => headers['doorward-code'] === 'dpop_replayed').length, 49)
  })

  test('a proof in two headers is refused', async () => {
    const before = stage.tap.having('tools/call').length
    const request = (await stage.request(call())).replace(/^DPoP: .*\r\n/m, '$&$&')
    equal((await stage.raw(request)).headers['doorward-code'], 'header_duplicate')
    equal(stage.tap.having('tools/call').length, before)
  })

  test('whoever shows no nonce is told the one to use', async () => {
    const token = await stage.token()
    const answer = await stage.send(call(), { token, proof: { nonce: null } })
    match(answer.text, /DPoP error="use_dpop_nonce"/)
    const nonce = answer.headers['dpop-nonce'] ?? ''
    await passes({ token, proof: { nonce } })
  })
})
