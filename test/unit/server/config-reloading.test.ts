/** What of a changed configuration each process takes up, and what each says is its own. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { loadConfiguration, parseConfiguration } from '../../../packages/server/src/config/load.ts'
import { rereadPolicy } from '../../../packages/server/src/config/policy-reading.ts'
import { GatewayFiles } from '../../../packages/server/src/cli/gateway-files.ts'
import {
  changesElsewhere,
  configurationChanges,
  isAuthorityKey,
  isGatewayKey,
} from '../../../packages/server/src/config/reloading.ts'
import { deploymentOf } from '../../../packages/server/src/config/settings.ts'
import type { Deployment } from '../../../packages/server/src/config/settings.ts'

function of(text: string): Deployment {
  return deploymentOf({ file: 'doorward.yaml', folder: '/', configuration: parseConfiguration(text, 'doorward.yaml') })
}

const traced = 'tracing: { otlp_url: "https://traces.example/v1/traces" }\n'
const services = (count: number) =>
  Array.from({ length: count }, (_, i) => `  orders-${i}: { url: "https://orders-${i}.example" }\n`).join('')

describe('what changes', () => {
  test('is taken up whole, however much of it there is', () => {
    const plain = 'trust_domain: acme.example\n'
    const many = `${plain}services:\n${services(70)}${traced}`
    const taken = configurationChanges(of(plain), of(many))
    equal(taken.filter((key) => key.startsWith('services.')).length, 70)
    ok(
      taken.some((key) => key.startsWith('tracing')),
      taken.join(' '),
    )
  })

  test('of the keyring of the identities is nothing that a process which goes on takes up', () => {
    const plain = 'trust_domain: acme.example\n'
    const [before, after] = [of(plain), of(`${plain}state: { identities_keyring: {} }\n`)]
    deepEqual([configurationChanges(before, after), changesElsewhere(before, after)], [[], []])
  })
})

test('what another process has not taken up is named by each reload until it says again what it said at the start', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'doorward-reloading-'))
  try {
    const [file, plain] = [join(folder, 'doorward.yaml'), 'trust_domain: acme.example\n']
    await writeFile(file, plain)
    const files = new GatewayFiles(deploymentOf(await loadConfiguration(file)), () => Promise.resolve({} as never))
    const reloaded = async (text: string) => {
      await writeFile(file, text)
      const reading = await files.reread()
      reading.taken()
      return [reading.changed, reading.elsewhere]
    }
    const changed = `${plain}authority: { crl_seconds: 600 }\n`
    deepEqual(await reloaded(changed), [[], ['authority.crl_seconds']])
    deepEqual(await reloaded(`${changed}${traced}`), [['tracing'], ['authority.crl_seconds']])
    deepEqual(await reloaded(`${changed}${traced}`), [[], ['authority.crl_seconds']])
    deepEqual(await reloaded(plain), [['tracing'], []])
  } finally {
    await rm(folder, { recursive: true })
  }
})

describe('each process names what it goes by itself', () => {
  const front = (bearer: boolean) => `trust_domain: acme.example
listeners: { edge: 127.0.0.1:9443 }
issuers:
  corp: { issuer: https://login.acme.example }
servers:
  notes: { url: https://notes.acme.example/mcp }
edge:
  public_url: https://mcp.acme.example
  certificate: { file: edge.pem, key_file: edge.key }
  issuers: [corp]
  servers: [notes]
  clients: { claude: [one] }
  bearer: ${bearer}
`
  const more = `authority: { crl_seconds: 600 }
${traced}limits: { body_bytes: 2048, sessions_per_user: 3, connections_per_ip: 9 }
audit: { retention: { max_days: 40 } }
`

  async function named(isOwn: typeof isAuthorityKey, from: string, to: string): Promise<readonly string[]> {
    const folder = await mkdtemp(join(tmpdir(), 'doorward-reloading-'))
    try {
      const file = join(folder, 'doorward.yaml')
      await writeFile(file, from)
      const started = deploymentOf(await loadConfiguration(file))
      await writeFile(file, to)
      return (await rereadPolicy(started, isOwn)).restart.toSorted()
    } finally {
      await rm(folder, { recursive: true })
    }
  }

  test('an authority nothing that a gateway alone goes by, and a gateway nothing of the authority', async () => {
    deepEqual(await named(isAuthorityKey, front(false), `${front(true)}${more}`), [
      'audit.retention.max_days',
      'authority.crl_seconds',
      'limits.connections_per_ip',
    ])
    deepEqual(await named(isGatewayKey, front(false), `${front(true)}${more}`), [
      'audit.retention.max_days',
      'edge.bearer',
      'limits.body_bytes',
      'limits.connections_per_ip',
      'limits.sessions_per_user',
      'tracing',
    ])
  })

  test('nobody what is of the policy: roles, bindings and own files are taken up with it', async () => {
    const plain = 'trust_domain: acme.example\nroles: { reader: ["read"] }\n'
    const changed = `trust_domain: acme.example
roles: { reader: ["read"], writer: ["write"] }
bindings: [{ role: reader, workloads: ["spiffe://acme.example/agent/*"] }]
policy: { time_zone: Europe/Berlin }
${traced}`
    deepEqual(
      [await named(isAuthorityKey, plain, changed), await named(isGatewayKey, plain, changed)],
      [[], ['tracing']],
    )
  })

  test('an authority what its front goes by at the edge', () => {
    const { configuration } = of(front(false))
    const keys = ['bearer', 'servers', 'request_scopes', 'certificate'].map((key) => ['edge', key])
    const fronting = { authority: { ...configuration.authority, front: { provider: 'corp' } as never } }
    deepEqual(
      keys.map((one) => [isAuthorityKey(one, configuration), isAuthorityKey(one, fronting)]),
      [
        [false, true],
        [false, true],
        [false, false],
        [false, false],
      ],
    )
  })

  test('an authority the issuer that its front has people sign in at, and no other one', () => {
    const { configuration } = of(front(false))
    const keys = [
      ['issuers', 'corp', 'audience'],
      ['issuers', 'corp'],
      ['issuers', 'other', 'audience'],
      ['issuers', 'other'],
    ]
    const fronting = { authority: { ...configuration.authority, front: { provider: 'corp' } as never } }
    deepEqual(
      keys.map((one) => isAuthorityKey(one, fronting)),
      [true, true, false, false],
    )
    deepEqual(new Set(keys.map((one) => isAuthorityKey(one, configuration))), new Set([false]))
  })
})
