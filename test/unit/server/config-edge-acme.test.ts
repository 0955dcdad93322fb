/** `edge.certificate`: files or an authority, and every mistake with its place. */

import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { parseConfiguration } from '../../../packages/server/src/config/load.ts'
import { ConfigurationError } from '../../../packages/server/src/config/problem.ts'

function problemsOf(certificate: object, publicUrl = 'https://mcp.acme.example'): readonly string[] {
  const edge = {
    public_url: publicUrl,
    certificate,
    issuers: ['corp'],
    servers: ['notes'],
    clients: { claude: ['id'] },
  }
  const all = {
    trust_domain: 'acme.example',
    listeners: { edge: '0.0.0.0:443' },
    issuers: { corp: { issuer: 'https://login.acme.example' } },
    servers: { notes: { url: 'https://notes.acme.example/mcp' } },
    edge,
  }
  try {
    parseConfiguration(JSON.stringify(all), 'test.yaml')
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
