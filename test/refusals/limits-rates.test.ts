/**
 * `security.rate_limiting` and `limits`: each limit lets through what it says and refuses what comes after, while other
 * callers and addresses go on. Limits refill while a test runs, so each is used up by asking until it refuses.
 */

import { equal, ok, rejects } from 'node:assert/strict'
import { connect as connectTcp } from 'node:net'
import { after, before, test } from 'node:test'
import type { TestContext } from 'node:test'
import { proxyHeader } from '../fixtures/proxy-header.ts'
import type { LoggedEntry } from '../../packages/server/src/audit/read.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import { canBind } from '../fixtures/loopback.ts'
import { headOnly, initializeMessage, messageOf, Stage, whole } from './stage.ts'
import type { Attempt, Caller, Dial } from './stage.ts'

const rates = { global: 300, perIp: 12, network: 4, perUser: 40, quota: 3, handshakes: 1200, sessions: 3 }

const yaml = `security:
  rate_limiting: { global: ${rates.global}/min, per_ip: ${rates.perIp}/min, per_user: ${rates.perUser}/min }
limits:
  networks:
    - { cidr: 127.0.0.1/32, per_ip: 1000000/min }
    - { cidr: 127.0.1.0/24, per_ip: 1000000/min }
    - { cidr: 127.0.2.0/24, per_ip: ${rates.network}/min }
  quotas:
    - { action: prompts/get, per_user: ${rates.quota}/min }
  body_bytes: 4096
  sessions_per_user: ${rates.sessions}
  streams_per_user: ${rates.sessions}
  handshakes_per_ip: ${rates.handshakes}/min
`

let stage: Stage
/** Other addresses of loopback, from which one machine can call as several; Linux has them all. */
let addresses = true

before(async () => {
  const named = (['main', 'admin', 'enrol', 'public'] as const).map((name, i) => `${name}: [127.0.9.${i + 1}/32]`)
  stage = await Stage.open({
    yaml,
    listeners: ', proxies: { main: [127.0.9.0/24] }',
    authorityListeners: `, proxies: { ${named.join(', ')} }`,
  })
  addresses = await canBind('127.0.0.2')
})
after(() => stage.close())

function needsAddresses(context: TestContext): boolean {
  if (!addresses) context.skip('this machine has no loopback address but 127.0.0.1')
  return addresses
}

const from = (localAddress: string): { readonly connect: Dial } => ({ connect: { localAddress } })

/** Passes at least `least` times, then is refused with the code and told when to come again. */
async function usesUp(attempt: Attempt, least: number, code: string): Promise<void> {
  const on = await dial({ ...attempt.caller.tls, ...attempt.connect })
  for (let passed = 0; passed < least; passed++) await stage.passes({ ...attempt, on })
  on.destroy()
  for (let more = 0; more < 10; more++) {
    const byte = stage.tap.bytes
    const answer = await stage.send(attempt)
    ok(answer !== null)
    if (answer.status === 200) continue
    equal(stage.tap.bytes, byte)
    equal(answer.status, 429)
    equal(answer.headers['doorward-code'], code)
    ok(Number(answer.headers['retry-after']) >= 1)
    await stage.recorded('gateway', answer, code)
    return
  }
  throw new Error(`${code} has refused nothing`)
}

/** Requests of a new caller when it has joined: its two messages of the handshake. */
const SPENT = 2

test('per_ip: an address is refused after its requests, other addresses of the same caller go on', async (context) => {
  if (!needsAddresses(context)) return
  const caller = await stage.caller('agent/ip')
  await usesUp({ caller, ...from('127.0.0.2') }, rates.perIp, 'limit_ip')
  await stage.contrast({ caller, ...from('127.0.0.3') }, from('127.0.0.2'), 'limit_ip')
})

test('limits.networks: an address of a named network has the limit of that network', async (context) => {
  if (!needsAddresses(context)) return
  const caller = await stage.caller('agent/network')
  await usesUp({ caller, ...from('127.0.2.1') }, rates.network, 'limit_ip')
  await stage.contrast({ caller, ...from('127.0.2.2') }, from('127.0.2.1'), 'limit_ip')
})

