/** What servers and authorization servers say about themselves is followed no further than configuration names. */

import { deepEqual, equal, rejects } from 'node:assert/strict'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { after, before, beforeEach, describe, test } from 'node:test'
import { isDoorwardError } from '@doorward/core'
import { foreign, foreignKey, pemFile } from '../../fixtures/foreign-certificates.ts'
import { findCodeServer } from '../../../packages/server/src/transports/authorization-server.ts'
import { findProtectedResource } from '../../../packages/server/src/transports/protected-resource.ts'

const authority = foreign({ subject: ['Discovery'], key: foreignKey('p256'), ca: true })
const own = foreign({ subject: ['localhost'], key: foreignKey('p256'), ca: false, dns: ['localhost'] }, authority)
const access = { ca: pemFile(authority), allowPrivateAddresses: true }

interface Page {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly json?: object
}

describe('discovery of authorization', () => {
  const server = createServer({
    cert: pemFile(own),
    key: own.key.export({ type: 'pkcs8', format: 'pem' }),
    minVersion: 'TLSv1.3',
  })
  let base = ''
  let pages: Record<string, Page> = {}
  let asked: string[] = []

  before(async () => {
    server.on('request', (request, response) => {
      asked.push(request.url ?? '')
      const { status = 200, headers = {}, json = {} } = pages[request.url ?? ''] ?? { status: 404 }
      response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(json))
    })
    await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
    base = `https://localhost:${(server.address() as AddressInfo).port}`
  })
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  beforeEach(() => {
    asked = []
    pages = {}
  })

  const metadata = (change: object = {}) => ({
    issuer: `${base}/as`,
    authorization_endpoint: `${base}/authorize`,
    token_endpoint: `${base}/token`,
    code_challenge_methods_supported: ['S256'],
    ...change,
  })
  const codeOf = async (work: () => Promise<unknown>): Promise<string> => {
    let code = 'none'
    await work().catch((error: unknown) => (code = isDoorwardError(error) ? error.code : String(error)))
    return code
  }

  test('an authorization server is found at the places that MCP names, in their order', async () => {
    const places = [
      '/.well-known/oauth-authorization-server/as',
      '/.well-known/openid-configuration/as',
      '/as/.well-known/openid-configuration',
    ]
    for (const [i, place] of places.entries()) {
      asked = []
      pages = { [place]: { json: metadata() } }
      const found = await findCodeServer(`${base}/as`, access)
      equal(found.token.href, `${base}/token`)
      deepEqual(asked, places.slice(0, i + 1))
    }
  })

  test('metadata of another issuer, without S256, or with endpoints that are not https is refused', async () => {
    const wrong = [
      { issuer: `${base}/other` },
      { issuer: `${base}/as/` },
      { code_challenge_methods_supported: ['plain'] },
      { code_challenge_methods_supported: undefined },
      { token_endpoint: 'http://localhost/token' },
      { authorization_endpoint: 'javascript:alert(1)' },
      { token_endpoint: `https://user:word@localhost/token` },
    ]
    for (const change of wrong) {
      pages = { '/.well-known/oauth-authorization-server/as': { json: metadata(change) } }
      equal(await codeOf(() => findCodeServer(`${base}/as`, access)), 'authorization_server_invalid')
    }
  })

  test('a server names its metadata in its challenge, or has it at the well-known place; scopes come from the challenge first', async () => {
    const json = { resource: `${base}/mcp`, authorization_servers: [`${base}/as`], scopes_supported: ['all'] }
    pages = { '/mcp': { status: 401 }, '/.well-known/oauth-protected-resource/mcp': { json } }
    deepEqual(await findProtectedResource(`${base}/mcp`, `${base}/as`, access), {
      resource: `${base}/mcp`,
      scopes: ['all'],
    })
    const challenge = `Bearer resource_metadata="${base}/elsewhere", scope="notes.read notes.write"`
    pages = { '/mcp': { status: 401, headers: { 'WWW-Authenticate': challenge } }, '/elsewhere': { json } }
    const found = await findProtectedResource(`${base}/mcp`, `${base}/as`, access)
    deepEqual(found.scopes, ['notes.read', 'notes.write'])
  })

  test('a resource of another origin or path, or another authorization server, is not followed', async () => {
    const good = { resource: `${base}/mcp`, authorization_servers: [`${base}/as`] }
    const wrong = [
      { resource: 'https://victim.example/mcp' },
      { resource: `${base}/other` },
      { resource: `${base}/mcp#part` },
      { resource: `${base}/mc` },
      { authorization_servers: ['https://evil.example'] },
      { authorization_servers: undefined },
    ]
    for (const change of wrong) {
      const json = { ...good, ...change }
      pages = { '/mcp': { status: 401 }, '/.well-known/oauth-protected-resource/mcp': { json } }
      equal(await codeOf(() => findProtectedResource(`${base}/mcp`, `${base}/as`, access)), 'resource_invalid')
    }
  })

  test('metadata is fetched from no other scheme, no private or link-local address, and by no redirect', async () => {
    const places = [
      'http://localhost/metadata',
      'file:///etc/passwd',
      'https://169.254.169.254/latest/meta-data',
      'https://[fe80::1]/metadata',
      'https://[::ffff:169.254.169.254]/metadata',
    ]
    for (const place of places) {
      pages = { '/mcp': { status: 401, headers: { 'WWW-Authenticate': `Bearer resource_metadata="${place}"` } } }
      equal(await codeOf(() => findProtectedResource(`${base}/mcp`, `${base}/as`, access)), 'document_refused', place)
    }
    const strict = { ...access, allowPrivateAddresses: false }
    for (const place of [base, 'https://127.0.0.1', 'https://10.0.0.1', 'https://[::1]', 'https://localhost']) {
      asked = []
      await rejects(findCodeServer(place, strict), { code: 'document_refused' })
      deepEqual(asked, [])
    }
    const moved = { status: 302, headers: { Location: `${base}/secret` } }
    pages = { '/.well-known/oauth-authorization-server/as': moved, '/secret': { json: metadata() } }
    equal(await codeOf(() => findCodeServer(`${base}/as`, access)), 'document_unavailable')
    equal(asked.includes('/secret'), false)
  })
})
