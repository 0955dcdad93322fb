import { deepEqual, equal, throws } from 'node:assert/strict'
import { describe, test } from 'node:test'
import { decisionsSettings } from '../../../packages/server/src/config/decisions-settings.ts'
import { parseConfiguration } from '../../../packages/server/src/config/load.ts'
import { ConfigurationError } from '../../../packages/server/src/config/problem.ts'
import { configurationChanges } from '../../../packages/server/src/config/reloading.ts'
import { deploymentOf } from '../../../packages/server/src/config/settings.ts'
import {
  base64Der,
  base64List,
  escapedChain,
  escapedPem,
  forwardedClientCert,
} from '../../../packages/server/src/transports/decisions/shown-certificate.ts'

const right = {
  listeners: '{ decisions: 127.0.0.1:9450 }',
  public_url: 'https://gateway.acme.example:9450',
  services: '{ orders: { public_url: https://api.acme.example/orders } }',
  proxies: '{ edge1: { id: spiffe://acme.example/proxy/edge1, kind: nginx, services: [orders] } }',
  orders: '{ url: https://orders.acme.example }',
}

function textOf(change: Partial<Record<keyof typeof right, string | null>>): string {
  const { listeners, orders, ...decisions } = { ...right, ...change }
  const lines = Object.entries(decisions).flatMap(([key, value]) => (value === null ? [] : [`  ${key}: ${value}\n`]))
  return `trust_domain: acme.example
${listeners === null ? '' : `listeners: ${listeners}\n`}servers:
  notes: { url: https://notes.acme.example/mcp }
services:
  orders: ${orders}
  books: { url: https://books.acme.example }
${lines.length === 0 ? '' : `decisions:\n${lines.join('')}`}`
}

/** Paths of what is wrong, with the message. */
function problems(
  change: Partial<Record<keyof typeof right, string | null>> = {},
): readonly (readonly [string, string])[] {
  try {
    parseConfiguration(textOf(change), 'doorward.yaml')
    return []
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error
    return error.problems.map(({ path, message }) => [path, message] as const)
  }
}

const nothing = { public_url: null, services: null, proxies: null }
const proxy = (text: string) =>
  `{ edge1: { id: spiffe://acme.example/proxy/edge1, kind: nginx, services: [orders] }, two: ${text} }`

