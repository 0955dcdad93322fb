/**
 * Headers by which proxies tell who somebody is, whence, and with which certificate: whatever they say, a denied request
 * stays denied, an allowed one reaches its server without them, and the record has the address of the connection.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { GatewayFixture, answered } from '../fixtures/gateway-fixture.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import { json, scriptedServer } from '../fixtures/scripted-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

const words = {
  first: ['x', 'x-forwarded', 'x-real', 'x-original', 'x-client', 'x-remote', 'x-envoy', 'x-auth-request', 'x-ssl'],
  then: ['for', 'ip', 'host', 'proto', 'port', 'user', 'email', 'groups', 'uri', 'url', 'method', 'path', 'cert'],
  more: [
    'client-cert',
    'client-verify',
    'client-dn',
    'client-subject',
    'client-san',
    'token',
    'role',
    'roles',
    'identity',
  ],
}
/** Separated by spaces. */
const others = `
  forwarded via true-client-ip cf-connecting-ip fastly-client-ip fly-client-ip client-ip client-cert
  client-cert-chain x-client-cert ssl-client-cert ssl-client-verify ssl-client-s-dn x-amzn-mtls-clientcert
  x-amzn-mtls-clientcert-leaf x-arr-clientcert x-forwarded-client-cert x-http-method-override x-http-method
  x-method-override x-rewrite-url x-original-url x-host x-spiffe-id x-doorward-caller doorward-caller
  doorward-decision doorward-principal remote-user x-cluster-client-ip x-proxyuser-ip x-azure-clientip
  x-appengine-user-ip wl-proxy-client-ip x-goog-authenticated-user-email x-goog-iap-jwt-assertion
  x-amzn-oidc-identity x-ms-client-principal x-webauth-user x-token-subject x-vouch-user x-authentik-username
  x-tailscale-user x-jwt-assertion proxy-client-ip x-gateway-apikey x-api-key api-key x-auth-token x-access-token
  cookie proxy-authorization dpop x-on-behalf-of x-impersonate-user impersonate-user impersonate-group x-forwarded-by
  x-forwarded-server x-forwarded-prefix x-forwarded-scheme x-forwarded-ssl x-forwarded-tlsclientcert x-cert
  x-certificate x-client-certificate x-tls-client-cert
`
const names = [
  ...new Set([
    ...words.first.flatMap((first) => [...words.then, ...words.more].map((then) => `${first}-${then}`)),
    ...['http', 'remote', 'ssl', 'proxy', 'user'].flatMap((first) => words.more.map((then) => `${first}-${then}`)),
    ...others.trim().split(/\s+/),
  ]),
]
const claims = ['spiffe://test.example/agent/planner', '203.0.113.9', '1', 'admin']

let server: ScriptedServer
let gateway: GatewayFixture
let planner: TestSvid
let reader: TestSvid

before(async () => {
  server = await scriptedServer(({ body }, response) => {
    json(response, `{"jsonrpc":"2.0","id":${(JSON.parse(body) as { id: number }).id},"result":{"content":[]}}`)
  })
  gateway = await GatewayFixture.open({
    servers: { files: { url: server.url, effects: { read: ['read_*'] } } },
    roles: { all: ['*'], reader: ['read:files/*'] },
  })
  planner = await gateway.trust.issue('agent/planner', { roles: ['all'] })
  reader = await gateway.trust.issue('agent/reader', { roles: ['reader'] })
})
after(async () => {
  await gateway.close()
  await server.close()
})

let ids = 0
const callOf = (name: string) =>
  JSON.stringify({ jsonrpc: '2.0', id: ++ids, method: 'tools/call', params: { name, arguments: {} } })

test('three hundred names and more', () => ok(names.length >= 300, String(names.length)))

test('a denied request stays denied with each of them', async () => {
  const session = await gateway.initialize(reader, 'files')
  const reached = server.reached.length
  const on = await dial(gateway.connection(reader))
  for (const [i, name] of names.entries()) {
    const headers = { [name]: claims[i % claims.length] ?? '' }
    const request = await gateway.request(reader, 'files', { session, body: callOf('write_file'), headers })
    const answer = parseAnswer(await talk(on, request, answered))
    deepEqual([answer.headers['doorward-code'], server.reached.length], ['policy_denied', reached], name)
  }
  on.destroy()
  const denied = (await gateway.entries()).slice(-names.length)
  ok(denied.every(({ body }) => body['code'] === 'policy_denied' && body['remote'] === '127.0.0.1'))
  ok(denied.every(({ body }) => body['caller'] === reader.id.uri))
})

test('without a token there is none in any of them', async () => {
  const reached = server.reached.length
  const token = await gateway.trust.token(planner, 'https://gateway.test.example/mcp/files')
  for (const name of names.slice(0, 40).concat('x-access-token', 'x-auth-token', 'proxy-authorization', 'cookie')) {
    const request = await gateway.request(planner, 'files', { body: callOf('read_file') })
    const text = request.replace(/^Authorization: .*$/m, `${name}: Bearer ${token}`)
    const answer = await gateway.raw(planner, text, answered)
    deepEqual([answer.status, answer.headers['doorward-code']], [401, 'token_missing'], name)
  }
  equal(server.reached.length, reached)
})

test('a server sees none of them', async () => {
  const session = await gateway.initialize(planner, 'files')
  const plain = await gateway.rpc(planner, 'files', { session, body: callOf('read_file') })
  equal(plain.status, 200)
  const expected = Object.keys(server.reached.at(-1)?.headers ?? {}).toSorted()
  const on = await dial(gateway.connection(planner))
  for (let at = 0; at < names.length; at += 50) {
    const some = names.slice(at, at + 50)
    const headers = Object.fromEntries(some.map((name, i) => [name, claims[i % claims.length] ?? '']))
    const body = callOf('read_file')
    const answer = parseAnswer(
      await talk(on, await gateway.request(planner, 'files', { session, body, headers }), answered),
    )
    equal(answer.headers['doorward-code'], 'allowed', answer.text)
    deepEqual(Object.keys(server.reached.at(-1)?.headers ?? {}).toSorted(), expected)
  }
  on.destroy()
})
