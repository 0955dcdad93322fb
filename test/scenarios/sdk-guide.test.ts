/** docs/sdk.md and docs/delegation.md: their programs run as they stand there, with folders, port and trust domain of the test. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { SendMessageRequest } from '@a2a-js/sdk'
import { ClientFactory, DefaultAgentCardResolver, JsonRpcTransportFactory } from '@a2a-js/sdk/client'
import type { EntryEnvelope } from '@doorward/core'
import { readEntries } from '../../packages/server/src/audit/read.ts'
import { saying } from '../fixtures/agent-stage.ts'
import { freePorts } from '../fixtures/deployment.ts'
import { fences } from '../fixtures/guide.ts'
import { openModern } from '../fixtures/official-peers.ts'
import { openSdkStage, idOf } from '../fixtures/sdk-stage.ts'
import type { SdkStage } from '../fixtures/sdk-stage.ts'

const root = join(import.meta.dirname, '..', '..')
const text = await readFile(join(root, 'docs', 'sdk.md'), 'utf8')
const programs = Array.from(text.matchAll(/```ts\n([\s\S]*?)```/g), ([, program = '']) => program)
const delegation = fences(await readFile(join(root, 'docs', 'delegation.md'), 'utf8'))
const inDelegation = (wanted: string) => delegation.find(({ kind }) => kind === wanted)?.text ?? ''
/** The one that says this. */
const programWith = (mark: string) => programs.find((program) => program.includes(mark)) ?? ''

