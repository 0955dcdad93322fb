/** What is under way ends with the policy and with the roles that allowed it, and nothing else does. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { AdminClient } from '@doorward/sdk'
import { gatewayAdminAudience } from '../../packages/server/src/config/settings.ts'
import { tokenFor } from '../fixtures/authority/workload.ts'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { dial, parseAnswer } from '../fixtures/raw-http.ts'
import { callOf, headOnly, messageOf, Stage } from './stage.ts'
import type { Attempt, Caller, Log } from './stage.ts'

/** From the change to its effect. */
const EFFECTIVE = 5000

/** Answers a call of `wait_long` only after it was cancelled, which no server should, with progress before it. */
const stubborn = `const say = (message) => console.log(JSON.stringify({ jsonrpc: '2.0', ...message }))
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line)
  const note = (data) => say({ method: 'notifications/message', params: { level: 'info', data } })
  if (method === 'initialize') say({ id, result: { protocolVersion: '2025-11-25', capabilities: { tools: {}, logging: {} }, serverInfo: { name: 'stubborn', version: '1' } } })
  else if (method === 'notifications/cancelled') setTimeout(() => {
    say({ method: 'notifications/progress', params: { progressToken: 'p1', progress: 1 } })
    say({ id: params.requestId, result: { content: [{ type: 'text', text: 'the secret' }] } })
    note('cancelled ' + params.requestId)
  }, 250)
  else if (id !== undefined && params?.name !== 'wait_long') say({ id, result: { content: [] } })
})`

const yaml = (file: string) => `policy: { files: ["${file}"] }
security:
  rate_limiting: { global: 1000000/min, per_ip: 1000000/min, per_user: 1000000/min }
  rbac:
    policies:
      - { role: admin, permissions: ["*"] }
      - { role: files-reader, permissions: ["read:files/*"] }
      - { role: files-writer, permissions: ["tools/call:files/write_note"] }
      - { role: watcher, permissions: ["tools/call:files/nothing"] }
limits: { sessions_per_user: 1000, handshakes_per_ip: 1000000/min }
`
const more = `  slow: { command: [${JSON.stringify(process.execPath)}, -e, ${JSON.stringify(stubborn)}], effects: { read: ["*"] } }
`
const always = `permit (principal, action, resource in Server::"slow");
permit (principal in Role::"watcher", action == Action::"GET", resource == Route::"authority/v1/record");
permit (principal in Role::"watcher", action == Action::"GET", resource == Route::"gateway/v1/record");
`

let folder: string
let stage: Stage
let gatewayAdmin: AdminClient

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doorward-policies-'))
  await writeFile(join(folder, 'own.cedar'), always)
  stage = await Stage.open({ yaml: yaml(join(folder, 'own.cedar')), more })
  const { gateway } = stage.deployment
  gatewayAdmin = new AdminClient(stage.operator, {
    url: gateway.adminUrl,
    audience: gatewayAdminAudience(stage.deployment),
    expectedId: gateway.id,
  })
})
after(async () => {
  await stage.close()
  await rm(folder, { recursive: true, force: true })
})

/** From now on these rules stand beside the others; authority and gateway have taken them up. */
async function rules(text: string): Promise<void> {
  await writeFile(join(folder, 'own.cedar'), `${always}${text}`)
  for (const admin of [stage.admin, gatewayAdmin]) equal((await admin.reloadPolicy())['outcome'], 'changed')
}

/** Forbids the principal something on a server. */
const forbid = ({ id }: Caller, resource: string) =>
  `@id("no-more") forbid (principal == Workload::"${id}", action, resource ${resource});\n`

/** Everything that arrives on a connection. */
class Heard {
  readonly socket: TLSSocket
  readonly decision: string
  text = ''
  readonly #ended = Promise.withResolvers<void>()
  over = false

  constructor(socket: TLSSocket, decision: string) {
    this.socket = socket
    this.decision = decision
    const end = () => {
      this.over = true
      this.#ended.resolve()
    }
    socket.on('data', (chunk: Buffer) => {
      this.text += chunk.toString('latin1')
      if (this.text.endsWith('0\r\n\r\n')) end()
    })
    socket.once('close', end)
  }

  /** Within the time that a change may take. */
  async end(): Promise<void> {
    const late = AbortSignal.timeout(EFFECTIVE)
    await Promise.race([
      this.#ended.promise,
      new Promise((_resolve, reject) => {
        late.addEventListener('abort', () => reject(new Error(`not ended in time: ${this.text}`)), { once: true })
      }),
    ])
  }

  has(what: string): Promise<true> {
    return stage.poll(async () => this.text.includes(what) || undefined, `${what} in ${this.text}`)
  }
}

/** Begins something whose answer does not end. */
async function opened(attempt: Attempt): Promise<Heard> {
  const on = await dial(attempt.caller.tls)
  const answer = await stage.passes({ ...attempt, on, until: headOnly })
  return new Heard(on, answer.headers['doorward-decision'] ?? '')
}

