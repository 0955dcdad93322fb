/** Anchors and token keys that change by themselves, seen at starts on later and later days. */

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { openAuthorityStore } from '../../packages/server/src/storage/sqlite/authority-store.ts'
import { makeFolders, removeFolders, startTestAuthority } from '../fixtures/authority/running.ts'

const day = 86_400_000
const folders = await makeFolders()
after(() => removeFolders(folders))

/** States of anchors and token keys after a start on that day, and how many private keys are kept. */
async function onDay(days: number): Promise<{ anchors: readonly string[]; tokens: readonly string[]; keys: number }> {
  const authority = await startTestAuthority({ folders, offset: days * day })
  await authority.stop()
  const store = openAuthorityStore(join(folders.stateDir, 'authority.db'), { create: false })
  const slots = await store.slots.list()
  store.close()
  const names = await readdir(join(folders.stateDir, 'keys'))
  const states = (purpose: string) => slots.filter((slot) => slot.purpose === purpose).map(({ state }) => state)
  return {
    anchors: states('anchor'),
    tokens: states('token'),
    keys: names.filter((name) => /^(anchor|token|jwt-svid)-/.test(name)).length,
  }
}

test('CA-2: keys are made, published, activated and dropped on their days; a retired anchor signs its revocation list until it goes', async () => {
  assert.deepEqual(await onDay(0), { anchors: ['active'], tokens: ['active'], keys: 3 })
  assert.deepEqual(await onDay(3), { anchors: ['active'], tokens: ['active'], keys: 3 })
  assert.deepEqual(await onDay(3.6), { anchors: ['active', 'published'], tokens: ['active', 'published'], keys: 6 })
  assert.deepEqual(await onDay(5.9), { anchors: ['retired', 'active'], tokens: ['retired', 'active'], keys: 4 })
  assert.deepEqual(await onDay(6), { anchors: ['retired', 'active'], tokens: ['active'], keys: 4 })
  assert.deepEqual(await onDay(6.95), { anchors: ['active'], tokens: ['active'], keys: 3 })
})

test('an authority that was dark past every expiry starts with new keys', async () => {
  assert.deepEqual(await onDay(40), { anchors: ['active'], tokens: ['active'], keys: 3 })
})
