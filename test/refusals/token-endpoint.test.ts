/** The token endpoint in OAuth's own words: what it gives, and how it refuses (RFC 6749 §5, RFC 8705 §2, RFC 8707 §2). */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { denialTable } from '@doorward/enforcement'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import type { RawAnswer } from '../fixtures/authority/raw-client.ts'
import { publicUrl, removeFolders, startTestAuthority, testSecurity } from '../fixtures/authority/running.ts'
import type { TestAuthority } from '../fixtures/authority/running.ts'
import { call, joined, ownToken } from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'

let authority: TestAuthority
let workload: Workload

before(async () => {
  authority = await startTestAuthority()
  workload = await joined(authority, 'spiffe://test.example/agent/caller')
})
after(async () => {
  await authority.stop()
  await removeFolders(authority.folders)
})

const good = { grant_type: 'client_credentials', resource: publicUrl }
const formType = { 'content-type': 'application/x-www-form-urlencoded' }

async function post(
  body: string,
  headers: Record<string, string> = formType,
  who = workload,
  at = authority,
): Promise<RawAnswer> {
  const client = await RawClient.open(at.running.addresses.main, who)
  try {
    return await client.request('POST', '/v1/token', { headers, body })
  } finally {
    client.close()
  }
}

const form = (parameters: Record<string, string>) => new URLSearchParams(parameters).toString()

/** What any strict OAuth client demands of an error response. */
function oauthError(answer: RawAnswer): string {
  assert.equal(answer.headers['content-type'], 'application/json')
  assert.equal(answer.headers['cache-control'], 'no-store')
  const { error, error_description, ...rest } = answer.json()
  assert.deepEqual(rest, {})
  assert.match(String(error), /^[\x20\x21\x23-\x5b\x5d-\x7e]+$/)
  assert.match(String(error_description), /^[\x20\x21\x23-\x5b\x5d-\x7e]+$/)
  return String(error)
}

test('a token answer is what RFC 6749 §5.1 says and nothing else', async () => {
  const answer = await post(form(good))
  assert.equal(answer.status, 200)
  assert.equal(answer.headers['content-type'], 'application/json')
  assert.equal(answer.headers['cache-control'], 'no-store')
  assert.equal(answer.headers['pragma'], 'no-cache')
  const { access_token, token_type, expires_in, ...rest } = answer.json()
  assert.deepEqual([typeof access_token, token_type, rest], ['string', 'Bearer', {}])
  assert.ok(Number.isInteger(expires_in) && Number(expires_in) > 0 && Number(expires_in) <= 300)
})

