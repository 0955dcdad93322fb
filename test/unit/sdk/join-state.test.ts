/** What the client does with join states: it shows what is durable, keeps the latest, and begins anew when it was locked. */

import assert from 'node:assert/strict'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { after, before, test } from 'node:test'
import { readJoinState, Secret } from '@doorward/core'
import { generateP256, IdentityFolder, join, openIdentity, prepareMachineKey, sha256, svidOf } from '@doorward/sdk'
import { jwkThumbprint } from '@doorward/core'
import { newLeaf } from '../../fixtures/trust-fixture.ts'
import { FakeAuthority } from './fake-authority.ts'
import { memorySealer } from './memory-sealer.ts'

const sealer = memorySealer()
let root: string
before(async () => {
  root = await mkdtemp(path(tmpdir(), 'doorward-join-state-'))
})
after(() => rm(root, { recursive: true, force: true }))

const closing: (() => unknown)[] = []
after(async () => {
  for (const close of closing.reverse()) await close()
})

async function started(): Promise<FakeAuthority> {
  const authority = await FakeAuthority.start()
  closing.push(() => authority.close())
  return authority
}

async function opened(folder: string) {
  const identity = await openIdentity({ folder, sealer })
  closing.push(() => identity.close())
  return identity
}

async function joinedIn(name: string) {
  const authority = await started()
  const folder = path(root, name)
  await join({ joinString: authority.joinString(), folder, sealer })
  return { authority, folder }
}

const numbers = (authority: FakeAuthority) =>
  authority.shown.map((state) => (state === null ? null : readJoinState(state)?.number))

test('BS-2: every renewal shows the join state that came with the last certificate, and the return does too', async () => {
  const { authority, folder } = await joinedIn('shows')
  const identity = await opened(folder)
  await identity.prepare()
  await identity.renew()
  await identity.renew()
  await join({ joinString: authority.joinString(), folder, sealer })
  assert.deepEqual(numbers(authority), [1, 2, 3])
  assert.equal(authority.locked, false)
})

test('BS-2: answers that are lost lock nobody out: the state of before is shown again', async () => {
  const { authority, folder } = await joinedIn('lost')
  const identity = await opened(folder)
  await identity.prepare()
  authority.loseAnswers = 2
  for (let attempt = 0; attempt < 2; attempt++) await assert.rejects(identity.renew(), { code: 'connection_lost' })
  const held = identity.credentials.current().fingerprint
  await identity.renew()
  assert.notEqual(identity.credentials.current().fingerprint, held)
  assert.deepEqual(numbers(authority), [1, 1, 1])
  await identity.renew()
  assert.equal(authority.locked, false)
})

test('BS-2: a join whose answers are lost twice in a row is finished by the machine key', async () => {
  const authority = await started()
  const folder = path(root, 'lost-joins')
  const joinString = authority.joinString()
  authority.loseAnswers = 2
  for (let attempt = 0; attempt < 2; attempt++) await assert.rejects(join({ joinString, folder, sealer }))
  await join({ joinString, folder, sealer })
  assert.equal(authority.locked, false)
  await (await opened(folder)).renew()
})

test('BS-2: of a folder and its copy one at most goes on', async () => {
  const { authority, folder } = await joinedIn('copied')
  const copy = path(root, 'copy')
  await cp(folder, copy, { recursive: true })
  const original = await opened(folder)
  await original.renew()
  await original.renew()
  await assert.rejects((await opened(copy)).renew(), { code: 'instance_locked' })
  assert.equal(authority.locked, true)
  await assert.rejects(original.renew(), { code: 'instance_locked' })
})

test('a copy that was locked begins anew with new evidence, in the same folder and with a key that nobody has copied', async () => {
  const { authority, folder } = await joinedIn('locked')
  const store = new IdentityFolder(folder, sealer)
  const before = await store.readMachineKey()
  authority.locked = true
  authority.tokenUsed = false
  await join({ joinString: authority.joinString(), folder, sealer })
  const after = await store.readMachineKey()
  assert.notDeepEqual(after?.export({ type: 'pkcs8', format: 'der' }), before?.export({ type: 'pkcs8', format: 'der' }))
  const identity = await opened(folder)
  await identity.renew()
  assert.equal(authority.locked, false)
})

