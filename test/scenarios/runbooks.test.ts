/**
 * Pages for those who operate, carried out as they stand there on one deployment that runs: exercises, audits, a penetration test and the
 * runbooks. What each page promises is seen by its commands, and here from outside, by whoever has what was stolen. Those that destroy come last.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { mkdir, open, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { ConnectionOptions } from 'node:tls'
import type { Identity } from '@doorward/sdk'
import { openLocalIdentity } from '../../packages/server/src/apps/local-identities.ts'
import { readEnvironment } from '../../packages/server/src/config/environment.ts'
import { loadConfiguration } from '../../packages/server/src/config/load.ts'
import { deploymentOf, serverAudience } from '../../packages/server/src/config/settings.ts'
import { repository, TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { PageWalk } from '../fixtures/page-walk.ts'
import { complete, dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import { json, scriptedServer } from '../fixtures/scripted-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'
import { stealKeys } from '../fixtures/stolen-keys.ts'
import type { StolenKeys } from '../fixtures/stolen-keys.ts'
import { pemOf } from '../fixtures/trust-fixture.ts'

const PARTS = [
  'Signs',
  'First five minutes',
  'Containment',
  'Evidence',
  'Eradication',
  'Recovery',
  'Afterwards',
] as const
const pages = [
  'stolen-token',
  'stolen-agent',
  'compromised-server',
  'compromised-authority',
  'record-tampered',
  'lost-recovery-key',
] as const

/** What training starts as a process answers here over HTTP: most of what its exercises cost would be starting it. */
const yaml = (url: string, filesUrl: string) => `secrets: { notes: { servers: [notes] } }
servers:
  files: { url: "${filesUrl}", insecure_upstream: true, effects: { read: [read_*, list_*] } }
  notes: { url: "${url}", insecure_upstream: true, credential: { secret: notes }, effects: { read: [read_*] } }
roles: { reader: ["read:notes/*", "read:files/*"] }
policy: { files: [policies] }
audit: { second_sink: { dir: sink } }
${wideLimits}`

let notes: ScriptedServer
let files: ScriptedServer
let system: TestDeployment
let walk: PageWalk

before(async () => {
  notes = await openServer(['read_note', 'write_note'])
  files = await openServer(['read_text_file', 'list_directory', 'write_file'])
  system = await TestDeployment.prepare({ yaml: yaml(notes.url, files.url), trustDomain: 'acme.example' })
  for (const folder of ['sink', 'policies']) await mkdir(join(system.folder, folder))
  for (const name of ['notes', 'notes-new'])
    await writeFile(join(system.folder, `${name}.token`), `secret-of-${name}\n`, { mode: 0o600 })
  await system.up()
  walk = new PageWalk(system)
})
after(async () => {
  await system.remove()
  await notes.close()
  await files.close()
})

/** What answers is not asked who calls: that is the gateway's. */
function openServer(tools: readonly string[]): Promise<ScriptedServer> {
  return scriptedServer(({ body }, response) => {
    if (body === '') return void response.writeHead(405).end()
    const { id, method } = JSON.parse(body) as { readonly id: number; readonly method: string }
    const results: Readonly<Record<string, object>> = {
      'tools/list': { tools: tools.map((name) => ({ name, inputSchema: { type: 'object' } })) },
      'tools/call': { content: [{ type: 'text', text: 'the door is shut' }] },
      'prompts/list': { prompts: [] },
      'resources/list': { resources: [] },
      'resources/templates/list': { resourceTemplates: [] },
    }
    json(response, JSON.stringify({ jsonrpc: '2.0', id, result: results[method] ?? {} }))
  })
}

/** An identity of one of the machines, opened beside its commands. */
async function identityOf(machine: string, name: string): Promise<Identity> {
  const file = join(await walk.folder(machine), 'doorward.yaml')
  const place = {
    deployment: deploymentOf(await loadConfiguration(file)),
    environment: readEnvironment({ ...system.env }),
  }
  const identity = await openLocalIdentity(place, name)
  await identity.prepare()
  return identity
}

async function tlsOf(identity: Identity): Promise<ConnectionOptions> {
  const { chain, privateKey } = identity.credentials.current()
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' })
  return { ...(await gatewayTrusted(identity)), cert: chain.map(pemOf).join(''), key }
}

