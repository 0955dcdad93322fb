import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { epochMillis, isDoorwardError } from '@doorward/core'
import { readEdgeCertificate } from '../../../packages/server/src/config/edge-certificate.ts'
import { clientNameOf, edgeSettings } from '../../../packages/server/src/config/edge-settings.ts'
import { parseConfiguration } from '../../../packages/server/src/config/load.ts'
import { deploymentOf } from '../../../packages/server/src/config/settings.ts'
import { configurationChanges } from '../../../packages/server/src/config/reloading.ts'
import { ConfigurationError } from '../../../packages/server/src/config/problem.ts'
import { certificateFiles } from '../../fixtures/edge-stage.ts'
import { foreign, foreignKey, pemFile } from '../../fixtures/foreign-certificates.ts'

const right = {
  listeners: '{ edge: 127.0.0.1:9443 }',
  public_url: 'https://mcp.acme.example',
  certificate: '{ file: edge.pem, key_file: edge.key }',
  issuers: '[corp]',
  servers: '[notes]',
  clients: '{ claude: [one] }',
  authorization_server: null,
}

/** Paths of what is wrong; none by default. */
function problems(change: Partial<Record<keyof typeof right, string | null>> = {}, more = ''): readonly string[] {
  const { listeners, ...edge } = { ...right, ...change }
  const lines = Object.entries(edge).flatMap(([key, value]) => (value === null ? [] : [`  ${key}: ${value}\n`]))
  const text = `trust_domain: acme.example
${listeners === null ? '' : `listeners: ${listeners}\n`}issuers:
  corp: { issuer: https://login.acme.example }
servers:
  notes: { url: https://notes.acme.example/mcp }
edge:
${lines.join('')}${more}`
  try {
    parseConfiguration(text, 'doorward.yaml')
    return []
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error
    return error.problems.map(({ path }) => path)
  }
}

describe('edge in the configuration', () => {
  test('is accepted where all of it fits together', () => deepEqual(problems(), []))

  test('a mistake in it or in an issuer is told once, and nothing of what it leaves behind', () => {
    deepEqual(problems({ servers: '[]' }), ['edge.servers'])
    deepEqual(problems({ listeners: '{ edge: 9443 }' }), ['listeners.edge'])
    deepEqual(problems({}, 'limits: { boundless: true }\n'), ['limits.boundless'])
    deepEqual(problems({ bearer: 'maybe', issuers: '[other]' } as never), ['edge.bearer'])
  })

  const refused: readonly (readonly [string, Parameters<typeof problems>, string])[] = [
    ['without a listener', [{ listeners: null }], 'edge'],
    ['without anybody who is let in', [{ clients: null }], 'edge'],
    ['with a name for clients that are not listed', [{ clients: '{ unlisted: [one] }' }], 'edge.clients.unlisted'],
    ['with one id under two names', [{ clients: '{ a: [one], b: [one] }' }], 'edge.clients.b[0]'],
    ['with a name that is no part of an id', [{ clients: '{ A/b: [one] }' }], 'edge.clients.A/b'],
    ['with an issuer that there is not', [{ issuers: '[corp, other]' }], 'edge.issuers[1]'],
    ['with a server that there is not', [{ servers: '[other]' }], 'edge.servers[0]'],
    ['with a server twice', [{ servers: '[notes, notes]' }], 'edge.servers[1]'],
    ['without a server', [{ servers: '[]' }], 'edge.servers'],
    ['without an issuer', [{ issuers: '[]' }], 'edge.issuers'],
    ['with a path in its URL', [{ public_url: 'https://mcp.acme.example/edge' }], 'edge.public_url'],
    ['with a final slash in its URL', [{ public_url: 'https://mcp.acme.example/' }], 'edge.public_url'],
    ['with plain HTTP', [{ public_url: 'http://mcp.acme.example' }], 'edge.public_url'],
    ['with somebody in its URL', [{ public_url: 'https://a@mcp.acme.example' }], 'edge.public_url'],
    ['with any page', [{}, '  origins: ["*"]\n'], 'edge.origins[0]'],
    ['with a page over plain HTTP', [{}, '  origins: ["http://host.example"]\n'], 'edge.origins[0]'],
    ['with a symmetric algorithm', [{}, '  dpop: { algorithms: [HS256] }\n'], 'edge.dpop.algorithms[0]'],
    ['with a word for scopes that is none', [{}, '  scopes: some\n'], 'edge.scopes'],
    ['with two scopes in one', [{}, '  request_scopes: ["a b"]\n'], 'edge.request_scopes[0]'],
    ['on the address of another listener', [{ listeners: '{ edge: 127.0.0.1:8444 }' }], 'listeners.edge'],
  ]
  for (const [what, asked, path] of refused)
    test(`is refused ${what}`, () => ok(problems(...asked).includes(path), problems(...asked).join(', ')))

  test('a listener without it is refused', () => {
    const text = 'trust_domain: acme.example\nlisteners: { edge: 127.0.0.1:9443 }\n'
    try {
      parseConfiguration(text, 'doorward.yaml')
      ok(false)
    } catch (error) {
      ok(error instanceof ConfigurationError)
      deepEqual(
        error.problems.map(({ path }) => path),
        ['listeners.edge'],
      )
    }
  })
})

