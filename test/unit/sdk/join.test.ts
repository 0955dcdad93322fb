import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { after, before, test } from 'node:test'
import { generateP256, join, openIdentity, sha256 } from '@doorward/sdk'
import { jwkThumbprint } from '@doorward/core'
import { newAnchor, newLeaf } from '../../fixtures/trust-fixture.ts'
import { FakeAuthority } from './fake-authority.ts'
import { memorySealer } from './memory-sealer.ts'

const sealer = memorySealer()
let root: string

before(async () => {
  root = await mkdtemp(path(tmpdir(), 'doorward-join-'))
})
after(() => rm(root, { recursive: true, force: true }))

const open: FakeAuthority[] = []
async function authority(options: Parameters<typeof FakeAuthority.start>[0] = {}): Promise<FakeAuthority> {
  const started = await FakeAuthority.start(options)
  open.push(started)
  return started
}
after(() => Promise.all(open.map((one) => one.close())))

test('a join string leads to an identity that can call, in files that only their user can read', async () => {
  const server = await authority()
  const folder = path(root, 'joined')
  const joined = await join({ joinString: server.joinString(), folder, sealer })
  assert.equal(joined.id.uri, 'spiffe://test.example/agent/one')
  assert.equal((await stat(folder)).mode & 0o777, 0o700)
  for (const name of await readdir(folder)) assert.equal((await stat(path(folder, name))).mode & 0o777, 0o600, name)
  const identity = await openIdentity({ folder, sealer })
  await identity.prepare()
  const response = await identity.call(`${server.mainUrl}/v1/anything`, {
    audience: server.mainUrl,
    expectedId: identity.authorityId,
  })
  assert.equal(response.status, 200)
  response.body.resume()
  identity.close()
})

test('the token is sent only in the second message', async () => {
  const server = await authority()
  await join({ joinString: server.joinString(), folder: path(root, 'order'), sealer })
  const bodies = server.asked.filter(({ listener }) => listener === 'enrol').map(({ body }) => body)
  assert.equal(bodies.length, 2)
  assert.equal(bodies[0], '{"hello":1}')
  assert.match(bodies[1] ?? '', /"token"/)
})

/** The enrolment listener closes the next connections before their handshake, as one does that has too many under way. */
function closeNext(server: FakeAuthority, count: number): { readonly closed: () => number } {
  const enrol = server.places[0]?.servers[1]
  let closed = 0
  enrol?.prependListener('connection', (socket: Socket) => {
    if (closed === count) return
    closed++
    socket.destroy()
  })
  return { closed: () => closed }
}

test('a connection that was not taken is tried again, a few times, and the token is sent once', async () => {
  const server = await authority()
  const two = closeNext(server, 2)
  await join({ joinString: server.joinString(), folder: path(root, 'busy'), sealer })
  assert.deepEqual([two.closed(), server.asked.filter(({ body }) => body.includes('"token"')).length], [2, 1])
  const full = await authority()
  const all = closeNext(full, 100)
  await assert.rejects(join({ joinString: full.joinString(), folder: path(root, 'full'), sealer }), {
    code: 'connection_lost',
  })
  assert.deepEqual([all.closed(), full.asked.length], [5, 0])
})

test('a server under another recovery root gets the greeting and nothing more', async () => {
  const server = await authority()
  const other = jwkThumbprint((await generateP256()).jwk, sha256)
  const attempt = join({ joinString: server.joinString({ rootFingerprint: other }), folder: path(root, 'pin'), sealer })
  await assert.rejects(attempt, { code: 'authority_not_pinned' })
  assert.deepEqual(
    server.asked.map(({ body }) => body),
    ['{"hello":1}'],
  )
})

test('a server that relays a genuine trust state without being the authority is refused', async () => {
  const foreign = await authority()
  const impostor = await newLeaf(
    await newAnchor(foreign.fixture.trustDomain),
    foreign.fixture.id('doorward', 'authority'),
  )
  const server = await authority({ enrolAs: impostor })
  await assert.rejects(join({ joinString: server.joinString(), folder: path(root, 'relay'), sealer }), {
    code: 'authority_not_pinned',
  })
  assert.deepEqual(
    server.asked.map(({ body }) => body),
    ['{"hello":1}'],
  )
})

