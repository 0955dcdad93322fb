/**
 * docs/production.md, walked as it is written: its configuration and its commands, each machine in a folder of its own, with
 * real processes and a real PostgreSQL server that is reached over TLS. Changed are addresses, ports and absolute paths; where
 * a command asks a person, the test says yes.
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, copyFile, lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { after, before, test } from 'node:test'
import { parseTrustDomain, workloadId } from '@doorward/core'
import { compileCache, freePorts, program, repository } from '../fixtures/deployment.ts'
import { readGuide } from '../fixtures/guide.ts'
import type { GuideCommand } from '../fixtures/guide.ts'
import { PostgresServer } from '../fixtures/postgres.ts'
import { newAnchor, newLeaf, pemOf } from '../fixtures/trust-fixture.ts'

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

interface Running {
  readonly child: ChildProcess
  /** Lines of standard error that are JSON. */
  readonly events: Readonly<Record<string, unknown>>[]
}

const guide = readGuide(await readFile(join(repository, 'docs', 'production.md'), 'utf8'))
const machines = [...new Set(guide.commands.map(({ machine }) => machine))]
const running = new Map<string, Running>()
const ended = new Map<string, Ended>()
/** What no output may ever hold. */
const joinStrings: string[] = []
let root: string
let server: PostgresServer
/** In this order: `host:port` or path of the guide, and what stands for it here, on the machine. */
let replacements: readonly (readonly [from: string, to: (machine: string) => string])[]

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'doorward-production-'))
  // Servers run as another user where the tests run as root.
  await chmod(root, 0o755)
  const [database = 0, gateway, admin, open, ...ports] = await freePorts(12)
  const domain = parseTrustDomain('database.example')
  const anchor = await newAnchor(domain)
  const { pem } = await newLeaf(anchor, workloadId(domain, 'postgres'), { ipAddresses: ['127.0.0.1'] })
  server = await PostgresServer.start({ tls: { port: database, certificate: pem.cert, key: pem.key } })
  await server.query(`CREATE ROLE owner_of_store LOGIN PASSWORD '${server.password}'`)
  await server.query('CREATE DATABASE doorward OWNER owner_of_store')
  const at = (machine: string, port: number) => `127.0.0.1:${ports[(machine === 'west' ? 4 : 0) + port - 8446]}`
  const listening = (port: number) =>
    [
      [`0.0.0.0:${port}`, (machine: string) => at(machine, port)],
      [`east.acme.example:${port}`, () => at('east', port)],
      [`west.acme.example:${port}`, () => at('west', port)],
    ] as const
  replacements = [
    ['https://mcp.acme.example:8443', () => `https://127.0.0.1:${gateway}`],
    ['0.0.0.0:8443', () => `127.0.0.1:${gateway}`],
    ['127.0.0.1:8444', () => `127.0.0.1:${admin}`],
    ['127.0.0.1:8445', () => `127.0.0.1:${open}`],
    ['db.acme.example:5432', () => `127.0.0.1:${database}`],
    ...[8446, 8447, 8448, 8449].flatMap(listening),
    ['/var/lib/doorward', (machine) => join(root, machine, 'var')],
    ['/srv/notes', () => join(root, 'notes')],
  ]
  await mkdir(join(root, 'notes'))
  await writeFile(join(root, 'notes', 'hello.md'), 'hello from the notes\n')
  for (const machine of machines) await mkdir(join(root, machine))
  for (const { machine, text } of guide.files) {
    const yaml = here(machine, `${guide.everywhere}${text}`)
    await writeFile(
      join(root, machine, 'doorward.yaml'),
      yaml.replace('  database:\n', '  database:\n    user: owner_of_store\n'),
    )
  }
  for (const machine of ['east', 'west']) {
    await writeFile(join(root, machine, 'database.password'), server.password, { mode: 0o600 })
    await writeFile(join(root, machine, 'database-ca.pem'), pemOf(anchor.der))
  }
})
after(async () => {
  for (const { child } of [...running.values()].toReversed()) await stop(child)
  await server.remove()
  await rm(root, { recursive: true, force: true })
})

/** Text of the guide as it is on this machine. What stands for something is not looked at again. */
function here(machine: string, text: string): string {
  const escaped = replacements.map(([from]) => from.replaceAll('.', '\\.'))
  const found = new RegExp(escaped.join('|'), 'g')
  return text.replaceAll(found, (from) => replacements.find(([known]) => known === from)?.[1](machine) ?? from)
}

