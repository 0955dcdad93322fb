/** What an operator can get wrong about an authority: found at start or within ten seconds, named, and safe meanwhile. */

import assert from 'node:assert/strict'
import { chmod, chown, readdir, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { readEntries } from '../../packages/server/src/audit/read.ts'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { makeFolders, recordOf, removeFolders, startTestAuthority, trustDomain } from '../fixtures/authority/running.ts'
import type { Folders, TestAuthority } from '../fixtures/authority/running.ts'
import { joined, requestToken } from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'

const day = 86_400_000
const agent = `spiffe://${trustDomain}/agent/first`
let authority: TestAuthority
let workload: Workload

before(async () => {
  authority = await startTestAuthority({ lookMilliseconds: 300 })
  workload = await joined(authority, agent)
})
after(async () => {
  await authority.stop()
  await removeFolders(authority.folders)
})

async function poll<T>(
  look: () => Promise<T | undefined> | T | undefined,
  what: string,
  patience = 20_000,
): Promise<T> {
  const deadline = performance.now() + patience
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > deadline) throw new Error(`not seen in time: ${what}`)
    await sleep(50)
  }
}

async function tokenAnswer(): Promise<readonly [number, string | undefined]> {
  const client = await RawClient.open(authority.running.addresses.main, workload)
  const answer = await requestToken(client)
  client.close()
  return [answer.status, answer.headers['doorward-code']]
}

function alarms({ stateDir }: Folders): readonly { readonly detector: string; readonly subject: string }[] {
  const database = new DatabaseSync(join(stateDir, 'authority.db'), { readOnly: true, timeout: 5000 })
  try {
    return database.prepare('SELECT detector, subject FROM alarms').all() as never
  } finally {
    database.close()
  }
}

/** Certificates and tokens on record, covered by a checkpoint or not. */
async function issued(): Promise<number> {
  let count = 0
  for await (const { entry } of readEntries(join(authority.folders.stateDir, 'record'), { unsigned: true }))
    if (entry.kind === 'issuance') count += 1
  return count
}

/** Nothing is signed while it is wrong, the record says what it was, and everything goes on when it is right again. */
async function stopsWhile(
  detector: string,
  path: string,
  wrong: () => Promise<void>,
  mend: () => Promise<void>,
): Promise<void> {
  await wrong()
  try {
    await poll(async () => (await tokenAnswer())[0] === 503 || undefined, `tokens to stop for ${detector}`)
    assert.deepEqual(await tokenAnswer(), [503, 'authority_unready'])
    const before = await issued()
    assert.deepEqual(await tokenAnswer(), [503, 'authority_unready'])
    assert.equal(await issued(), before)
    await poll(
      () => alarms(authority.folders).some((one) => one.detector === detector && one.subject === path) || undefined,
      `an alarm ${detector} about ${path}`,
    )
  } finally {
    await mend()
  }
  await poll(async () => (await tokenAnswer())[0] === 200 || undefined, `tokens to go on after ${detector}`)
  await poll(async () => {
    const entries = (await recordOf(authority.folders)).filter(({ kind }) => kind === 'detection')
    return entries.some(({ body }) => body['detector'] === detector && body['ended'] === true) || undefined
  }, `the end of ${detector} on record`)
}

test('a key file that others may read stops everything until it is private again', async () => {
  const path = join(authority.folders.keyDir, 'authority.key')
  await stopsWhile(
    'key_file_mode',
    path,
    () => chmod(path, 0o644),
    () => chmod(path, 0o600),
  )
})

test('so do its folder, the state folder, a signing key and the recovery root', async () => {
  const { keyDir, stateDir } = authority.folders
  await stopsWhile(
    'key_file_mode',
    keyDir,
    () => chmod(keyDir, 0o755),
    () => chmod(keyDir, 0o700),
  )
  await stopsWhile(
    'state_folder_mode',
    stateDir,
    () => chmod(stateDir, 0o750),
    () => chmod(stateDir, 0o700),
  )
  const [name = ''] = (await readdir(join(stateDir, 'keys'))).filter((file) => file.startsWith('anchor-'))
  const key = join(stateDir, 'keys', name)
  await stopsWhile(
    'key_mode',
    key,
    () => chmod(key, 0o640),
    () => chmod(key, 0o600),
  )
  const root = join(keyDir, 'recovery-root.pem')
  await stopsWhile(
    'root_mode',
    root,
    () => chmod(root, 0o604),
    () => chmod(root, 0o600),
  )
})

