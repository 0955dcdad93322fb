/** The authority's store contract on SQLite, and what only a file can go wrong in. */

import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { epochMillis, epochSeconds } from '@doorward/core'
import { openAuthorityStore } from '../../packages/server/src/storage/sqlite/authority-store.ts'
import type { SqliteAuthorityStore } from '../../packages/server/src/storage/sqlite/authority-store.ts'
import { authorityStoreContract } from './authority-store.ts'
import { binding, registration, token } from './authority-store/values.ts'

authorityStoreContract('sqlite', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'doorward-store-'))
  const opened: SqliteAuthorityStore[] = []
  const open = (create: boolean) => {
    const store = openAuthorityStore(join(folder, 'authority.db'), { create })
    opened.push(store)
    return store
  }
  let now = Date.now()
  return {
    store: open(true),
    another: async () => open(false),
    now: () => epochMillis(now),
    elapse: async (milliseconds) => void (now += milliseconds),
    close: async () => {
      for (const store of opened) store.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
})

async function withFolder(run: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'doorward-store-'))
  try {
    await run(join(folder, 'authority.db'))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function refused(path: string, code: string, create = false): void {
  assert.throws(() => openAuthorityStore(path, { create }), { code })
}

test('a file keeps what was acknowledged, is private, and opens again', () =>
  withFolder(async (path) => {
    const store = openAuthorityStore(path, { create: true })
    await store.denials.deny({
      kind: 'serial',
      value: '01',
      issuedBefore: epochSeconds(1),
      lapsesAt: epochSeconds(9),
      reason: 'test',
    })
    for (const name of [path, `${path}-wal`, `${path}-shm`]) assert.equal((await stat(name)).mode & 0o077, 0, name)
    store.close()
    const again = openAuthorityStore(path, { create: false })
    assert.equal((await again.denials.list(epochSeconds(5))).length, 1)
    again.close()
  }))

test('two handles on one file see one store: a token is redeemed once across them', () =>
  withFolder(async (path) => {
    const stores = [openAuthorityStore(path, { create: true }), openAuthorityStore(path, { create: false })]
    const id = 'spiffe://t/a'
    await stores[0]!.registrations.add(registration(id), 10)
    await stores[1]!.joins.addToken(token('h', id), 10)
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        stores[i % 2]!.joins.redeem({ hash: 'h', binding: binding(`i${i}`, `${i}`) }),
      ),
    )
    assert.equal(outcomes.filter(({ outcome }) => outcome === 'redeemed').length, 1)
    for (const store of stores) store.close()
  }))

test('a missing, foreign, damaged or newer file is refused and left as it is', () =>
  withFolder(async (path) => {
    refused(path, 'store_missing')
    await writeFile(path, 'not a database, but long enough to be read as the header of one: '.repeat(20))
    const before = await readFile(path)
    refused(path, 'store_corrupt')
    assert.deepEqual(await readFile(path), before)
    await rm(path)
    const foreign = new DatabaseSync(path)
    foreign.exec('CREATE TABLE t (a)')
    foreign.close()
    refused(path, 'store_foreign', true)
    await rm(path)
    openAuthorityStore(path, { create: true }).close()
    const newer = new DatabaseSync(path)
    const version = Object.values(newer.prepare('PRAGMA user_version').get() ?? {})[0]
    newer.exec('PRAGMA user_version = 99')
    newer.close()
    refused(path, 'store_newer')
    await chmod(path, 0o644)
    const back = new DatabaseSync(path)
    back.exec(`PRAGMA user_version = ${Number(version)}`)
    back.close()
    openAuthorityStore(path, { create: false }).close()
    assert.equal((await stat(path)).mode & 0o077, 0)
  }))

test('a verb that fails undoes itself and leaves those beside it', () =>
  withFolder(async (path) => {
    const store = openAuthorityStore(path, { create: true })
    const results = await Promise.allSettled([
      store.registrations.add(registration('spiffe://t/a'), 10),
      store.registrations.add(registration('spiffe://t/b', { createdAt: epochSeconds(Number.NaN) }), 10),
      store.registrations.add(registration('spiffe://t/c'), 10),
    ])
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )
    assert.equal((results[1] as PromiseRejectedResult).reason.code, 'store_unavailable')
    assert.deepEqual(
      (await store.registrations.list()).map(({ id }) => id),
      ['spiffe://t/a', 'spiffe://t/c'],
    )
    store.close()
    await assert.rejects(store.registrations.list(), { code: 'store_unavailable' })
  }))
