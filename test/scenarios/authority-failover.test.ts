/** Two authorities on one database: workloads that renew, fetch tokens and follow notice nothing when one of them goes. */

import assert from 'node:assert/strict'
import { join as path } from 'node:path'
import { after, before, test } from 'node:test'
import { epochMillis, workloadId } from '@doorward/core'
import { AdminClient, join, openIdentity, systemRuntime } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { fileRootSigner, signedBy } from '../../packages/server/src/apps/root-signer.ts'
import { openPostgresAuthorityStore } from '../../packages/server/src/storage/postgres/authority-store.ts'
import type { PostgresAuthorityStore } from '../../packages/server/src/storage/postgres/authority-store.ts'
import { makeFolders, removeFolders, startTestAuthority, trustDomain } from '../fixtures/authority/running.ts'
import type { Folders, TestAuthority } from '../fixtures/authority/running.ts'
import { freePorts } from '../fixtures/deployment.ts'
import { PostgresServer } from '../fixtures/postgres.ts'
import { storeOptions } from '../fixtures/postgres-store.ts'
import { memorySealer } from '../unit/sdk/memory-sealer.ts'

type Name = 'main' | 'west'

const sealer = memorySealer()
const agents: Identity[] = []
const stopping = new AbortController()
const loops: Promise<void>[] = []
const problems: unknown[] = []
let server: PostgresServer
let folders: Readonly<Record<Name, Folders>>
let settingsOf: (name: Name) => object
let main: TestAuthority
let west: TestAuthority
let operator: Identity
let store: PostgresAuthorityStore
let issuer: string

before(async () => {
  server = await PostgresServer.start()
  folders = { main: await makeFolders(), west: await makeFolders() }
  const database = await server.createDatabase()
  const ports = await freePorts(8)
  issuer = `https://127.0.0.1:${ports[0]}`
  const options = (name: string) => storeOptions(server, { database, applicationName: `doorward ${name}` })
  settingsOf = (name) => {
    const at = (index: number) => ({ host: '127.0.0.1', port: ports[index + (name === 'main' ? 0 : 4)] ?? 0 })
    const listeners = { main: at(0), admin: at(1), enrol: at(2), public: at(3) }
    return { name, database: options(name), publicUrl: issuer, listeners }
  }
  main = await startTestAuthority({ folders: folders.main, settings: settingsOf('main') })
  store = await openPostgresAuthorityStore(options('looker-on'), { create: false })
  operator = await joined('operator/ann', ['admin'])
  await operator.prepare()
  west = await named(startTestAuthority({ folders: folders.west, settings: settingsOf('west') }))
  for (let index = 0; index < 8; index++) agents.push(await joined(`agent/number-${index}`))
  for (const identity of [operator, ...agents]) loops.push(identity.run(stopping.signal))
})
after(async () => {
  stopping.abort()
  await Promise.all(loops)
  for (const identity of [operator, ...agents]) identity.close()
  for (const one of [main, west]) await one.stop()
  await store.close()
  for (const one of Object.values(folders)) await removeFolders(one)
  await server.remove()
})

async function joined(name: string, roles: readonly string[] = []): Promise<Identity> {
  const id = `spiffe://${trustDomain}/${name}`
  await main.running.registerWorkload({ id, roles }, 'test')
  const { joinString } = await main.running.createJoinString(id, 'test')
  const folder = path(folders.main.root, name.replaceAll('/', '-'))
  await join({ folder, sealer, joinString: joinString.reveal() })
  return openIdentity({ folder, sealer, onProblem: (error) => problems.push(error) })
}

function adminAt({ running }: TestAuthority): AdminClient {
  const { host, port } = running.addresses.admin
  return new AdminClient(operator, {
    url: `https://${host}:${port}`,
    audience: issuer,
    expectedId: workloadId(trustDomain, 'doorward', 'authority'),
  })
}