test('a key file of another user stops everything', { skip: process.getuid?.() !== 0 }, async () => {
  const path = join(authority.folders.keyDir, 'authority.key')
  await stopsWhile(
    'key_file_mode',
    path,
    () => chown(path, 12_345, 12_345),
    () => chown(path, 0, 0),
  )
})

test('a key file of another user, or open to others, keeps an authority from starting', async () => {
  const folders = await makeFolders()
  await (await startTestAuthority({ folders })).stop()
  const path = join(folders.keyDir, 'authority.key')
  await chmod(path, 0o640)
  await assert.rejects(startTestAuthority({ folders }), { code: 'key_file_mode' })
  await chmod(path, 0o600)
  if (process.getuid?.() === 0) {
    await chown(path, 12_345, 12_345)
    await assert.rejects(startTestAuthority({ folders }), { code: 'key_file_mode' })
    await chown(path, 0, 0)
  }
  await (await startTestAuthority({ folders })).stop()
  await removeFolders(folders)
})

test('DT-8: an anchor about which the store says something else than its certificate stops everything', async () => {
  const database = new DatabaseSync(join(authority.folders.stateDir, 'authority.db'), { timeout: 5000 })
  const { key_id: keyId, not_after: notAfter } = database
    .prepare("SELECT key_id, not_after FROM key_slots WHERE purpose = 'anchor' AND state = 'active'")
    .get() as { readonly key_id: string; readonly not_after: number }
  const set = (value: number) => async () =>
    void database.prepare('UPDATE key_slots SET not_after = ? WHERE key_id = ?').run(value, keyId)
  await stopsWhile('DT-8', keyId, set(notAfter + 86_400), set(notAfter))
  database.close()
})

test('OP-3: a rotation that cannot be made is an alarm (DT-7), days before anything ends', async () => {
  const folders = await makeFolders()
  const lagging = await startTestAuthority({ folders, lookMilliseconds: 300 })
  const keys = join(folders.stateDir, 'keys')
  await rename(keys, `${keys}.away`)
  await writeFile(keys, '', { mode: 0o600 })
  lagging.advance(4 * day)
  for (const subject of ['anchor rotation', 'token rotation', 'jwt-svid rotation'])
    await poll(
      () => alarms(folders).some((one) => one.detector === 'DT-7' && one.subject === subject) || undefined,
      `an alarm about ${subject}`,
    )
  await rename(keys, join(dirname(keys), 'aside'))
  await rename(`${keys}.away`, keys)
  await poll(async () => {
    const entries = (await recordOf(folders)).filter(({ kind, body }) => kind === 'detection' && body['ended'] === true)
    return entries.filter(({ body }) => body['detector'] === 'DT-7').length >= 3 || undefined
  }, 'the end of the lag')
  await lagging.stop()
  await removeFolders(folders)
})

test('an ordinary life raises no alarm: joining, renewing, restarting, rotating, leaving', async () => {
  const folders = await makeFolders()
  for (const days of [0, 1, 3.6, 5.9, 7, 12]) {
    const ordinary = await startTestAuthority({ folders, offset: days * day, lookMilliseconds: 100 })
    const id = `spiffe://${trustDomain}/agent/day-${Math.floor(days)}`
    await joined(ordinary, id)
    ordinary.advance(30 * 60_000)
    const looked = performance.now() + 600
    await poll(() => performance.now() > looked || undefined, 'some looks')
    await ordinary.stop()
    assert.deepEqual(
      ordinary.events.filter(({ type }) => type !== 'warning'),
      [],
      `day ${days}`,
    )
  }
  assert.deepEqual(alarms(folders), [])
  await removeFolders(folders)
})
