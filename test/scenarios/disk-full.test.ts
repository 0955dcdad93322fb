/** An authority whose disk is full: it says so, signs nothing, lives on, and goes on by itself when there is space again. */

import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { generateP256 } from '@doorward/sdk'
import { readEntries } from '../../packages/server/src/audit/read.ts'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { makeFolders, removeFolders, startTestAuthority, trustDomain } from '../fixtures/authority/running.ts'
import type { Folders, TestAuthority } from '../fixtures/authority/running.ts'
import {
  enrolled,
  joined,
  joinToken,
  requestRenewal,
  requestToken,
  tokenFor,
  tryEnrol,
} from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'
import { mountSmallDisk } from '../fixtures/small-disk.ts'
import type { SmallDisk } from '../fixtures/small-disk.ts'

const agent = `spiffe://${trustDomain}/agent/one`
let folders: Folders
let disk: SmallDisk | null = null
let authority: TestAuthority | null = null

before(async () => {
  folders = await makeFolders()
  await mkdir(folders.stateDir, { recursive: true, mode: 0o700 })
  disk = mountSmallDisk(folders.stateDir, 24)
})
after(async () => {
  await disk?.empty()
  await authority?.stop()
  disk?.unmount()
  await removeFolders(folders)
})

async function until(met: () => Promise<boolean>, what: string, patience = 30_000): Promise<number> {
  const started = performance.now()
  while (!(await met())) {
    if (performance.now() - started > patience) throw new Error(`not in time: ${what}`)
    await sleep(50)
  }
  return Math.round(performance.now() - started)
}

interface Count {
  readonly certificates: number
  readonly tokens: number
}

/** What the record holds of it. */
async function issued(): Promise<Count> {
  const count = { certificates: 0, tokens: 0 }
  for await (const { entry } of readEntries(join(folders.stateDir, 'record'), { unsigned: true })) {
    const { phase, outcome } = entry.body
    if (entry.kind === 'issuance' && phase === 'outcome' && outcome === 'issued') count.certificates += 1
    if (entry.kind === 'issuance' && phase === 'token') count.tokens += 1
  }
  return count
}

test(
  'a full disk: clear refusals, nothing signed, and recovery by itself when there is space',
  { timeout: 180_000 },
  async (t) => {
    if (disk === null) return t.diagnostic('no file system can be mounted here: not tested')
    const running = await startTestAuthority({ folders, lookMilliseconds: 500 })
    authority = running
    let workload: Workload = await joined(running, agent)
    const join = await joinToken(running, agent)
    for (let round = 0; round < 2; round++) {
      const first = await RawClient.open(running.running.addresses.main, workload)
      const token = await tokenFor(first)
      first.close()
      await disk.fill()
      const filled = performance.now()
      const ask = async () => {
        const client = await RawClient.open(running.running.addresses.main, workload)
        const answer = await requestToken(client)
        client.close()
        return answer
      }
      await until(async () => (await ask()).status === 503, 'refusals')
      const before = await issued()
      for (let attempt = 0; attempt < 20; attempt++) {
        const { status, headers } = await ask()
        assert.equal(status, 503)
        assert.match(
          headers['doorward-code'] ?? '',
          /^(record_unavailable|store_unavailable|authority_unready|trust_reduced|trust_stale)$/,
        )
      }
      const client = await RawClient.open(running.running.addresses.main, workload)
      const renewal = await requestRenewal(client, token, { key: await generateP256(), joinState: workload.joinState })
      client.close()
      assert.equal(renewal.status, 503)
      assert.equal((await tryEnrol(running, { token: join })).answer.status, 503)
      assert.deepEqual(await issued(), before)
      const health = await RawClient.open(running.running.addresses.public, null)
      assert.equal((await health.request('GET', '/livez')).status, 200, 'it lives')
      assert.equal((await health.request('GET', '/readyz')).status, 503)
      health.close()

      // The second time for so long that the lease is not certain any more.
      if (round === 1) await until(async () => performance.now() - filled > 16_000, 'some time')
      await disk.empty()
      const took = await until(async () => (await ask()).status === 200, 'tokens again', 15_000)
      t.diagnostic(`round ${round}: tokens again ${took} ms after there was space`)
      const again = await RawClient.open(running.running.addresses.main, workload)
      const key = await generateP256()
      const answer = await requestRenewal(again, await tokenFor(again), { key, joinState: workload.joinState })
      again.close()
      workload = enrolled(agent, { answer, key, machineKey: workload.machineKey })
    }
    await running.stop()
    authority = null
    const restarted = await startTestAuthority({ folders })
    authority = restarted
    assert.equal(
      (await tryEnrol(restarted, { id: agent, machineKey: workload.machineKey, joinState: workload.joinState })).answer
        .status,
      200,
    )
  },
)
