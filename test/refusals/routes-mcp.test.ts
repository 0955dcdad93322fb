/**
 * The routes that no table lists: the path of an MCP server by each of its methods, the public listeners and enrolment.
 * Each passes with what is right and is refused with each thing that is wrong.
 */

import { equal } from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { modern } from '../fixtures/modern-server.ts'
import { stealKeys } from '../fixtures/stolen-keys.ts'
import type { StolenKeys } from '../fixtures/stolen-keys.ts'
import { apiPaths } from './route-tables.ts'
import { headOnly, Stage } from './stage.ts'
import type { Attempt, Caller } from './stage.ts'

let stage: Stage
let agent: Caller
let admin: Caller
let other: Caller
let keys: StolenKeys

before(async () => {
  stage = await Stage.open()
  agent = await stage.caller('agent/planner')
  other = await stage.caller('agent/other', ['admin'])
  admin = await stage.caller('service/admin', ['admin'])
  keys = await stealKeys(stage.system)
})
after(() => stage.close())

describe('a path of a plain HTTP service, by every method of it', () => {
  const right = async (method: string): Promise<Attempt> => ({
    caller: agent,
    method,
    target: '/http/orders/v1/notes',
    token: await stage.token(agent, stage.backendAudience()),
    ...(method === 'GET' ? { until: headOnly } : {}),
  })
  for (const method of ['GET', 'POST']) {
    const contrast = (what: string, code: string, wrong: () => Partial<Attempt> | Promise<Partial<Attempt>>): void => {
      void test(`${method} is closed to ${what}`, async () => {
        await stage.contrast(await right(method), await wrong(), code)
      })
    }
    contrast('a caller without certificate', 'certificate_missing', () => ({ connect: { cert: '', key: '' } }))
    contrast('a certificate of the stolen anchor', 'certificate_not_issued', async () => ({
      connect: (await keys.leaf(agent.id)).pem,
    }))
    contrast('a request without token', 'token_missing', () => ({ token: null }))
    contrast('a token for an MCP server', 'token_audience', async () => ({ token: await stage.token(agent) }))
    contrast('a token bound to another certificate', 'token_binding', async () => ({
      token: await stage.token(other, stage.backendAudience()),
    }))
    contrast('a path that no permission covers', 'policy_denied', () => ({
      target: '/http/orders/v2/notes',
      status: 403,
    }))
    contrast('a path in another spelling', 'path_ambiguous', () => ({ target: '/http/orders/v1/x/%2e%2e/notes' }))
    contrast('a service that is not there', 'path_unknown', () => ({ target: '/http/other/v1/notes' }))
    contrast('a method that the service does not have', 'http_method', () => ({ method: 'PUT' }))
  }
})

const modernCall = {
  headers: {
    'MCP-Protocol-Version': '2026-07-28',
    'Mcp-Method': 'tools/call',
    'Mcp-Name': 'read_note',
    'Mcp-Session-Id': null,
  },
  body: (mark: string) => modern('tools/call', { params: { name: 'read_note', arguments: { mark } } }).body,
} as const

