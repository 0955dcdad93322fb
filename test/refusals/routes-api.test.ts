/**
 * No second route lacks a check: every route of every listener, read from the code's own tables, passes with the right
 * caller and is refused with each credential that is wrong. A route that nobody has described here fails.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { signDelegation, toBase64url } from '@doorward/core'
import type { DenialCode } from '@doorward/enforcement'
import { generateP256 } from '@doorward/sdk'
import { checkpointNoteOf } from '../../packages/server/src/audit/log-folder.ts'
import type { Address } from '../../packages/server/src/config/settings.ts'
import type { ApiRoute } from '../../packages/server/src/transports/api-routes.ts'
import { dial } from '../fixtures/raw-http.ts'
import { smallLog } from '../fixtures/small-log.ts'
import { stealKeys } from '../fixtures/stolen-keys.ts'
import type { StolenKeys } from '../fixtures/stolen-keys.ts'
import { apiNames, apiPaths, tables } from './route-tables.ts'
import type { ApiName } from './route-tables.ts'
import { Stage } from './stage.ts'
import type { Attempt, Caller, Headers, Log } from './stage.ts'

interface Api {
  readonly log: Log
  readonly address: Address
  readonly audience: string
  /** Who may. */
  readonly caller: Caller
  readonly routes: readonly ApiRoute[]
}

let stage: Stage
let agent: Caller
let admin: Caller
let other: Caller
let gateway: Caller
let keys: StolenKeys

before(async () => {
  stage = await Stage.open()
  agent = await stage.caller('agent/planner')
  other = await stage.caller('agent/other', ['admin'])
  admin = await stage.caller('service/admin', ['admin'])
  gateway = await stage.gateway('spare')
  keys = await stealKeys(stage.system)
})
after(() => stage.close())

/** Of gateways alone. */
const ofGateways: readonly string[] = [
  '/v1/trust-state/full',
  '/v1/detections',
  '/v1/witness',
  '/v1/witness/log',
  '/v1/witness/cosignature',
]

/** The listener as its right caller for the route sees it. */
function apiFor(name: ApiName, { path }: ApiRoute): Api {
  return ofGateways.includes(path) ? { ...api(name), caller: gateway } : api(name)
}

function api(name: ApiName): Api {
  const { authority, gateway } = stage.deployment
  const routes = tables[name]
  switch (name) {
    case 'authority main':
      return {
        log: 'authority',
        address: authority.listeners.main,
        audience: authority.publicUrl,
        caller: agent,
        routes,
      }
    case 'authority admin':
      return {
        log: 'authority',
        address: authority.listeners.admin,
        audience: authority.publicUrl,
        caller: admin,
        routes,
      }
    case 'gateway main':
      return {
        log: 'gateway',
        address: gateway.listeners.main,
        audience: gateway.publicUrl,
        caller: agent,
        routes,
      }
    case 'gateway admin':
      return {
        log: 'gateway',
        address: gateway.listeners.admin,
        audience: `${gateway.publicUrl}/admin`,
        caller: admin,
        routes,
      }
  }
}

interface Content {
  readonly query?: string
  readonly body?: string
}

const spareLog = smallLog('test.example/gateway/spare')
let registered = 0
const newId = () => `spiffe://test.example/made/${++registered}`

async function newInstance(): Promise<{ readonly id: string; readonly instance: string }> {
  const { id } = await stage.caller(newId().replace('spiffe://test.example/', ''))
  const { instances } = await stage.admin.workload(id)
  return { id, instance: instances[0]?.instance ?? '' }
}