describe('the front as its authorization server', () => {
  const fronted = { authorization_server: 'front', issuers: null, clients: null }
  const frontPlace = 'https://sign-in.acme.example'
  /** With an authority that has a front. */
  const authority = (front = frontPlace, own = '') => `authority:
  listeners: { front: 127.0.0.1:9444 }${own}
  front:
    public_url: ${front}
    certificate: { file: front.pem, key_file: front.key }
    provider: corp
    client_id: doorward
    clients: { claude: { client_id: one, redirect_uris: ["https://claude.example/callback"] } }
`

  const fronting = (more: string) => {
    const text = `trust_domain: acme.example
listeners: { edge: 127.0.0.1:9443 }
issuers:
  corp: { issuer: https://login.acme.example }
  next: { issuer: https://next.acme.example }
servers:
  notes: { url: https://notes.acme.example/mcp }
edge:
  public_url: https://mcp.acme.example
  certificate: { file: edge.pem, key_file: edge.key }
  authorization_server: front
  servers: [notes]
  clients: { cursor: [two] }
${more}`
    const configuration = parseConfiguration(text, 'doorward.yaml')
    return deploymentOf({ configuration, file: 'doorward.yaml', folder: '/' })
  }

  test('is accepted without issuers of its own, beside them, and with further clients', () => {
    deepEqual(problems(fronted, authority()), [])
    deepEqual(problems({ ...fronted, issuers: '[corp]' }, authority()), [])
    deepEqual(problems({ ...fronted, clients: '{ other: [two] }' }, authority()), [])
  })

  const refused: readonly (readonly [string, Parameters<typeof problems>, string])[] = [
    ['without a front', [fronted], 'edge.authorization_server'],
    ['by another word', [{ ...fronted, authorization_server: 'corp' }, authority()], 'edge.authorization_server'],
    [
      'where the edge takes no tokens of the front that there is',
      [{ authorization_server: null }, authority()],
      'edge.authorization_server',
    ],
    [
      'where the front has the name of an issuer',
      [fronted, authority('https://login.acme.example')],
      'authority.front.public_url',
    ],
    [
      'where the front has the name of the issuer of workloads',
      [fronted, authority(frontPlace, `\n  public_url: ${frontPlace}`)],
      'authority.front.public_url',
    ],
  ]
  for (const [what, asked, path] of refused)
    test(`is refused ${what}`, () => ok(problems(...asked).includes(path), problems(...asked).join(', ')))

  test('of the front a running gateway takes up the clients, and nothing by which others know it', () => {
    const held = fronting(authority())
    const other = fronting(authority().replace('claude: {', 'cursor: {'))
    deepEqual(configurationChanges(held, other).toSorted(), [
      'authority.front.clients.claude',
      'authority.front.clients.cursor',
    ])
    const fixed = [
      authority('https://other.acme.example'),
      authority().replace('provider: corp', 'provider: next'),
    ].map((text) => () => configurationChanges(held, fronting(text)))
    for (const change of fixed) throws(change, ConfigurationError)
  })

  test('says to the edge who the front is, whose people it names, and what its clients are called', () => {
    const front = edgeSettings(fronting(authority()))?.front
    ok(front != null)
    deepEqual([front.publicUrl, front.provider], [frontPlace, 'https://login.acme.example'])
    deepEqual(['one', 'two', 'three', 'https://client.example/id'].map(front.clientName), [
      'claude',
      'cursor',
      null,
      null,
    ])
  })
})

