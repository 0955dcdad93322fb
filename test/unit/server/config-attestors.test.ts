/** `authority.attestors` and what it leads to: every mistake is told with its place, at the start. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { openVouchers } from '../../../packages/server/src/apps/authority-vouchers.ts'
import type { IssuerSettings } from '../../../packages/server/src/apps/authority-vouchers.ts'
import { parseConfiguration } from '../../../packages/server/src/config/load.ts'
import { ConfigurationError } from '../../../packages/server/src/config/problem.ts'
import { deploymentOf, voucherSettings } from '../../../packages/server/src/config/settings.ts'
import { foreign, foreignKey, pemFile } from '../../fixtures/foreign-certificates.ts'
import { keySet, platformKey } from '../../fixtures/platform-issuer.ts'

function configured(attestors: string) {
  return parseConfiguration(`trust_domain: acme.example\nauthority:\n  attestors: ${attestors}\n`, 'test.yaml')
}

function problemsOf(attestors: string): readonly string[] {
  try {
    configured(attestors)
    return []
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems.map(({ path }) => path)
    throw error
  }
}

const cluster = 'issuer: "https://k.example", audience: doorward'

test('an issuer has a name, an https issuer, an audience, one place for its keys and known algorithms', () => {
  const place = 'authority.attestors.oidc.k'
  assert.deepEqual(problemsOf(`{oidc: {k: {${cluster}}}}`), [])
  assert.deepEqual(problemsOf(`{oidc: {k: {${cluster}, jwks_file: a, jwks_url: "https://k.example/a"}}}`), [
    `${place}.jwks_url`,
  ])
  assert.deepEqual(problemsOf(`{oidc: {k: {${cluster}, jwks_file: a, ca_file: b, allow_private_addresses: true}}}`), [
    `${place}.ca_file`,
    `${place}.allow_private_addresses`,
  ])
  assert.deepEqual(problemsOf(`{oidc: {k: {issuer: "http://k.example", audience: ""}}}`), [
    `${place}.issuer`,
    `${place}.audience`,
  ])
  for (const url of ['http://k.example/a', 'file:///a', 'https://u:p@k.example/a', 'k.example'])
    assert.deepEqual(problemsOf(`{oidc: {k: {${cluster}, jwks_url: "${url}"}}}`), [`${place}.jwks_url`], url)
  assert.deepEqual(problemsOf(`{oidc: {k: {${cluster}, algorithms: []}}}`), [`${place}.algorithms`])
  for (const name of ['none', 'HS256', 'rs256'])
    assert.deepEqual(problemsOf(`{oidc: {k: {${cluster}, algorithms: [RS256, ${name}]}}}`), [`${place}.algorithms[1]`])
  assert.deepEqual(problemsOf(`{oidc: {k: {${cluster}, max_lifetime_seconds: 86401}}}`), [
    `${place}.max_lifetime_seconds`,
  ])
  assert.equal(problemsOf(`{oidc: {"k k": {${cluster}}}}`).length, 1)
  assert.equal(problemsOf(`{oidc: {k: {${cluster}, verify: false}}}`).length, 1)
  assert.equal(problemsOf('{ldap: {}}').length, 1)
  assert.deepEqual(problemsOf('{x509: {d: {}}}'), ['authority.attestors.x509.d.ca_file'])
})

test('files are meant from the folder of the configuration', () => {
  const configuration = configured(`{oidc: {k: {${cluster}, jwks_file: keys.json}}, x509: {d: {ca_file: /etc/d.pem}}}`)
  const settings = voucherSettings(deploymentOf({ file: '/srv/doorward.yaml', folder: '/srv', configuration }))
  assert.deepEqual(settings, {
    oidc: {
      k: {
        issuer: 'https://k.example',
        audience: 'doorward',
        algorithms: ['RS256'],
        maxLifetimeSeconds: 3600,
        keys: { kind: 'file', path: '/srv/keys.json' },
      },
    },
    x509: { d: { caFile: '/etc/d.pem' } },
  })
})

let folder: string
const file = (name: string) => join(folder, name)
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doorward-vouchers-'))
})
after(() => rm(folder, { recursive: true, force: true }))

test('files that cannot be used are told at the start, by their name', async () => {
  const authority = foreign({ subject: ['A'], key: foreignKey('p256'), ca: true })
  const leaf = foreign({ subject: ['L'], key: foreignKey('p256'), ca: false }, authority)
  const contents = {
    'good.pem': pemFile(authority),
    'many.pem': pemFile(...Array.from({ length: 33 }, () => authority)),
    'leaf.pem': pemFile(authority, leaf),
    'key.pem': `${pemFile(authority)}${String(authority.key.export({ type: 'pkcs8', format: 'pem' }))}`,
    'empty.pem': '',
    'good.json': keySet(platformKey('RS256', 'a')),
    'other.json': keySet(platformKey('ES256', 'a')),
    'broken.json': '{"keys":',
  }
  for (const [name, content] of Object.entries(contents)) await writeFile(file(name), content)
  const platform = (path: string): IssuerSettings => ({
    issuer: 'https://k.example',
    audience: 'doorward',
    algorithms: ['RS256'],
    maxLifetimeSeconds: 3600,
    keys: { kind: 'file', path: file(path) },
  })
  const devices = (name: string) => openVouchers({ oidc: {}, x509: { devices: { caFile: file(name) } } })
  const cluster = (name: string) => openVouchers({ oidc: { cluster: platform(name) }, x509: {} })
  assert.equal((await devices('good.pem')).anchors.get('devices')?.length, 1)
  assert.ok((await cluster('good.json')).issuers.has('cluster'))
  for (const name of ['many.pem', 'leaf.pem', 'key.pem', 'empty.pem'])
    await assert.rejects(devices(name), { code: 'certificates_invalid', where: file(name) })
  for (const name of ['other.json', 'broken.json'])
    await assert.rejects(cluster(name), { code: 'issuer_keys_invalid', where: file(name) })
  await assert.rejects(devices('none.pem'), { code: 'file_unreadable', where: file('none.pem') })
  await assert.rejects(cluster('none.json'), { code: 'file_unreadable', where: file('none.json') })
})
