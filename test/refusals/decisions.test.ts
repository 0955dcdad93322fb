/** Proxies of others ask for decisions: who asks is certain, what they say is read strictly, and decided as everybody's calls are. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { epochSeconds } from '@doorward/core'
import type { Denial } from '@doorward/enforcement'
import { DecisionsStage, ordersAudience, questionOf, shownAs } from '../fixtures/decisions-stage.ts'
import type { AskedRequest } from '../fixtures/decisions-stage.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { TrustFixture } from '../fixtures/trust-fixture.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'
import { proxyKinds } from '../../packages/server/src/transports/decisions/proxy-kinds.ts'
import type { ProxyKind } from '../../packages/server/src/transports/decisions/proxy-kinds.ts'

let stage: DecisionsStage
let narrow: TestSvid
let token: string

before(async () => {
  // Each refusal is looked up by itself, however fast they come.
  stage = await DecisionsStage.open({ fixture: { singlesPerSecond: 10_000 } })
  narrow = await stage.gateway.trust.issue('agent/narrow', { roles: ['narrow'] })
  token = await stage.token()
})
after(() => stage.close())

type Change = Readonly<Record<string, string | undefined>>

/** A question with everything right but what the test changes. */
async function ask(
  kind: ProxyKind,
  request: Partial<AskedRequest> = {},
  {
    headers: change = {},
    path,
    method,
  }: { readonly headers?: Change; readonly path?: string; readonly method?: string } = {},
): Promise<RawAnswer> {
  const question = questionOf(kind, { token, svid: stage.caller, ...request })
  const headers = { ...question.headers, ...change }
  const said = Object.entries(headers).filter((pair): pair is [string, string] => pair[1] !== undefined)
  return stage.raw(stage.proxies[kind], path ?? question.target, Object.fromEntries(said), method ?? question.method)
}

const newest = async () => (await stage.gateway.entries()).at(-1)?.body ?? {}
const codeOf = (answer: RawAnswer) => answer.headers['doorward-code']

async function refused(answer: RawAnswer, status: number, code: string): Promise<Readonly<Record<string, unknown>>> {
  equal(answer.status, status, answer.text)
  equal(codeOf(answer), code, answer.text)
  equal(answer.headers['doorward-principal'], undefined)
  return newest()
}

for (const kind of proxyKinds) {
  describe(`${kind} asks`, () => {
    test('a caller with certificate, token and role is let through, on record as the word of the proxy', async () => {
      const answer = await ask(kind)
      equal(answer.status, 200, answer.text)
      const entry = await newest()
      equal(answer.headers['doorward-decision'], `test.example/gateway/main#${stage.gateway.record.entries.length - 1}`)
      const { decision, caller, strength, remote, listener, request, action, resource, outcome } = entry
      deepEqual(
        { decision, caller, strength, remote, listener, request, action, resource, outcome },
        {
          decision: 'allow',
          caller: stage.caller.id.uri,
          strength: 'asserted-bound-token',
          remote: '198.51.100.7',
          listener: 'decisions',
          request: { method: 'GET', path: '/orders/v1/items' },
          action: 'GET',
          resource: { server: 'orders', kind: 'route', name: '/v1/items' },
          outcome: 'not_seen',
        },
      )
      const { id, certificate } = stage.proxies[kind]
      deepEqual(entry['asserted_by'], { proxy: kind, id: id.uri, certificate: certificate.fingerprint })
      deepEqual(await stage.gateway.entries('outcome'), [])
    })

    test('a certificate that is not shown, is another one, or is of nobody here, refuses', async () => {
      await refused(await ask(kind, { svid: null }), 401, 'certificate_missing')
      await refused(await ask(kind, { svid: narrow }), 401, 'token_binding')
      const foreign = await (await TrustFixture.create()).issue('agent/all', { roles: ['all'] })
      await refused(await ask(kind, { svid: foreign }), 401, 'certificate_untrusted')
    })

    test('what it says in another form, twice, or beside what is expected, is not read', async () => {
      const other = kind === 'nginx' ? 'haproxy' : 'nginx'
      const name =
        Object.keys(questionOf(kind, { token, svid: stage.caller }).headers).find((one) => /cert/i.test(one)) ?? ''
      const status = kind === 'nginx' ? 403 : 400
      const forged = { headers: { [name]: shownAs[other](stage.caller) } }
      const entry = await refused(await ask(kind, {}, forged), status, 'assertion_invalid')
      deepEqual([entry['caller'], entry['remote']], [undefined, '198.51.100.7'])
      equal((entry['asserted_by'] as { proxy: string }).proxy, kind)
      await refused(
        await ask(kind, {}, { headers: { 'X-Ssl-Client-Cert': shownAs[kind](stage.caller) } }),
        status,
        'assertion_invalid',
      )
      const twice = shownAs[kind](stage.caller)
      const again = await ask(kind, {}, { headers: { [name.toLowerCase()]: twice } })
      equal(codeOf(again), 'header_duplicate')
    })

    test('the role decides, by method and path alone', async () => {
      const asNarrow = { svid: narrow, token: await stage.token(narrow) }
      equal((await ask(kind, { ...asNarrow, target: '/orders/v1/public/items' })).status, 200)
      const entry = await refused(await ask(kind, { ...asNarrow, target: '/orders/v1/items' }), 403, 'policy_denied')
      equal(entry['caller'], narrow.id.uri)
      equal(entry['would_allow'], 'GET:orders/v1/items')
    })
  })
}