test('a join state of one machine key is not shown for another', async () => {
  const { authority, folder } = await joinedIn('rekeyed')
  await new IdentityFolder(folder, sealer).writeMachineKey((await generateP256()).privateKey)
  authority.tokenUsed = false
  await join({ joinString: authority.joinString(), folder, sealer })
  assert.deepEqual(authority.shown, [])
})

test('a later join state is never written over by an earlier one, whoever holds the lock', async () => {
  const { authority, folder } = await joinedIn('order')
  const store = new IdentityFolder(folder, sealer)
  const machineKey = (await store.readJoinState())?.machineKey ?? ''
  const state = (number: number) => ({ value: new Secret(`${number}.${'A'.repeat(43)}`), number, machineKey })
  const { anchor, trustDomain } = authority.fixture
  const leaf = async () => {
    const { chain, privateKey } = await newLeaf(anchor, authority.fixture.id('agent', 'one'))
    return svidOf(chain, privateKey, trustDomain)
  }
  const [late, early] = [await leaf(), await leaf()]
  assert.equal(await store.writeSvid(late, state(9)), true)
  assert.equal(await store.writeSvid(early, state(8)), false)
  assert.equal((await store.readSvid(trustDomain))?.fingerprint, late.fingerprint)
  assert.equal((await store.readJoinState())?.number, 9)
})

test('the join state lies sealed beside the certificate that it came with', async () => {
  const { authority, folder } = await joinedIn('sealed')
  const text = await readFile(path(folder, 'svid.json'), 'utf8')
  const state = await new IdentityFolder(folder, sealer).readJoinState()
  const [secret] = state === null ? [] : [readJoinState(state.value.reveal())?.secret ?? '']
  assert.ok(secret !== undefined && secret.length === 43 && !text.includes(secret))
  await assert.rejects(new IdentityFolder(folder, memorySealer()).readJoinState(), { code: 'identity_key_unreadable' })
  assert.equal(authority.shown.length, 0)
})

test('a folder from before there were join states gets one with its next certificate', async () => {
  const { authority, folder } = await joinedIn('old')
  const file = path(folder, 'svid.json')
  const { join_state, machine_key, ...old } = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>
  assert.ok(join_state !== undefined && machine_key !== undefined)
  await writeFile(file, JSON.stringify(old))
  const identity = await opened(folder)
  await identity.renew()
  await identity.renew()
  assert.deepEqual(numbers(authority), [null, 2])
})

test('a machine key is made before the join, told by its thumbprint, and is the one that joins', async () => {
  const authority = await started()
  const folder = path(root, 'prepared')
  const thumbprint = await prepareMachineKey({ folder, sealer })
  assert.equal(await prepareMachineKey({ folder, sealer }), thumbprint)
  await join({ joinString: authority.joinString(), folder, sealer })
  const body = JSON.parse(authority.asked.at(-1)?.body ?? '') as { machine_key: Parameters<typeof jwkThumbprint>[0] }
  assert.equal(jwkThumbprint(body.machine_key, sha256), thumbprint)
})

test('BS-4: a platform’s token is not even read before the server is proven', async () => {
  const authority = await started()
  const rootFingerprint = jwkThumbprint((await generateP256()).jwk, sha256)
  let read = 0
  const token = async () => {
    read++
    return new Secret('a.b.c')
  }
  const evidence = { kind: 'oidc', token } as const
  const attempt = join({
    joinString: authority.joinString({ rootFingerprint }),
    evidence,
    folder: path(root, 'unproven'),
    sealer,
  })
  await assert.rejects(attempt, { code: 'authority_not_pinned' })
  assert.equal(read, 0)
})
