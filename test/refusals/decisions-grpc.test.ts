/** Envoy asks over gRPC: what it does not say, says twice or says of another route refuses, and decisions are those of everybody. */

import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { after, before, test } from 'node:test'
import { openAssertionVerifier } from '@doorward/sdk'
import { DecisionsStage } from '../fixtures/decisions-stage.ts'
import { ExtAuthzClient } from '../fixtures/ext-authz-client.ts'
import type { CheckAnswer } from '../fixtures/ext-authz-client.ts'
import { dial } from '../fixtures/raw-http.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

let stage: DecisionsStage
let narrow: TestSvid
let token: string
let envoy: ExtAuthzClient

before(async () => {
  stage = await DecisionsStage.open({ limits: { connections: 3 } })
  narrow = await stage.gateway.trust.issue('agent/narrow', { roles: ['narrow'] })
  token = await stage.token()
  envoy = clientOf(stage.proxies.envoy)
})
after(async () => {
  envoy.close()
  await stage.close()
})

function clientOf(svid: TestSvid): ExtAuthzClient {
  return new ExtAuthzClient(stage.port, svid, stage.gateway.trust.anchorsPem.join(''))
}

interface Said {
  readonly source?: object
  readonly http?: object
  readonly headers?: Readonly<Record<string, string>>
  readonly extensions?: Readonly<Record<string, string>>
}

/** What Envoy says of a request with everything right, but what the test changes. */
function attributes({ source = {}, http = {}, headers = {}, extensions }: Said = {}): object {
  return {
    source: {
      address: { socket_address: { address: '198.51.100.7', port_value: 40_000 } },
      principal: stage.caller.id.uri,
      certificate: encodeURIComponent(stage.caller.pem.cert),
      ...source,
    },
    request: {
      time: { seconds: 1 },
      http: {
        id: 'x',
        method: 'GET',
        path: '/orders/v1/items?page=2',
        host: 'api.test.example',
        scheme: 'https',
        size: -1,
        protocol: 'HTTP/2',
        headers: { ':method': 'GET', authorization: `Bearer ${token}`, 'user-agent': 'x', ...headers },
        ...http,
      },
    },
    context_extensions: extensions ?? { doorward_service: 'orders' },
  }
}

async function refused(asking: Promise<CheckAnswer>, http: number, code: string): Promise<CheckAnswer> {
  const answer = await asking
  deepEqual([answer.code, answer.http, answer.headers['doorward-code']], [7, http, code])
  equal(answer.headers['doorward-principal'], undefined)
  match(answer.body, new RegExp(code))
  return answer
}

const newest = async () => (await stage.gateway.entries()).at(-1)?.body ?? {}

test('a caller whom Envoy has seen is let through, and the service can verify who it is', async () => {
  const answer = await envoy.check(attributes())
  equal(answer.code, 0)
  const { decision, caller, strength, remote, asserted_by: by, outcome } = await newest()
  deepEqual(
    { decision, caller, strength, remote, outcome, proxy: (by as { proxy: string }).proxy },
    {
      decision: 'allow',
      caller: stage.caller.id.uri,
      strength: 'asserted-bound-token',
      remote: '198.51.100.7',
      outcome: 'not_seen',
      proxy: 'envoy',
    },
  )
  const issuer = stage.gateway.trust.id('doorward', 'gateway', 'main').uri
  const keys = () => Promise.resolve(stage.decisions.keys())
  const verifier = openAssertionVerifier({ issuer, audience: 'orders', keys })
  const said = answer.headers['doorward-principal']
  const other = await verifier.verify(said, { method: 'POST', target: '/orders/v1/items?page=2' })
  equal(other.ok, false)
  const verdict = await verifier.verify(said, { method: 'GET', target: '/orders/v1/items?page=2' })
  ok(verdict.ok, JSON.stringify(verdict))
  deepEqual(
    [verdict.claims.client_id, verdict.claims.decision],
    [stage.caller.id.uri, answer.headers['doorward-decision']],
  )
  ok(answer.removed.includes('authorization') && answer.removed.includes('x-http-method-override'))
})