test('per_ip: requests that are refused for their headers or their path count too', async (context) => {
  if (!needsAddresses(context)) return
  const caller = await stage.caller('agent/flood')
  const wrong: readonly (readonly [Partial<Attempt>, string])[] = [
    [{ headers: { Host: 'evil.example' } }, 'host_unknown'],
    [{ target: '/nowhere' }, 'path_unknown'],
  ]
  for (const [number, [change, code]] of wrong.entries()) {
    const address = from(`127.0.3.${number + 1}`)
    for (let i = 0; i < rates.perIp; i++) await stage.refuses({ caller, ...address, ...change }, code)
    await stage.poll(async () => {
      const answer = await stage.send({ caller, ...address, ...change })
      ok(answer !== null)
      const told = answer.headers['doorward-code'] ?? ''
      await stage.recorded('gateway', answer, told)
      return told === 'limit_ip' || undefined
    }, 'limit_ip')
    await stage.contrast({ caller, ...from('127.0.1.9') }, address, 'limit_ip')
  }
})

test('per_user: a caller is refused after its requests from whichever address, other callers go on', async () => {
  const [caller, other] = [await stage.caller('agent/user'), await stage.caller('agent/other')]
  await usesUp({ caller }, rates.perUser - SPENT, 'limit_user')
  await stage.contrast({ caller: other }, { caller, token: await stage.token(caller) }, 'limit_user')
  const session = { 'Mcp-Session-Id': caller.session }
  if (addresses) await stage.refuses({ caller, headers: session, ...from('127.0.1.1') }, 'limit_user')
})

test('limits.quotas: an action is refused after its quota, other actions of the same caller go on', async () => {
  const caller = await stage.caller('agent/quota')
  const get: Attempt = { caller, body: messageOf('prompts/get', { name: 'hello' }) }
  await usesUp(get, rates.quota, 'limit_user')
  await stage.contrast({ caller }, { body: messageOf('prompts/get', { name: 'hello' }) }, 'limit_user')
})

test('limits.body_bytes: a body above the limit is refused before it is read', async () => {
  const caller = await stage.caller('agent/body')
  const padded = (bytes: number) => (mark: string) => {
    const text = messageOf('tools/call', { name: 'read_note', arguments: { mark, padding: '' } })(mark)
    return text.replace('"padding":""', `"padding":"${'x'.repeat(bytes - text.length)}"`)
  }
  await stage.contrast({ caller, body: padded(4096) }, { body: padded(4097) }, 'body_too_large')
  const declared = { 'Content-Length': '1000000' }
  await stage.contrast({ caller }, { headers: declared }, 'body_too_large')
  const chunked: Partial<Attempt> = {
    headers: { 'Content-Length': null, 'Transfer-Encoding': 'chunked' },
    bytes: (text) => text.replace(/\r\n\r\n[^]*$/, `\r\n\r\n1001\r\n${'x'.repeat(0x1001)}\r\n0\r\n\r\n`),
  }
  await stage.contrast({ caller }, chunked, 'body_too_large')
})

test('limits.sessions_per_user: a caller whose sessions are all in use opens no other', async () => {
  const caller = await stage.caller('agent/sessions')
  const streams = []
  const sessions = [caller.session]
  while (sessions.length < rates.sessions) sessions.push(await stage.initialize(caller))
  for (const session of sessions) {
    const on = await dial(caller.tls)
    streams.push(on)
    const stream: Attempt = { caller, on, method: 'GET', headers: { 'Mcp-Session-Id': session }, until: headOnly }
    equal((await stage.send(stream))?.status, 200)
  }
  await stage.refuses({ caller, method: 'GET', until: headOnly }, 'stream_limit')
  const begin: Attempt = { caller, headers: { 'Mcp-Session-Id': null }, body: () => initializeMessage }
  await stage.refuses(begin, 'session_limit')
  for (const on of streams) on.destroy()
  // An idle one makes room.
  await stage.poll(async () => ((await stage.initialize(caller)) === '' ? undefined : true), 'a session')
  const refused = (await stage.entries('gateway')).filter(({ entry }) => entry.body['code'] === 'session_limit')
  ok(refused.every(({ entry }) => entry.body['caller'] === caller.id))
})

test('listeners.proxies: a connection of a named address is from whom its header says, and without one it is closed', async (context) => {
  if (!needsAddresses(context)) return
  const caller = await stage.caller('agent/proxied')
  const place = { ...stage.deployment.gateway.listeners.main, localAddress: '127.0.9.1' }
  await stage.refuses({ caller, ...from('127.0.9.1') }, 'proxy_header')
  const below = connectTcp(place)
  below.write(proxyHeader({ source: '127.0.1.77' }))
  const on = await dial({ ...caller.tls, socket: below })
  const answer = await stage.passes({ caller, on })
  equal((await stage.decision('gateway', answer)).body['remote'], '127.0.1.77')
  on.destroy()
})

