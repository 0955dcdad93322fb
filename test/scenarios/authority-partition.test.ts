/**
 * An authority that cannot reach its store: it signs nothing, its followers are told nothing that would keep them going, and
 * all goes on by itself when the way is open again. A copied state folder and a store whose clock is off, on the same store.
 */

import assert from 'node:assert/strict'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { readEntries } from '../../packages/server/src/audit/read.ts'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { makeFolders, removeFolders, startTestAuthority, trustDomain } from '../fixtures/authority/running.ts'
import type { Folders, TestAuthority } from '../fixtures/authority/running.ts'
import { joined, requestToken, tokenFor } from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'
import { PostgresServer } from '../fixtures/postgres.ts'
import { openPostgresProxy } from '../fixtures/postgres-proxy.ts'
import type { PostgresProxy } from '../fixtures/postgres-proxy.ts'
import { storeOptions } from '../fixtures/postgres-store.ts'

let server: PostgresServer
let proxy: PostgresProxy
let folders: Folders
let authority: TestAuthority
let workload: Workload
let settings: object

before(async () => {
  server = await PostgresServer.start()
  proxy = await openPostgresProxy(server.target)
  folders = await makeFolders()
  const database = await server.createDatabase()
  settings = {
    database: storeOptions(server, { database, applicationName: 'doorward partition', addresses: [proxy.target] }),
  }
  authority = await startTestAuthority({ folders, settings, lookMilliseconds: 500 })
  workload = await joined(authority, `spiffe://${trustDomain}/agent/one`)
})
after(async () => {
  await authority.stop()
  await proxy.close()
  await server.remove()
  await removeFolders(folders)
})

async function until(met: () => Promise<boolean> | boolean, what: string, patience = 40_000): Promise<number> {
  const started = performance.now()
  while (!(await met())) {
    if (performance.now() - started > patience) throw new Error(`not in time: ${what}`)
    await sleep(100)
  }
  return Math.round(performance.now() - started)
}

async function ask(): Promise<readonly [number, string]> {
  const client = await RawClient.open(authority.running.addresses.main, workload)
  const { status, headers } = await requestToken(client)
  client.close()
  return [status, headers['doorward-code'] ?? '']
}

async function tokens(): Promise<number> {
  let count = 0
  for await (const { entry } of readEntries(join(folders.stateDir, 'record'), { unsigned: true }))
    if (entry.kind === 'issuance' && entry.body['phase'] === 'token') count += 1
  return count
}

test('RV-3: an authority cut off from its store stops to sign and to vouch, and goes on by itself', async (t) => {
  const follower = await RawClient.open(authority.running.addresses.main, workload)
  const token = await tokenFor(follower)
  follower.send('GET', '/v1/trust-state?follow=true', { headers: { authorization: `Bearer ${token}` } })
  await follower.head()
  const lines: string[] = []
  const reading = (async () => {
    for (;;) lines.push((await follower.chunk()) ?? '')
  })().catch(() => undefined)
  const beats = () => lines.filter((line) => line.includes('"heartbeat"')).length
  await until(() => beats() >= 2, 'heartbeats')
  proxy.blackHole(true)
  await until(async () => (await ask())[0] === 503, 'refusals')
  const [before, heard] = [await tokens(), beats()]
  for (let attempt = 0; attempt < 10; attempt++) {
    const [status, code] = await ask()
    assert.equal(status, 503)
    assert.match(code, /^(authority_unready|store_unavailable|trust_reduced|trust_stale)$/)
  }
  assert.deepEqual([await tokens(), beats()], [before, heard], 'something was signed')
  proxy.blackHole(false)
  proxy.cut()
  t.diagnostic(`tokens again after ${await until(async () => (await ask())[0] === 200, 'tokens')} ms`)
  await until(() => beats() > heard, 'heartbeats again')
  follower.close()
  await reading
})

test('OP-12: a copied state folder is refused while the first runs, and its keys sign nothing', async () => {
  const copy = await makeFolders()
  // Partial tiles come and go while it works, and are not what is copied for.
  const filter = (path: string) => !/lock|\.p(?:\/|$)/.test(path)
  await cp(folders.stateDir, copy.stateDir, { recursive: true, filter })
  await cp(folders.keyDir, copy.keyDir, { recursive: true })
  await assert.rejects(startTestAuthority({ folders: copy, settings }), { code: 'authority_in_use' })
  await until(async () => (await ask())[0] === 200, 'the first to go on')
  await removeFolders(copy)
})

test('OP-11: a clock that differs from the store’s is an alarm, and stops everything beyond a minute', async () => {
  const told = (subject: string) =>
    authority.events.some((event) => event.type === 'detection' && event.detection.subject === subject)
  authority.advance(-30_000)
  await until(() => told('clock_skewed'), 'the alarm')
  assert.equal((await ask())[0], 200)
  authority.advance(-60_000)
  await until(async () => (await ask())[1] === 'authority_unready', 'refusals')
  authority.advance(90_000)
  await until(async () => (await ask())[0] === 200, 'tokens')
})
