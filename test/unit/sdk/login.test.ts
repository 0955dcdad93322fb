/** A sign-in on this machine: how it is kept, for how long it counts, and which tokens it gets. */

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { epochSeconds, loginProofBytes, Secret, utf8 } from '@doorward/core'
import type { EpochSeconds, P256Jwk } from '@doorward/core'
import { generateP256, importP256, LoginStore, personSource, sha256 } from '@doorward/sdk'
import type { CallResponse, Login } from '@doorward/sdk'
import { Readable } from 'node:stream'
import { TokenSource } from '../../../packages/sdk/src/token-source.ts'
import type { Svid } from '../../../packages/sdk/src/svid.ts'
import { memorySealer } from './memory-sealer.ts'

const authorityUrl = 'https://authority.test.example'
const audience = 'https://gateway.test.example/mcp/files'
const user = { issuer: 'https://login.acme.example', subject: 'alice', groups: ['dev'] }
const svid = { fingerprint: 'F'.repeat(43) } as Svid
let folder: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doorward-login-'))
})
after(() => rm(folder, { recursive: true, force: true }))

async function loginOf(expires: number, name = 'alice'): Promise<Login> {
  const { privateKey } = await generateP256()
  const identity = new Secret(`identity-of-${name}`)
  return { user: { ...user, subject: name }, expires: epochSeconds(expires), identity, key: privateKey }
}

test('a sign-in is kept sealed, for its owner alone, and read as it was', async () => {
  const store = new LoginStore(folder, memorySealer())
  assert.equal(await store.read(), null)
  const login = await loginOf(2000)
  await store.write(login)
  assert.equal((await stat(store.path)).mode & 0o777, 0o600)
  const text = await readFile(store.path, 'utf8')
  const der = login.key.export({ type: 'pkcs8', format: 'der' }).toString('base64')
  for (const secret of [
    'identity-of',
    Buffer.from('identity-of-alice').toString('base64').slice(0, 20),
    der.slice(40, 80),
  ])
    assert.ok(!text.includes(secret), secret)
  const read = await store.read()
  assert.deepEqual([read?.user, read?.expires, read?.identity.reveal()], [login.user, 2000, 'identity-of-alice'])
  assert.ok(read?.key.equals(login.key))
  await assert.rejects(new LoginStore(folder, memorySealer()).read(), { code: 'login_unreadable' })
  await writeFile(store.path, text.replace('"sealed": "', '"sealed": "AAAA'))
  await assert.rejects(store.read(), { code: 'login_unreadable' })
  await store.remove()
  assert.equal(await store.read(), null)
})

test('a sign-in counts until it ends, and the next one in programs that run already', async () => {
  const store = new LoginStore(folder, memorySealer())
  let now = 1000
  const source = personSource(store, () => epochSeconds(now))
  await assert.rejects(source.current(), { code: 'login_missing' })
  await store.write(await loginOf(1500))
  assert.equal((await source.current()).user.subject, 'alice')
  now = 1500
  await assert.rejects(source.current(), { code: 'login_expired', next: 'doorward login' })
  await store.write(await loginOf(1600, 'bob'))
  assert.equal((await source.current()).user.subject, 'bob')
  await store.remove()
  await assert.rejects(source.current(), { code: 'login_missing' })
})

/** A token endpoint that remembers what it was asked. */
function endpoint(login: () => Promise<Login>, answer: { status: number; code?: string } = { status: 200 }) {
  const asked: URLSearchParams[] = []
  const tokens = new TokenSource({
    post: async (_svid, form) => {
      asked.push(new URLSearchParams(form))
      const body = { access_token: `t${asked.length}`, token_type: 'Bearer', expires_in: 300 }
      const headers = answer.code === undefined ? {} : { 'doorward-code': answer.code }
      const stream = Readable.from([utf8(JSON.stringify(body))])
      return { status: answer.status, headers, rawHeaders: [], body: stream } as object as CallResponse
    },
    monotonic: () => 0,
    person: {
      source: { current: login },
      now: () => 1000 as EpochSeconds,
      isOwn: (wanted) => wanted === authorityUrl,
    },
  })
  return { asked, tokens }
}

test('tokens for servers are exchanged with a proof over the connection; the authority is asked as the workload', async () => {
  const login = await loginOf(2000)
  const { asked, tokens } = endpoint(async () => login)
  await tokens.token({ svid, audience: authorityUrl })
  await Promise.all([1, 2].map(() => tokens.token({ svid, audience })))
  assert.deepEqual(
    asked.map((form) => form.get('grant_type')),
    ['client_credentials', 'urn:ietf:params:oauth:grant-type:token-exchange'],
  )
  const form = asked[1] ?? new URLSearchParams()
  assert.deepEqual([form.get('subject_token'), form.get('resource')], ['identity-of-alice', audience])
  const proof = JSON.parse(form.get('login_proof') ?? '') as { key: P256Jwk; issued_at: number; signature: string }
  const signed = loginProofBytes(
    {
      use: 'exchange',
      certificateFingerprint: svid.fingerprint,
      audience,
      issuedAt: epochSeconds(proof.issued_at),
      token: 'identity-of-alice',
    },
    sha256,
  )
  assert.ok(importP256(proof.key)?.verify(signed, Buffer.from(proof.signature, 'base64url')))
  tokens.forget({ svid, audience })
  await tokens.token({ svid, audience })
  assert.equal(asked.length, 3)
})

test('another person gets another token, and nobody the token of somebody who is gone', async () => {
  let login = await loginOf(2000)
  const { asked, tokens } = endpoint(async () => login)
  const first = await tokens.token({ svid, audience })
  login = await loginOf(2000, 'bob')
  const second = await tokens.token({ svid, audience })
  assert.notEqual(first.reveal(), second.reveal())
  assert.equal(asked.at(-1)?.get('subject_token'), 'identity-of-bob')
})

test('a sign-in that the authority takes no more says who has to sign in again', async () => {
  const login = await loginOf(2000)
  for (const code of ['grant_refused', 'identity_denied']) {
    const { tokens } = endpoint(async () => login, { status: 400, code })
    const wanted = { code: 'login_ended', next: 'doorward login', message: /alice/ }
    await assert.rejects(tokens.token({ svid, audience }), wanted)
  }
})