describe('decisions in the configuration', () => {
  test('are accepted where all of it fits together, and nobody asks without', () => {
    deepEqual(problems(), [])
    deepEqual(problems({ ...nothing, listeners: null }), [])
  })

  const refused: readonly (readonly [string, Parameters<typeof problems>[0], string])[] = [
    ['without a listener', { listeners: null }, 'decisions'],
    ['as a listener alone', nothing, 'listeners.decisions'],
    [
      'without a service',
      { services: '{}', proxies: proxy('{ id: spiffe://acme.example/b, kind: caddy, services: [orders] }') },
      'decisions.services',
    ],
    ['without a proxy', { proxies: '{}' }, 'decisions.proxies'],
    [
      'with a proxy of another trust domain',
      { proxies: '{ a: { id: spiffe://other.example/p, kind: envoy, services: [orders] } }' },
      'decisions.proxies.a.id',
    ],
    [
      'with a proxy whose id is none',
      { proxies: '{ a: { id: edge1, kind: envoy, services: [orders] } }' },
      'decisions.proxies.a.id',
    ],
    [
      'with a kind that nobody knows',
      { proxies: '{ a: { id: spiffe://acme.example/p, kind: apache, services: [orders] } }' },
      'decisions.proxies.a.kind',
    ],
    [
      'with a proxy that may ask about nothing',
      { proxies: '{ a: { id: spiffe://acme.example/p, kind: nginx, services: [] } }' },
      'decisions.proxies.a.services',
    ],
    [
      'with a proxy that asks about what is not decided',
      { proxies: '{ a: { id: spiffe://acme.example/p, kind: nginx, services: [books] } }' },
      'decisions.proxies.a.services[0]',
    ],
    [
      'with one id twice',
      { proxies: proxy('{ id: spiffe://acme.example/proxy/edge1, kind: caddy, services: [orders] }') },
      'decisions.proxies.two.id',
    ],
    [
      'with a service that there is not',
      { services: '{ orders: { public_url: https://a.example }, gone: { public_url: https://b.example } }' },
      'decisions.services.gone',
    ],
    [
      'with one place for two services',
      { services: '{ orders: { public_url: https://a.example }, books: { public_url: https://a.example } }' },
      'decisions.services.books.public_url',
    ],
    [
      'with a place that could be two',
      { services: '{ orders: { public_url: https://a.example/orders/ } }' },
      'decisions.services.orders.public_url',
    ],
    [
      'with a place in plain HTTP',
      { services: '{ orders: { public_url: http://a.example } }' },
      'decisions.services.orders.public_url',
    ],
    ['at the address of another listener', { listeners: '{ decisions: 127.0.0.1:8445 }' }, 'listeners.decisions'],
  ]
  for (const [what, change, path] of refused)
    test(`are refused ${what}`, () =>
      deepEqual(
        problems(change).map(([place]) => place),
        [path],
      ))

  test('are refused for an MCP server, with the reason', () => {
    const services = '{ orders: { public_url: https://a.example }, notes: { public_url: https://b.example } }'
    deepEqual(problems({ services }), [
      [
        'decisions.services.notes',
        'an MCP server: what is called there stands in the body, which a proxy that asks does not show',
      ],
    ])
  })

  test('are refused for a service whose answers are read for secrets, which nobody here sees', () =>
    deepEqual(
      problems({ orders: '{ url: https://orders.acme.example, output: { redact: true } }' }).map(([place]) => place),
      ['services.orders.output.redact'],
    ))

  test('change while everything runs, but for where they are asked for', () => {
    const deployment = (change: Parameters<typeof textOf>[0]) => {
      const configuration = parseConfiguration(textOf(change), 'doorward.yaml')
      return deploymentOf({ file: '/x/doorward.yaml', folder: '/x', configuration })
    }
    const before = deployment({})
    const services = '{ orders: { public_url: https://api.acme.example/v2 } }'
    deepEqual(configurationChanges(before, deployment({ services })), ['decisions.services.orders.public_url'])
    throws(() => configurationChanges(before, deployment({ listeners: '{ decisions: 127.0.0.1:9451 }' })))
    throws(() => configurationChanges(before, deployment({ public_url: null })))
    throws(
      () => configurationChanges(before, deployment({ ...nothing, listeners: null })),
      (error: ConfigurationError) => {
        deepEqual(error.problems.map(({ path }) => path).toSorted(), ['decisions', 'listeners.decisions'])
        return true
      },
    )
    equal(decisionsSettings(before)?.services['orders'], 'https://api.acme.example/orders')
  })
})

describe('a certificate as a proxy passes it on', () => {
  const der = Uint8Array.from([0x30, 0x03, 0x02, 0x01, 0xfb, 0xff])
  const base64 = Buffer.from(der).toString('base64')
  const pem = `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`
  const escaped = encodeURIComponent(pem)

  test('is read in the form of that proxy', () => {
    deepEqual(base64Der(base64), der)
    deepEqual(escapedPem(escaped), der)
    deepEqual(base64List(base64), der)
    deepEqual(base64List(`${base64},AAAA`), der)
    deepEqual(base64List(encodeURIComponent(base64)), der)
    deepEqual(forwardedClientCert(`Hash=00;Cert="${escaped}";Subject="CN=a, O=b";URI=spiffe://a/b`), der)
    deepEqual(escapedChain(encodeURIComponent(`${pem}${pem}`)), der)
    deepEqual(escapedChain(escaped), der)
  })

  test('is nothing in any other form', () => {
    for (const text of [
      '',
      '=',
      `${base64} `,
      ` ${base64}`,
      base64.replace('/', '_'),
      `${base64},${base64}`,
      pem,
      escaped,
      'x'.repeat(9000),
    ])
      equal(base64Der(text), null, text)
    for (const text of [
      '',
      '%',
      base64,
      encodeURIComponent(`${pem}${pem}`),
      encodeURIComponent(`x${pem}`),
      encodeURIComponent(`${pem}x`),
    ])
      equal(escapedPem(text), null, text)
    const element = `Cert="${escaped}"`
    for (const text of [
      '',
      'Hash=00',
      `${element},${element}`,
      `${element};${element}`,
      `cert="${escaped}"`,
      `Cert=${escaped}`,
      `Chain="${escaped}"`,
    ])
      equal(forwardedClientCert(text), null, text)
    for (const text of ['', '%', base64, `,${base64}`]) equal(escapedChain(text), null, text)
  })
})
