/** nginx, Caddy and HAProxy as docs/decisions.md configures them: what we refuse does not reach the service, and callers forge nothing. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { appendFile, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { openAssertionVerifier } from '@doorward/sdk'
import { openBackendTap } from '../fixtures/backend-stage.ts'
import type { Tap } from '../fixtures/backend-stage.ts'
import { documentedProxies, findProxy, runProxy } from '../fixtures/decision-proxies.ts'
import type { DocumentedProxy, RunningProxy } from '../fixtures/decision-proxies.ts'
import { DecisionsStage } from '../fixtures/decisions-stage.ts'
import { freePorts } from '../fixtures/deployment.ts'
import { certificateFiles } from '../fixtures/edge-stage.ts'
import { complete, dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { TrustFixture } from '../fixtures/trust-fixture.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

let stage: DecisionsStage
let tap: Tap
let narrow: TestSvid

before(async () => {
  stage = await DecisionsStage.open({ services: { orders: 'https://api.acme.example/orders' } })
  narrow = await stage.gateway.trust.issue('agent/narrow', { roles: ['narrow'] })
  tap = await openBackendTap()
})
after(async () => {
  tap.close()
  await stage.close()
})

interface Asking {
  readonly svid?: TestSvid | null
  readonly token?: string | null
  readonly method?: string
  readonly host?: string
  readonly headers?: readonly string[]
  readonly body?: string
}

class Front {
  readonly proxy: RunningProxy
  readonly #port: number
  readonly #ca: string

  constructor(proxy: RunningProxy, port: number, ca: string) {
    this.proxy = proxy
    this.#port = port
    this.#ca = ca
  }

  /** One request at the proxy, on a connection of its own. */
  async send(target: string, asking: Asking = {}): Promise<RawAnswer> {
    const { svid = stage.caller, method = 'GET', host = 'api.acme.example', headers = [], body = '' } = asking
    const token = asking.token === undefined ? await stage.token(svid ?? stage.caller) : asking.token
    const lines = [
      `Host: ${host}`,
      ...(token === null ? [] : [`Authorization: Bearer ${token}`]),
      ...(body === '' ? [] : [`Content-Length: ${body.length}`]),
      ...headers,
    ]
    const to = {
      host: '127.0.0.1',
      port: this.#port,
      ca: this.#ca,
      servername: 'api.acme.example',
      ALPNProtocols: ['http/1.1'],
    }
    const socket = await dial({ ...to, ...svid?.pem })
    try {
      return parseAnswer(
        await talk(socket, `${method} ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`, complete),
      )
    } finally {
      socket.destroy()
    }
  }
}

async function openFront(kind: DocumentedProxy, program: string, folder: string): Promise<Front> {
  const svid = stage.proxies[kind.name]
  const { ca, certificate } = await certificateFiles(folder, ['api.acme.example'])
  await writeFile(join(folder, 'api.pem'), await readFile(certificate.file))
  await appendFile(join(folder, 'api.pem'), await readFile(certificate.keyFile))
  await rename(certificate.keyFile, join(folder, 'api.key'))
  await writeFile(join(folder, 'svid.pem'), svid.pem.cert)
  await writeFile(join(folder, 'svid_and_key.pem'), `${svid.pem.cert}${svid.pem.key}`, { mode: 0o600 })
  await writeFile(join(folder, 'svid.key'), svid.pem.key, { mode: 0o600 })
  await writeFile(join(folder, 'bundle.pem'), stage.gateway.trust.anchorsPem.join(''))
  const [port = 0] = await freePorts(1)
  const service = Number(new URL(tap.url).port)
  return new Front(await runProxy(kind, program, { folder, port, decisions: stage.port, service }), port, ca)
}

/** Who calls, as the service can verify it; null for nobody. */
async function principalIn(head: string, target: string) {
  const [said, ...more] = [...head.matchAll(/\r\ndoorward-principal: ([^\r\n]*)/gi)].map(([, value]) => value)
  const issuer = stage.gateway.trust.id('doorward', 'gateway', 'main').uri
  const keys = () => Promise.resolve(stage.decisions.keys())
  const verifier = openAssertionVerifier({ issuer, audience: 'orders', keys })
  const verdict = await verifier.verify(said, { method: 'GET', target })
  return verdict.ok && more.length === 0 ? verdict.claims : null
}

/** While a caller may call once an hour. */
async function withQuota<T>(calls: () => Promise<T>): Promise<T> {
  const { pipeline } = stage.gateway
  const { settings, connectionLimits, quotas } = pipeline.dependencies
  const tuning = { perUser: settings.perUser, connectionLimits, kept: null, edge: null }
  const once = { action: 'everything', covers: () => true, rate: { count: 1, periodSeconds: 3600 } }
  pipeline.retune({ ...tuning, quotas: [once] })
  try {
    return await calls()
  } finally {
    pipeline.retune({ ...tuning, quotas })
  }
}