const sessionStream = (caller: Caller) => opened({ caller, method: 'GET' })
const openAnswer = (caller: Caller) => opened({ caller, body: callOf('stream_open') })

/** The second entry of a decision says how the answer ended. */
async function outcome(log: Log, decision: string): Promise<Readonly<Record<string, unknown>>> {
  const index = Number(decision.split('#')[1])
  return (await stage.entry(log, ({ entry: { kind, body } }) => kind === 'outcome' && body['of'] === index)).entry.body
}

async function endsWith(code: string, log: Log, heard: Heard): Promise<void> {
  await heard.end()
  const { status, code: told, explanation } = await outcome(log, heard.decision)
  deepEqual([status, told], ['failed', code])
  match(String(explanation), /forbidden to|nothing allows it to/)
}

test('a streaming answer that a new policy forbids ends with the decision; what is allowed still goes on', async () => {
  const [caller, other] = [await stage.caller('agent/streams'), await stage.caller('agent/other')]
  const [stream, answer, others] = [await sessionStream(caller), await openAnswer(caller), await openAnswer(other)]
  await rules(forbid(caller, '== Tool::"files/stream_open"'))
  await endsWith('policy_forbidden', 'gateway', answer)
  match(answer.text, /"isError":true[^]*"doorward\/code":"policy_forbidden"/)
  ok(answer.text.includes(answer.decision), answer.text)
  deepEqual([stream.over, others.over], [false, false])
  await stage.refuses({ caller, body: callOf('stream_open') }, 'policy_forbidden')

  // Its server would send the rest of it to whoever names one of its events.
  const resumed: Attempt = { caller, method: 'GET', headers: { 'Last-Event-ID': 'any' }, until: headOnly }
  await stage.refuses(resumed, 'stream_withheld')
  const again = await opened({ caller, method: 'GET' })
  await stage.passes({ caller: other, method: 'GET', headers: { 'Last-Event-ID': 'any' }, until: headOnly })

  // The whole server is taken away, from the one.
  await rules(forbid(caller, 'in Server::"files"'))
  for (const one of [stream, again]) await endsWith('policy_forbidden', 'gateway', one)
  await stage.refuses({ caller, method: 'GET', status: 403 }, 'policy_forbidden')
  equal(others.over, false)
  others.socket.destroy()
  await rules('')
})

test('a call that waits for its answer is refused as if it had just been made, and nothing of it comes later on', async () => {
  const target = '/mcp/slow'
  const caller = await stage.caller('service/waits')
  const token = await stage.token(caller, stage.audience('slow'))
  const session = await stage.initialize(caller, { target, token })
  const attempt: Attempt = { caller: { ...caller, session }, target, token }
  // The tap is not behind this server.
  const start = async (more: Partial<Attempt>) => {
    const on = await dial(caller.tls)
    const heard = new Heard(on, '')
    on.write(await stage.text({ ...attempt, ...more }))
    return heard
  }
  const stream = await start({ method: 'GET' })
  await stream.has('\r\n\r\n')
  const params = { name: 'wait_long', arguments: {}, _meta: { progressToken: 'p1' } }
  const message = JSON.stringify({ jsonrpc: '2.0', id: 900, method: 'tools/call', params })
  const waiting = await start({ body: () => message })
  const decided = await stage.entry('gateway', ({ entry: { body } }) => isCallOf(body, 'wait_long'))
  await rules(forbid(caller, '== Tool::"slow/wait_long"'))
  await waiting.has('"isError":true')
  match(waiting.text, /policy_forbidden/)
  ok(waiting.text.includes(`#${decided.index}`), waiting.text)
  const { code, status } = await outcome('gateway', `#${decided.index}`)
  deepEqual([code, status], ['policy_forbidden', 'failed'])

  // The server hears of it, and its answer and progress reach nobody, though it sends them: on the stream is what came after.
  await stream.has('cancelled 900')
  ok(!/the secret|progressToken/.test(stream.text), stream.text)
  equal(stream.over, false)

  // Nor do they become the answer to another request of the same id.
  const reused = await stage.send({ ...attempt, body: () => message.replace('wait_long', 'quick') })
  equal(reused?.headers['doorward-code'], 'request_invalid')
  const quick = await stage.send({
    ...attempt,
    body: () => messageOf('tools/call', { name: 'quick', arguments: {} })(''),
  })
  equal(quick?.headers['doorward-code'], 'allowed')
  for (const one of [stream, waiting]) one.socket.destroy()
  await rules('')
})

function isCallOf(body: Readonly<Record<string, unknown>>, name: string): boolean {
  return body['decision'] === 'allow' && (body['resource'] as { readonly name?: string } | undefined)?.name === name
}

