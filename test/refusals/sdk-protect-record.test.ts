/** A protected program whose record cannot be written serves nobody. */

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openProtectedStage } from '../fixtures/protected-stage.ts'
import { mountSmallDisk } from '../fixtures/small-disk.ts'

test('while the record cannot be written nothing reaches the handler, and afterwards it does', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'doorward-sdk-disk-'))
  const folder = join(root, 'disk')
  await mkdir(folder, { mode: 0o700 })
  const disk = mountSmallDisk(folder, 4)
  if (disk === null) return t.skip('this machine lets us mount nothing')
  try {
    const record = { folder: join(folder, 'record'), checkpoints: join(root, 'checkpoints') }
    const stage = await openProtectedStage(undefined, { record })
    try {
      const reader = await stage.workload('agent/reader')
      const token = await stage.token(reader)
      assert.equal((await stage.ask(reader, token, 'GET /orders/1')).status, 200)
      await disk.fill()
      let refused = 0
      for (let tries = 0; tries < 200 && refused < 5; tries++) {
        const before = stage.reached.length
        const answer = await stage.ask(reader, token, 'GET /orders/1')
        if (answer.status === 200) continue
        refused++
        assert.deepEqual([answer.status, answer.headers['doorward-code']], [503, 'record_unavailable'])
        assert.equal(stage.reached.length, before)
      }
      assert.equal(refused, 5)
      await disk.empty()
      for (let tries = 0; tries < 200; tries++) {
        if ((await stage.ask(reader, token, 'GET /orders/1')).status === 200) return
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      assert.fail('the record did not go on')
    } finally {
      await stage.close()
    }
  } finally {
    disk.unmount()
    await rm(root, { recursive: true, force: true })
  }
})