/** A request that each route takes, by its listener, method and path. */
const rightRequests: Readonly<Record<string, (on: TLSSocket) => Content | Promise<Content>>> = {
  'authority main POST /v1/token': () => ({
    body: new URLSearchParams({ grant_type: 'client_credentials', resource: stage.audience() }).toString(),
  }),
  'authority main POST /v1/login': async () => {
    const { jwk: key } = await generateP256()
    const proof = { key, issued_at: Math.floor(Date.now() / 1000), signature: 'A'.repeat(86) }
    return { body: JSON.stringify({ id_token: 'a.b.c', random: 'A'.repeat(43), proof }) }
  },
  'authority main POST /v1/renew': async (on) => {
    const key = await generateP256()
    const exported = on.exportKeyingMaterial(32, 'EXPORTER-doorward-renew', Buffer.alloc(0))
    const proof = toBase64url(await key.signKey.sign(exported))
    const join_state = await stage.joinState(agent)
    return { body: JSON.stringify({ public_key: toBase64url(key.spki), proof, join_state }) }
  },
  'authority main POST /v1/jwt-svid': () => ({ body: JSON.stringify({ audience: other.id }) }),
  'authority main GET /v1/trust-state': () => ({}),
  'authority main GET /v1/trust-state/full': () => ({}),
  'authority main POST /v1/detections': () => ({ body: JSON.stringify({ detections: [] }) }),
  'authority main POST /v1/witness': async () => ({
    body: JSON.stringify({ log_key: spareLog.logKey, submission: await spareLog.submission() }),
  }),
  'authority main GET /v1/witness/log': () => ({}),
  'authority main POST /v1/witness/cosignature': async () => ({
    body: JSON.stringify({ evidence: await checkpointNoteOf(await stage.system.recordFolder('authority')) }),
  }),
  'authority main POST /v1/trust-state/ack': () => {
    const { delegation, sequence } = agent.identity.trustStore.view()!.state
    return { body: JSON.stringify({ scope: 'callers', delegation, sequence }) }
  },
  'authority admin GET /v1/workloads': () => ({}),
  'authority admin POST /v1/workloads': () => ({ body: JSON.stringify({ id: newId(), roles: [] }) }),
  'authority admin DELETE /v1/workloads': async () => {
    const id = newId()
    await stage.admin.addWorkload(id, [])
    return { query: `?id=${encodeURIComponent(id)}` }
  },
  'authority admin POST /v1/join-strings': async () => {
    const id = newId()
    await stage.admin.addWorkload(id, [])
    return { body: JSON.stringify({ id }) }
  },
  'authority admin PUT /v1/workloads': async () => {
    const { document, revision } = await stage.admin.addWorkload(newId(), [])
    return { body: JSON.stringify({ ...document, roles: ['reader'], revision }) }
  },
  'authority admin GET /v1/workload': async () => {
    const { document } = await stage.admin.addWorkload(newId(), [])
    return { query: `?id=${encodeURIComponent(document.id)}` }
  },
  'authority admin POST /v1/gateways': () => ({ body: JSON.stringify({ name: `g${newId().split('/').at(-1)}` }) }),
  'authority admin POST /v1/instances/lock': async () => ({ body: JSON.stringify(await newInstance()) }),
  'authority admin DELETE /v1/instances': async () => ({
    query: `?${new URLSearchParams(await newInstance()).toString()}`,
  }),
  'authority admin DELETE /v1/authorities': () => ({ query: '?name=nobody' }),
  'authority admin GET /v1/delegation': () => ({}),
  'authority admin POST /v1/delegation': async () => {
    const { statement } = await stage.admin.wantedDelegation()
    const other = await generateP256()
    return { body: JSON.stringify({ delegation: await signDelegation(statement, other.signKey, other.jwk) }) }
  },
  'authority admin POST /v1/ceremonies': () => ({
    body: JSON.stringify({ kind: 'rotate', reason: 'none', only: 'nobody' }),
  }),
  'authority admin GET /v1/ceremonies/newest': () => ({}),
  'authority admin DELETE /v1/ceremonies/newest': () => ({}),
  'authority admin POST /v1/ceremonies/newest/canary': async () => ({
    body: JSON.stringify({ public_key: (await generateP256()).jwk, audiences: [] }),
  }),
  'authority admin POST /v1/ceremonies/newest/report': () => ({ body: JSON.stringify({ probes: [] }) }),
  'authority admin GET /v1/revocations': () => ({}),
  'authority admin POST /v1/revocations': () => ({ body: JSON.stringify({ subject: 'token', token: 'A'.repeat(22) }) }),
  'authority admin GET /v1/receivers': () => ({ query: '?delegation=1&full=1&callers=1' }),
  'authority admin GET /v1/status': () => ({}),
  'authority admin GET /v1/record': () => ({}),
  'authority admin POST /v1/redactions': () => noEntry,
  'authority admin GET /v1/policy': () => ({}),
  'authority admin POST /v1/policy': () => ({}),
  'authority admin GET /metrics': () => ({}),
  'gateway main GET /v1/receipt': async () => {
    const { headers } = await stage.passes({ caller: agent })
    return { query: `?entry=${encodeURIComponent(headers['doorward-decision'] ?? '')}` }
  },
  'gateway admin POST /v1/redactions': () => noEntry,
  'gateway admin GET /v1/policy': () => ({}),
  'gateway admin POST /v1/policy': () => ({}),
  'gateway admin GET /v1/configuration': () => ({}),
  'gateway admin POST /v1/configuration': () => ({}),
  'gateway admin GET /v1/status': () => ({}),
  'gateway admin GET /v1/record': () => ({}),
  'gateway admin POST /v1/audit/hmac': () => ({ body: '{"value":"/srv/notes.md"}' }),
  'gateway admin GET /metrics': () => ({}),
  'gateway admin GET /v1/secrets': () => ({}),
  'gateway admin POST /v1/secrets': () => undeclared,
  'gateway admin PUT /v1/secrets': () => undeclared,
  'gateway admin DELETE /v1/secrets': () => ({ query: '?name=nothing' }),
  'gateway admin GET /v1/grants': () => ({}),
  'gateway admin DELETE /v1/grants': () => ({ query: `?id=${'0'.repeat(32)}` }),
  'gateway admin GET /v1/servers': () => ({}),
  'gateway admin GET /v1/servers/definitions': () => ({ query: '?server=nothing' }),
  'gateway admin GET /v1/approvals': () => ({}),
  'gateway admin GET /v1/approvals/request': () => ({ query: '?id=ap-0' }),
  'gateway admin POST /v1/approvals/decision': () => ({
    body: JSON.stringify({ approve: true, requests: [{ id: 'ap-0', digest: '0'.repeat(64) }] }),
  }),
  'gateway admin POST /v1/servers/approve': () => ({
    body: JSON.stringify({ server: 'nothing', digest: '0'.repeat(64) }),
  }),
}

