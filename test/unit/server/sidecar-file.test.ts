/** `sidecar.yaml`: what is wrong with it is told with its place, and nothing is read that nobody enforces. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { Command } from 'commander'
import { register } from '../../../packages/server/src/cli/config.ts'
import { cliContext } from '../../../packages/server/src/cli/context.ts'
import { readEnvironment } from '../../../packages/server/src/config/environment.ts'
import { ConfigurationError } from '../../../packages/server/src/config/problem.ts'
import { readSidecar } from '../../../packages/server/src/config/sidecar-file.ts'

const own = `trust_domain: acme.example
identity: { folder: identity, key: /etc/orders/identity.key }
record: { folder: record, checkpoints: /mnt/other }
`
const inbound = `inbound:
  listen: 0.0.0.0:9443
  audience: https://orders.acme.example:9443
  service: orders
  routes: ["GET /orders/{id}"]
  roles: { reader: ["read:orders/*"] }
  forward: { port: 8080 }
`
const entry = 'to: "https://a.acme.example", id: "spiffe://acme.example/service/a"'
const outbound = (listen: string, more = '') => `outbound:\n  - { listen: ${listen}, ${entry}${more} }\n`
const socket = '{ socket: a.sock }'

/** Paths of what is wrong. */
function wrong(text: string): readonly string[] {
  try {
    readSidecar(text, '/etc/orders/sidecar.yaml')
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigurationError, String(error))
    return error.problems.map(({ path }) => path)
  }
}

test('what is left out is as narrow as it can be, and paths are meant from the folder of the file', () => {
  const read = readSidecar(own + inbound + outbound(socket), '/etc/orders/sidecar.yaml')
  assert.equal(read.identity.folder, '/etc/orders/identity')
  assert.deepEqual(read.outbound[0]?.callers, { kind: 'own-user' })
  assert.deepEqual(read.outbound[0]?.place, { socket: '/etc/orders/a.sock' })
  assert.equal(read.outbound[0]?.audience, 'https://a.acme.example')
  assert.equal(read.inbound?.forward.uid, null)
  assert.equal(read.inbound?.assertion.audience, 'orders')
})

test('a sidecar that does nothing, and keys that nobody knows, are mistakes', () => {
  assert.deepEqual(wrong(own), [''])
  assert.deepEqual(wrong(`${own}${inbound}servers: {}\n`), ['servers'])
  assert.deepEqual(wrong(own + inbound.replace('{ port: 8080 }', '{ port: 8080, owner: me }')), [
    'inbound.forward.owner',
  ])
  assert.deepEqual(wrong(own + outbound(socket, ', callers: [{ uid: 1, exe: /bin/sh }]')), [
    'outbound[0].callers[0].exe',
  ])
})

test('a port is open to nobody by default, and says of its callers what can be known alone', () => {
  const port = '{ port: 7001 }'
  assert.deepEqual(wrong(own + outbound(port)), ['outbound[0].listen.port'])
  assert.deepEqual(wrong(own + outbound(port, ', callers: [{ uid: 1000 }]')), [])
  assert.deepEqual(wrong(own + outbound(port, ', callers: [{ uid: 1000, path: /bin/sh }]')), ['outbound[0].callers[0]'])
  assert.deepEqual(wrong(own + outbound(port, ', insecure_any_local_process: true')), [])
  assert.deepEqual(wrong(own + outbound(socket, ', insecure_any_local_process: true, callers: [{ uid: 1 }]')), [
    'outbound[0].callers',
  ])
  assert.deepEqual(wrong(own + outbound(socket, ', callers: []')), ['outbound[0].callers'])
  assert.deepEqual(wrong(own + outbound(socket, ', callers: [{}]')), ['outbound[0].callers[0]'])
})

test('who answers is a workload of the trust domain, at an https origin', () => {
  const with_ = (from: string, to: string) => wrong((own + outbound(socket)).replace(from, to))
  assert.deepEqual(with_('acme.example/service/a', 'other.example/service/a'), ['outbound[0].id'])
  assert.deepEqual(with_('spiffe://', 'https://'), ['outbound[0].id'])
  for (const to of ['http://a.acme.example', 'https://a.acme.example/x', 'https://me@a.acme.example'])
    assert.deepEqual(with_('https://a.acme.example', to), ['outbound[0].to'], to)
})

test('a place is one listener’s, and a program is at one place', () => {
  assert.deepEqual(wrong(`${own}socket: a.sock\n${outbound(socket)}`), ['outbound[0].listen'])
  for (const same of ['./a.sock', '../orders/a.sock', '/etc/orders/a.sock'])
    assert.deepEqual(wrong(`${own}socket: ${same}\n${outbound(socket)}`), ['outbound[0].listen'], same)
  assert.deepEqual(wrong(`${own}socket: b/a.sock\n${outbound(socket)}`), [])
  assert.deepEqual(wrong(own + inbound.replace('{ port: 8080 }', '{ port: 8080, socket: b.sock }')), [
    'inbound.forward',
  ])
  assert.deepEqual(wrong(own + inbound.replace('{ port: 8080 }', '{}')), ['inbound.forward'])
})