/** Entries of their own, and those that are counted: what is no known caller's fault has none of its own. */
async function timesOnRecord(code: string): Promise<number> {
  const singly = (await stage.gateway.entries()).filter(({ body }) => body['code'] === code).length
  const counted = (await stage.gateway.entries('refusals')).filter(({ body }) => body['reason'] === code)
  return counted.reduce((sum, { body }) => sum + Number(body['count']), singly)
}

const newest = async () => (await stage.gateway.entries()).at(-1)?.body ?? {}

for (const kind of documentedProxies) {
  describe(`${kind.name} asks for decisions`, () => {
    let folder: string
    let front: Front | null = null

    const opened = async (t: TestContext): Promise<Front | null> => {
      const program = front === null ? findProxy(t, kind) : null
      if (program !== null) front = await openFront(kind, program, folder)
      return front
    }
    before(async () => {
      folder = await mkdtemp(join(tmpdir(), 'doorward-decisions-'))
    })
    after(async () => {
      await front?.proxy.close()
      await rm(folder, { recursive: true, force: true })
    })

    /** Refused with that status, and nothing has reached the service. */
    const refused = async (asking: () => Promise<RawAnswer>, status: number, code: string) => {
      const [reached, before] = [tap.requests.length, await timesOnRecord(code)]
      const answer = await asking()
      equal(answer.status, status, answer.text)
      equal(await timesOnRecord(code), before + 1, code)
      equal(tap.requests.length, reached)
      return answer
    }

    test(`${kind.name} forwards what is allowed, with the name of the decision and without credentials`, async (t) => {
      const at = await opened(t)
      if (at === null) return
      const answer = await at.send('/orders/v1/items?page=2', { method: 'POST', body: '{"n":1}' })
      equal(answer.status, 200, `${answer.text}\n${at.proxy.output()}`)
      const reached = tap.requests.at(-1)
      match(reached?.head ?? '', /^POST \/orders\/v1\/items\?page=2 HTTP\/1\.1\r\n/)
      equal(reached?.body, '{"n":1}')
      const { decision, caller, strength, remote, request, asserted_by: by } = await newest()
      deepEqual(
        { decision, caller, strength, remote, request },
        {
          decision: 'allow',
          caller: stage.caller.id.uri,
          strength: 'asserted-bound-token',
          remote: '127.0.0.1',
          request: { method: 'POST', path: '/orders/v1/items' },
        },
      )
      equal((by as { proxy?: string }).proxy, kind.name)
      const entry = stage.gateway.record.entries.findLastIndex((one) => one.kind === 'decision')
      match(
        reached?.head ?? '',
        new RegExp(`\r\ndoorward-decision: test\\.example/gateway/main#${entry}(?:\r\n|$)`, 'i'),
      )
      ok(!/\r\nauthorization:/i.test(reached?.head ?? ''))
    })

    test(`what is refused does not reach the service behind ${kind.name}`, async (t) => {
      const at = await opened(t)
      if (at === null) return
      const asNarrow = { svid: narrow }
      equal((await at.send('/orders/v1/public/items', asNarrow)).status, 200)
      const denied = await refused(() => at.send('/orders/v1/items', asNarrow), 403, 'policy_denied')
      equal(denied.headers['doorward-code'], 'policy_denied')
      match(denied.headers['doorward-decision'] ?? '', /^test\.example\/gateway\/main#\d+$/)
      equal((await newest())['caller'], narrow.id.uri)
      const missing = await refused(() => at.send('/orders/v1/items', { token: null }), 401, 'token_missing')
      equal(missing.headers['www-authenticate'], 'Bearer')
      await refused(async () => at.send('/orders/v1/items', { token: await stage.token(narrow) }), 401, 'token_binding')
      await refused(() => at.send('/orders/v1/items', { method: 'PUT' }), 405, 'http_method')
      await refused(() => at.send('/orders/v1/%2e%2e/v2'), 400, 'path_ambiguous')
      const over = await withQuota(async () => {
        await at.send('/orders/v1/items')
        const before = tap.requests.length
        const second = await at.send('/orders/v1/items')
        equal(tap.requests.length, before)
        return second
      })
      deepEqual([over.status, over.headers['doorward-code']], [429, 'limit_user'], over.text)
      match(over.headers['retry-after'] ?? '', /^[1-9]\d*$/)
      const foreign = await (await TrustFixture.create()).issue('agent/all', { roles: ['all'] })
      const theirs = { svid: foreign, token: await stage.token(stage.caller) }
      const reached = tap.requests.length
      equal((await at.send('/orders/v1/items', theirs)).status, 401)
      equal(tap.requests.length, reached)
    })

    test(`a caller of ${kind.name} forges neither certificate, address, method, nor what we say`, async (t) => {
      const at = await opened(t)
      if (at === null) return
      const stolen = encodeURIComponent(stage.caller.pem.cert)
      const forged = [
        `X-Client-Certificate: ${stolen}`,
        `X-Forwarded-Tls-Client-Cert: ${Buffer.from(stage.caller.chain[0] ?? []).toString('base64')}`,
        'X-Original-URI: /orders/v1/public/items',
        'X-Original-Method: GET',
        'X-Original-Address: 203.0.113.5',
        'X-Original-Host: forged.example',
        'X-Forwarded-For: 203.0.113.5',
        'X-Forwarded-Host: forged.example',
        'X-Forwarded-Proto: forged',
        'X-Forwarded-Prefix: /forged',
        `X-Forwarded-Client-Cert: Cert="${stolen}"`,
        'X-Real-IP: 203.0.113.5',
        'Forwarded: for=203.0.113.5;host=forged.example',
        'Client-Cert: :Zm9yZ2Vk:',
        'X-HTTP-Method-Override: DELETE',
        'X-Method-Override: DELETE',
        'X-Rewrite-URL: /orders/v1/items',
        'Doorward-Decision: test.example/gateway/main#0',
        'Doorward-Principal: forged',
        // nginx takes away what is named alone.
        ...(kind.name === 'nginx'
          ? []
          : ['X-SSL-Client-Cert: forged', 'SSL-Client-Cert: forged', 'X-Envoy-Original-Path: /forged']),
      ]
      const asNarrow = { svid: narrow, headers: forged }
      await refused(() => at.send('/orders/v1/items', asNarrow), 403, 'policy_denied')
      await refused(
        async () =>
          at.send('/orders/v1/items', { svid: narrow, token: await stage.token(stage.caller), headers: forged }),
        401,
        'token_binding',
      )
      const allowed = await at.send('/orders/v1/public/items', asNarrow)
      equal(allowed.status, 200, allowed.text)
      const { remote, caller } = await newest()
      deepEqual({ remote, caller }, { remote: '127.0.0.1', caller: narrow.id.uri })
      const head = tap.requests.at(-1)?.head ?? ''
      // What we say is any letters, and is looked at below.
      const others = head.replace(/\r\ndoorward-principal: [^\r\n]*/i, '')
      ok(!/203\.0\.113\.5|forged|-cert|method-override|rewrite-url|original-|#0(?:\r\n|$)/i.test(others), head)
      equal(head.match(/\r\ndoorward-decision:/gi)?.length, 1)
      equal((await principalIn(head, '/orders/v1/public/items'))?.client_id, narrow.id.uri)
    })

    test(`${kind.name} forwards the host that was decided about, and no other`, async (t) => {
      const at = await opened(t)
      if (at === null) return
      const reached = tap.requests.length
      const other = await at.send('/orders/v1/items', { host: 'other.example' })
      equal(other.status, 421, other.text)
      const absolute = await at.send('https://other.example/orders/v1/items')
      ok([400, 421].includes(absolute.status), absolute.text)
      equal(tap.requests.length, reached)
      // Two hosts that differ: one of them, everywhere, or none.
      const both = await at.send('https://api.acme.example/orders/v1/items', { host: 'other.example' })
      equal(both.status, kind.name === 'haproxy' ? 400 : 200, both.text)
      const same = await at.send('https://api.acme.example/orders/v1/items')
      equal(same.status, 200, same.text)
      for (const { head } of tap.requests.slice(reached)) {
        match(head, /^GET \/orders\/v1\/items HTTP/)
        match(head, /\r\nhost: api\.acme\.example(?::\d+)?(?:\r\n|$)/i)
        ok(!head.includes('other.example'), head)
      }
      equal(tap.requests.length, reached + (kind.name === 'haproxy' ? 1 : 2))
    })

    test(`neither an upgrade nor another spelling of a name passes ${kind.name}`, async (t) => {
      const at = await opened(t)
      if (at === null) return
      const tried = async (headers: readonly string[], status: number, name: RegExp) => {
        const reached = tap.requests.length
        const answer = await at.send('/orders/v1/items', { headers })
        equal(answer.status, status, answer.text)
        equal(tap.requests.length, reached + (status === 200 ? 1 : 0))
        if (status === 200) ok(!name.test(tap.requests.at(-1)?.head ?? ''), tap.requests.at(-1)?.head)
      }
      const refuses = kind.name === 'haproxy'
      await tried(['Connection: Upgrade', 'Upgrade: websocket'], refuses ? 400 : 200, /upgrade|websocket/i)
      await tried(['X_HTTP_Method_Override: DELETE'], refuses ? 400 : 200, /DELETE/)
      await tried(['Doorward_Principal: forged'], refuses ? 400 : 200, /\r\ndoorward_/i)
    })

    test(`without a certificate nobody comes through ${kind.name}, and without an answer nobody does`, async (t) => {
      const at = await opened(t)
      if (at === null) return
      const reached = tap.requests.length
      const bare = await at.send('/orders/v1/items', { svid: null }).catch(() => null)
      ok(bare === null || bare.status === 401 || bare.text === '', bare?.text)
      const { record } = stage.gateway
      const append = record.append.bind(record)
      Object.assign(record, { append: () => Promise.reject(new Error('the disk is full')) })
      try {
        const answer = await at.send('/orders/v1/items')
        const { 'doorward-code': code, 'doorward-status': told } = answer.headers
        deepEqual([answer.status, code, told], [503, 'record_unavailable', '503'])
      } finally {
        Object.assign(record, { append })
      }
      equal(tap.requests.length, reached)
    })
  })
}
