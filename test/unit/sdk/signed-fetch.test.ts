/** Which refusals a call is repeated after: those that were given before anything happened and that something can cure. */

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { Readable } from 'node:stream'
import { after, before, test } from 'node:test'
import { DoorwardError, isDoorwardError, join, openIdentity } from '@doorward/sdk'
import type { CallOptions, Identity } from '@doorward/sdk'
import { signedFetch } from '../../../packages/sdk/src/signed-fetch.ts'
import { FakeAuthority } from './fake-authority.ts'
import { memorySealer } from './memory-sealer.ts'

const sealer = memorySealer()
let root: string
let authority: FakeAuthority
let identity: Identity
before(async () => {
  root = await mkdtemp(path(tmpdir(), 'doorward-fetch-'))
  authority = await FakeAuthority.start()
  await join({ joinString: authority.joinString(), folder: path(root, 'one'), sealer })
  identity = await openIdentity({ folder: path(root, 'one'), sealer })
  await identity.prepare()
})
after(async () => {
  identity.close()
  await authority.close()
  await rm(root, { recursive: true, force: true })
})

interface Seen {
  readonly status: number
  readonly calls: number
  readonly tokens: number
}

/** What a refusal of the next call leads to. */
async function refusedOnce(code: string, options: Partial<CallOptions> = {}): Promise<Seen> {
  authority.asked.length = 0
  authority.refuseOnce = code
  const response = await identity.call(`${authority.mainUrl}/v1/thing`, {
    method: 'POST',
    body: 'x',
    audience: authority.mainUrl,
    expectedId: identity.authorityId,
    ...options,
  })
  response.body.resume()
  const asked = (what: string) => authority.paths().filter((one) => one === what).length
  return { status: response.status, calls: asked('POST /v1/thing'), tokens: asked('POST /v1/token') }
}

test('a token that the server no longer takes is replaced, and the call repeated once', async () => {
  for (const code of ['token_expired', 'token_epoch', 'token_key_unknown'])
    assert.deepEqual(await refusedOnce(code), { status: 200, calls: 2, tokens: 1 }, code)
})

test('a certificate that is news to the server is shown once more, with the same token', async () => {
  assert.deepEqual(await refusedOnce('certificate_not_issued'), { status: 200, calls: 2, tokens: 0 })
})

test('a second refusal is the answer', async () => {
  authority.refuseAlways = { path: '/v1/thing', code: 'token_epoch' }
  assert.deepEqual(await refusedOnce('token_epoch'), { status: 401, calls: 2, tokens: 1 })
  authority.refuseAlways = null
})

test('a certificate that is withdrawn is not shown again; the one that has replaced it is', async () => {
  for (const code of ['certificate_denied', 'certificate_epoch', 'certificate_expired'])
    assert.deepEqual(await refusedOnce(code), { status: 401, calls: 1, tokens: 0 }, code)
  authority.beforeRefusal = () => identity.renew()
  assert.deepEqual(await refusedOnce('certificate_epoch'), { status: 200, calls: 2, tokens: 1 })
  authority.beforeRefusal = null
})

test('no other refusal is repeated', async () => {
  for (const code of ['identity_denied', 'token_binding', 'token_denied', 'token_audience', 'policy_denied'])
    assert.deepEqual(await refusedOnce(code), { status: 401, calls: 1, tokens: 0 }, code)
})

test('nothing is repeated with a body that cannot be sent twice, nor when the caller wants no retries', async () => {
  const one = { status: 401, calls: 1, tokens: 0 }
  assert.deepEqual(await refusedOnce('token_epoch', { retries: false }), one)
  assert.deepEqual(await refusedOnce('certificate_not_issued', { retries: false }), one)
  assert.deepEqual(await refusedOnce('certificate_not_issued', { body: Readable.from(['x']) }), one)
})

test('whoever is aborted while a token is fetched waits no longer, and the fetch goes on for the others', async () => {
  const token = Promise.withResolvers<never>()
  const signed = signedFetch({
    pool: {} as never,
    credentials: identity.credentials,
    tokens: { token: () => token.promise, forget: () => undefined },
    freshen: async () => undefined,
  })
  const ask = (signal: AbortSignal) =>
    signed.call(authority.mainUrl, { audience: authority.mainUrl, expectedId: identity.authorityId, signal })
  const [one, other] = [new AbortController(), new AbortController()]
  const ends = Promise.allSettled([ask(one.signal), ask(AbortSignal.abort()), ask(other.signal)])
  await new Promise(setImmediate)
  one.abort()
  await new Promise(setImmediate)
  token.reject(new DoorwardError('identity_denied', 'the end of the fetch'))
  assert.deepEqual(
    (await ends).map((end) => (end.status === 'rejected' && isDoorwardError(end.reason) ? end.reason.code : end)),
    ['call_aborted', 'call_aborted', 'identity_denied'],
  )
})