test('only a proxy that is listed asks, about services that it was given, whatever role it has', async () => {
  const { headers, target } = questionOf('caddy', { token, svid: stage.caller })
  const stranger = await stage.gateway.trust.issue('proxy/other', { roles: ['all'] })
  const entry = await refused(await stage.raw(stranger, target, headers), 403, 'asker_refused')
  equal(entry['caller'], stranger.id.uri)
  await refused(await ask('caddy', {}, { path: '/decide/hidden' }), 403, 'asker_refused')
  await refused(await ask('caddy', {}, { path: '/decide/files' }), 403, 'asker_refused')
  for (const path of ['/decide', '/decide/orders/v1', '/http/orders/v1', '/mcp/files', '/v1/status'])
    await refused(await ask('caddy', {}, { path }), 404, 'path_unknown')
  await refused(await ask('caddy', {}, { method: 'POST' }), 405, 'http_method')
  await refused(await ask('caddy', {}, { headers: { 'Content-Length': '3' } }), 413, 'body_too_large')
})

test('a proxy that is denied asks nothing more', async () => {
  const proxy = await stage.gateway.trust.issue('proxy/caddy')
  const { headers, target } = questionOf('caddy', { token, svid: stage.caller })
  equal((await stage.raw(proxy, target, headers)).status, 200)
  const { denied } = stage.gateway.trust
  denied.serials.push(proxy.certificate.serial)
  stage.gateway.trust.apply()
  await refused(await stage.raw(proxy, target, headers), 401, 'certificate_denied')
  denied.serials.pop()
  stage.gateway.trust.apply()
})

test('what was taken from the caller counts for the next question', async () => {
  const gone = await stage.gateway.trust.issue('agent/gone', { roles: ['all'] })
  const asGone = { svid: gone, token: await stage.token(gone) }
  equal((await ask('haproxy', asGone)).status, 200)
  stage.gateway.trust.denied.identities.push({ id: gone.id.uri, issuedBefore: epochSeconds(Date.now() / 1000 + 1) })
  stage.gateway.trust.apply()
  await refused(await ask('haproxy', asGone), 401, 'identity_denied')
})

test('a token that is missing, for another audience, or not bound to the certificate, refuses', async () => {
  await refused(await ask('caddy', {}, { headers: { Authorization: undefined } }), 401, 'token_missing')
  await refused(await ask('caddy', { token: 'x.y.z' }), 401, 'token_malformed')
  const elsewhere = await stage.gateway.trust.token(stage.caller, `${ordersAudience}2`)
  await refused(await ask('caddy', { token: elsewhere }), 401, 'token_audience')
  await refused(await ask('caddy', { token: await stage.token(narrow) }), 401, 'token_binding')
})

test('a request that the proxy could read otherwise than we do is refused, and so is one that it does not describe', async () => {
  for (const target of [
    '/orders/v1/../admin',
    '/orders//v1',
    '/orders/v1/%2e%2e/x',
    '/orders/v1;a=b',
    '/orders/%2fv1',
    'orders/v1',
  ])
    await refused(await ask('haproxy', { target }), 400, 'path_ambiguous')
  for (const target of ['/other/v1', '/orders', '/ordersx/v1'])
    await refused(await ask('haproxy', { target }), 404, 'path_unknown')
  await refused(await ask('haproxy', { method: 'PUT' }), 405, 'http_method')
  await refused(await ask('haproxy', { method: 'get' }), 400, 'assertion_invalid')
  await refused(await ask('haproxy', { host: 'other.test.example' }), 421, 'host_unknown')
  await refused(await ask('haproxy', { target: '/orders/v1/items?_method=DELETE' }), 400, 'request_invalid')
  await refused(await ask('haproxy', { address: 'unknown' }), 400, 'assertion_invalid')
  for (const missing of ['X-Original-Method', 'X-Original-URI', 'X-Original-Address'])
    await refused(await ask('haproxy', {}, { headers: { [missing]: undefined } }), 400, 'assertion_invalid')
  await refused(await ask('haproxy', {}, { headers: { 'X-Original-Host': undefined } }), 421, 'host_unknown')
  for (const kind of ['caddy', 'traefik', 'envoy'] as const)
    for (const change of [
      { 'X-Forwarded-Proto': 'http' },
      { 'X-Forwarded-Proto': undefined },
      { 'X-Forwarded-For': undefined },
    ])
      await refused(await ask(kind, {}, { headers: change }), 400, 'assertion_invalid')
})

