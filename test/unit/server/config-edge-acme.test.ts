/** `edge.certificate` and `authority.front.certificate`: files or an authority, and every mistake with its place. */

import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { frontSettings } from '../../../packages/server/src/config/front-settings.ts'
import { parseConfiguration } from '../../../packages/server/src/config/load.ts'
import { ConfigurationError } from '../../../packages/server/src/config/problem.ts'
import { deploymentOf } from '../../../packages/server/src/config/settings.ts'

interface More {
  readonly edge?: object
  readonly authority?: object
}

function problemsOf(certificate: object, publicUrl?: string, more?: More): readonly string[] {
  return problemsIn(textOf(certificate, publicUrl, more))
}

function textOf(certificate: object, publicUrl = 'https://mcp.acme.example', { edge, ...more }: More = {}): string {
  return JSON.stringify({
    trust_domain: 'acme.example',
    listeners: { edge: '0.0.0.0:443' },
    issuers: { corp: { issuer: 'https://login.acme.example' } },
    servers: { notes: { url: 'https://notes.acme.example/mcp' } },
    edge: {
      public_url: publicUrl,
      certificate,
      issuers: ['corp'],
      servers: ['notes'],
      clients: { claude: ['id'] },
      ...edge,
    },
    ...more,
  })
}

function problemsIn(text: string): readonly string[] {
  try {
    parseConfiguration(text, 'test.yaml')
    return []
  } catch (error) {
    // A section that cannot be read is missing beside its listener, too.
    if (error instanceof ConfigurationError)
      return error.problems.map(({ path }) => path).filter((path) => path !== 'listeners.edge')
    throw error
  }
}

const acme = { directory: 'https://acme.example/directory', agree_tos: true }
const at = 'edge.certificate.acme'

test('the certificate is from files or from an authority, whole, and from one of them', () => {
  deepEqual(problemsOf({ file: 'a', key_file: 'b' }), [])
  deepEqual(problemsOf({ acme }), [])
  for (const wrong of [{}, { file: 'a' }, { key_file: 'a' }, { acme, file: 'a' }, { acme, file: 'a', key_file: 'b' }])
    deepEqual(problemsOf(wrong), ['edge.certificate'], JSON.stringify(wrong))
})

test('nobody agrees to terms but the operator, and the authority is asked by https alone', () => {
  deepEqual(problemsOf({ acme: { ...acme, email: 'ops+edge@acme.example', ca_file: 'ca.pem' } }), [])
  deepEqual(problemsOf({ acme: { directory: acme.directory } }), [`${at}.agree_tos`])
  deepEqual(problemsOf({ acme: { ...acme, agree_tos: false } }), [`${at}.agree_tos`])
  for (const directory of ['http://acme.example/', 'https://a:b@acme.example/', 'acme.example', 'https://a/?x'])
    deepEqual(problemsOf({ acme: { ...acme, directory } }), [`${at}.directory`], directory)
  for (const email of ['ops', 'a@b,c@d', 'a@b\r\nx', 'ops@acme.example?cc=x'])
    deepEqual(problemsOf({ acme: { ...acme, email } }), [`${at}.email`], email)
  deepEqual(problemsOf({ acme: { ...acme, challenge: 'http-01' } }).length, 1)
})

test('an authority is asked for a DNS name of several labels alone', () => {
  for (const host of ['localhost', '192.0.2.7', '[2001:db8::1]', 'localhost:8443'])
    deepEqual(problemsOf({ acme }, `https://${host}`), ['edge.public_url'], host)
  deepEqual(problemsOf({ acme }, 'https://a.b-c.example:8443'), [])
})

interface Beside {
  readonly publicUrl?: string
  /** Several authorities share one. */
  readonly database?: boolean
  /** The certificate of the edge; files by default. */
  readonly edge?: object
}

/** With a front that has the certificate. */
function fronted(certificate: object, { publicUrl = 'https://sign-in.acme.example', ...beside }: Beside): string {
  const front = {
    public_url: publicUrl,
    certificate,
    provider: 'corp',
    client_id: 'doorward',
    clients: { claude: { client_id: 'one', redirect_uris: ['https://claude.example/callback'] } },
  }
  const shared = beside.database === true ? { database: { addresses: ['127.0.0.1:5432'] } } : {}
  return textOf(beside.edge ?? { file: 'a', key_file: 'b' }, 'https://mcp.acme.example', {
    authority: { listeners: { front: '0.0.0.0:8450' }, front, ...shared },
    edge: { authorization_server: 'front' },
  })
}

function frontProblemsOf(certificate: object, beside: Beside = {}): readonly string[] {
  return problemsIn(fronted(certificate, beside))
}

const ofFront = 'authority.front.certificate'

test('the certificate of the front is from files or from an authority, with the keys of the edge', () => {
  deepEqual(frontProblemsOf({ file: 'a', key_file: 'b' }), [])
  deepEqual(frontProblemsOf({ acme }), [])
  deepEqual(frontProblemsOf({ acme }, { edge: { acme } }), [])
  for (const wrong of [{}, { file: 'a' }, { key_file: 'a' }, { acme, file: 'a' }, { acme, file: 'a', key_file: 'b' }])
    deepEqual(frontProblemsOf(wrong), [ofFront], JSON.stringify(wrong))
  deepEqual(frontProblemsOf({ acme: { directory: acme.directory } }), [`${ofFront}.acme.agree_tos`])
  for (const host of ['localhost', '192.0.2.7'])
    deepEqual(frontProblemsOf({ acme }, { publicUrl: `https://${host}` }), ['authority.front.public_url'], host)
})

test('several authorities behind one name ask nobody for its certificate: they have files', () => {
  deepEqual(frontProblemsOf({ file: 'a', key_file: 'b' }, { database: true }), [])
  deepEqual(frontProblemsOf({ acme }, { database: true }), [`${ofFront}.acme`])
})

test('front and edge on one host do not both ask: the proof of the name would come to one of them', () => {
  const publicUrl = 'https://mcp.acme.example:8450'
  deepEqual(frontProblemsOf({ acme }, { publicUrl, edge: { acme } }), ['authority.front.public_url'])
  deepEqual(frontProblemsOf({ acme }, { publicUrl }), [])
  deepEqual(frontProblemsOf({ file: 'a', key_file: 'b' }, { publicUrl, edge: { acme } }), [])
})

test('of the front, too, what is configured is what is asked: the directory and by whom it is known', () => {
  const asked = { directory: acme.directory, agree_tos: true, email: 'ops@acme.example', ca_file: 'ca.pem' }
  const configuration = parseConfiguration(fronted({ acme: asked }, {}), 'test.yaml')
  const deployment = deploymentOf({ configuration, file: 'test.yaml', folder: '/etc/doorward' })
  deepEqual(frontSettings(deployment)?.certificate, {
    directory: acme.directory,
    email: 'ops@acme.example',
    access: { caFile: '/etc/doorward/ca.pem', allowPrivateAddresses: false },
  })
})
