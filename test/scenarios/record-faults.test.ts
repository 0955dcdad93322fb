/**
 * Disks that fail under a gateway with a second sink, while callers call without pause: nothing passes that is not on
 * record, and service goes on by itself. Counted on the callers' wire, in the server behind, and in the record.
 */

import { equal, ok } from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdir, mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ed25519LogKey } from '@doorward/enforcement'
import { openMcpClient, refused, systemRuntime } from '@doorward/sdk'
import { readEntries } from '../../packages/server/src/audit/read.ts'
import type { LoggedEntry } from '../../packages/server/src/audit/read.ts'
import { GatewayFixture } from '../fixtures/gateway-fixture.ts'
import { startSystem } from '../fixtures/running-system.ts'
import type { RunningSystem } from '../fixtures/running-system.ts'
import { mountSmallDisk } from '../fixtures/small-disk.ts'
import type { SmallDisk } from '../fixtures/small-disk.ts'
import { openTap } from '../fixtures/tap.ts'
import type { Tap } from '../fixtures/tap.ts'
import { faultyDisk, logIn } from '../unit/enforcement/record-fixture.ts'

const MEGABYTE = 1024 * 1024
const WORKERS = 2
const PATIENCE = 20_000
/** From the end of a fault to the next call that is served. */
const RESUMED = 5000

const root = await mkdtemp(join(tmpdir(), 'doorward-faults-'))
const disks: SmallDisk[] = []
after(async () => {
  for (const disk of disks) disk.unmount()
  await rm(root, { recursive: true, force: true })
})

async function mounted(name: string, megabytes: number): Promise<SmallDisk | null> {
  await mkdir(join(root, name))
  const disk = mountSmallDisk(join(root, name), megabytes)
  if (disk !== null) disks.push(disk)
  return disk
}

interface Load {
  served: number
  readonly refused: Map<string, number>
  stop(): Promise<void>
}

function load(callOnce: () => Promise<string>): Load {
  const stopping = new AbortController()
  const counts = { served: 0, refused: new Map<string, number>() }
  const worker = async () => {
    while (!stopping.signal.aborted) {
      const code = await callOnce()
      await sleep(2)
      if (code === 'served') counts.served++
      else {
        counts.refused.set(code, (counts.refused.get(code) ?? 0) + 1)
        await sleep(10)
      }
    }
  }
  const running = Promise.all(Array.from({ length: WORKERS }, worker))
  return Object.assign(counts, {
    stop: async () => {
      stopping.abort()
      await running
    },
  })
}

async function until(met: () => boolean, what: string, patience = PATIENCE): Promise<number> {
  const begun = performance.now()
  while (!met()) {
    if (performance.now() - begun > patience) throw new Error(`not in time: ${what}`)
    await sleep(5)
  }
  return Math.round(performance.now() - begun)
}

const arrived = (tap: Tap) => tap.since(0).split('"method":"tools/call"').length - 1

async function entriesIn(folder: string): Promise<readonly LoggedEntry[]> {
  const found: LoggedEntry[] = []
  for await (const entry of readEntries(folder, { unsigned: true })) found.push(entry)
  return found
}

const allowed = (entries: readonly LoggedEntry[]) =>
  entries.filter(({ entry: { body } }) => body['decision'] === 'allow' && body['action'] === 'tools/call').length

/** During a fault: refused with the one code, and nothing arrives behind. */
async function nothingPasses(calls: Load, tap: Tap): Promise<void> {
  const before = calls.refused.get('record_unavailable') ?? 0
  await until(() => (calls.refused.get('record_unavailable') ?? 0) > before, 'refusals')
  await sleep(50)
  const [served, there] = [calls.served, arrived(tap)]
  const refused = calls.refused.get('record_unavailable') ?? 0
  await until(() => (calls.refused.get('record_unavailable') ?? 0) > refused + 8, 'more refusals')
  equal(calls.served, served)
  equal(arrived(tap), there)
}

async function goesOn(calls: Load): Promise<number> {
  const { served } = calls
  return until(() => calls.served > served + WORKERS, 'service again', RESUMED)
}

