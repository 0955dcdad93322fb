/** What the record of a running gateway keeps of arguments and results: nothing, but for what rules name; and no secret. */

import { deepEqual, equal, match, notEqual, ok, partialDeepStrictEqual, rejects } from 'node:assert/strict'
import { createServer } from 'node:http'
import type { Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { compilePolicy, isDoorwardError, parseTrustDomain } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { AdminClient, openMcpClient, systemRuntime } from '@doorward/sdk'
import type { McpClient } from '@doorward/sdk'
import { readEntries } from '../../packages/server/src/audit/read.ts'
import type { LoggedEntry } from '../../packages/server/src/audit/read.ts'
import { keepRules } from '../../packages/server/src/config/audit-keep.ts'
import { parseConfiguration } from '../../packages/server/src/config/load.ts'
import { noEffects } from '@doorward/enforcement'
import { startSystem } from '../fixtures/running-system.ts'
import type { RunningSystem } from '../fixtures/running-system.ts'

/** In no file, whole or in parts, whatever is kept beside it. */
const canary = 'canary5f3a9c1d7e'
const token = `ghp_${canary}${'Zq'.repeat(12)}`

const { audit } = parseConfiguration(
  `trust_domain: test.example
servers: { files: { command: [x] } }
audit:
  keep:
    - calls: ["tools/call:files/read_secret"]
      arguments: { hmac: [path] }
    - calls: ["tools/call:files/read_*"]
      arguments: { store: [repo, title, deep.inner], hmac: [path], redact: [body] }
      result: { store: true }
      max_bytes: 1024
    - calls: ["tools/call:files/stream_*"]
      result: { hmac: true }
    - calls: ["tools/call:files/*"]
      arguments: { store: ["*"] }
      result: { hmac: true }
`,
  'doorward.yaml',
)

/** Answers a call with what the arguments say under `answer`. */
async function echo(): Promise<Server> {
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => answer(Buffer.concat(parts).toString(), response))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

function answer(body: string, response: ServerResponse): void {
  const message = body === '' ? {} : (JSON.parse(body) as { id?: number; method?: string; params?: never })
  if (message.id === undefined) return void response.writeHead(202).end()
  const { name = '', arguments: args = {} } = (message.params ?? {}) as {
    name?: string
    arguments?: { answer?: object }
  }
  const opened = {
    protocolVersion: '2025-11-25',
    capabilities: { tools: {} },
    serverInfo: { name: 'echo', version: '1' },
  }
  const result = message.method === 'initialize' ? opened : (args.answer ?? { content: [] })
  const text = JSON.stringify({ jsonrpc: '2.0', id: message.id, result })
  if (name.startsWith('stream_')) {
    response.writeHead(200, { 'Content-Type': 'text/event-stream' }).end(`event: message\ndata: ${text}\n\n`)
  } else response.writeHead(200, { 'Content-Type': 'application/json' }).end(text)
}

let server: Server
let system: RunningSystem
let session: McpClient

before(async () => {
  server = await echo()
  const compiled = compilePolicy({
    trustDomain: parseTrustDomain('test.example'),
    rbac: [],
    roles: [
      { role: 'caller', permissions: ['*:files/*'] },
      { role: 'admin', permissions: ['admin'] },
    ],
    bindings: [],
    servers: ['files'],
  })
  ok(compiled.ok)
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`
  const effects = { ...noEffects, read: ['*'] }
  system = await startSystem({
    gateway: {
      servers: { files: { kind: 'http', url, insecureUpstream: true, effects } },
      keep: keepRules(audit.keep, ['files']),
      policy: compiled.policy,
    },
  })
  const fetch = await system.open(await system.join('agent/caller'))
  const client = { name: 'kept', version: '1' }
  session = await openMcpClient({ fetch, endpoint: system.endpoint, runtime: systemRuntime, client })
})
after(async () => {
  await system.stop()
  server.closeAllConnections()
  server.close()
})

async function entries(): Promise<readonly LoggedEntry[]> {
  const found: LoggedEntry[] = []
  for await (const entry of readEntries(system.gateway.record.folder, { unsigned: true })) found.push(entry)
  return found
}

/** What decision and outcome of a call keep. */
async function keptOf(name: string, args?: JsonObject): Promise<{ decision: unknown; result: unknown }> {
  const params = args === undefined ? { name } : { name, arguments: args }
  const { decision, ...rest } = await session.request('tools/call', params)
  ok(rest.ok, JSON.stringify(rest))
  const index = Number(decision?.decision?.split('#')[1])
  for (let patience = 200; patience > 0; patience--) {
    const all = await entries()
    const outcome = all.find(({ entry: { kind, body } }) => kind === 'outcome' && body['of'] === index)
    if (outcome === undefined) {
      await sleep(20)
      continue
    }
    const { kept } = all.find((each) => each.index === index)?.entry.body ?? {}
    return { decision: kept, result: (outcome.entry.body['kept'] as { result?: unknown } | undefined)?.result }
  }
  throw new Error('no outcome')
}

const digest = /^[0-9a-f]{64}$/

test('members stand on record as rules name them: stored, as HMAC, redacted, or not at all', async () => {
  const args = { repo: 'acme/x', path: '/srv/a', body: canary, left: canary, deep: { inner: [1], other: canary } }
  const { decision, result } = await keptOf('read_issue', {
    ...args,
    answer: { content: [{ type: 'text', text: 'fine' }] },
  })
  const { hmac, ...rest } = (decision as { arguments: { hmac: { path: string } } }).arguments
  deepEqual(rest, { store: { repo: 'acme/x', 'deep.inner': [1] }, redact: { body: '[redacted]' } })
  match(hmac.path, digest)
  partialDeepStrictEqual(result, { of: 'result', stored: { content: [{ type: 'text', text: 'fine' }] } })
})

test('an operator finds a value by its HMAC, and stands on record with the question', async () => {
  const { decision } = await keptOf('read_issue', { path: `/srv/${canary}` })
  const folder = await system.join('operator/ann', { roles: ['admin'] })
  const identity = await system.open(folder)
  const { host, port } = system.gateway.addresses.admin
  const { audience } = system.endpoint
  const endpoint = { url: `https://${host}:${port}`, audience: audience.replace('/mcp/files', '/admin') }
  const admin = new AdminClient(identity, { ...endpoint, expectedId: system.endpoint.expectedId })
  deepEqual(decision, { arguments: { hmac: { path: await admin.hmac(`/srv/${canary}`) } } })
  const asked = (await entries()).filter(({ entry: { kind } }) => kind === 'admin')
  deepEqual(asked.at(-1)?.entry.body, { change: 'audit.hmac', by: identity.id.uri })
  notEqual(await admin.hmac('/srv'), await admin.hmac(['/srv']))
  const fetch = await system.open(await system.join('agent/other'))
  const denied = new AdminClient(fetch, { ...endpoint, expectedId: system.endpoint.expectedId })
  const before = (await entries()).filter(({ entry: { kind } }) => kind === 'admin').length
  await rejects(denied.hmac('/srv'), (error) => isDoorwardError(error, 'policy_denied'))
  equal((await entries()).filter(({ entry: { kind } }) => kind === 'admin').length, before)
})

test('the first rule that matches decides, and the last takes what is left', async () => {
  const first = await keptOf('read_secret', { path: '/a', repo: 'acme/x' })
  deepEqual(Object.keys((first.decision as { arguments: object }).arguments), ['hmac'])
  equal(first.result, undefined)
  const last = await keptOf('drop_all', { repo: 'acme/x', answer: { content: [] } })
  deepEqual(last.decision, { arguments: { store: { repo: 'acme/x', answer: { content: [] } } } })
  const { hmac, of } = last.result as { hmac: string; of: string }
  equal(of, 'result')
  const same = await keptOf('drop_other', { answer: { content: [] } })
  equal((same.result as { hmac: string }).hmac, hmac)
})

test('a result that streams, or is too large, is on record by size and HMAC', async () => {
  const streamed = await keptOf('stream_log', { answer: { text: canary } })
  deepEqual(streamed.decision, undefined)
  const { bytes, of, hmac } = streamed.result as { bytes: number; of: string; hmac: string }
  ok(bytes > 50)
  equal(of, 'stream')
  match(hmac, digest)
  const large = await keptOf('read_all', { answer: { text: canary.repeat(500) } })
  equal((large.result as { of: string }).of, 'answer')
  ok(!('stored' in (large.result as object)))
})

test('where a rule cannot be applied, the call passes and the record says so', async () => {
  deepEqual((await keptOf('read_issue', { title: 'x'.repeat(2000) })).decision, { problem: 'too_large' })
  deepEqual((await keptOf('read_issue')).decision, { arguments: {} })
  let deep: JsonObject = { end: canary }
  for (let depth = 0; depth < 24; depth++) deep = { deep }
  deepEqual((await keptOf('read_issue', { deep })).decision, { arguments: {} })
  const many = Object.fromEntries(Array.from({ length: 5000 }, (_, n) => [`n${n}`, n]))
  deepEqual((await keptOf('drop_all', many)).decision, { problem: 'too_large' })
})

test('secrets that are named by a rule all the same are not stored', async () => {
  const { decision, result } = await keptOf('read_issue', {
    repo: `https://user:${canary}@host/x`,
    title: `with ${token} in it`,
    answer: { content: [{ type: 'text', text: `Bearer ${token}` }], password: `${canary}!` },
  })
  deepEqual(decision, { arguments: { store: { repo: 'https[redacted]host/x', title: 'with [redacted] in it' } } })
  deepEqual((result as { stored: object }).stored, {
    content: [{ type: 'text', text: '[redacted]' }],
    password: '[redacted]',
  })
})

test('names that objects have by themselves change nothing, and those that could do not pass', async () => {
  const inherited = { toString: { repo: 'no' }, hasOwnProperty: canary, repo: 'yes' }
  deepEqual((await keptOf('read_issue', inherited)).decision, { arguments: { store: { repo: 'yes' } } })
  for (const name of ['__proto__', 'constructor']) {
    const args = JSON.parse(`{${JSON.stringify(name)}:{"repo":"no"}}`) as JsonObject
    equal((await session.request('tools/call', { name: 'read_issue', arguments: args })).ok, false, name)
  }
})

test('what no rule stores is in no file', async () => {
  const args = { repo: 'acme/x', path: canary, body: canary, left: canary, answer: { left: token } }
  await keptOf('read_issue', args)
  const found: string[] = []
  let stored = 0
  const look = async (folder: string): Promise<void> => {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) await look(path)
      else if (entry.isFile()) {
        // Some come and go.
        const bytes = await readFile(path).catch(() => Buffer.alloc(0))
        const forms = [canary, Buffer.from(canary).toString('hex'), Buffer.from(canary).toString('base64').slice(0, 20)]
        if (forms.some((form) => bytes.includes(form))) found.push(path)
        if (bytes.includes('acme/x')) stored++
      }
    }
  }
  await look(system.folders.root)
  deepEqual(found, [])
  ok(stored > 0, 'what is stored is found this way')
})
