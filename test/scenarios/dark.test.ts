/**
 * Agents and authorities that were dark for longer than anything lives: they heal by themselves, with every check on, and
 * nobody deletes a file. The past is made by clocks that are behind; what heals does so at the time that it is.
 */

import assert from 'node:assert/strict'
import { mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { after, afterEach, test } from 'node:test'
import { epochMillis, isDoorwardError } from '@doorward/core'
import { join, openIdentity, systemRuntime } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { publicUrl, removeFolders, startTestAuthority } from '../fixtures/authority/running.ts'
import type { TestAuthority } from '../fixtures/authority/running.ts'
import { memorySealer } from '../unit/sdk/memory-sealer.ts'

const day = 86_400_000
const sealer = memorySealer()
const folders = await mkdtemp(path(tmpdir(), 'doorward-dark-'))
after(() => rm(folders, { recursive: true, force: true }))
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

/** A workload that joins while the authority's clock shows so many days ago. */
async function joinedBefore(authority: TestAuthority, name: string, days: number): Promise<string> {
  const id = `spiffe://test.example/${name}`
  const scope = name.startsWith('doorward/gateway/') ? 'full' : 'callers'
  await authority.running.registerWorkload({ id, roles: scope === 'full' ? ['gateway'] : [] }, 'test')
  const { joinString } = await authority.running.createJoinString(id, 'test')
  const folder = path(folders, `${name.replaceAll('/', '-')}-${days}`)
  const clock = () => epochMillis(Date.now() - days * day)
  await join({ joinString: joinString.reveal(), folder, sealer, clock, scope })
  return folder
}

async function opened(folder: string, problems: unknown[] = []): Promise<Identity> {
  const runtime = { ...systemRuntime, chance: () => 0.01 }
  const identity = await openIdentity({ folder, sealer, runtime, onProblem: (error) => problems.push(error) })
  closing.push(() => identity.close())
  return identity
}

/** Calls as the identity, so that both ends judge both. */
async function reaches(identity: Identity): Promise<void> {
  const { status, body } = await identity.call(`${publicUrl}/v1/trust-state`, {
    audience: publicUrl,
    expectedId: identity.authorityId,
    at: readPlace(identity),
  })
  body.resume()
  assert.equal(status, 200)
}

function readPlace(identity: Identity): { host: string; port: number } {
  const [place] = identity.trustStore.authorities()
  const { hostname, port } = new URL(`https://${place?.main}`)
  return { host: hostname, port: Number(port) }
}

async function until<T>(what: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await what()
    } catch (error) {
      if (attempt >= 300) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

for (const days of [8, 40])
  test(`OP-1, CA-4: an agent that was dark for ${days} days returns by itself, with all its files`, async () => {
    const authority = await startTestAuthority({ offset: -days * day })
    const { folders: own } = authority
    closing.push(() => authority.stop().then(() => removeFolders(own)))
    const folder = await joinedBefore(authority, 'agent/sleeper', days)
    const files = (await readdir(folder)).toSorted()
    authority.advance(days * day)
    const identity = await opened(folder)
    const held = identity.credentials.current()
    const { delegation } = identity.trustStore.version() ?? { delegation: 0 }
    await until(() => identity.prepare())
    await until(() => reaches(identity))
    const fresh = identity.credentials.current()
    assert.notEqual(fresh.certificate.authorityKeyId, held.certificate.authorityKeyId)
    assert.equal(fresh.id.uri, held.id.uri)
    assert.equal((identity.trustStore.version()?.delegation ?? 0) > delegation, days > 30)
    assert.deepEqual((await readdir(folder)).filter((name) => files.includes(name)).toSorted(), files)
  })

test('OP-2: when everything has expired on every machine, the authority starts without its root and everybody returns', async () => {
  const days = 8
  const before = await startTestAuthority({ offset: -days * day })
  closing.push(() => removeFolders(before.folders))
  closing.push(() => before.stop())
  const names = ['doorward/gateway/main', ...Array.from({ length: 5 }, (_, index) => `agent/number-${index}`)]
  const joined: string[] = []
  for (const name of names) joined.push(await joinedBefore(before, name, days))
  await before.stop()
  const { path: root } = before.running.recoveryRoot
  await rename(root, `${root}.away`)
  const again = await startTestAuthority({ folders: before.folders, settings: { listeners: listenersOf(before) } })
  closing.push(() => again.stop())
  assert.equal(again.running.recoveryRoot.present, false)
  const identities = await Promise.all(joined.map((folder) => opened(folder)))
  await Promise.all(identities.map((identity) => until(() => identity.prepare())))
  await Promise.all(identities.map((identity) => until(() => reaches(identity))))
  for (const identity of identities) assert.notEqual(identity.material().anchors.length, 0)
})

test('OP-1: an authority whose delegation has ended says so, and goes on when the root is back', async () => {
  const days = 40
  const before = await startTestAuthority({ offset: -days * day })
  closing.push(() => removeFolders(before.folders))
  closing.push(() => before.stop())
  const folder = await joinedBefore(before, 'agent/patient', days)
  await before.stop()
  const { path: root } = before.running.recoveryRoot
  await rename(root, `${root}.away`)
  const settings = { listeners: listenersOf(before) }
  await assert.rejects(startTestAuthority({ folders: before.folders, settings }), (error) =>
    isDoorwardError(error, 'delegation_expired'),
  )
  await rename(`${root}.away`, root)
  const again = await startTestAuthority({ folders: before.folders, settings })
  closing.push(() => again.stop())
  const identity = await opened(folder)
  await until(() => identity.prepare())
  await until(() => reaches(identity))
})

/** The same addresses as before. */
function listenersOf({ running }: TestAuthority): TestAuthority['running']['addresses'] {
  return running.addresses
}