test('what is not allowed, or not proven, is refused with its status', async () => {
  const asNarrow = { certificate: encodeURIComponent(narrow.pem.cert) }
  const authorization = `Bearer ${await stage.token(narrow)}`
  const inHeaders = { authorization }
  const path = '/orders/v1/public/x'
  equal((await envoy.check(attributes({ source: asNarrow, headers: inHeaders, http: { path } }))).code, 0)
  const denied = await refused(envoy.check(attributes({ source: asNarrow, headers: inHeaders })), 403, 'policy_denied')
  match(denied.headers['doorward-decision'] ?? '', /#\d+$/)
  const { caller, decision, code } = await newest()
  deepEqual([caller, decision, code], [narrow.id.uri, 'deny', 'policy_denied'])
  await refused(envoy.check(attributes({ source: asNarrow })), 401, 'token_binding')
  const missing = await refused(envoy.check(attributes({ headers: { authorization: '' } })), 401, 'token_missing')
  equal(missing.headers['www-authenticate'], 'Bearer error="invalid_token"')
})

test('what Envoy does not say refuses', async () => {
  await refused(envoy.check(attributes({ source: { certificate: '' } })), 401, 'certificate_missing')
  await refused(envoy.check(attributes({ source: { certificate: 'x' } })), 400, 'assertion_invalid')
  await refused(envoy.check(attributes({ source: { address: {} } })), 400, 'assertion_invalid')
  await refused(envoy.check(attributes({ extensions: {} })), 403, 'asker_refused')
  await refused(envoy.check(attributes({ extensions: { doorward_service: 'hidden' } })), 403, 'asker_refused')
  await refused(envoy.check(attributes({ http: { method: '' } })), 400, 'assertion_invalid')
  await refused(envoy.check(attributes({ http: { path: '' } })), 400, 'path_ambiguous')
  await refused(envoy.check(attributes({ http: { path: '/orders/../x' } })), 400, 'path_ambiguous')
  await refused(envoy.check(attributes({ http: { host: 'other.example' } })), 421, 'host_unknown')
  await refused(envoy.check(attributes({ http: { scheme: 'http' } })), 400, 'assertion_invalid')
  await refused(envoy.check({}), 403, 'asker_refused')
})

test('a listener that is full closes what asks nothing, and not the connection over which Envoy asks', async () => {
  equal((await envoy.check(attributes())).code, 0)
  const { trust } = stage.gateway
  const to = { host: '127.0.0.1', port: stage.port, ca: trust.anchorsPem, ...stage.proxies.nginx.pem }
  const [idlest, idle] = [await dial(to), await dial(to)]
  // Envoy came first, and has asked since.
  equal((await envoy.check(attributes())).code, 0)
  const closed = once(idlest.resume(), 'close')
  const newest = await dial(to)
  await closed
  const { handshakes } = stage.decisions.listener
  equal((await envoy.check(attributes())).code, 0)
  equal(stage.decisions.listener.handshakes, handshakes)
  ok([idle, newest].every((on) => !on.destroyed))
  for (const on of [idle, newest]) on.destroy()
})

test('an answer that is not taken keeps no place of a listener that is full', { timeout: 60_000 }, async () => {
  equal((await envoy.check(attributes())).code, 0)
  const { trust } = stage.gateway
  const to = { host: '127.0.0.1', port: stage.port, ca: trust.anchorsPem, ...stage.proxies.nginx.pem }
  while (stage.decisions.listener.openConnections > 1) await new Promise((resolve) => setTimeout(resolve, 20))
  // It leaves no room for what it asks for (RFC 9113 §6.9): the head of an answer comes, and its stream never ends.
  const taker = connectHttp2(`https://127.0.0.1:${stage.port}`, { ...to, settings: { initialWindowSize: 0 } })
  try {
    const path = '/envoy.service.auth.v3.Authorization/Check'
    const stream = taker.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc' })
    stream.end(Uint8Array.of(0, 0, 0, 0, 0))
    equal(((await once(stream, 'response')) as [{ ':status': number }])[0][':status'], 200)
    const idle = await dial(to)
    equal((await envoy.check(attributes())).code, 0)
    const closed = Promise.race([
      once(taker, 'close').then(() => 'the one that takes no answer'),
      once(idle.resume(), 'close').then(() => 'one that came later'),
    ])
    const newest = await dial(to)
    equal(await closed, 'the one that takes no answer')
    for (const on of [idle, newest]) on.destroy()
  } finally {
    taker.destroy()
  }
})

test('a header that is said twice is not chosen among', async () => {
  const header = { key: 'authorization', raw_value: Buffer.from(`Bearer ${token}`) }
  const single = { headers: {}, header_map: { headers: [header] } }
  equal((await envoy.check(attributes({ http: single }))).code, 0)
  const twice = { headers: {}, header_map: { headers: [header, header] } }
  await refused(envoy.check(attributes({ http: twice })), 400, 'assertion_invalid')
  const both = { header_map: { headers: [header] } }
  await refused(envoy.check(attributes({ http: both })), 400, 'assertion_invalid')
  // Whose it is counts for it, though nothing else can be read.
  const { connectionLimits, settings, quotas } = { ...stage.gateway.pipeline.dependencies }
  const one = { count: 1, periodSeconds: 3600 }
  const perIp = (address: string) => (address === '127.0.0.1' ? one : connectionLimits.perIp(address))
  const tuning = { perUser: settings.perUser, quotas, kept: null, edge: null }
  stage.gateway.pipeline.retune({ ...tuning, connectionLimits: { ...connectionLimits, perIp } })
  for (let i = 0; i < 3; i++) await refused(envoy.check(attributes({ http: twice })), 400, 'assertion_invalid')
  stage.gateway.pipeline.retune({ ...tuning, connectionLimits })
  const merged = { authorization: `Bearer ${token},Bearer ${token}` }
  await refused(envoy.check(attributes({ headers: merged })), 401, 'token_malformed')
})

test('other proxies, strangers, other calls and what is too large get nothing over gRPC', async () => {
  const nginx = clientOf(stage.proxies.nginx)
  const stranger = clientOf(await stage.gateway.trust.issue('agent/stranger', { roles: ['all'] }))
  try {
    await refused(nginx.check(attributes()), 403, 'asker_refused')
    await refused(stranger.check(attributes()), 403, 'asker_refused')
    await rejects(envoy.check(attributes({ headers: { large: 'x'.repeat(70_000) } })), { code: 8 })
    equal((await envoy.check(attributes())).code, 0)
  } finally {
    nginx.close()
    stranger.close()
  }
})
