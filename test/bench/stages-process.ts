/** Repeats every stage a fixed number of times and tells its CPU time; each repetition starts from nothing. */

import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { compilePolicy } from '@doorward/core'
import {
  CertificateStanding,
  ed25519LogKey,
  fileCheckpointStore,
  KnownIdentities,
  openRecord,
  defaultSessionLimits,
  SessionTable,
} from '@doorward/enforcement'
import { RefusalCounter } from '@doorward/enforcement'
import type { FileRecord, Inbound } from '@doorward/enforcement'
import { importP256, randomBytes, sha256, systemClock } from '@doorward/sdk'
import { CedarEngine } from '../../packages/server/src/policy/cedar-engine.ts'
import { MemoryRateLimiter } from '../../packages/enforcement/src/memory-rate-limiter.ts'
import { addressKey } from '../../packages/enforcement/src/wire/remote-address.ts'
import { TrustFixture } from '../fixtures/trust-fixture.ts'
import { started, tell } from './child.ts'
import { callPath } from './messages.ts'
import { stagesOf } from './stages.ts'
import type { Stage, StageParts } from './stages.ts'

const AUDIENCE = 'https://127.0.0.1:8443/mcp/bench'
const WARMUP = 1000
const WORK = 4000
/** For signature checks, which cost a hundred times as much. */
const SLOW_WORK = 400
const monotonic = () => performance.now()
const rate = { count: 10_000_000, periodSeconds: 60 }

const { folder } = await started('stages')
tell({ port: 0 })
for (;;) {
  await once(process, 'message')
  const { parts, log } = await openParts(await mkdtemp(join(folder, 'stages-')))
  const costs: Record<string, number> = {}
  for (const stage of await stagesOf(parts)) costs[stage.name] = await costOf(stage)
  costs['outcome'] = (costs['record and outcome'] ?? 0) - (costs['record'] ?? 0)
  await log.close()
  tell({ costs })
}

async function openParts(root: string): Promise<{ readonly parts: StageParts; readonly log: FileRecord }> {
  const trust = await TrustFixture.create()
  const caller = await trust.issue('agent/bench', { roles: ['caller'] })
  const decisions = await openEngine(trust.trustDomain)
  const log = await openLog(root)
  const token = await trust.token(caller, AUDIENCE)
  const inbound: Inbound = {
    connection: {
      id: 1,
      remoteAddress: '127.0.0.1',
      listener: 'main',
      certificate: caller.certificate,
      resumed: false,
      standing: new CertificateStanding(),
    },
    head: { method: 'POST', path: callPath, query: '', headers: headersWith(token) },
    audience: AUDIENCE,
  }
  const dependencies = {
    trust: trust.holder,
    limiter: new MemoryRateLimiter({ monotonic }),
    importP256,
    known: new KnownIdentities(),
    settings: {
      issuer: trust.issuer,
      staleness: { fullSeconds: 60, reducedSeconds: 300 },
      perUser: rate,
      mirrorWaitMilliseconds: 1000,
    },
    decisions,
    log,
    refusals: new RefusalCounter({ record: log, clock: systemClock }),
    connectionLimits: { global: rate, perIp: () => rate, ipKey: addressKey },
    quotas: [],
  }
  const sessions = new SessionTable({ limits: defaultSessionLimits, random: randomBytes, monotonic })
  const effectOf = () => 'read' as const
  const traffic = { decisions, trust: trust.holder, effectOf, onDropped: () => undefined }
  return { parts: { inbound, dependencies, sessions, traffic }, log }
}

async function openEngine(trustDomain: TrustFixture['trustDomain']): Promise<CedarEngine> {
  const compiled = compilePolicy({
    trustDomain,
    rbac: [],
    roles: [{ role: 'caller', permissions: ['read:bench/*'] }],
    bindings: [],
    servers: ['bench'],
  })
  if (!compiled.ok) throw new AggregateError(compiled.problems)
  const engine = new CedarEngine()
  await engine.activate(compiled.policy)
  return engine
}

async function openLog(root: string): Promise<FileRecord> {
  const dir = join(root, 'record')
  await mkdir(dir)
  const origin = 'test.example/gateway/bench'
  return openRecord({
    dir,
    origin,
    signKey: ed25519LogKey(generateKeyPairSync('ed25519').privateKey),
    sha256,
    random: randomBytes,
    clock: systemClock,
    checkpointStore: fileCheckpointStore(join(root, 'copy'), origin),
  })
}

function headersWith(token: string): Readonly<Record<string, string>> {
  return {
    host: '127.0.0.1:8443',
    authorization: `Bearer ${token}`,
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
    'content-length': '200',
    'mcp-protocol-version': '2025-11-25',
  }
}

/** Microseconds of CPU per call, all threads of the process together. */
async function costOf(stage: Stage): Promise<number> {
  const slow = stage.name === 'first use of a token'
  await repeat(stage, slow ? SLOW_WORK : WARMUP)
  const work = slow ? SLOW_WORK : WORK
  const before = process.cpuUsage()
  await repeat(stage, work)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / work
}

async function repeat(stage: Stage, times: number): Promise<void> {
  let left = times
  const worker = async () => {
    while (left-- > 0) await stage.run()
  }
  await Promise.all(Array.from({ length: stage.concurrency }, worker))
  await stage.settle()
}
