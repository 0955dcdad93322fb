/** What the edge tells strangers, what browsers may read of it, and that nothing it tells is from a request. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { EdgeStage, issuerUrl, publicUrl } from '../fixtures/edge-stage.ts'
import { modern } from '../fixtures/modern-server.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'

const page = 'https://host.test.example'
let stage: EdgeStage
let plain: EdgeStage
before(async () => {
  stage = await EdgeStage.open({ edge: { origins: [page], servers: new Set(['notes', 'other']) } })
  plain = await EdgeStage.open()
})
after(() => Promise.all([stage.close(), plain.close()]))

const list = () => modern('tools/list')
const metadataPath = '/.well-known/oauth-protected-resource/mcp/notes'

function get(path: string, headers: Readonly<Record<string, string>> = {}, at = stage): Promise<RawAnswer> {
  const lines = Object.entries({ Host: 'edge.test.example', ...headers }).map(([name, value]) => `${name}: ${value}`)
  return at.raw(`GET ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
}

describe('metadata of a protected resource (RFC 9728)', () => {
  test('says whose tokens are good for a server, and how they are bound', async () => {
    const answer = await get(metadataPath)
    equal(answer.status, 200, answer.text)
    equal(answer.headers['content-type'], 'application/json')
    deepEqual(JSON.parse(answer.body), {
      resource: `${publicUrl}/mcp/notes`,
      resource_name: 'notes',
      authorization_servers: [issuerUrl],
      bearer_methods_supported: ['header'],
      dpop_signing_alg_values_supported: ['ES256', 'EdDSA'],
      dpop_bound_access_tokens_required: true,
    })
  })

  test('is from configuration, whatever Host says that is accepted', async () => {
    const told = (await get(metadataPath)).body
    for (const host of [`127.0.0.1:${stage.port}`, `localhost:${stage.port}`]) {
      equal((await getAs(host)).body, told, host)
    }
  })

  test('is told to nobody who names another host', async () => {
    for (const host of ['evil.test.example', 'edge.test.example.evil', 'edge.test.example:444', 'EDGE.test.example'])
      equal((await get(metadataPath, { Host: host })).headers['doorward-code'], 'host_unknown', host)
  })

  test('is there for no server that is not served at the edge, whether there is one or not', async () => {
    const [hidden, absent] = [await get(metadataPath.replace('notes', 'hidden')), await get(`${metadataPath}x`)]
    equal(hidden.headers['doorward-code'], 'path_unknown')
    deepEqual([hidden.status, hidden.body], [absent.status, absent.body])
  })

  test('is at the root where there is one server alone', async () => {
    const root = '/.well-known/oauth-protected-resource'
    equal((await get(root)).headers['doorward-code'], 'path_unknown')
    equal((await get(root, {}, plain)).body, (await get(metadataPath, {}, plain)).body)
  })

  test('is read, and nothing else', async () => {
    const answer = await stage.raw(
      `POST ${metadataPath} HTTP/1.1\r\nHost: edge.test.example\r\nContent-Length: 0\r\n\r\n`,
    )
    equal(answer.headers['doorward-code'], 'http_method')
  })
})

/** Without a name in the handshake. */
async function getAs(host: string): Promise<RawAnswer> {
  const socket = await dial({ host: '127.0.0.1', port: stage.port, ca: stage.ca })
  try {
    return parseAnswer(await talk(socket, `GET ${metadataPath} HTTP/1.1\r\nHost: ${host}\r\n\r\n`))
  } finally {
    socket.destroy()
  }
}

describe('paths', () => {
  test('a server that is not served at the edge is not there, with the best of credentials', async () => {
    for (const path of ['/mcp/hidden', '/mcp/nowhere', '/mcp/', '/mcp/notes/', '/sse/notes', '/http/notes', '/']) {
      const before = stage.tap.reached.length
      const answer = await stage.send(list(), { path, claims: { aud: `${publicUrl}${path}` } })
      equal(answer.headers['doorward-code'], 'path_unknown', path)
      equal(stage.tap.reached.length, before)
    }
  })

  test('our own API is not there', async () => {
    for (const path of ['/v1/status', '/v1/record', '/v1/receipt', '/metrics', '/livez', '/v1/token'])
      equal((await get(path)).headers['doorward-code'], 'path_unknown', path)
  })
})