test('the address is what the proxy has seen, not what its caller says or what the proxy has itself', async () => {
  const said = async (kind: ProxyKind, address: string) => {
    equal((await ask(kind, {}, { headers: { 'X-Forwarded-For': address } })).status, 200)
    return (await newest())['remote']
  }
  equal(await said('envoy', '203.0.113.5, 198.51.100.7,10.0.0.5'), '198.51.100.7')
  equal(await said('caddy', '203.0.113.5, 198.51.100.7'), '198.51.100.7')
  await refused(await ask('envoy', {}, { headers: { 'X-Forwarded-For': '10.0.0.5' } }), 400, 'assertion_invalid')
  for (const name of ['X-Envoy-Original-Path', 'X-Envoy-External-Address', 'X-Request-Id'])
    await refused(await ask('envoy', {}, { headers: { [name]: '/orders/v1' } }), 400, 'assertion_invalid')
})

test('nginx is told no in a status that it passes on, and the true one beside it', async () => {
  const wrong = await ask('nginx', { method: 'PUT' })
  deepEqual([wrong.status, wrong.headers['doorward-status'], codeOf(wrong)], [403, '405', 'http_method'])
  const missing = await ask('nginx', {}, { headers: { Authorization: undefined } })
  deepEqual([missing.status, missing.headers['doorward-status']], [401, '401'])
  equal(missing.headers['www-authenticate'], 'Bearer')
  match(missing.body, /token_missing/)
})

test('what needs a human, or counts what is not seen here, is refused', async () => {
  const { pipeline } = stage.gateway
  const { settings, connectionLimits, quotas, places, decisions } = pipeline.dependencies
  const tuning = { perUser: settings.perUser, connectionLimits, kept: null, edge: null }
  const everything = { action: 'everything', covers: () => true }
  for (const quota of [
    { ...everything, concurrent: 1000 },
    { ...everything, bytes: { count: 1_000_000, periodSeconds: 60 } },
  ]) {
    pipeline.retune({ ...tuning, quotas: [quota] })
    await refused(await ask('caddy'), 403, 'request_unseen')
    equal(places?.size, 0)
  }
  pipeline.retune({ ...tuning, quotas: [{ ...everything, rate: { count: 1, periodSeconds: 3600 } }] })
  equal((await ask('caddy')).status, 200)
  await refused(await ask('caddy'), 429, 'limit_user')
  pipeline.retune({ ...tuning, quotas })

  const decide = decisions.decide.bind(decisions)
  const approval = { kind: 'approval', by: 'ops', rules: ['approval:GET:orders/*'] } as const
  Object.assign(decisions, {
    decide: async (request: Parameters<typeof decide>[0]) => ({ ...(await decide(request)), obligations: [approval] }),
  })
  try {
    await refused(await ask('caddy'), 403, 'request_unseen')
  } finally {
    Object.assign(decisions, { decide })
  }
  equal((await ask('caddy')).status, 200)
})

test('limits count for the caller and its address, as the proxy says them', async () => {
  const { dependencies } = stage.gateway.pipeline
  const { settings, connectionLimits, quotas } = dependencies
  const two = { count: 2, periodSeconds: 3600 }
  const perIp = (address: string) => (address.startsWith('203.0.113.') ? two : connectionLimits.perIp(address))
  const tuning = { perUser: settings.perUser, quotas, kept: null, edge: null }
  stage.gateway.pipeline.retune({ ...tuning, connectionLimits: { ...connectionLimits, perIp } })
  const there = { address: '203.0.113.9' }
  equal((await ask('haproxy', there)).status, 200)
  equal((await ask('haproxy', there)).status, 200)
  const over = await ask('haproxy', there)
  deepEqual([over.status, codeOf(over), over.headers['retry-after'] === undefined], [429, 'limit_ip', false])
  equal((await ask('haproxy')).status, 200)
  const wrong = { address: '203.0.113.10', target: '/orders//v1' }
  for (const code of ['path_ambiguous', 'path_ambiguous', 'limit_ip']) {
    const answer = await ask('haproxy', wrong)
    equal(codeOf(answer), code)
  }
  const inNginx = await ask('nginx', there)
  deepEqual([inNginx.status, inNginx.headers['doorward-status']], [403, '429'])
  stage.gateway.pipeline.retune({ ...tuning, connectionLimits })
})