test('authority.listeners.proxies: at each listener a named address says whom a connection is from, and nobody else does', async (context) => {
  if (!needsAddresses(context)) return
  const caller = await stage.caller('agent/behind')
  for (const [i, name] of (['main', 'admin', 'enrol', 'public'] as const).entries()) {
    const place = stage.deployment.authority.listeners[name]
    const [proxy, source] = [`127.0.9.${i + 1}`, `127.0.1.${100 + i}`]
    const begin = (localAddress: string) => {
      const below = connectTcp({ ...place, localAddress })
      below.write(proxyHeader({ source }))
      return dial({ ...caller.tls, ...place, socket: below })
    }
    await rejects(dial({ ...caller.tls, ...place, localAddress: proxy } as Dial), name)
    stage.count('authority', 'proxy_header')
    // Believed at one listener, and not at the next.
    await rejects(begin(`127.0.9.${((i + 1) % 4) + 1}`), name)
    stage.count('authority', 'tls_plaintext')
    const on = await begin(proxy)
    const answer = parseAnswer(
      await talk(on, `GET /nothing HTTP/1.1\r\nHost: ${place.host}:${place.port}\r\n\r\n`, whole),
    )
    ok(answer.status >= 400, name)
    on.destroy()
    const of = ({ entry: { body } }: LoggedEntry) => body['source'] === source || body['remote'] === source
    await stage.entry('authority', of)
  }
})

test('limits.handshakes_per_ip: an address is refused before the handshake, and others go on', async (context) => {
  if (!needsAddresses(context)) return
  const caller = await stage.caller('agent/handshakes')
  for (const { port, log } of [
    { port: stage.deployment.gateway.listeners.main.port, log: 'gateway' },
    { port: stage.deployment.authority.listeners.main.port, log: 'authority' },
  ] as const) {
    const dialFrom = (localAddress: string) => {
      const options: Dial = { ...caller.tls, port, localAddress }
      return dial(options).catch(() => null)
    }
    const flood = await Promise.all(Array.from({ length: 150 }, () => dialFrom('127.0.4.1')))
    const opened = flood.filter((socket) => socket !== null)
    for (const socket of opened) socket.destroy()
    ok(opened.length >= 50 && opened.length < flood.length, `${opened.length} handshakes`)
    stage.count(log, 'handshake_rate', flood.length - opened.length)
    const other = await dialFrom('127.0.4.2')
    ok(other !== null)
    other.destroy()
  }
})

test('global: everybody is refused once all together have used it up', async () => {
  const [caller, noisy] = [await stage.caller('agent/last'), await stage.caller('agent/noisy')]
  await stage.passes({ caller })
  const byte = stage.tap.bytes
  const on = await dial(noisy.tls)
  let asked = 0
  for (; asked < 2 * rates.global; asked++) {
    const answer = await stage.send({ caller: noisy, on, token: null, method: 'GET' })
    ok(answer !== null)
    const code = answer.headers['doorward-code'] ?? ''
    await stage.recorded('gateway', answer, code)
    if (code === 'limit_global') break
  }
  on.destroy()
  ok(asked < 2 * rates.global)
  equal(stage.tap.bytes, byte)
  await refusedByGlobal(caller, noisy)
})

/** The limit refills while a request is on its way, so that one may still slip through. */
async function refusedByGlobal(caller: Caller, noisy: Caller): Promise<void> {
  const token = await stage.token(caller)
  const on = await dial(noisy.tls)
  const answer = await stage.poll(async () => {
    const told = await stage.send({ caller: noisy, on, token: null, method: 'GET' })
    ok(told !== null)
    await stage.recorded('gateway', told, told.headers['doorward-code'] ?? '')
    const byte = stage.tap.bytes
    const seen = await stage.send({ caller, token })
    if (seen === null || seen.status === 200) return undefined
    equal(stage.tap.bytes, byte)
    return seen
  }, 'a refusal')
  on.destroy()
  equal(answer.headers['doorward-code'], 'limit_global')
  equal(answer.status, 429)
  await stage.recorded('gateway', answer, 'limit_global')
}

test('the record counts each of these refusals by its reason, and no others', () => stage.settle())