function start(machine: string, words: readonly string[]): ChildProcess {
  const folder = join(root, machine)
  const env = {
    PATH: `${join(repository, 'node_modules', '.bin')}:${process.env['PATH']}`,
    HOME: folder,
    NO_COLOR: '1',
    ...compileCache,
  }
  return spawn(process.execPath, [program, ...words], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
}

function finish(child: ChildProcess): Promise<Ended> {
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', (part: Buffer) => (stdout += part.toString()))
  child.stderr?.on('data', (part: Buffer) => (stderr += part.toString()))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout, stderr }))
  })
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const closed = once(child, 'close')
  child.kill('SIGTERM')
  await closed
}

/** Starts a part, and waits until it serves or says what it waits for. */
async function begin(machine: string, words: readonly string[]): Promise<void> {
  const child = start(machine, words)
  const part: Running = { child, events: [] }
  running.set(machine, part)
  child.stdout?.resume()
  let rest = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    const lines = `${rest}${chunk.toString()}`.split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.startsWith('{')) part.events.push(JSON.parse(line) as Record<string, unknown>)
  })
  await said(machine, ({ event, code }) => event === 'ready' || code === 'delegation_wanted')
}

async function said(
  machine: string,
  what: (event: Readonly<Record<string, unknown>>) => boolean,
): Promise<Readonly<Record<string, unknown>>> {
  const part = running.get(machine)
  assert.ok(part !== undefined, `${machine} runs nothing`)
  for (let turn = 0; turn < 1200; turn++) {
    const found = part.events.find(what)
    if (found !== undefined) return found
    assert.equal(part.child.exitCode, null, `${machine} has ended: ${JSON.stringify(part.events)}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return assert.fail(`${machine} did not say it: ${JSON.stringify(part.events)}`)
}

const hasCode = (wanted: string) => (event: Readonly<Record<string, unknown>>) => event['code'] === wanted

async function carryOut({ machine, words, exit, line }: GuideCommand): Promise<void> {
  const [program = '', ...given] = words.map((word) => here(machine, word))
  const path = (name: string) => (isAbsolute(name) ? name : join(root, machine, name))
  switch (program) {
    case 'scp': {
      const [from = '', to = ''] = given
      return copyFile(path(from), join(root, to.replace(/:$/, ''), from.split('/').at(-1) ?? ''))
    }
    case 'rm':
      return rm(path(given[0] ?? ''))
    case 'systemctl':
      return stop(running.get(machine)!.child)
    case 'doorward':
      break
    default:
      assert.fail(`nothing is known of ${line}`)
  }
  if (given.includes('run')) return begin(machine, given)
  if (given.includes('--sign')) {
    const unasked = await finish(start(machine, given))
    assert.match(unasked.stderr, /confirmation_needed/)
    given.push('--yes')
  }
  const result = await finish(start(machine, given))
  ended.set(line, result)
  assert.equal(result.code, exit, `${line}\n${result.stdout}${result.stderr}`)
}

/** What a command of the guide has told, by the beginning of its line. */
function told(line: string): Ended {
  const result = [...ended].findLast(([known]) => known.startsWith(line))?.[1]
  assert.ok(result !== undefined, `the guide has no ${line}`)
  return result
}

let next = 0
let stumbled = false

/** Walks on until the command that begins so is done. */
async function walkTo(line: string): Promise<void> {
  assert.equal(stumbled, false, 'an earlier command has failed')
  stumbled = true
  while (next < guide.commands.length) {
    const command = guide.commands[next++]
    if (command === undefined) break
    await carryOut(command)
    if (command.line.startsWith(line)) {
      stumbled = false
      return
    }
  }
  assert.fail(`the guide has no ${line} from here on`)
}

test('a first authority starts alone, asks for its root to be moved, and says how the first operator is invited', async () => {
  await walkTo('east$ doorward authority run')
  await said('east', hasCode('root_present'))
  const { text } = await said('east', hasCode('operator_missing'))
  assert.match(String(text), /doorward authority invite operator\/NAME --out operator\.join --config .*doorward\.yaml/)
})

test('the first operator is invited on the machine of the authority, by a file that nobody else can read', async () => {
  await walkTo('east$ doorward authority invite operator/alice')
  const file = join(root, 'east', 'alice.join')
  assert.equal((await lstat(file)).mode & 0o777, 0o600)
  joinStrings.push((await readFile(file, 'utf8')).trim())
  const socket = join(root, 'east', 'var', 'state', 'authority', 'invite.sock')
  assert.equal((await lstat(socket)).mode & 0o777, 0o600)
  await walkTo('desk$ doorward authority status')
  const { stdout } = told('desk$ doorward authority status')
  assert.match(stdout, /east +runs +named by the root/)
  assert.match(stdout, /recovery root is not on the machine/)
  assert.match(
    stdout,
    /operator_invited .*operator\/alice +invited as admin by local:\d+ on the machine of authority east/,
  )
  assert.ok(running.get('east')?.events.some(({ detector }) => detector === 'operator_invited'))
})

test('an authority that does not run invites nobody, and neither does the second one while an operator can act', async () => {
  await walkTo('west$ doorward authority invite operator/mallory')
  assert.match(told('west$ doorward authority invite').stderr, /authority_not_running/)
  await walkTo('west$ doorward authority run')
  const { text } = await said('west', hasCode('delegation_wanted'))
  await walkTo('desk$ doorward authority delegate --export')
  const wanted = JSON.parse(await readFile(join(root, 'desk', 'wanted.json'), 'utf8')) as {
    readonly authorities: readonly { readonly name: string; readonly thumbprint: string }[]
  }
  const thumbprint = wanted.authorities.find(({ name }) => name === 'west')?.thumbprint ?? 'none'
  assert.ok(String(text).includes(thumbprint), String(text))
  await walkTo('desk$ doorward authority delegate --import')
  await said('west', ({ event }) => event === 'ready')
  await walkTo('west$ doorward authority invite operator/mallory')
  assert.match(told('west$ doorward authority invite').stderr, /operator_present[^]*operator\/alice/)
  assert.equal(running.get('west')?.events.some(hasCode('operator_missing')), false)
})

test('a gateway joins on a machine of its own', async () => {
  await walkTo('desk$ scp gateway.join')
  joinStrings.push((await readFile(join(root, 'edge', 'gateway.join'), 'utf8')).trim())
  await walkTo('edge$ doorward gateway run')
  const { id } = await said('edge', ({ event }) => event === 'ready')
  assert.equal(id, 'spiffe://acme.example/doorward/gateway/eu')
})

test('a workload joins, one call is allowed, and one is refused with the permission that is missing', async () => {
  await walkTo('worker$ doorward call notes read_text_file')
  assert.match(told('worker$ doorward call notes read_text_file').stdout, /hello from the notes/)
  const { stdout } = told('worker$ doorward tools notes')
  assert.match(stdout, /read_text_file/)
  assert.doesNotMatch(stdout, /write_file/)
  await walkTo('worker$ doorward call notes write_file')
  assert.match(told('worker$ doorward call notes write_file').stderr, /policy_denied[^]*tools\/call:notes\/write_file/)
  assert.deepEqual(await readdir(join(root, 'notes')), ['hello.md'])
})

test('the operator sees everything, and every log is what was signed', async () => {
  await walkTo('edge$ doorward audit tail')
  const { stdout } = told('desk$ doorward authority status')
  for (const line of [/east +runs/, /west +runs/, /\d+ follow, \d+ are up to date/]) assert.match(stdout, line)
  assert.match(told('desk$ doorward workload list').stdout, /agent\/planner +reader/)
  assert.match(told('east$ doorward audit verify').stdout, /✓ acme\.example\/authority\/east: [1-9]/)
  assert.match(told('west$ doorward audit verify').stdout, /✓ acme\.example\/authority\/west: [1-9]/)
  assert.match(told('edge$ doorward audit verify').stdout, /✓ acme\.example\/gateway\/eu: [1-9]/)
  assert.match(told('edge$ doorward audit tail').stdout, /deny +spiffe:\/\/acme\.example\/agent\/planner/)
})

test('with one authority gone the workload calls on, and the other one invites for a reason, visibly', async () => {
  await walkTo('worker$ doorward call notes read_text_file')
  assert.match(told('worker$ doorward call notes read_text_file').stdout, /hello from the notes/)
  await walkTo('desk$ doorward authority status')
  await walkTo('west$ doorward authority invite operator/bob')
  joinStrings.push((await readFile(join(root, 'west', 'bob.join'), 'utf8')).trim())
  await walkTo('desk$ doorward authority status')
  const { stdout } = told('desk$ doorward authority status')
  assert.match(stdout, /as authority west sees it/)
  assert.match(stdout, /operator\/bob +invited as admin by local:\d+ on the machine of authority west, although/)
  assert.match(stdout, /the reason given: alice cannot be reached, ticket 4711/)
  assert.equal(next, guide.commands.length, 'the guide goes on')
})

test('no join string is in any output', () => {
  const outputs = [...ended.values()].map(({ stdout, stderr }) => stdout + stderr)
  const events = [...running.values()].map((part) => JSON.stringify(part.events))
  assert.equal(joinStrings.length, 3)
  for (const text of [...outputs, ...events])
    for (const joinString of joinStrings) assert.equal(text.includes(joinString.slice(-60)), false)
})