async function withSystem(play: (system: RunningSystem) => Promise<void>): Promise<void> {
  const sink = join(root, 'sink')
  const gateway = { stateDir: join(root, 'state', 'gateway'), secondSink: sink, reserveBytes: 4 * MEGABYTE }
  const system = await startSystem({ gateway })
  try {
    await play(system)
  } finally {
    for (const disk of disks) await disk.empty()
    await system.stop()
  }
}

test('a full disk under the record or its second sink: refused, on record, and served again by itself', async (t) => {
  const [state, sink] = [await mounted('state', 24), await mounted('sink', 24)]
  if (state === null || sink === null) return t.diagnostic('no file system can be mounted here: not tested')
  await withSystem(async (system) => {
    const identity = await system.open(await system.join('agent/caller'))
    const client = { name: 'faults', version: '1' }
    const session = await openMcpClient({ fetch: identity, endpoint: system.endpoint, runtime: systemRuntime, client })
    const calls = load(async () => {
      const answer = await session.request('tools/call', { name: 'read_note', arguments: {} })
      return answer.ok ? 'served' : refused('tools/call', answer).code
    })
    try {
      await goesOn(calls)
      for (const [name, disk] of [
        ['the log', state],
        ['the second sink', sink],
      ] as const) {
        await disk.fill()
        await nothingPasses(calls, system.tap)
        equal(system.gateway.health().ready, false)
        await disk.empty()
        t.diagnostic(`${name}: served again ${await goesOn(calls)} ms after there is space`)
      }
    } finally {
      await calls.stop()
    }
    const entries = await entriesIn(system.gateway.record.folder)
    equal(allowed(entries), calls.served)
    equal(arrived(system.tap), calls.served)
    equal([...calls.refused.keys()].join(), 'record_unavailable')
    const events = entries.map(({ entry }) => entry.body).filter(({ event }) => String(event).startsWith('record.'))
    const said = ['record.suspended', 'record.resumed']
    equal(events.map(({ event }) => event).join(), [...said, ...said].join())
    for (const { event, refused: count } of events) if (event === 'record.resumed') ok(Number(count) > 8)
    const segments = join('segments', '0000000000000000.journal')
    const [folder = ''] = await readdir(join(root, 'sink'))
    const ours = await readFile(join(system.gateway.record.folder, segments))
    ok((await readFile(join(root, 'sink', folder, segments))).equals(ours))
  })
})

for (const [place, code, name] of [
  ['log', 'EROFS', 'EROFS that stays, from the disk of the log: nothing is served, and all is again when it ends'],
  ['sink', 'EIO', 'EIO that stays, from the disk of the sink: nothing is served, and all is again when it ends'],
] as const) {
  test(name, async () => {
    const [folder, tap, disk] = [await mkdtemp(join(root, 'faulty-')), await openTap(), faultyDisk()]
    await mkdir(join(folder, 'sink'))
    const log = logIn(folder, ed25519LogKey(generateKeyPairSync('ed25519').privateKey))
    Object.assign(disk, { code, only: join(folder, place) })
    const record = await log.open({ disk, secondSink: join(folder, 'sink'), limits: { retryMilliseconds: 50 } })
    const gateway = await GatewayFixture.open({
      servers: { files: { url: tap.url } },
      roles: { all: ['*'] },
      pipeline: { log: record },
    })
    const agent = await gateway.trust.issue('agent/planner', { roles: ['all'] })
    const session = await gateway.initialize(agent, 'files')
    const body = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_note","arguments":{}}}'
    let id = 0
    const calls = load(async () => {
      const numbered = body.replace('"id":1', `"id":${++id}`)
      const { status, headers } = await gateway.rpc(agent, 'files', { session, body: numbered })
      return status === 200 ? 'served' : `${headers['doorward-code']}`
    })
    try {
      await goesOn(calls)
      for (const operation of ['write', 'sync', 'replace', 'truncate', 'open'] as const) disk.broken.add(operation)
      await nothingPasses(calls, tap)
      disk.broken.clear()
      await goesOn(calls)
    } finally {
      await calls.stop()
    }
    equal(allowed(await entriesIn(log.dir)), calls.served)
    equal(arrived(tap), calls.served)
    equal([...calls.refused.keys()].join(), 'record_unavailable')
    equal(disk.reused, 0)
    await gateway.close()
    await record.close()
    await tap.close()
  })
}
