/**
 * Every method of every revision that the code lists, towards servers of every transport, by every HTTP method: nothing is
 * answered, and nothing reaches a server, without a token and a permission. A method that is added is tried by itself.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { METHODS } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { isDenialCode } from '@doorward/enforcement'
import { tried } from '../fixtures/every-method.ts'
import { answered, GatewayFixture, messagesOf } from '../fixtures/gateway-fixture.ts'
import type { Rpc } from '../fixtures/gateway-fixture.ts'
import { modernServer, modernVersion, result } from '../fixtures/modern-server.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { scriptedServer } from '../fixtures/scripted-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

const trace = join(tmpdir(), `doorward-enumerated-${process.pid}`)
/** A program that leaves a trace as soon as it is started. */
const program = [process.execPath, '-e', `require('node:fs').writeFileSync(${JSON.stringify(trace)}, 'started')`]
const transports = ['http', 'old', 'stdio'] as const
type Transport = (typeof transports)[number]

let servers: readonly ScriptedServer[]
let gateway: GatewayFixture
/** Has a token and no role. */
let nobody: TestSvid
/** May call one tool of another server. */
let elsewhere: TestSvid
/** May call one tool that nobody asks for here. */
let narrow: TestSvid
const sockets = new Map<TestSvid, TLSSocket>()
const sessions = new Map<string, string>()

before(async () => {
  const both = await modernServer((reached, response) => result(reached, response, {}), [modernVersion])
  const old = await scriptedServer((reached, response) => result(reached, response, {}))
  servers = [both, old]
  gateway = await GatewayFixture.open({
    servers: {
      http: { url: both.url },
      old: { url: old.url },
      stdio: { command: program },
      other: { url: old.url },
    },
    roles: { elsewhere: ['tools/call:other/one'], narrow: transports.map((name) => `tools/call:${name}/one`) },
    sessions: { perOwner: 64 },
  })
  nobody = await gateway.trust.issue('agent/nobody')
  elsewhere = await gateway.trust.issue('agent/elsewhere', { roles: ['elsewhere'] })
  narrow = await gateway.trust.issue('agent/narrow', { roles: ['narrow'] })
})
after(async () => {
  for (const socket of sockets.values()) socket.destroy()
  await gateway.close()
  await Promise.all(servers.map((server) => server.close()))
  await rm(trace, { force: true })
})

async function send(svid: TestSvid, server: string, rpc: Rpc, change = (text: string) => text): Promise<RawAnswer> {
  const text = change(await gateway.request(svid, server, rpc))
  let socket = sockets.get(svid)
  if (socket === undefined || socket.destroyed || !socket.writable) {
    socket = await dial(gateway.connection(svid))
    sockets.set(svid, socket)
  }
  const head = text.startsWith('HEAD')
  const answer = parseAnswer(await talk(socket, text, head ? (soFar) => soFar.includes('\r\n\r\n') : answered))
  if (answer.headers['connection'] === 'close') socket.destroy()
  return answer
}

const withoutToken = (text: string) => text.replace(/^Authorization: .*\r\n/m, '')
const reached = () => servers.reduce((sum, server) => sum + server.reached.length, 0)

/** Not answered, for a reason of the table; recorded where it has a decision. */
async function refused(what: string, answer: RawAnswer, codes?: readonly string[]): Promise<void> {
  const code = answer.headers['doorward-code'] ?? ''
  ok(isDenialCode(code), `${what}: ${answer.text}`)
  if (codes !== undefined) ok(codes.includes(code), `${what}: ${code}`)
  if (answer.status < 400 && answer.body !== '') {
    const [message] = messagesOf(answer)
    ok(message?.error !== undefined || message?.result?.['isError'] === true, `${what}: ${answer.text}`)
  }
  const decision = answer.headers['doorward-decision']
  if (decision === undefined) return
  const entry = gateway.record.entries[Number(decision.split('#')[1])]
  deepEqual([entry?.body['decision'], entry?.body['code']], ['deny', code], what)
}

for (const transport of transports) {
  describe(`every method, towards a server by ${transport}`, () => {
    test('is closed to a request without token', async () => {
      for (const { what, rpc } of tried())
        await refused(what, await send(narrow, transport, rpc, withoutToken), ['token_missing'])
    })

    test('is closed to a caller without a role, and to one with a role for another server', async () => {
      for (const svid of [nobody, elsewhere])
        for (const { what, rpc } of tried()) await refused(what, await send(svid, transport, rpc))
    })

    test('is closed under the session of somebody else', async () => {
      const session = await sessionOf(transport)
      if (session === '') return
      for (const { what, version, rpc } of tried())
        if (version !== modernVersion)
          await refused(what, await send(elsewhere, transport, { ...rpc, session }), ['session_unknown'])
    })

    test('is decided about by itself: whoever may do one thing may do no other', async () => {
      const session = await sessionOf(transport)
      for (const { what, method, group, version, rpc } of tried()) {
        // A session is of one revision, and has no methods of another.
        if (version !== modernVersion && version !== '2025-11-25') continue
        if (group === 'session' && method !== 'subscriptions/listen') continue
        if (version !== modernVersion && session === '') continue
        const before = reached()
        const answer = await send(narrow, transport, version === modernVersion ? rpc : { ...rpc, session })
        await refused(
          what,
          answer,
          transport === 'http' || version !== modernVersion ? ['policy_denied', 'handle_unknown'] : undefined,
        )
        equal(reached(), before, what)
      }
    })

    test('is reached by POST alone; streams and ends of sessions need one', async () => {
      for (const method of METHODS) {
        if (method === 'CONNECT' || method === 'POST') continue
        for (const headers of [{}, { 'MCP-Protocol-Version': modernVersion }]) {
          const answer = await send(narrow, transport, { method, headers })
          const codes = ['http_method', 'session_missing', 'message_header_mismatch', 'accept_type']
          await refused(`${method} ${JSON.stringify(headers)}`, answer, codes)
        }
      }
    })
  })
}

/** Of the caller who may do one thing; empty where the server opens none. */
async function sessionOf(transport: Transport): Promise<string> {
  if (transport === 'stdio') return ''
  const known = sessions.get(transport)
  if (known !== undefined) return known
  const session = await gateway.initialize(narrow, transport)
  sessions.set(transport, session)
  return session
}

test('no server has heard of any of it but the sessions that were opened, and no program was started', () => {
  const heard = servers.flatMap((server) =>
    server.reached.map(({ body }) => (JSON.parse(body) as { method: string }).method),
  )
  const allowed = new Set(['initialize', 'notifications/initialized', 'server/discover'])
  deepEqual(
    heard.filter((method) => !allowed.has(method)),
    [],
  )
  equal(existsSync(trace), false)
})
