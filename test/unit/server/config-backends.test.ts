/** `services:`: what would let anything through that is not a service's affair is a mistake. */

import { deepEqual, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { parseConfiguration } from '../../../packages/server/src/config/load.ts'
import { ConfigurationError } from '../../../packages/server/src/config/problem.ts'

const read = (service: string, more = '') =>
  parseConfiguration(`trust_domain: acme.example\nservices:\n  orders: { ${service} }\n${more}`, 'doorward.yaml')

/** Paths of the mistakes. */
function mistakes(service: string, more = ''): readonly string[] {
  const found: string[] = []
  throws(
    () => read(service, more),
    (error) => {
      ok(error instanceof ConfigurationError, String(error))
      found.push(...error.problems.map(({ path }) => path))
      return true
    },
  )
  return found
}

const url = 'url: "https://orders.acme.example/api"'

test('a service reads and nothing else, unless it is written', () => {
  deepEqual(read(url).services['orders'], {
    url: 'https://orders.acme.example/api',
    insecure_upstream: false,
    methods: ['GET', 'HEAD'],
    request_headers: [],
    answer_headers: [],
    answer_bytes: 16 * 1024 * 1024,
    output: { redact: false },
    limits: {},
  })
})

test('methods that no service may have, and lists of none, are mistakes', () => {
  for (const methods of ['[TRACE]', '[CONNECT]', '[get]', '[]'])
    ok(mistakes(`${url}, methods: ${methods}`)[0]?.startsWith('services.orders.methods'), methods)
})

test('headers that say who or where somebody is are never passed on, in whatever direction', () => {
  const never =
    'authorization cookie set-cookie dpop host origin forwarded x-forwarded-for x-forwarded-proto x-real-ip via location connection transfer-encoding content-length content-encoding accept-encoding expect upgrade te x-http-method-override x-original-url x-rewrite-url x-client-cert x-spiffe-id proxy-authorization sec-fetch-site access-control-allow-origin strict-transport-security www-authenticate traceparent mcp-session-id doorward-code'.split(
      ' ',
    )
  for (const name of never) {
    deepEqual(mistakes(`${url}, request_headers: [x-ok, ${name}]`), ['services.orders.request_headers[1]'], name)
    deepEqual(mistakes(`${url}, answer_headers: [${name}]`), ['services.orders.answer_headers[0]'], name)
  }
  ok(read(`${url}, request_headers: [x-api-version], answer_headers: [x-total-count]`))
})

test('a name is one thing, and none of ours', () => {
  deepEqual(mistakes(url, 'servers: { orders: { command: [x] } }'), ['services.orders'])
  for (const name of ['gateway', 'authority', 'admin'])
    throws(() => parseConfiguration(`trust_domain: acme.example\nservices:\n  ${name}: { ${url} }\n`, 'doorward.yaml'))
})

test('a service is reached over TLS, or on this machine as the operator insists', () => {
  deepEqual(mistakes('url: "http://orders.acme.example"'), ['services.orders.url'])
  deepEqual(mistakes('url: "http://127.0.0.1:1"'), ['services.orders.url'])
  deepEqual(mistakes('url: "https://user:pw@orders.acme.example"'), ['services.orders.url'])
  ok(read('url: "http://127.0.0.1:1", insecure_upstream: true'))
})

test('permissions name services, by method and path', () => {
  ok(read(url, 'roles: { clerk: ["GET:orders/v1/*", "read:orders/*"] }'))
  throws(() => read(url, 'roles: { clerk: ["GET:other/v1/*"] }'))
})
