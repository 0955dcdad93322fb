/** Machines are put back to an older copy, second copies included: whoever was not put back remembers, and nothing is permitted. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { once } from 'node:events'
import { cp, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { get } from 'node:https'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { cosignaturesOf, epochSeconds, openCheckpoint, parseVerifierKey, toSeconds } from '@doorward/core'
import type { NoteVerifier } from '@doorward/core'
import { importEd25519 } from '@doorward/enforcement'
import { sha256, systemClock } from '@doorward/sdk'
import { poll } from '../fixtures/authority/pair.ts'
import { readFindings } from '../../packages/server/src/apps/detection-file.ts'
import type { KeptFinding } from '../../packages/server/src/apps/detection-file.ts'
import { TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { smallLog } from '../fixtures/small-log.ts'

const yaml = `servers:
  everything: { command: [mcp-server-everything] }
roles:
  caller: ["tools/call:everything/echo"]
bindings:
  - { role: caller, workloads: ["spiffe://test.example/agent/*"] }
${wideLimits}`

let system: TestDeployment
let keys: string
before(async () => {
  system = await TestDeployment.start({ yaml })
  const folder = join(system.folder, 'config', 'doorward')
  keys = join(folder, (await readdir(folder))[0] ?? '')
  await system.identity('agent/a')
})
after(() => system.remove())

const origin = { gateway: 'test.example/gateway/main', authority: 'test.example/authority' } as const
type Part = keyof typeof origin

/** What a machine holds of its part: state, and the second copy of its checkpoint. */
function placesOf(part: Part): readonly string[] {
  return [join(system.folder, '.doorward', part), join(keys, `${encodeURIComponent(origin[part])}.checkpoint`)]
}

async function copyOf(part: Part): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(system.folder, 'copy-'))
  for (const [i, path] of placesOf(part).entries()) await cp(path, join(folder, String(i)), { recursive: true })
  return async () => {
    for (const [i, path] of placesOf(part).entries()) {
      await rm(path, { recursive: true })
      await cp(join(folder, String(i)), path, { recursive: true })
    }
  }
}

function call(message: string) {
  return system.run(['call', 'everything', 'echo', `message=${message}`, '--as', 'agent/a', '--json'])
}

async function verifierFrom(path: string, algorithm: 'ed25519' | 'cosignature'): Promise<NoteVerifier> {
  const { name, keyId, publicKey } = parseVerifierKey(sha256, (await readFile(path, 'utf8')).trim(), algorithm)
  return { name, keyId, key: importEd25519(publicKey)! }
}

/** How many entries the other part has cosigned of this part's log, verified from files alone. */
async function cosignedSize(part: Part): Promise<number> {
  const folder = join(await system.recordFolder(part), 'cosigned')
  const other = `${origin[part === 'gateway' ? 'authority' : 'gateway']}/witness`
  const note = await readFile(join(folder, `${encodeURIComponent(other)}.note`), 'utf8').catch(() => null)
  if (note === null) return 0
  const log = await verifierFrom(join(keys, `${origin[part].replaceAll('/', '+')}.vkey`), 'ed25519')
  const witness = await verifierFrom(join(folder, `${other.replaceAll('/', '+')}.vkey`), 'cosignature')
  const now = epochSeconds(toSeconds(systemClock()) + 5)
  deepEqual(
    cosignaturesOf(note, [witness], now).map((each) => each.witness),
    [other],
  )
  return openCheckpoint(note, log).size
}

async function alarms(detector: string, subject: string): Promise<number> {
  const entries = await system.record('authority')
  return entries.filter(
    ({ entry: { kind, body } }) => kind === 'detection' && body['detector'] === detector && body['subject'] === subject,
  ).length
}

async function counted(reason: string): Promise<number> {
  const counts = (await system.record('gateway')).filter(({ entry }) => entry.kind === 'refusals')
  return counts.filter(({ entry }) => entry.body['reason'] === reason).length
}

/** Status of the gateway's readiness, whoever answers. */
async function readiness(): Promise<number | undefined> {
  const { host, port } = (await system.deployment()).gateway.listeners.public
  const asked = get({ host, port, path: '/readyz', rejectUnauthorized: false })
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  answer.resume()
  return answer.statusCode
}

const until = (look: () => Promise<boolean>, what: string) => poll(async () => (await look()) || undefined, what)

test('both logs are cosigned by the other side soon after the start, as anybody can verify', async () => {
  equal((await call('one')).code, 0)
  ok((await cosignedSize('gateway')) >= 2)
  await until(async () => (await cosignedSize('authority')) > 0, 'a cosignature')
})

test('a gateway that was put back, second copy and all, permits nothing; with the newest copy it goes on', async () => {
  await system.interrupt()
  const putBack = await copyOf('gateway')
  await system.up()
  equal((await call('two')).code, 0)
  await system.interrupt()
  const newest = await copyOf('gateway')
  await putBack()
  await system.up()
  const refused = await call('three')
  equal(refused.code, 1)
  match(refused.stdout, /"record_unavailable"/)
  await until(async () => (await counted('record_unavailable')) > 0, 'the refusal on record')
  // What it shows at its start may be shorter than what was shown before, or only other.
  equal((await alarms('log_went_back', origin.gateway)) + (await alarms('log_contradicted', origin.gateway)), 1)
  equal(await readiness(), 503)
  const found = async () => (await readFindings(join(await system.recordFolder('gateway'), '..')))?.findings ?? []
  const isRefused = ({ detector, severity }: KeptFinding) => detector === 'witness_refused' && severity === 'critical'
  await until(async () => (await found()).some(isRefused), 'the finding')
  await system.interrupt()
  await newest()
  await system.up()
  equal((await call('four')).code, 0)
})

test('a gateway that no authority has seen since its start permits nothing, although its trust is fresh', async () => {
  await system.interrupt()
  const kept = join(keys, 'witnessed', `${origin.gateway.replaceAll('/', '+')}.vkey`)
  const right = await readFile(kept)
  await writeFile(kept, `${smallLog(origin.gateway).logKey}\n`)
  await system.up()
  const refused = await call('five')
  equal(refused.code, 1)
  match(refused.stdout, /"record_unavailable"/)
  equal(await readiness(), 503)
  ok((await alarms('log_key_changed', origin.gateway)) > 0)
  await writeFile(kept, right)
  await until(async () => (await call('six')).code === 0, 'the gateway that is seen at last')
  equal(await readiness(), 200)
})

test('an authority that was put back, second copy and all, signs nothing any more', async () => {
  await system.interrupt()
  const size = await cosignedSize('authority')
  const putBack = await copyOf('authority')
  await system.up()
  await until(async () => (await cosignedSize('authority')) > size, 'a cosignature')
  await system.interrupt()
  await putBack()
  const from = (await system.record('authority')).length
  await system.up()
  await until(async () => (await alarms('log_went_back', origin.authority)) > 0, 'the alarm')
  const added = await system.run(['workload', 'add', 'agent/late', '--json'])
  equal(added.code, 1)
  const issued = (await system.record('authority', from)).filter(({ entry }) => entry.body['phase'] === 'outcome')
  ok(!issued.some(({ entry }) => entry.body['id'] === 'spiffe://test.example/agent/late'))
})