test('whoever calls in does not call out: no outbound listener is where the program is', () => {
  const listener = (port: number) => outbound(`{ port: ${port} }`, ', callers: [{ uid: 0 }]')
  assert.deepEqual(wrong(own + inbound + listener(8081)), [])
  assert.deepEqual(wrong(own + inbound + listener(8080)), ['outbound[0].listen'])
  const behind = inbound.replace('{ port: 8080 }', '{ socket: ./a.sock }')
  assert.deepEqual(wrong(own + behind + outbound(socket)), ['outbound[0].listen'])
})

test('one caller has half of the places, or as many as the file says', () => {
  const read = (forward: string) =>
    readSidecar(own + inbound.replace('{ port: 8080 }', forward), '/etc/orders/sidecar.yaml').inbound?.forward
  assert.equal(read('{ port: 8080 }')?.perCallerConcurrent, 32)
  assert.equal(read('{ port: 8080, concurrent: 1 }')?.perCallerConcurrent, 1)
  assert.equal(read('{ port: 8080, per_caller_concurrent: 5 }')?.perCallerConcurrent, 5)
})

test('a program is asked in one way, and by messages as they can be judged', async () => {
  const by = (text: string) => own + inbound.replace('routes: ["GET /orders/{id}"]', text)
  const read = (text: string) => readSidecar(by(text), '/etc/orders/sidecar.yaml').inbound?.asked
  assert.deepEqual(read('a2a: { card: card.json }'), { kind: 'a2a', path: '/a2a', card: '/etc/orders/card.json' })
  const methods = { 'orders.get': 'read' }
  assert.deepEqual(read('json_rpc: { methods: { orders.get: read } }'), { kind: 'json-rpc', path: '/rpc', methods })
  assert.deepEqual(read('mcp: { effects: { read: ["get_*"] } }'), {
    kind: 'mcp',
    path: '/mcp',
    effects: { read: ['get_*'], write: [], admin: [] },
  })
  assert.deepEqual(wrong(by('mcp: { effects: { read: ["a", "b "] } }')), ['inbound.mcp.effects.read[1]'])
  assert.deepEqual(wrong(by('mcp: { effects: { reads: ["a"] } }')), ['inbound.mcp.effects.reads'])
  assert.deepEqual(wrong(by('mcp: { path: /mcp/ }')), ['inbound.mcp.path'])
  for (const text of [
    '',
    'mcp: {}\n  a2a: { card: c }',
    'routes: ["GET /x"]\n  a2a: { card: c }',
    'a2a: { card: c }\n  json_rpc: { methods: { a: read } }',
  ])
    assert.deepEqual(wrong(by(text)), ['inbound'], text)
  assert.deepEqual(wrong(by('a2a: {}')), ['inbound.a2a.card'])
  for (const path of ['a2a', '/a2a/', '/.well-known/agent-card.json', '"/{id}"'])
    assert.deepEqual(wrong(by(`a2a: { card: c, path: ${path} }`)), ['inbound.a2a.path'], path)
  assert.deepEqual(wrong(by('json_rpc: { methods: {} }')), ['inbound.json_rpc.methods'])
  assert.deepEqual(wrong(by('json_rpc: { methods: { a: reads } }')), ['inbound.json_rpc.methods.a'])
})

test('a card that cannot be shown is a mistake that `config check` tells', async () => {
  const text = own + inbound.replace('routes: ["GET /orders/{id}"]', 'a2a: { card: card.json }')
  await assert.rejects(checked(text), { code: 'file_unreadable' })
  await assert.rejects(checked(text, '{"name":"x"}'), { code: 'a2a_card' })
  const interfaces = [{ url: 'http://x/', protocolBinding: 'JSONRPC', protocolVersion: '1.0' }]
  const told = await checked(text, JSON.stringify({ name: 'x', supportedInterfaces: interfaces }))
  assert.equal((told['inbound'] as { readonly a2a: { readonly path: string } }).a2a.path, '/a2a')
})

test('roles are judged as those of doorward.yaml are', () => {
  assert.deepEqual(wrong(own + inbound.replace('read:orders/*', 'read:other/*')), ['inbound.roles.reader[0]'])
})

/** What `doorward config check --json` says of the text. */
async function checked(text: string, card: string | null = null): Promise<Readonly<Record<string, unknown>>> {
  const folder = await mkdtemp(join(tmpdir(), 'doorward-sidecar-'))
  const file = join(folder, 'sidecar.yaml')
  const stdout = new PassThrough()
  const context = cliContext({
    stdin: new PassThrough(),
    stdout,
    stderr: new PassThrough(),
    environment: readEnvironment({}),
    globals: () => ({ json: true, config: file }),
    signal: new AbortController().signal,
    program: [],
  })
  try {
    await writeFile(file, text)
    if (card !== null) await writeFile(join(folder, 'card.json'), card)
    const program = new Command('doorward')
    register(program, context)
    await program.parseAsync(['config', 'check'], { from: 'user' })
    return JSON.parse(String(stdout.read())) as Readonly<Record<string, unknown>>
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('config check knows the file, and judges what only a start would find', async () => {
  const meaning = await checked(own + inbound + outbound(socket))
  assert.equal(meaning['ok'], true)
  assert.deepEqual((meaning['outbound'] as readonly object[]).length, 1)
  await assert.rejects(checked(own + inbound.replace('GET /orders/{id}', 'FETCH /orders')), { code: 'route_invalid' })
  await assert.rejects(checked(own + inbound.replace('service: orders', 'service: Orders')), {
    code: 'configuration_invalid',
  })
})