test('another workload of the domain is not the authority', async () => {
  const first = await authority()
  const gateway = await first.fixture.issue('doorward/gateway/main')
  const proxy = await FakeAuthority.start({ enrolAs: gateway })
  open.push(proxy)
  await assert.rejects(join({ joinString: proxy.joinString(), folder: path(root, 'other'), sealer }), {
    code: 'authority_not_pinned',
  })
})

test('a server whose anchors are signed by another key than the delegated one gets the greeting and nothing more', async () => {
  const server = await authority()
  const stranger = await authority()
  const { signature } = await stranger.signedAnchors(server.state())
  server.greeting = Promise.resolve({ ...(await server.signedAnchors()), signature })
  const attempt = join({ joinString: server.joinString(), folder: path(root, 'anchors'), sealer })
  await assert.rejects(attempt, { code: 'trust_anchors_signature' })
  assert.deepEqual(
    server.asked.map(({ body }) => body),
    ['{"hello":1}'],
  )
})

test('a trust state older than the anchors that came before it is refused', async () => {
  const server = await authority()
  server.greeting = server.signedAnchors({ ...server.state(), sequence: 1000 })
  const folder = path(root, 'older')
  server.scope = 'full'
  await assert.rejects(join({ joinString: server.joinString(), folder, sealer, scope: 'full' }), {
    code: 'trust_state_rollback',
  })
  await assert.rejects(openIdentity({ folder, sealer }), { code: 'identity_missing' })
})

test('a token works once', async () => {
  const server = await authority()
  await join({ joinString: server.joinString(), folder: path(root, 'once'), sealer })
  await assert.rejects(join({ joinString: server.joinString(), folder: path(root, 'twice'), sealer }), {
    code: 'join_refused',
  })
})

test('a join that broke after the token was spent is finished by the machine key', async () => {
  const server = await authority()
  const folder = path(root, 'broken')
  await join({ joinString: server.joinString(), folder, sealer })
  await rm(path(folder, 'identity.json'))
  await rm(path(folder, 'svid.json'))
  const joined = await join({ joinString: server.joinString(), folder, sealer })
  assert.equal(joined.id.uri, 'spiffe://test.example/agent/one')
})

test('a folder is one identity', async () => {
  const server = await authority()
  const folder = path(root, 'one')
  await join({ joinString: server.joinString(), folder, sealer })
  const another = server.joinString({ spiffeId: 'spiffe://test.example/agent/two' })
  await assert.rejects(join({ joinString: another, folder, sealer }), { code: 'identity_exists' })
})

test('what is not a join string is refused before anything is written', async () => {
  const folder = path(root, 'never')
  await assert.rejects(join({ joinString: 'doorward-join-1.e30', folder, sealer }), { code: 'join_string_invalid' })
  await assert.rejects(stat(folder), { code: 'ENOENT' })
})

test('private keys lie sealed', async () => {
  const server = await authority()
  const folder = path(root, 'sealed')
  await join({ joinString: server.joinString(), folder, sealer })
  await assert.rejects(openIdentity({ folder, sealer: memorySealer() }), { code: 'identity_key_unreadable' })
  const files = await Promise.all((await readdir(folder)).map((name) => readFile(path(folder, name), 'latin1')))
  for (const content of files) assert.doesNotMatch(content, /PRIVATE KEY/)
})

test('a half-written folder is refused with its file', async () => {
  const server = await authority()
  const folder = path(root, 'half')
  await join({ joinString: server.joinString(), folder, sealer })
  await writeFile(path(folder, 'identity.json'), '{"version":1')
  await assert.rejects(openIdentity({ folder, sealer }), {
    code: 'identity_folder_invalid',
    where: path(folder, 'identity.json'),
  })
})

test('an empty folder holds nobody', async () => {
  await assert.rejects(openIdentity({ folder: path(root, 'nobody'), sealer }), { code: 'identity_missing' })
})
