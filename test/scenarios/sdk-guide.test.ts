/** docs/sdk.md: its programs run as they stand there, with folders, port and trust domain of the test. */

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
import { readEntries } from '../../packages/server/src/audit/read.ts'
import { saying } from '../fixtures/agent-stage.ts'
import { freePorts } from '../fixtures/deployment.ts'
import { openModern } from '../fixtures/official-peers.ts'
import { openSdkStage, idOf } from '../fixtures/sdk-stage.ts'

const root = join(import.meta.dirname, '..', '..')
const text = await readFile(join(root, 'docs', 'sdk.md'), 'utf8')
const programs = Array.from(text.matchAll(/```ts\n([\s\S]*?)```/g), ([, program = '']) => program)
/** The one that says this. */
const programWith = (mark: string) => programs.find((program) => program.includes(mark)) ?? ''

test('the two programs of docs/sdk.md call each other', async () => {
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
    callee.kill('SIGTERM')
    assert.deepEqual(await once(callee, 'exit'), [0, null])
    const kinds: string[] = []
    for await (const { entry } of readEntries(join(place, 'var/lib/orders/record/log'))) kinds.push(entry.kind)
    assert.deepEqual(kinds, ['lifecycle', 'decision', 'outcome', 'lifecycle'])
  } finally {
    callee?.kill('SIGKILL')
    await stage.close()
  }
})

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