describe('an MCP path, by every method of it', () => {
  const methods: readonly (readonly [string, () => Promise<Attempt>])[] = [
    ['POST', async () => ({ caller: agent })],
    ['POST of the modern era', async () => ({ caller: agent, ...modernCall })],
    ['GET', async () => ({ caller: agent, method: 'GET', until: headOnly })],
    // A DELETE ends its session, so each has one of its own.
    [
      'DELETE',
      async () => ({
        caller: agent,
        method: 'DELETE',
        headers: { 'Mcp-Session-Id': await stage.initialize(agent) },
      }),
    ],
  ]
  for (const [method, right] of methods) {
    const contrast = (what: string, code: string, wrong: () => Partial<Attempt> | Promise<Partial<Attempt>>): void => {
      void test(`${method} is closed to ${what}`, async () => {
        await stage.passes(await right())
        const [attempt, change] = [await right(), await wrong()]
        await stage.refuses({ ...attempt, ...change, headers: { ...attempt.headers, ...change.headers } }, code)
      })
    }
    contrast('a caller without certificate', 'certificate_missing', () => ({ connect: { cert: '', key: '' } }))
    contrast('a certificate of the stolen anchor', 'certificate_not_issued', async () => ({
      connect: (await keys.leaf(agent.id)).pem,
    }))
    contrast('a request without token', 'token_missing', () => ({ token: null }))
    contrast('a token for another audience', 'token_audience', async () => ({
      token: await stage.token(agent, stage.audience('other')),
    }))
    contrast('a token bound to another certificate', 'token_binding', async () => ({
      token: await stage.token(other),
    }))
    contrast('an expired token', 'token_expired', async () => ({ token: await keys.aged(await stage.token(agent)) }))
    contrast('another Host', 'host_unknown', () => ({ headers: { Host: 'evil.example' } }))
    contrast('any Origin', 'origin_unknown', () => ({ headers: { Origin: 'https://evil.example' } }))
    if (method.endsWith('era')) continue
    contrast('a session of somebody else', 'session_unknown', () => ({ headers: { 'Mcp-Session-Id': other.session } }))
  }

  test('a request of the modern era has no session, whatever it names', async () => {
    for (const session of [agent.session, other.session, 'AAAAAAAAAAAAAAAAAAAAAA']) {
      const headers = { ...modernCall.headers, 'Mcp-Session-Id': session, 'Last-Event-ID': '1' }
      const { headers: got } = await stage.passes({ caller: agent, ...modernCall, headers })
      equal(got['mcp-session-id'], undefined)
    }
  })

  test('no method but these three is answered', async () => {
    for (const method of ['PUT', 'PATCH', 'OPTIONS', 'HEAD', 'TRACE', 'LINK', 'QUERY'])
      await stage.contrast({ caller: agent }, { method, until: headOnly }, 'http_method')
  })

  test('no route of an API is open to a token for a server', async () => {
    for (const target of apiPaths) await stage.contrast({ caller: agent }, { target }, 'token_audience')
  })
})

describe('the public listeners', () => {
  test('serve three paths by GET and nothing else, credentials or not', async () => {
    const { authority, gateway } = stage.deployment
    const token = await stage.token(admin, authority.publicUrl)
    for (const [log, address, open] of [
      ['authority', authority.listeners.public, ['/livez', '/readyz', '/v1/trust-bundle']],
      ['gateway', gateway.listeners.public, ['/livez', '/readyz']],
    ] as const) {
      const base: Attempt = {
        log,
        caller: admin,
        token,
        connect: { ...address },
        headers: { Host: `${address.host}:${address.port}`, 'Mcp-Session-Id': null },
      }
      for (const target of open) {
        const answer = await stage.send({ ...base, method: 'GET', target })
        equal(answer?.status, 200)
        for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS'])
          await stage.refuses({ ...base, method, target }, 'http_method')
      }
      const closed = [
        '/',
        '/metrics',
        '/mcp/files',
        '/sse/files',
        '/http/files/x',
        '/v1/enrol',
        '/.well-known/openid-configuration',
      ]
      for (const target of [...closed, ...apiPaths.filter((path) => !new Set<string>(open).has(path))])
        await stage.refuses({ ...base, method: 'GET', target }, 'path_unknown')
      const headers = { ...base.headers, Host: 'evil.example' }
      await stage.refuses({ ...base, method: 'GET', target: '/livez', headers }, 'host_unknown')
    }
  })
})

describe('the enrolment listener', () => {
  test('enrols nobody by a certificate that he has already, and has no other route', async () => {
    const { enrol } = stage.deployment.authority.listeners
    const base: Attempt = {
      log: 'authority',
      caller: admin,
      connect: { ...enrol, rejectUnauthorized: false },
      target: '/v1/enrol',
      headers: { Host: `${enrol.host}:${enrol.port}`, 'Mcp-Session-Id': null },
      body: () => '{"hello":1}',
    }
    await stage.refuses(base, 'certificate_profile')
    await stage.refuses({ ...base, connect: { ...base.connect, cert: '', key: '' } }, 'certificate_missing')
    for (const target of apiPaths) await stage.refuses({ ...base, target }, 'path_unknown')
    for (const method of ['GET', 'PUT', 'DELETE']) await stage.refuses({ ...base, method }, 'http_method')
  })
})

test('the record counts each refusal without a caller by its reason, and no others', () => stage.settle())