async function gatewayTrusted(identity: Identity): Promise<ConnectionOptions> {
  const { gateway } = await system.deployment()
  return { ...gateway.listeners.main, ca: identity.material().anchors.map(pemOf) }
}

/** A session is begun with this certificate and token: the code, `none` where TLS ends it, and whether the server has heard of it. */
async function tried(tls: ConnectionOptions, token: string): Promise<readonly [code: string, reached: boolean]> {
  const before = notes.reached.length
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'thief', version: '1' } }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params })
  const head = `POST /mcp/notes HTTP/1.1\r\nHost: ${tls.host}:${tls.port}\r\nAuthorization: Bearer ${token}\r\n`
  const rest = `Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`
  const socket = await dial(tls).catch(() => null)
  const { headers } = parseAnswer(socket === null ? '' : await talk(socket, `${head}${rest}${body}`, complete))
  socket?.destroy()
  return [headers['doorward-code'] ?? 'none', notes.reached.length > before]
}

const audience = async () => serverAudience(await system.deployment(), 'notes')
const tokenOf = async (identity: Identity) => (await identity.token(await audience())).reveal()
const calls = () => notes.having('"tools/call"').length

describe('docs/runbooks', () => {
  test('each page has its parts in their order, and the index names it', async () => {
    const read = (name: string) => readFile(join(repository, 'docs', 'runbooks', `${name}.md`), 'utf8')
    const index = await read('README')
    for (const page of pages) {
      const titles = [...(await read(page)).matchAll(/^## (.*)$/gm)].map(([, title]) => title)
      deepEqual(titles, [...PARTS], page)
      ok(index.includes(`](${page}.md)`), page)
    }
  })

  test('what the index prepares is there before anything happens', async () => {
    await walk.page('runbooks/README.md')
    await done('desk', 'secret put notes --file notes.token')
    for (const [name, machine] of [
      ['agent/planner', 'laptop'],
      ['agent/clerk', 'clerk'],
    ] as const) {
      const file = join(await walk.folder(machine), 'first.join')
      await done('desk', `workload add ${name} --role reader --out ${file}`)
      await done(machine, `join --file ${file}`)
    }
    await done('laptop', 'call notes read_note')
    equal(calls(), 1)
  })

  test('docs/training: every exercise of developers and operators shows what its page says', async () => {
    await walk.page('training/developers.md')
    await walk.page('training/operators.md')
  })

  test('docs/audit-calendar.md: every audit makes its evidence', async () => {
    await walk.page('audit-calendar.md')
    const page = await readFile(join(repository, 'docs', 'audit-calendar.md'), 'utf8')
    const files = [...page.matchAll(/ audit\/([\w.]+)/g)].map(([, name = '']) => name)
    ok(files.length > 15)
    for (const name of files.filter((one) => !/^(?:drill|probe)\./.test(one)))
      ok((await stat(join(system.folder, 'audit', name))).isFile(), name)
  })

  test('docs/penetration-test.md: what a tester begins and ends with is there', () => walk.page('penetration-test.md'))

  test('a stolen token is refused with another’s certificate, and after its denial with its own, and nothing reaches the server', async () => {
    const [planner, clerk] = [await identityOf('laptop', 'agent/planner'), await identityOf('clerk', 'agent/clerk')]
    const token = await tokenOf(planner)
    await writeFile(join(system.folder, 'found.token'), `${token}\n`, { mode: 0o600 })
    deepEqual(await tried(await tlsOf(planner), token), ['allowed', true])
    deepEqual(await tried(await tlsOf(clerk), token), ['token_binding', false])
    await walk.page('runbooks/stolen-token.md')
    deepEqual(await tried(await tlsOf(planner), token), ['token_denied', false])
    deepEqual(await tried(await tlsOf(clerk), await tokenOf(clerk)), ['allowed', true])
    planner.close()
    clerk.close()
    const evidence = await readFile(join(system.folder, 'evidence', 'token.jsonl'), 'utf8')
    ok(!evidence.includes(token), 'the token itself is on record')
  })

  test('a stolen agent is refused with all that it held, its successor calls, and others were never touched', async () => {
    const stolen = await identityOf('laptop', 'agent/planner')
    const [tls, token] = [await tlsOf(stolen), await tokenOf(stolen)]
    deepEqual(await tried(tls, token), ['allowed', true])
    const before = calls()
    await walk.page('runbooks/stolen-agent.md')
    deepEqual(await tried(tls, token), ['certificate_denied', false])
    stolen.close()
    equal(calls() - before, 1, 'only the successor has called')
    await done('clerk', 'call notes read_note')
  })

  test('a compromised server hears nothing until it is trusted again, and then has another credential', async () => {
    await walk.page('runbooks/compromised-server.md', { before: 'Containment' })
    const before = notes.reached.length
    equal((await walk.command('clerk', 'doorward call notes read_note')).code, 1)
    equal(notes.reached.length, before)
    await walk.page('runbooks/compromised-server.md', { from: 'Containment' })
    const shown = notes.reached.map(({ headers }) => headers['authorization'])
    deepEqual(
      [new Set(shown.slice(0, before)), new Set(shown.slice(before))],
      [new Set(['Bearer secret-of-notes']), new Set(['Bearer secret-of-notes-new'])],
    )
  })

  test('a compromised authority: what its thief signs is refused before and after, everybody else calls on', async () => {
    const keys = await stealKeys(system)
    const clerk = await identityOf('clerk', 'agent/clerk')
    deepEqual(await forged(keys, clerk), ['certificate_not_issued', false])
    await walk.page('runbooks/compromised-authority.md')
    await clerk.prepare()
    deepEqual(await forged(keys, clerk), ['none', false])
    clerk.close()
    await done('clerk', 'call notes read_note')
    const detections = await readFile(join(system.folder, 'evidence', 'detections.jsonl'), 'utf8')
    ok(detections.includes('DT-1'), detections)
  })

  test('one changed bit of the record is found, named, and mended from the second sink', async () => {
    await changeOneBit(join(system.folder, '.doorward', 'gateway', 'record', 'segments', '0000000000000000.journal'))
    await walk.page('runbooks/record-tampered.md')
    const fsck = await readFile(join(system.folder, 'evidence', 'fsck.json'), 'utf8')
    equal((JSON.parse(fsck) as { readonly whole: boolean }).whole, false)
  })

  test('a lost recovery key: the other copy signs; without one the trust domain is founded anew, and what was before is refused', async () => {
    const clerk = await identityOf('clerk', 'agent/clerk')
    const [before, token] = [await tlsOf(clerk), await tokenOf(clerk)]
    clerk.close()
    await walk.page('runbooks/lost-recovery-key.md')
    const successor = await identityOf('laptop2', 'agent/planner')
    const { ca } = await gatewayTrusted(successor)
    deepEqual(await tried({ ...before, ca }, token), ['none', false])
    deepEqual(await tried(await tlsOf(successor), await tokenOf(successor)), ['allowed', true])
    successor.close()
  })

  test('no token and no secret is in anything that a page has shown', () => {
    ok(walk.told.length > 80, String(walk.told.length))
    for (const { text, output } of walk.told) ok(!/eyJ[\w-]{20,}\.|secret-of-|PRIVATE KEY/.test(output), text)
  })
})

async function done(machine: string, words: string): Promise<void> {
  const { code, stdout, stderr } = await walk.command(machine, `doorward ${words}`)
  equal(code, 0, `${words}\n${stdout}${stderr}`)
}

/** With a certificate that the thief has made for the clerk. */
async function forged(keys: StolenKeys, clerk: Identity): Promise<readonly [code: string, reached: boolean]> {
  const { pem } = await keys.leaf(clerk.id.uri)
  return tried({ ...(await gatewayTrusted(clerk)), ...pem }, await tokenOf(clerk))
}

/** Of the first entry that says who called, where it stands: the writer runs. */
async function changeOneBit(file: string): Promise<void> {
  const at = (await readFile(file)).indexOf('agent/planner')
  ok(at > 0)
  const handle = await open(file, 'r+')
  const byte = Buffer.alloc(1)
  await handle.read(byte, 0, 1, at)
  byte[0]! ^= 1
  await handle.write(byte, 0, 1, at)
  await handle.close()
}