/** Of a secret that no configuration names. */
const undeclared = { body: JSON.stringify({ name: 'nothing', value: 'none' }) }

/** Nothing is taken away here. */
const noEntry = { body: JSON.stringify({ entry: 'acme.example/nothing#0', reason: 'none' }) }

/** Routes that let the right caller in and then have nothing to do: nobody replaces keys while the others are looked at. */
const idle: Readonly<Record<string, DenialCode>> = {
  'authority main POST /v1/login': 'proof_invalid',
  'authority admin DELETE /v1/authorities': 'resource_unknown',
  'authority admin POST /v1/delegation': 'delegation_refused',
  'authority admin POST /v1/redactions': 'resource_unknown',
  'gateway admin POST /v1/redactions': 'resource_unknown',
  'authority admin POST /v1/ceremonies': 'resource_unknown',
  'authority admin GET /v1/ceremonies/newest': 'resource_unknown',
  'authority admin DELETE /v1/ceremonies/newest': 'resource_unknown',
  'authority admin POST /v1/ceremonies/newest/canary': 'conflict',
  'authority admin POST /v1/ceremonies/newest/report': 'conflict',
  'gateway admin POST /v1/audit/hmac': 'conflict',
  'gateway admin GET /v1/servers/definitions': 'resource_unknown',
  'gateway admin POST /v1/servers/approve': 'resource_unknown',
  'gateway admin POST /v1/secrets': 'conflict',
  'gateway admin PUT /v1/secrets': 'conflict',
  'gateway admin DELETE /v1/secrets': 'resource_unknown',
  // Administrators are no approvers.
  'gateway admin GET /v1/approvals': 'approver_refused',
  'gateway admin GET /v1/approvals/request': 'approver_refused',
  'gateway admin POST /v1/approvals/decision': 'approver_refused',
}

function attemptOf({ log, address, caller }: Api, route: ApiRoute, { query = '', body = '' }: Content = {}): Attempt {
  const type = route.body === 'form' ? 'application/x-www-form-urlencoded' : 'application/json'
  return {
    caller,
    method: route.method,
    target: `${route.path}${query}`,
    body: () => body,
    connect: { ...address },
    log,
    headers: {
      Host: `${address.host}:${address.port}`,
      'Mcp-Session-Id': null,
      'Content-Type': route.body === 'none' ? null : type,
    },
  }
}

/** Nothing for a route that is not described, which a test tells. */
async function contentOf(name: ApiName, { method, path }: ApiRoute, on: TLSSocket): Promise<Content> {
  return (await rightRequests[`${name} ${method} ${path}`]?.(on)) ?? {}
}

async function passes(name: ApiName, route: ApiRoute): Promise<void> {
  const target = apiFor(name, route)
  const on = await dial({ ...target.caller.tls, ...target.address })
  const content = await contentOf(name, route, on)
  const token = route.credential === 'token' ? await stage.token(target.caller, target.audience) : null
  const answer = await stage.send({ ...attemptOf(target, route, content), on, token })
  on.destroy()
  ok(answer !== null)
  const code = idle[`${name} ${route.method} ${route.path}`]
  ok(code !== undefined || (answer.status >= 200 && answer.status < 300), answer.text)
  equal(answer.headers['doorward-code'], code ?? 'allowed')
  const { body } = await stage.decision(target.log, answer)
  deepEqual([body['decision'], body['resource']], ['allow', { ...(body['resource'] as object), name: route.path }])
}