test('a client has the name of the configuration, and one that is not listed has none unless it is let in', () => {
  const clients = new Map([['one', 'claude']])
  const nameIn = (edge: Parameters<typeof clientNameOf>[0]) => (clientId: string | null) =>
    clientNameOf(edge, { clientId, ofFront: false })
  const strict = { front: null, clients, unlistedClients: false }
  deepEqual(['one', 'two', null].map(nameIn(strict)), ['claude', null, null])
  deepEqual(['one', 'two', null].map(nameIn({ ...strict, unlistedClients: true })), ['claude', 'unlisted', 'unlisted'])
})

test('a client of the front is let in by tokens of the front alone', () => {
  const front = {
    publicUrl: 'https://front',
    provider: 'https://login',
    clientName: (id: string) => (id === 'two' ? 'cursor' : null),
  }
  const edge = { front, clients: new Map([['one', 'claude']]), unlistedClients: false }
  const nameOf = (clientId: string, ofFront: boolean) => clientNameOf(edge, { clientId, ofFront })
  deepEqual(
    [nameOf('two', true), nameOf('two', false), nameOf('one', true), nameOf('three', true)],
    ['cursor', null, 'claude', null],
  )
})

describe('the certificate of the edge', () => {
  let folder: string
  before(async () => void (folder = await mkdtemp(join(tmpdir(), 'doorward-edge-'))))
  after(() => rm(folder, { recursive: true, force: true }))
  const url = 'https://edge.test.example'
  const now = () => epochMillis(Date.now())
  const refusedAs = (code: string) => (error: unknown) => isDoorwardError(error, code)

  test('is read with its key', async () => {
    const { certificate } = await certificateFiles(folder)
    const read = await readEdgeCertificate(certificate, url, now())
    equal(read.chain.length, 1)
    ok(read.notAfter > Date.now())
  })

  test('is refused for another host, for another time, and beside another key', async () => {
    const { certificate } = await certificateFiles(folder)
    const refused = refusedAs('edge_certificate')
    await rejects(readEdgeCertificate(certificate, 'https://other.test.example', now()), refused)
    await rejects(readEdgeCertificate(certificate, 'https://127.0.0.1', now()), refused)
    await rejects(readEdgeCertificate(certificate, url, epochMillis(Date.now() + 40 * 365 * 86_400_000)), refused)
    await rejects(readEdgeCertificate(certificate, url, epochMillis(0)), refused)
    const other = foreignKey('p256').export({ type: 'pkcs8', format: 'pem' })
    await writeFile(certificate.keyFile, other, { mode: 0o600 })
    await rejects(readEdgeCertificate(certificate, url, now()), refused)
  })

  test('is refused with a weak key, one that is encrypted, and one that others can read', async () => {
    const authority = foreign({ subject: ['Hosts'], key: foreignKey('p256'), ca: true })
    const key = foreignKey('rsa1024')
    const leaf = foreign({ subject: ['edge'], key, ca: false, dns: ['edge.test.example'] }, authority)
    const certificate = { file: join(folder, 'weak.pem'), keyFile: join(folder, 'weak.key') }
    await writeFile(certificate.file, pemFile(leaf))
    await writeFile(certificate.keyFile, key.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
    await rejects(readEdgeCertificate(certificate, url, now()), refusedAs('edge_certificate'))
    const sealed = key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
    await writeFile(certificate.keyFile, sealed)
    await rejects(readEdgeCertificate(certificate, url, now()), refusedAs('edge_certificate'))
    await chmod(certificate.keyFile, 0o644)
    await rejects(readEdgeCertificate(certificate, url, now()), refusedAs('secret_file'))
  })
})
