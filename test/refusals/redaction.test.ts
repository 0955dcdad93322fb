/** Redaction on the running system: who may, what of, and that nothing of it is left. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { compilePolicy, parseSpiffeId } from '@doorward/core'
import { AdminClient, ServerRefused, openMcpClient, systemRuntime } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { queryPlaces, everyEntry } from '../../packages/server/src/apps/query-log.ts'
import { keepVerifierKey } from '../../packages/server/src/apps/log-places.ts'
import { whenThere } from '../../packages/server/src/audit/log-folder.ts'
import { readAll, isAbsent } from '../../packages/server/src/audit/read.ts'
import { trustDomain } from '../fixtures/authority/running.ts'
import { startSystem } from '../fixtures/running-system.ts'
import type { RunningSystem } from '../fixtures/running-system.ts'

const CANARY = 'hunter2canary'

let system: RunningSystem
let agent: Identity
let operator: Identity

before(async () => {
  const compiled = compilePolicy({
    trustDomain,
    rbac: [],
    roles: [
      { role: 'caller', permissions: ['read:files/*'] },
      { role: 'redactor', permissions: ['POST:gateway/v1/redactions'] },
    ],
    bindings: [],
    servers: ['files'],
  })
  ok(compiled.ok)
  system = await startSystem({ gateway: { policy: compiled.policy } })
  agent = await system.open(await system.join('agent/planner'))
  operator = await system.open(await system.join('operator/admin', { roles: ['redactor'] }))
})
after(() => system.stop())

const record = () => system.gateway.record

function adminOf(identity: Identity): AdminClient {
  const { host, port } = system.gateway.addresses.admin
  const audience = `${system.endpoint.url.replace('/mcp/files', '')}/admin`
  return new AdminClient(identity, {
    url: `https://${host}:${port}`,
    audience,
    expectedId: parseSpiffeId(system.gateway.id),
  })
}

/** A refused call of a tool whose name nobody should have sent, by its id in the record. */
async function leaked(): Promise<string> {
  const client = { name: 'redactions', version: '1' }
  const session = await openMcpClient({ fetch: agent, endpoint: system.endpoint, runtime: systemRuntime, client })
  const { decision } = await session.request('tools/call', { name: CANARY, arguments: {} })
  await session.close()
  // A checkpoint, which readers go by, follows by itself.
  while ((await find()) === 0) await sleep(20)
  return decision?.decision ?? ''
}

/** What is replaced meanwhile holds nothing. */
async function heldBy(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const held = await Promise.all(paths.map(async (path) => (await whenThere(readFile(path)))?.includes(CANARY)))
  return paths.filter((_, i) => held[i])
}

async function find(): Promise<number> {
  const copyDir = join(system.folders.root, 'keys-of-logs')
  await keepVerifierKey(copyDir, record())
  const { origin, folder } = record()
  let found = 0
  const filter = { ...everyEntry, tool: CANARY }
  const onProgress = () => undefined
  for await (const _ of queryPlaces([{ name: 'gateway', origin, folder }], copyDir, { filter, limit: 9, onProgress }))
    found++
  return found
}

test('what an entry says is gone from the whole state folder, index included, and the log says by whom', async () => {
  const state = join(system.folders.root, 'state')
  const entry = await leaked()
  equal(await find(), 1)
  ok((await heldBy(state)).length >= 2)
  const answer = await adminOf(operator).redact(entry, 'a secret in the name of a tool')
  deepEqual(await heldBy(state), [])
  equal(answer['redacted'], entry)
  equal(await find(), 0)
  deepEqual(await heldBy(state), [])
  await sleep(300)
  const seen: unknown[] = []
  for await (const found of readAll(record().folder))
    if (isAbsent(found)) seen.push(`${found.origin}#${found.index}`, found.why)
    else if (found.entry.body['change'] === 'record.redact')
      seen.push(`${found.origin}#${found.index}`, found.entry.body['by'], found.entry.body['reason'])
  deepEqual(seen, [entry, 'redacted', answer['by_entry'], operator.id.uri, 'a secret in the name of a tool'])
  await refused(operator, entry, 'conflict', 'payload_absent')
})

async function refused(identity: Identity, entry: string, code: string, reason: string | null): Promise<void> {
  await rejects(adminOf(identity).redact(entry, 'because'), (error) => {
    ok(error instanceof ServerRefused, String(error))
    deepEqual([error.code, error.details?.['reason'] ?? null], [code, reason], entry)
    return true
  })
}

test('who has not the permission, what is not there and what must stay is refused, on record, and changes nothing', async () => {
  const entry = await leaked()
  await refused(agent, entry, 'policy_denied', null)
  const { origin } = record()
  for (const unknown of [`${origin}#9999999`, 'other.example/gateway/main#0', `${origin}#-1`, origin])
    await refused(operator, unknown, 'resource_unknown', null)
  await refused(operator, `${origin}#0`, 'conflict', 'entry_protected')
  for (const reason of ['', 'x'.repeat(201)])
    await rejects(
      adminOf(operator).redact(entry, reason),
      (error) => error instanceof ServerRefused && error.code === 'request_invalid',
    )
  equal((await heldBy(join(system.folders.root, 'state', 'gateway', 'record', 'segments'))).length, 1)
  await sleep(300)
  const decisions: unknown[] = []
  for await (const found of readAll(record().folder)) {
    if (isAbsent(found) || found.entry.kind !== 'decision') continue
    const { caller, decision, code, resource } = found.entry.body
    const { name } = (resource ?? {}) as { readonly name?: string }
    if (caller === agent.id.uri && name === '/v1/redactions') decisions.push([decision, code])
  }
  deepEqual(decisions, [['deny', 'policy_denied']])
})