async function expired(caller: Caller, audience: string): Promise<string> {
  return keys.aged(await stage.token(caller, audience))
}

test('every route of the code is described here', () => {
  const routes = apiNames.flatMap((name) => tables[name].map(({ method, path }) => `${name} ${method} ${path}`))
  deepEqual(new Set(Object.keys(rightRequests)), new Set(routes))
})

for (const name of apiNames) {
  describe(`${name}: every route`, () => {
    const each = (what: string, run: (right: Attempt, target: Api, route: ApiRoute) => Promise<unknown>): void => {
      void test(what, async () => {
        for (const route of api(name).routes) {
          const target = apiFor(name, route)
          await passes(name, route)
          await run(attemptOf(target, route), target, route)
        }
      })
    }
    const withToken = (what: string, run: (right: Attempt, target: Api, route: ApiRoute) => Promise<unknown>): void =>
      each(what, async (right, target, route) => (route.credential === 'token' ? run(right, target, route) : undefined))

    each('is closed to a caller without certificate', (right, { address }) =>
      stage.refuses({ ...right, connect: { ...address, cert: '', key: '' } }, 'certificate_missing'),
    )
    withToken('is closed to a request without token', (right) =>
      stage.refuses({ ...right, token: null }, 'token_missing'),
    )
    withToken('is closed to a token for another audience', async (right) =>
      stage.refuses({ ...right, token: await stage.token(right.caller) }, 'token_audience'),
    )
    withToken('is closed to a token bound to another certificate', async (right, { audience }) =>
      stage.refuses({ ...right, token: await stage.token(other, audience) }, 'token_binding'),
    )
    withToken('is closed to an expired token', async (right, { audience }) =>
      stage.refuses({ ...right, token: await expired(right.caller, audience) }, 'token_expired'),
    )
    each('is closed under another Host and from any Origin', async (right, { audience }, { credential }) => {
      const token = await stage.token(right.caller, audience)
      // The token endpoint answers in the words of OAuth, which has one status for all of these.
      const status = credential === 'token' ? {} : { status: 400 }
      const wrong = (headers: Headers) => ({ ...right, ...status, token, headers: { ...right.headers, ...headers } })
      await stage.refuses(wrong({ Host: 'evil.example' }), 'host_unknown')
      await stage.refuses(wrong({ Origin: 'null' }), 'origin_unknown')
    })
    each('answers to no other HTTP method', async (right, { audience, routes }, { path }) => {
      const known = new Set(routes.filter((one) => one.path === path).map(({ method }) => method))
      const token = await stage.token(right.caller, audience)
      for (const method of ['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])
        if (!known.has(method)) await stage.refuses({ ...right, token, method }, 'http_method')
    })

    if (name === 'authority admin' || name === 'gateway admin')
      withToken('is closed to a caller without the role admin', async (_right, target, route) => {
        // Whoever is in a group of approvers, by no role.
        if (route.path.startsWith('/v1/approvals')) return
        const on = await dial({ ...agent.tls, ...target.address })
        const token = await stage.token(agent, target.audience)
        const right = attemptOf(target, route, await contentOf(name, route, on))
        await stage.refuses({ ...right, on, caller: agent, token, status: 403 }, 'policy_denied')
        on.destroy()
      })

    if (name === 'authority main')
      withToken('what is of gateways alone is closed to other workloads', async (_right, target, route) => {
        if (!ofGateways.includes(route.path)) return
        const on = await dial({ ...agent.tls, ...target.address })
        const token = await stage.token(agent, target.audience)
        const right = attemptOf(target, route, await contentOf(name, route, on))
        await stage.refuses({ ...right, on, caller: agent, token, status: 403 }, 'policy_denied')
        on.destroy()
      })

    test('and no route of another listener is here, nor does a stranger learn which are', async () => {
      const target = api(name)
      const token = await stage.token(target.caller, target.audience)
      const [route] = target.routes
      const here = new Set(target.routes.map(({ path }) => path))
      for (const path of apiPaths.filter((one) => !here.has(one))) {
        const right = { ...attemptOf(target, route!), method: 'GET', target: path }
        await stage.refuses({ ...right, token }, 'path_unknown')
        await stage.refuses({ ...right, token: null }, 'token_missing')
      }
    })

    test('and none is open to a certificate of the stolen anchor', async () => {
      const target = api(name)
      const [route] = target.routes
      const { pem } = await keys.leaf(target.caller.id)
      const token = await stage.token(target.caller, target.audience)
      const connect = { ...target.address, ...pem }
      await stage.refuses({ ...attemptOf(target, route!), token, connect }, 'certificate_not_issued')
    })
  })
}

test('the record counts each refusal without a caller by its reason, and no others', () => stage.settle())