test('each wrong parameter has the error that OAuth names for it, beside our code and decision', async () => {
  const { grant_type, resource } = good
  const bad: readonly [string, string, string][] = [
    ['invalid_request', 'request_invalid', form({ resource })],
    ['invalid_request', 'request_invalid', form({ grant_type: '', resource })],
    ['invalid_request', 'request_invalid', `${form(good)}&resource=${encodeURIComponent(publicUrl)}`],
    ['invalid_request', 'request_invalid', `${form(good)}&grant_type=${grant_type}`],
    ['invalid_request', 'request_invalid', `${form(good)}&unknown=1&unknown=2`],
    ['invalid_request', 'request_invalid', form({ ...good, client_id: 'spiffe://test.example/agent/other' })],
    ['invalid_request', 'request_invalid', form({ ...good, client_secret: 'x' })],
    ['invalid_request', 'request_invalid', form({ ...good, client_assertion: 'x' })],
    ['unsupported_grant_type', 'grant_unsupported', form({ grant_type: 'password', resource })],
    ['unsupported_grant_type', 'grant_unsupported', form({ grant_type: 'Client_Credentials', resource })],
    ['invalid_scope', 'scope_unknown', form({ ...good, scope: 'everything' })],
    ['invalid_target', 'audience_unknown', form({ grant_type })],
    ['invalid_target', 'audience_unknown', form({ grant_type, resource: '' })],
    ['invalid_target', 'audience_unknown', form({ grant_type, resource: 'https://elsewhere.example' })],
    ['invalid_target', 'audience_unknown', form({ grant_type, resource: `${publicUrl}/` })],
    ['invalid_target', 'audience_unknown', form({ grant_type, resource: `${publicUrl}#x` })],
  ]
  assert.equal((await post(form(good))).status, 200)
  for (const [error, code, body] of bad) {
    const answer = await post(body)
    assert.deepEqual([answer.status, oauthError(answer), answer.headers['doorward-code']], [400, error, code], body)
    assert.match(answer.headers['doorward-decision'] ?? '', /^test\.example\/authority#\d+$/)
  }
})

test('parameters that nobody knows and parameters without a value are ignored', async () => {
  assert.equal((await post(form({ ...good, unknown: 'x', scope: '', client_secret: '' }))).status, 200)
  assert.equal((await post(form({ ...good, client_id: workload.id }))).status, 200)
})

test('a body of another kind, none and one that is too large are invalid requests', async () => {
  const cases: readonly [string, Record<string, string>, string][] = [
    ['content_type', { 'content-type': 'application/json' }, form(good)],
    ['content_type', {}, form(good)],
    ['request_invalid', formType, ''],
    ['body_too_large', formType, `${form(good)}&x=${'x'.repeat(70_000)}`],
  ]
  for (const [code, headers, body] of cases) {
    const answer = await post(body, headers)
    assert.deepEqual([answer.status, oauthError(answer)], [400, 'invalid_request'], code)
    assert.equal(answer.headers['doorward-code'], code)
  }
})

test('a credential in the Authorization header beside the certificate is refused', async () => {
  const answer = await post(form(good), { ...formType, authorization: 'Basic eDp5' })
  assert.deepEqual([answer.status, oauthError(answer)], [400, 'invalid_request'])
})

test('a client whose certificate counts no more is an invalid client', async () => {
  const victim = await joined(authority, 'spiffe://test.example/agent/victim')
  assert.equal((await post(form(good), formType, victim)).status, 200)
  const operator = await joined(authority, 'spiffe://test.example/doorward/operator/eve', ['admin'])
  const admin = await RawClient.open(authority.running.addresses.admin, operator)
  const token = await ownToken(authority, operator)
  assert.equal((await call(admin, token, `DELETE /v1/workloads?id=${encodeURIComponent(victim.id)}`)).status, 200)
  admin.close()
  // A state that is applied meanwhile ends whatever connection of theirs is open; then they come again.
  const again = () => post(form(good), formType, victim)
  const answer = await again().catch(again)
  assert.deepEqual([answer.status, oauthError(answer)], [401, 'invalid_client'])
  assert.equal(answer.headers['doorward-code'], 'identity_denied')
})

test('a client over its limit is told so in the same form', async () => {
  const one = { count: 1, periodSeconds: 3600 }
  const limited = await startTestAuthority({ settings: { security: { ...testSecurity, perUser: one } } })
  const caller = await joined(limited, 'spiffe://test.example/agent/eager')
  const first = await post(form(good), formType, caller, limited)
  const second = first.status === 429 ? first : await post(form(good), formType, caller, limited)
  assert.deepEqual([second.status, oauthError(second)], [429, 'temporarily_unavailable'])
  assert.ok(Number(second.headers['retry-after']) > 0)
  await limited.stop()
  await removeFolders(limited.folders)
})

test('another method is no token request and is refused as our own API refuses', async () => {
  const client = await RawClient.open(authority.running.addresses.main, workload)
  const token = await ownToken(authority, workload)
  const answer = await call(client, token, 'GET /v1/token')
  client.close()
  assert.deepEqual([answer.status, answer.headers['doorward-code']], [405, 'http_method'])
})

test('every text of the denial table may stand in an error description', () => {
  for (const { text } of Object.values(denialTable)) assert.match(text, /^[\x20\x21\x23-\x5b\x5d-\x7e]+$/)
})