/** The root names the key of an authority that waits for it. */
async function named(starting: Promise<TestAuthority>): Promise<TestAuthority> {
  const admin = adminAt(main)
  const signer = await fileRootSigner(path(folders.main.keyDir, 'recovery-root.pem'))
  const { statement } = await poll(async () => {
    const wanted = await admin.wantedDelegation()
    return wanted.authorities.some(({ name }) => name === 'west') ? wanted : undefined
  }, 'west among those who want to be named')
  await admin.delegate(await signedBy(signer, statement, operator))
  return starting
}

async function poll<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
  for (let turn = 0; turn < 600; turn++) {
    const found = await look()
    if (found !== undefined) return found
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return assert.fail(`not in time: ${what}`)
}

/** Where the agents follow, as the authorities tell each other. */
async function followed(): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>()
  const since = epochMillis(Date.now() - 15_000)
  for (const { id, authority, at } of await store.acks.list())
    if (id.includes('/agent/') && at >= since) counts.set(authority, (counts.get(authority) ?? 0) + 1)
  return counts
}

test('OP-12: workloads know every authority, and each follows one', async () => {
  const everyone = async () => {
    const names = agents.map((agent) => agent.trustStore.authorities().map(({ name }) => name))
    return names.every((known) => known.toSorted().join() === 'main,west') || undefined
  }
  await poll(everyone, 'both places')
  const total = async () => {
    const counts = await followed()
    return [...counts.values()].reduce((sum, count) => sum + count, 0) === agents.length ? counts : undefined
  }
  await poll(total, 'every agent among the followers')
})

test('OP-12, OP-3: when an authority goes, no renewal and no token fails, and what the other publishes reaches everybody', async () => {
  const failures: string[] = []
  const ended = new AbortController()
  let renewals = 0
  let tokens = 0
  const work = agents.map(async (agent, index) => {
    for (let round = 0; !ended.signal.aborted; round++) {
      try {
        await agent.renew()
        renewals++
        await agent.token(`${issuer}/round/${index}/${round}`).catch((error: { code?: string }) => {
          // The audience is none of this deployment: the answer shows that an authority has judged it.
          if (error.code !== 'audience_unknown') throw error
        })
        tokens++
      } catch (error) {
        failures.push(String(error))
      }
      await systemRuntime.sleep(50, ended.signal)
    }
  })
  await poll(async () => (renewals > agents.length * 2 ? true : undefined), 'renewals')
  await main.stop()
  const before = renewals
  await poll(async () => (renewals > before + agents.length * 3 ? true : undefined), 'renewals without main')
  ended.abort()
  await Promise.all(work)
  assert.deepEqual(failures, [])
  assert.ok(tokens > 0)

  const victim = `spiffe://${trustDomain}/agent/victim`
  await west.running.registerWorkload({ id: victim, roles: [] }, 'test')
  await adminAt(west).removeWorkload(victim)
  const told = async () => agents.every((agent) => agent.trust.current()?.deniedIdentities.has(victim)) || undefined
  await poll(told, 'the denial at every agent')
  for (const agent of agents) assert.ok(agent.trust.ageSeconds() < 15)
})

test('OP-1: an agent that comes back while the authority that it joined is gone returns by the other', async () => {
  const [agent] = agents
  assert.ok(agent !== undefined)
  const held = agent.credentials.current().certificate
  await adminAt(west).revoke({ subject: 'serial', serial: held.serial }, 'test')
  await poll(async () => (agent.credentials.current().fingerprint === held.fingerprint ? undefined : true), 'a return')
})

test('RV-2: every follower is soon known to follow the authority that is left, and the other serves again when it is back', async () => {
  const all = async () => ((await followed()).get('west') === agents.length ? true : undefined)
  await poll(all, 'every agent at west')
  main = await startTestAuthority({ folders: folders.main, settings: settingsOf('main') })
  const fresh = await joined('agent/fresh')
  await fresh.prepare()
  fresh.close()
})