test('what strangers send through a proxy is counted for their address, and neither spends nor names the proxy', async () => {
  const { dependencies } = stage.gateway.pipeline
  const { settings, connectionLimits, quotas } = dependencies
  const [two, none] = [2, 1].map((count) => ({ count, periodSeconds: 3600 }))
  // Less than one question for the address of the proxies themselves.
  const perIp = (address: string) => (address.startsWith('203.0.113.') ? two! : none!)
  const tuning = { perUser: settings.perUser, quotas, kept: null, edge: null }
  stage.gateway.pipeline.retune({ ...tuning, connectionLimits: { ...connectionLimits, perIp } })
  const told: Denial['caller'][] = []
  const watch = { refused: (_: unknown, { caller }: Denial) => told.push(caller), identified: () => undefined }
  Object.assign(stage.gateway.pipeline.dependencies, { watch })
  await stage.gateway.entries()
  const before = stage.gateway.record.entries.length
  const cases: readonly (readonly [string, () => Promise<RawAnswer>])[] = [
    ['path_ambiguous', () => ask('haproxy', { address: '203.0.113.20', target: '/orders//v1' })],
    ['path_unknown', () => ask('haproxy', { address: '203.0.113.21', target: '/other' })],
    ['http_method', () => ask('haproxy', { address: '203.0.113.22', method: 'PUT' })],
    ['host_unknown', () => ask('haproxy', { address: '203.0.113.23', host: 'other.example' })],
    ['assertion_invalid', () => ask('caddy', { address: '203.0.113.24' }, { headers: { 'X-Ssl-Client-Cert': 'x' } })],
    ['path_ambiguous', () => ask('envoy', { address: '203.0.113.25', target: '/orders//v1' })],
    ['header_duplicate', () => ask('envoy', { address: '203.0.113.26' }, { headers: { authorization: 'Bearer x' } })],
  ]
  for (const [code, question] of cases)
    for (const expected of [code, code, 'limit_ip']) equal(codeOf(await question()), expected)
  Object.assign(stage.gateway.pipeline.dependencies, { watch: dependencies.watch })
  deepEqual(new Set(told), new Set([null]))
  await stage.gateway.entries()
  const written = stage.gateway.record.entries.slice(before)
  const singles = written.filter(({ kind }) => kind === 'decision').map(({ body }) => body['code'])
  deepEqual(new Set(singles), new Set(['assertion_invalid']))
  ok(
    written.every(
      ({ body }) => body['caller'] === undefined && String(body['source'] ?? body['remote']).startsWith('203.0.113.2'),
    ),
  )
  // All that is the proxy's own it has.
  await refused(await ask('haproxy', {}, { path: '/decide/hidden' }), 403, 'asker_refused')
  equal((await newest())['caller'], stage.proxies.haproxy.id.uri)
  stage.gateway.pipeline.retune({ ...tuning, connectionLimits })
})

test('a decision that cannot be recorded is a refusal', async () => {
  const { record } = stage.gateway
  const append = record.append.bind(record)
  Object.assign(record, { append: () => Promise.reject(new Error('the disk is full')) })
  try {
    const answer = await ask('caddy')
    deepEqual([answer.status, codeOf(answer)], [503, 'record_unavailable'])
  } finally {
    Object.assign(record, { append })
  }
})

test('other rules count from the next question on, and are on record before', async () => {
  const { decisions: asking } = stage.settings
  const { haproxy: _, ...others } = asking!.proxies
  const next = stage.decisions.prepare({ ...stage.settings, decisions: { ...asking!, proxies: others } })
  equal(next.facts?.['event'], 'decisions.change')
  equal((await ask('haproxy')).status, 200)
  next.apply()
  await refused(await ask('haproxy'), 403, 'asker_refused')
  const { decisions: _all, ...without } = stage.settings
  stage.decisions.prepare(without).apply()
  await refused(await ask('caddy'), 403, 'asker_refused')
  stage.decisions.prepare(stage.settings).apply()
  equal((await ask('haproxy')).status, 200)
  equal(stage.decisions.prepare(stage.settings).facts, null)
  const [opened] = await stage.gateway.entries('lifecycle')
  equal(opened?.body['event'], 'decisions.open')
})

test('each decision is counted by its proxy, and told in the log', async () => {
  const { allowed, denied } = { allowed: await ask('traefik'), denied: await ask('traefik', { method: 'PUT' }) }
  deepEqual([allowed.status, denied.status], [200, 405])
  const text = await stage.own.port('')
  match(
    text.text,
    /doorward_asked_decisions_total\{proxy="traefik",server="orders",decision="allow",code="allowed"\} \d/,
  )
  match(
    text.text,
    /doorward_asked_decisions_total\{proxy="traefik",server="orders",decision="deny",code="http_method"\} 1/,
  )
  const told = stage.reports.at(-2)
  deepEqual([told?.code, told?.caller, told?.server], ['allowed', stage.caller.id.uri, 'orders'])
})
