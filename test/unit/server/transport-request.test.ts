import { equal, match } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readHead } from '../../../packages/enforcement/src/wire/request-head.ts'
import { readTarget } from '../../../packages/enforcement/src/wire/request-path.ts'
import { addressKey, remoteAddressOf } from '../../../packages/enforcement/src/wire/remote-address.ts'

const accepted = [
  '/',
  '/mcp/files',
  '/mcp/files?x=1',
  '/orders/v1/',
  '/a.b/c-d_e~f',
  "/a!b$c&d'e(f)g*h+i,j=k:l@m",
  '/%C3%A9t%C3%A9',
  '/a%20b',
  '/a%23b%3Fc',
]

const ambiguous = [
  '',
  '*',
  'mcp/files',
  '//mcp/files',
  '//evil.example/mcp/files',
  '/mcp//files',
  '/mcp/./files',
  '/mcp/../files',
  '/mcp/files/..',
  '/mcp/files/.',
  '/mcp/files.',
  '/mcp/files..',
  '/mcp/files./x',
  '/mcp/%2e%2e/files',
  '/mcp/%2E/files',
  '/mcp%2ffiles',
  '/mcp%2Ffiles',
  '/mcp%5cfiles',
  '/mcp\\files',
  '/mcp/files%00',
  '/mcp/files%0A',
  '/mcp/files%0d',
  '/mcp/files;a=b',
  '/mcp/files%3B',
  '/mcp/%66iles',
  '/mcp/files%252e',
  '/mcp/files%25',
  '/mcp/files%',
  '/mcp/files%2',
  '/mcp/files%zz',
  '/mcp/%c3%a9',
  '/mcp/%C3%a9',
  '/mcp/%C0%AF',
  '/mcp/%E0%80%AF',
  '/mcp/%ED%A0%80',
  '/mcp/files#x',
  '/mcp/files?x#y',
  '/mcp/files%40',
  '/mcp/fi les',
  '/mcp/fi\tles',
  '/mcp/\u00e9',
  '/mcp/files?a b',
  'https://gateway/mcp/files',
  'http://127.0.0.1:8443/mcp/files',
  'gateway:8443',
]

test('a canonical target is read as it is', () => {
  for (const target of accepted) {
    const read = readTarget(target)
    equal('problem' in read ? read.problem : read.path, target.split('?')[0])
  }
})

test('a target that anybody could read as another path is refused', () => {
  for (const target of ambiguous) equal('problem' in readTarget(target), true, target)
})

test('an accepted path is the only spelling of itself', () => {
  fc.assert(
    fc.property(fc.webPath(), (path) => {
      const read = readTarget(path)
      if ('problem' in read) return
      equal(new URL(path, 'http://h').pathname, read.path)
      equal(
        read.path
          .split('/')
          .map((segment) => decodeURIComponent(segment))
          .join('/')
          .includes('\0'),
        false,
      )
    }),
    { numRuns: 300 },
  )
})

const rules = {
  authorities: new Set(['gw.example:8443']),
  origins: new Set(['https://app.example']),
  maxHeaderLines: 64,
}

interface Given {
  readonly raw?: readonly string[]
  readonly url?: string
  readonly version?: string
  readonly method?: string
  readonly sni?: string | false
}

function codeOf({ raw = [], url = '/mcp/files', version = '1.1', method = 'POST', sni = false }: Given): string {
  const rawHeaders = raw.includes('Host') || raw.includes('host') ? raw : ['Host', 'gw.example:8443', ...raw]
  const request = { rawHeaders: [...rawHeaders], url, httpVersion: version, method }
  return readHead(request, sni, rules).problem?.code ?? 'none'
}

