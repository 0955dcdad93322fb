import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileCheckpointStore, memoryCheckpointStore } from '@doorward/enforcement'
import { checkpointStoreContract } from './record-checkpoint-store.ts'

const root = await mkdtemp(join(tmpdir(), 'doorward-copy-'))
after(() => rm(root, { recursive: true, force: true }))

checkpointStoreContract({
  name: 'memory',
  async fresh() {
    const store = memoryCheckpointStore()
    return { open: () => store }
  },
})

checkpointStoreContract({
  name: 'file',
  async fresh() {
    const folder = await mkdtemp(join(root, 'store-'))
    return { open: () => fileCheckpointStore(folder, 'acme.example/gateway/main') }
  },
})

test('file: logs of one folder do not see each other, and no name leaves the folder', async () => {
  const folder = await mkdtemp(join(root, 'store-'))
  for (const origin of ['a/b', 'a%2Fb', '../up', 'a']) {
    assert.equal(await fileCheckpointStore(folder, origin).compareAndSwap(null, `${origin}\n`), true)
  }
  assert.equal(await fileCheckpointStore(folder, 'a/b').newest(), 'a/b\n')
  assert.equal((await readdir(folder)).filter((name) => name.endsWith('.checkpoint')).length, 4)
})

test('file: what a crash left beside the note is not the note', async () => {
  const folder = await mkdtemp(join(root, 'store-'))
  await writeFile(join(folder, 'a.checkpoint.new'), 'half')
  const store = fileCheckpointStore(folder, 'a')
  assert.equal(await store.newest(), null)
  assert.equal(await store.compareAndSwap(null, 'whole\n'), true)
  assert.equal(await store.newest(), 'whole\n')
})