test('the two programs of docs/sdk.md call each other, and that of docs/delegation.md calls for somebody', async () => {
  const stage = await openSdkStage()
  let callee: ChildProcess | null = null
  try {
    const [port = 0] = stage.ports
    const place = join(stage.folders.root, 'guide')
    const here = (program: string) =>
      program
        .replaceAll('https://orders.acme.example:9443', `https://127.0.0.1:${port}`)
        .replaceAll("host: '0.0.0.0', port: 9443", `host: '127.0.0.1', port: ${port}`)
        .replaceAll('acme.example', 'test.example')
        .replaceAll(/'\/(var\/lib|etc|run|mnt)\//g, `'${place}/$1/`)
    await mkdir(join(place, 'run', 'orders'), { recursive: true, mode: 0o700 })
    for (const folder of ['var/lib/orders', 'var/lib/planner', 'etc/orders', 'etc/planner', 'mnt/other'])
      await mkdir(join(place, folder), { recursive: true, mode: 0o700 })
    await symlink(join(root, 'node_modules'), join(place, 'node_modules'))
    await writeFile(join(place, 'orders.ts'), here(programWith('orders.join')))
    await writeFile(join(place, 'planner.ts'), here(programWith('PLANNER_JOIN')))
    await writeFile(join(place, 'package.json'), '{"type":"module"}')
    const orders = await stage.options('service/orders', { audiences: [`https://127.0.0.1:${port}`] })
    await writeFile(join(place, 'run', 'orders', 'orders.join'), await readFile(orders.join.file), { mode: 0o600 })
    const planner = await stage.options('agent/planner', { roles: ['reader'] })
    const PLANNER_JOIN = await readFile(planner.join.file, 'utf8')
    callee = run(place, 'orders.ts', {})
    assert.match(await firstLine(callee), /^listening on \d+, on record as test\.example\/workload\/service\/orders$/)
    const caller = run(place, 'planner.ts', { PLANNER_JOIN })
    assert.equal(await firstLine(caller), `200 ${idOf('agent/planner')} asked for GET /orders/{id}`)
    const told = await actingFor(stage, { place, program: here(inDelegation('ts')) })
    assert.deepEqual(told, [200, `${idOf('agent/worker')} asked for GET /orders/{id}\n`])
    callee.kill('SIGTERM')
    assert.deepEqual(await once(callee, 'exit'), [0, null])
    const entries: EntryEnvelope[] = []
    for await (const { entry } of readEntries(join(place, 'var/lib/orders/record/log'))) entries.push(entry)
    const kinds = entries.map(({ kind }) => kind)
    assert.deepEqual(kinds, ['lifecycle', 'decision', 'outcome', 'decision', 'outcome', 'lifecycle'])
    assertAsShown(entries[3]?.body ?? {})
  } finally {
    callee?.kill('SIGKILL')
    await stage.close()
  }
})

interface Acting {
  readonly place: string
  readonly program: string
}

/** What the program of docs/delegation.md is answered with, in this process: whoever has called it has given it a token. */
async function actingFor(stage: SdkStage, { place, program }: Acting): Promise<unknown> {
  const audience = 'https://worker.test.example:9443'
  for (const folder of ['var/lib/worker', 'etc/worker', 'run/worker'])
    await mkdir(join(place, folder), { recursive: true, mode: 0o700 })
  const worker = await stage.options('agent/worker', { roles: ['reader'], audiences: [audience] })
  await writeFile(join(place, 'run/worker/worker.join'), await readFile(worker.join.file), { mode: 0o600 })
  const first = await stage.connect('agent/first', { roles: ['reader'] })
  const file = join(place, 'worker.ts')
  await writeFile(file, `${program}\nexport const told = [response.status, await response.text()]\n`)
  Object.assign(globalThis, { callersToken: await first.token(audience) })
  try {
    const { told } = (await import(file)) as { readonly told: unknown }
    return told
  } finally {
    Reflect.deleteProperty(globalThis, 'callersToken')
  }
}

/** The entry says of the chain what the guide shows, but for names and numbers. */
function assertAsShown(body: Readonly<Record<string, unknown>>): void {
  const shown = JSON.parse(
    inDelegation('json').replaceAll('acme.example', 'test.example').replaceAll('agent/planner', 'agent/first'),
  ) as Readonly<Record<string, unknown>>
  const links = body['chain'] as readonly Readonly<Record<string, string>>[]
  assert.ok(links.every(({ token, serial }) => token !== undefined && serial !== undefined))
  const own = { ...body, chain: links.map((link) => ({ ...link, token: 'Xk…', serial: '0a…' })) }
  assert.partialDeepStrictEqual(own, shown)
}

test('the MCP server and the agent of docs/sdk.md serve the official clients', async () => {
  const stage = await openSdkStage()
  const callees: ChildProcess[] = []
  const place = join(stage.folders.root, 'guide')
  /** The program of that name in the guide, running; where it is called. */
  const serve = async (name: string, said: string) => {
    const port = stage.ports[callees.length] ?? 0
    const audience = `https://127.0.0.1:${port}`
    const program = programWith(`${name}.join`)
      .replaceAll(said, audience)
      .replaceAll(/host: '0.0.0.0', port: \d+/g, `host: '127.0.0.1', port: ${port}`)
      .replaceAll(/'\/(var\/lib|etc|run|mnt)\//g, `'${place}/$1/`)
    for (const folder of [`var/lib/${name}`, `etc/${name}`, `run/${name}`, 'mnt/other'])
      await mkdir(join(place, folder), { recursive: true, mode: 0o700 })
    await writeFile(join(place, `${name}.ts`), program)
    const { join: invited } = await stage.options(`service/${name}`, { audiences: [audience] })
    await writeFile(join(place, `run/${name}/${name}.join`), await readFile(invited.file), { mode: 0o600 })
    const callee = run(place, `${name}.ts`, {})
    callees.push(callee)
    assert.equal(await firstLine(callee), `listening on ${port}`)
    return audience
  }
  try {
    await mkdir(place, { mode: 0o700 })
    await symlink(join(root, 'node_modules'), join(place, 'node_modules'))
    await writeFile(join(place, 'package.json'), '{"type":"module"}')
    const audience = await serve('notes', 'https://notes.acme.example:9444')
    const peers = { [audience]: { id: idOf('service/notes') } }
    const reader = await stage.connect('agent/reader', { roles: ['reader'] }, { peers })
    const peer = await openModern({ url: new URL(`${audience}/mcp`), fetch: reader.fetch })
    assert.deepEqual(await peer.toolNames(), ['read_note'])
    assert.match(await peer.text('read_note'), new RegExp(`a note for ${reader.id.uri}`))
    assert.equal((await peer.call('write_note'))['isError'], true)
    await peer.close()
    const agent = await serve('plans', 'https://planner.acme.example:9445')
    const lead = await stage.connect(
      'agent/lead',
      { roles: ['lead'] },
      { peers: { [agent]: { id: idOf('service/plans') } } },
    )
    const fetchImpl: typeof fetch = (input, init) => lead.fetch(input, init)
    const client = await new ClientFactory({
      transports: [new JsonRpcTransportFactory({ fetchImpl })],
      cardResolver: new DefaultAgentCardResolver({ fetchImpl }),
    }).createFromUrl(agent)
    const said = SendMessageRequest.fromJSON(saying('what next'))
    const answer = await client.sendMessage(said)
    assert.ok(JSON.stringify(answer).includes(`a plan for ${lead.id.uri}`), JSON.stringify(answer))
    await assert.rejects(async () => {
      for await (const _event of client.sendMessageStream(said)) assert.fail('lead may not')
    })
    for (const callee of callees) {
      callee.kill('SIGTERM')
      assert.deepEqual(await once(callee, 'exit'), [0, null])
    }
  } finally {
    for (const callee of callees) callee.kill('SIGKILL')
    await stage.close()
  }
})

test('the tests of docs/sdk.md need no authority, and pass', async () => {
  const place = await mkdtemp(join(tmpdir(), 'doorward-sdk-tests-'))
  try {
    const [port = 0] = await freePorts(1)
    await symlink(join(root, 'node_modules'), join(place, 'node_modules'))
    await writeFile(join(place, 'package.json'), '{"type":"module"}')
    await writeFile(join(place, 'orders.ts'), programWith('sdk/testing').replaceAll('19443', String(port)))
    const child = run(place, 'orders.ts', {})
    let text = ''
    child.stdout?.on('data', (part) => (text += String(part)))
    assert.deepEqual(await once(child, 'exit'), [0, null], text)
  } finally {
    await rm(place, { recursive: true, force: true })
  }
})

function run(place: string, program: string, more: Readonly<Record<string, string>>): ChildProcess {
  const env = { PATH: process.env['PATH'], ...more }
  return spawn(process.execPath, ['--conditions=source', join(place, program)], {
    cwd: place,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

async function firstLine(child: ChildProcess): Promise<string> {
  let text = ''
  for await (const part of child.stdout ?? []) {
    text += String(part)
    const end = text.indexOf('\n')
    if (end >= 0) return text.slice(0, end)
  }
  throw new Error(`the program ended without a line: ${text}`)
}