const headers: readonly (readonly [expected: string, raw: readonly string[], what: string])[] = [
  ['none', ['Accept', 'application/json', 'Accept', 'text/event-stream'], 'a repeatable header twice'],
  ['none', ['Content-Length', '3'], 'a length'],
  ['none', ['Transfer-Encoding', 'chunked'], 'chunks'],
  ['none', ['Connection', 'keep-alive'], 'keep-alive'],
  ['none', ['Origin', 'https://app.example'], 'an origin of the list'],
  ['header_duplicate', ['Host', 'gw.example:8443', 'host', 'gw.example:8443'], 'Host twice'],
  ['header_duplicate', ['Content-Length', '3', 'content-length', '3'], 'Content-Length twice'],
  ['header_duplicate', ['Authorization', 'Bearer a', 'authorization', 'Bearer b'], 'Authorization twice'],
  ['header_duplicate', ['DPoP', 'a', 'DPoP', 'b'], 'DPoP twice'],
  ['header_duplicate', ['Content-Type', 'a', 'Content-Type', 'a'], 'Content-Type twice'],
  ['header_duplicate', ['Origin', 'https://app.example', 'Origin', 'https://app.example'], 'Origin twice'],
  ['header_duplicate', ['Mcp-Session-Id', 'a', 'mcp-session-id', 'a'], 'Mcp-Session-Id twice'],
  ['header_duplicate', ['MCP-Protocol-Version', 'a', 'Mcp-Protocol-Version', 'b'], 'MCP-Protocol-Version twice'],
  ['header_duplicate', ['Mcp-Param-A', 'a', 'mcp-param-a', 'b'], 'any Mcp header twice'],
  ['header_duplicate', ['X-Unknown', 'a', 'x-unknown', 'b'], 'any other header twice'],
  ['header_name', ['Transfer_Encoding', 'chunked'], 'an underscore'],
  ['header_name', ['X_Forwarded_For', '1'], 'another underscore'],
  ['header_name', ['__proto__', '1'], '__proto__'],
  ['header_name', ['constructor', '1'], 'constructor'],
  ['header_name', ['toString', '1'], 'toString'],
  ['header_name', ['hasOwnProperty', '1'], 'hasOwnProperty'],
  ['header_name', ['x!y', '1'], 'a character outside names'],
  ['content_encoding', ['Content-Encoding', 'gzip'], 'an encoded body'],
  ['content_encoding', ['Content-Encoding', 'chunked'], 'chunked as content encoding'],
  ['request_malformed', ['Transfer-Encoding', 'gzip, chunked'], 'another transfer coding'],
  ['request_malformed', ['Transfer-Encoding', 'Chunked'], 'another spelling'],
  ['request_malformed', ['Transfer-Encoding', 'chunked', 'Content-Length', '3'], 'both lengths'],
  ['request_malformed', ['Content-Length', '+3'], 'a signed length'],
  ['request_malformed', ['Content-Length', '3, 3'], 'a list of lengths'],
  ['request_malformed', ['Upgrade', 'h2c'], 'an upgrade'],
  ['request_malformed', ['Connection', 'authorization'], 'Connection that names a header'],
  ['request_malformed', ['Connection', 'close, x-forwarded-for'], 'Connection that names another'],
  ['request_malformed', ['X-A', 'caf\u00e9'], 'a value outside ASCII'],
  ['expectation', ['Expect', '100-continue'], 'Expect'],
  ['host_unknown', ['Host', 'evil.example'], 'another Host'],
  ['host_unknown', ['Host', 'gw.example'], 'Host without its port'],
  ['host_unknown', ['Host', 'gw.example:8444'], 'Host with another port'],
  ['host_unknown', ['Host', 'GW.example:8443'], 'Host in another spelling'],
  ['host_unknown', ['Host', 'gw.example:8443.evil.example'], 'Host as a prefix'],
  ['host_unknown', ['Host', 'gw.example.:8443'], 'Host with a final dot'],
  ['host_unknown', ['Host', 'gw.example:8443, gw.example:8443'], 'a list of Hosts'],
  ['host_unknown', ['Host', ''], 'an empty Host'],
  ['origin_unknown', ['Origin', 'https://evil.example'], 'a foreign origin'],
  ['origin_unknown', ['Origin', 'null'], 'the null origin'],
  ['origin_unknown', ['Origin', 'https://app.example.evil.example'], 'an origin as a prefix'],
]

test('each header is refused with its own code', () => {
  for (const [expected, raw, what] of headers) equal(codeOf({ raw }), expected, what)
})

test('more header lines than the limit are refused, as many are not', () => {
  const lines = (count: number) => Array.from({ length: count }, (_, i) => [`x-${i}`, '1']).flat()
  equal(codeOf({ raw: lines(63) }), 'none')
  equal(codeOf({ raw: lines(64) }), 'header_limit')
  equal(codeOf({ raw: lines(2000) }), 'header_limit')
})

test('only HTTP/1.1 is spoken', () => {
  for (const version of ['1.0', '0.9', '2.0', '1.2']) equal(codeOf({ version }), 'http_version')
})

test('an ambiguous path is refused', () => equal(codeOf({ url: '/mcp/../files' }), 'path_ambiguous'))

test('the server name of the handshake must be that of the Host header when there is one', () => {
  equal(codeOf({ sni: 'gw.example' }), 'none')
  equal(codeOf({ sni: 'other.example' }), 'host_unknown')
  equal(codeOf({ sni: 'GW.EXAMPLE' }), 'host_unknown')
})

test('headers have no prototype and a refused target is kept printable', () => {
  const request = { rawHeaders: ['Host', 'gw.example:8443'], url: '/a\u0000b\n', httpVersion: '1.1', method: 'GET' }
  const { head } = readHead(request, false, rules)
  equal(Object.getPrototypeOf(head.headers), null)
  equal(head.headers['tostring'], undefined)
  match(head.path, /^[\x21-\x7e]+$/)
})

test('addresses are counted by host: IPv4 as it is, IPv6 by its /64', () => {
  equal(addressKey('10.1.2.3'), '10.1.2.3')
  equal(addressKey('2001:db8:0:1::1'), '2001:db8:0:1::/64')
  equal(addressKey('2001:db8:0:1:ffff::2'), '2001:db8:0:1::/64')
  equal(addressKey('2001:0db8:0000:0001:0:0:0:9'), '2001:db8:0:1::/64')
  equal(addressKey('::1'), '0:0:0:0::/64')
  equal(remoteAddressOf('::ffff:10.0.0.1'), '10.0.0.1')
})
