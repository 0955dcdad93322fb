/** A running gateway decides for a proxy: by its configuration, with its own certificate, and no longer than the proxy counts. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import type { Identity } from '@doorward/sdk'
import { questionOf } from '../fixtures/decisions-stage.ts'
import { freePorts, TestDeployment } from '../fixtures/deployment.ts'
import { closed, complete, dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { pemOf } from '../fixtures/trust-fixture.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

let system: TestDeployment
let port: number
let proxy: Identity
let caller: Identity
let audience: string

before(async () => {
  const [own = 0] = await freePorts(1)
  port = own
  system = await TestDeployment.start({
    listeners: `, decisions: "127.0.0.1:${port}"`,
    yaml: `services:
  orders: { url: "https://orders.test.example", methods: [GET, POST] }
decisions:
  services: { orders: { public_url: "https://api.test.example/orders" } }
  proxies:
    edge1: { id: "spiffe://test.example/proxy/edge1", kind: haproxy, services: [orders] }
roles: { buyer: ["read:orders/*"] }
bindings: [{ role: buyer, workloads: ["spiffe://test.example/agent/*"] }]
`,
  })
  proxy = await system.identity('proxy/edge1')
  caller = await system.identity('agent/buyer')
  const { gateway } = await system.deployment()
  audience = `${gateway.publicUrl}/http/orders`
})
after(async () => {
  proxy?.close()
  caller?.close()
  await system?.remove()
})

function pemOfIdentity(identity: Identity): TestSvid {
  const svid = identity.credentials.current()
  const key = svid.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  return { ...svid, pem: { key, cert: svid.chain.map(pemOf).join('') } }
}

async function connect(): Promise<TLSSocket> {
  const anchors = (proxy.trust.current()?.anchors ?? []).map(({ der }) => pemOf(der))
  return dial({ host: '127.0.0.1', port, ca: anchors, ...pemOfIdentity(proxy).pem })
}

async function ask(socket: TLSSocket, method = 'GET'): Promise<RawAnswer> {
  const token = (await caller.token(audience)).reveal()
  const { target, headers } = questionOf('haproxy', { token, svid: pemOfIdentity(caller), method })
  const lines = Object.entries({ Host: `127.0.0.1:${port}`, ...headers }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  )
  return parseAnswer(await talk(socket, `GET ${target} HTTP/1.1\r\n${lines.join('')}\r\n`, complete))
}

const codeOf = ({ headers, status }: RawAnswer) => headers['doorward-code'] ?? status

test('the proxy that is configured asks, the caller is decided about, and services find the keys in public', async () => {
  const socket = await connect()
  try {
    const allowed = await ask(socket)
    equal(allowed.status, 200, allowed.text)
    equal(codeOf(await ask(socket, 'POST')), 'policy_denied')
    const entry = (await system.record()).findLast(({ entry }) => entry.body['code'] === 'allowed')?.entry.body
    match(JSON.stringify(entry?.['asserted_by']), /"proxy":"edge1"/)
    const { gateway } = await system.deployment()
    const { host, port: open } = gateway.listeners.public
    const anchors = (proxy.trust.current()?.anchors ?? []).map(({ der }) => pemOf(der))
    const anybody = await dial({ host, port: open, ca: anchors })
    const keys = parseAnswer(await talk(anybody, `GET /v1/principal-keys HTTP/1.1\r\nHost: ${host}:${open}\r\n\r\n`))
    anybody.destroy()
    const [key] = (JSON.parse(keys.body) as { keys: readonly Record<string, unknown>[] }).keys
    deepEqual([key?.['alg'], key?.['use'], Object.keys(key ?? {}).includes('d')], ['ES256', 'sig', false])
    const [header = ''] = (allowed.headers['doorward-principal'] ?? '').split('.')
    equal((JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid: string }).kid, key?.['kid'])
  } finally {
    socket.destroy()
  }
})

/** On a connection of its own: reloads take their time. */
async function askedAnew(): Promise<RawAnswer> {
  const socket = await connect()
  try {
    return await ask(socket)
  } finally {
    socket.destroy()
  }
}

test('a reload takes the proxy away, and gives it back', async () => {
  const first = await readFile(system.configFile, 'utf8')
  equal((await askedAnew()).status, 200)
  await writeFile(system.configFile, first.replace('proxy/edge1"', 'proxy/other"'))
  const { code, stderr } = await system.run(['gateway', 'reload'])
  await writeFile(system.configFile, first)
  equal(code, 0, stderr)
  equal(codeOf(await askedAnew()), 'asker_refused')
  equal((await system.run(['gateway', 'reload'])).code, 0)
  equal((await askedAnew()).status, 200)
  const events = (await system.record()).flatMap(({ entry }) =>
    entry.kind === 'lifecycle' ? [entry.body['event']] : [],
  )
  equal(events.filter((event) => event === 'decisions.change').length, 2)
  ok(events.includes('decisions.open'))
})

test('a proxy that is revoked is put out, with the connections that it has', async () => {
  const socket = await connect()
  equal((await ask(socket)).status, 200)
  const { code, stderr } = await system.run(['revoke', 'workload', 'proxy/edge1', '--reason', 'broken into'])
  equal(code, 0, stderr)
  await closed(socket)
  const again = await connect().then(
    (late) => ask(late).finally(() => late.destroy()),
    () => null,
  )
  if (again !== null) match(String(codeOf(again)), /^(?:identity|certificate)_denied$/)
})