describe('pages in a browser', () => {
  test('of an origin that is named may call, and read what they need', async () => {
    const answer = await stage.send(list(), { headers: { Origin: page } })
    equal(answer.status, 200, answer.text)
    equal(answer.headers['access-control-allow-origin'], page)
    equal(answer.headers['vary'], 'Origin')
    equal(answer.headers['access-control-allow-credentials'], undefined)
    ok(answer.headers['access-control-expose-headers']?.includes('WWW-Authenticate'))
  })

  test('of an origin that is named read refusals, too', async () => {
    const answer = await stage.send(list(), { token: null, headers: { Origin: page } })
    equal(answer.status, 401)
    equal(answer.headers['access-control-allow-origin'], page)
  })

  const ask = (origin: string | null, at = stage, path = '/mcp/notes') =>
    at.raw(
      `OPTIONS ${path} HTTP/1.1\r\nHost: edge.test.example\r\n${origin === null ? '' : `Origin: ${origin}\r\n`}` +
        'Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization, dpop\r\n\r\n',
    )

  test('may ask before', async () => {
    const answer = await ask(page)
    equal(answer.status, 204, answer.text)
    equal(answer.headers['access-control-allow-origin'], page)
    ok(answer.headers['access-control-allow-headers']?.includes('DPoP'))
    equal(answer.body, '')
  })

  test('may send headers of the parameters of tools, and nothing else that they name', async () => {
    const answer = await stage.raw(
      `OPTIONS /mcp/notes HTTP/1.1\r\nHost: edge.test.example\r\nOrigin: ${page}\r\nAccess-Control-Request-Method: POST\r\n` +
        'Access-Control-Request-Headers: authorization, mcp-param-region, mcp-param-, x-forwarded-for, cookie\r\n\r\n',
    )
    const allowed = (answer.headers['access-control-allow-headers'] ?? '').toLowerCase().split(', ')
    for (const name of ['authorization', 'dpop', 'mcp-protocol-version', 'mcp-session-id', 'mcp-param-region'])
      ok(allowed.includes(name), name)
    for (const name of ['mcp-param-', 'x-forwarded-for', 'cookie', '*']) ok(!allowed.includes(name), name)
    equal(answer.headers['access-control-allow-credentials'], undefined)
  })

  test('read the metadata where they are named, and are refused it elsewhere', async () => {
    for (const [origin, status] of [
      [page, 200],
      ['https://evil.test.example', 403],
    ] as const) {
      const answer = await stage.raw(
        `GET ${metadataPath} HTTP/1.1\r\nHost: edge.test.example\r\nOrigin: ${origin}\r\n\r\n`,
      )
      const readable = answer.headers['access-control-allow-origin']
      deepEqual([answer.status, readable], [status, status === 200 ? page : undefined])
    }
  })

  test('of any other origin are refused, with a token and without, and told nothing', async () => {
    for (const origin of [
      'https://evil.test.example',
      `${page}.evil`,
      'null',
      'http://host.test.example',
      `${page}:444`,
    ]) {
      const before = stage.tap.reached.length
      for (const answer of [await stage.send(list(), { headers: { Origin: origin } }), await ask(origin)]) {
        equal(answer.headers['doorward-code'], 'origin_unknown', origin)
        equal(answer.headers['access-control-allow-origin'], undefined, origin)
      }
      equal(stage.tap.reached.length, before)
    }
  })

  test('are refused where none is named', async () => {
    const answer = await plain.send(list(), { headers: { Origin: page } })
    equal(answer.headers['doorward-code'], 'origin_unknown')
    equal((await ask(page, plain)).headers['doorward-code'], 'origin_unknown')
  })

  test('what asks for nothing, or for what is not there, is no question', async () => {
    equal((await ask(null)).headers['doorward-code'], 'http_method')
    equal((await ask(page, stage, '/mcp/hidden')).headers['doorward-code'], 'path_unknown')
  })
})

test('a client certificate is asked of nobody, and one that is shown is worth nothing', async () => {
  const svid = await stage.gateway.trust.issue('agent/planner', { roles: ['writer'] })
  const token = await stage.gateway.trust.token(svid, `${publicUrl}/mcp/notes`)
  const socket = await dial({
    host: '127.0.0.1',
    port: stage.port,
    ca: stage.ca,
    servername: 'edge.test.example',
    ...svid.pem,
  })
  socket.destroy()
  for (const scheme of ['DPoP', 'Bearer'] as const) {
    const answer = await stage.send(list(), { token, scheme })
    equal(answer.status, 401, answer.text)
  }
})

test('the token of the edge is worth nothing on the main listener', async () => {
  const svid = await stage.gateway.trust.issue('agent/reader', { roles: ['writer'] })
  const token = await stage.token({ aud: 'https://gateway.test.example/mcp/notes' })
  const answer = await stage.gateway.rpc(svid, 'notes', { ...list(), token })
  equal(answer.status, 401, answer.text)
})