test('a new policy that allows what is open leaves it alone', async () => {
  const caller = await stage.caller('agent/spared')
  const open = [await sessionStream(caller), await openAnswer(caller)]
  await rules('forbid (principal, action, resource == Tool::"files/write_note");\n')
  await rules('')
  await sleep(500)
  deepEqual(
    open.map(({ over }) => over),
    [false, false],
  )
  for (const { socket } of open) socket.destroy()
})

test('a policy that is taken up by signal ends what it forbids, as well', async () => {
  const caller = await stage.caller('agent/signalled')
  const answer = await openAnswer(caller)
  await writeFile(join(folder, 'own.cedar'), `${always}${forbid(caller, '== Tool::"files/stream_open"')}`)
  const before = (await stage.entries('gateway')).length
  process.kill(stage.system.pid, 'SIGHUP')
  await stage.entry('gateway', ({ index, entry: { body } }) => index >= before && body['change'] === 'policy.activate')
  await endsWith('policy_forbidden', 'gateway', answer)
  await writeFile(join(folder, 'own.cedar'), always)
  for (const admin of [stage.admin, gatewayAdmin]) await admin.reloadPolicy()
})

/** Registers other roles. */
async function give({ id }: Caller, roles: readonly string[]): Promise<void> {
  const { document, revision } = await stage.admin.workload(id)
  await stage.admin.updateWorkload({ ...document, roles }, revision)
}

test('roles that are taken away end what they allowed, and no others do', async () => {
  const caller = await stage.caller('service/roles', ['files-reader'])
  const [stream, answer] = [await sessionStream(caller), await openAnswer(caller)]
  await give(caller, ['files-writer', 'files-reader'])
  await stage.poll(async () => (await allowed(caller)) || undefined, 'the role that was added')
  deepEqual([stream.over, answer.over], [false, false])
  // Who may write may have a session.
  await give(caller, ['files-writer'])
  await endsWith('policy_denied', 'gateway', answer)
  equal(stream.over, false)
  await give(caller, [])
  await endsWith('policy_denied', 'gateway', stream)
})

async function allowed(caller: Caller): Promise<boolean> {
  const answer = await stage.send({ caller, body: callOf('write_note') })
  return answer !== null && !answer.body.includes('policy_denied')
}

/** Follows something of our own API. */
async function followed(caller: Caller, part: Log, path: string): Promise<Heard> {
  const { authority, gateway } = stage.deployment
  const { chain, privateKey } = caller.identity.credentials.current()
  const client = await RawClient.open(authority.listeners.main, { certificate: chain[0]!, privateKey })
  const audience = part === 'authority' ? authority.publicUrl : gatewayAdminAudience(stage.deployment)
  const token = await tokenFor(client, audience)
  client.close()
  const address = path.startsWith('/v1/trust-state')
    ? authority.listeners.main
    : { authority, gateway }[part].listeners.admin
  const on = await dial(stage.tlsOf(caller.identity, address))
  const heard = new Heard(on, '')
  on.write(`GET ${path} HTTP/1.1\r\nHost: ${address.host}:${address.port}\r\nAuthorization: Bearer ${token}\r\n\r\n`)
  await heard.has('\r\n\r\n')
  const { status, headers } = parseAnswer(heard.text)
  equal(status, 200, heard.text)
  return Object.assign(heard, { decision: headers['doorward-decision'] ?? '' })
}

test('streams of our own APIs end with the policy that allowed them: records of both parts, and the trust state', async () => {
  const watcher = await stage.caller('service/watcher', ['watcher'])
  const streams = [
    await followed(watcher, 'authority', '/v1/record?follow=true'),
    await followed(watcher, 'gateway', '/v1/record?follow=true'),
  ]
  const trust = await followed(watcher, 'authority', '/v1/trust-state?follow=true')
  for (const [i, part] of (['authority', 'gateway'] as const).entries()) {
    await rules(forbid(watcher, `== Route::"${part}/v1/record"`))
    await endsWith('policy_forbidden', part, streams[i]!)
  }
  equal(trust.over, false)
  await rules(forbid(watcher, '== Route::"authority/v1/trust-state"'))
  await endsWith('policy_forbidden', 'authority', trust)
  await rules('')
})

test('streams of our own APIs end with the role that allowed them', async () => {
  const watcher = await stage.caller('service/dismissed', ['watcher'])
  const streams = [
    await followed(watcher, 'authority', '/v1/record?follow=true'),
    await followed(watcher, 'gateway', '/v1/record?follow=true'),
  ]
  const trust = await followed(watcher, 'authority', '/v1/trust-state?follow=true')
  await give(watcher, [])
  await endsWith('policy_denied', 'authority', streams[0]!)
  await endsWith('policy_denied', 'gateway', streams[1]!)
  equal(trust.over, false)
  trust.socket.destroy()
})

test('the record counts no refusal of these callers as a stranger', () => stage.settle())
