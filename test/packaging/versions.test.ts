/** What earlier versions have left is opened by this one, and a part of the version before works with parts of this one. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, describe, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import type { Identity } from '@doorward/sdk'
import { serverAudience } from '../../packages/server/src/config/settings.ts'
import { repositoryRoot } from '../../scripts/source-files.ts'
import { program as present } from '../fixtures/deployment.ts'
import type { TestDeployment } from '../fixtures/deployment.ts'
import { complete, dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import { until } from '../fixtures/sidecar-stage.ts'
import { pemOf } from '../fixtures/trust-fixture.ts'
import { keptProgram, openKept, versionsFolder } from './kept-version.ts'

const versions = readdirSync(versionsFolder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }))
const before = versions.at(-1) ?? ''
/** Of systems that have all of 127.0.0.0/8. */
const skip = process.platform !== 'linux' && 'the kept addresses are there on Linux alone'
const startMilliseconds = 60_000

after(() => rmSync(join(repositoryRoot, 'out', 'versions'), { recursive: true, force: true }))

async function callsAndDenies(system: TestDeployment): Promise<void> {
  const words = ['--as', 'agent/planner', '--json']
  const allowed = await system.run(['call', 'notes', 'read_note', ...words])
  equal(allowed.code, 0, allowed.stderr + allowed.stdout)
  const denied = await system.run(['call', 'notes', 'write_note', ...words])
  equal(denied.code, 1, denied.stdout)
  match(denied.stdout, /policy_denied/)
}

test('at least one version is kept, and what comes after 0.1.0 is compared with all of them', () => {
  deepEqual(versions.slice(0, 1), ['0.1.0'])
})

for (const version of versions) {
  describe(`a deployment of ${version}`, { skip }, () => {
    test('is opened: configuration, keys, identities and logs; its entries stay as they are, and it serves', async () => {
      const system = await openKept(version)
      try {
        equal((await system.run(['config', 'check'])).code, 0)
        const verified = await system.run(['audit', 'verify', '--json'])
        equal(verified.code, 0, verified.stdout)
        const kept = { gateway: await system.record(), authority: await system.record('authority') }
        ok(kept.gateway.some(({ entry }) => entry.body?.['code'] === 'policy_denied'))
        await system.up()
        await callsAndDenies(system)
        equal(await system.interrupt(), 0, system.stderr)
        for (const log of ['gateway', 'authority'] as const) {
          const now = await system.record(log)
          ok(now.length > kept[log].length, log)
          ok(isDeepStrictEqual(now.slice(0, kept[log].length), kept[log]), `entries of the ${log} have changed`)
        }
        equal((await system.run(['audit', 'verify'])).code, 0)
      } finally {
        await system.remove()
      }
    })

    test('is refused where its log was cut, as one of this version is', async () => {
      const system = await openKept(version)
      try {
        rmSync(join(await system.recordFolder(), 'segments'), { recursive: true })
        equal((await system.run(['audit', 'verify'])).code, 1)
      } finally {
        await system.remove()
      }
    })
  })
}

describe(`parts of ${before} and of this version`, { skip }, () => {
  for (const [authority, gateway] of [
    ['before', 'present'],
    ['present', 'before'],
  ] as const) {
    test(`authority ${authority}, gateway ${gateway}: calls pass and are denied, and what is revoked at one is refused at the other`, async () => {
      const system = await openKept(before)
      const programs = { before: keptProgram(before), present }
      const parts: ChildProcess[] = []
      try {
        parts.push(await part(system, programs[authority], 'authority'))
        parts.push(await part(system, programs[gateway], 'gateway'))
        await callsAndDenies(system)
        const identity = await system.identity('agent/planner')
        const token = (await identity.token(serverAudience(await system.deployment(), 'notes'))).reveal()
        equal((await asked(system, identity, token)).code, 'allowed')
        const recorded = (await system.record()).length
        const revoked = await system.run(['revoke', 'workload', 'agent/planner', '--reason', 'lost', '--json'])
        equal(revoked.code, 0, revoked.stderr + revoked.stdout)
        const refused = await system.run(['call', 'notes', 'read_note', '--as', 'agent/planner', '--json'])
        equal(refused.code, 1, refused.stdout)
        match(refused.stdout, /"code":"certificate_denied"/)
        // Whoever has a token already asks no authority.
        const { code } = await until(async () => {
          const answer = await asked(system, identity, token)
          return answer.code === 'allowed' ? undefined : answer
        }, 'a refusal of the gateway')
        equal(code, 'certificate_denied')
        identity.close()
        await Promise.all(parts.splice(0).map(ended))
        const now = (await system.record()).slice(recorded)
        const of = now.filter(({ entry }) => JSON.stringify(entry.body).includes('certificate_denied'))
        ok(of.length > 0, JSON.stringify(now.map(({ entry }) => entry)))
      } finally {
        await Promise.all(parts.map(ended))
        await system.remove()
      }
    })
  }
})

/** What the gateway says to whoever has this identity and a token already. */
async function asked(system: TestDeployment, identity: Identity, token: string): Promise<{ readonly code: string }> {
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'kept', version: '1' } }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params })
  const { gateway } = await system.deployment()
  const { chain, privateKey } = identity.credentials.current()
  const tls = {
    ...gateway.listeners.main,
    ca: identity.material().anchors.map(pemOf),
    cert: chain.map(pemOf).join(''),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  }
  const head = `POST /mcp/notes HTTP/1.1\r\nHost: ${tls.host}:${tls.port}\r\nAuthorization: Bearer ${token}\r\n`
  const rest = `Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`
  const socket = await dial(tls)
  const { headers } = parseAnswer(await talk(socket, `${head}${rest}${body}`, complete))
  socket.destroy()
  return { code: headers['doorward-code'] ?? 'none' }
}

/** Runs one part by itself until it is ready. */
async function part(system: TestDeployment, main: string, name: 'authority' | 'gateway'): Promise<ChildProcess> {
  const args = [main, name, 'run', '--config', system.configFile]
  const child = spawn(process.execPath, args, {
    cwd: system.folder,
    env: system.env,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const said: string[] = []
  const ready = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${name} is not ready: ${said.join('\n')}`)), startMilliseconds)
    createInterface({ input: child.stderr }).on('line', (line) => {
      said.push(line)
      if (!line.includes('"event":"ready"')) return
      clearTimeout(timer)
      resolve()
    })
    child.once('close', () => {
      clearTimeout(timer)
      reject(new Error(`${name} ended: ${said.join('\n')}`))
    })
  })
  await ready
  return child
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const closed = once(child, 'close')
  child.kill('SIGTERM')
  await closed
}
