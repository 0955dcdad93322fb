/** Request heads with at least one thing wrong that no gateway may overlook, and noise around it. */

import type { Chance } from './chance.ts'

/** A head as lines, request line first, and the body that follows. */
interface Draft {
  readonly lines: string[]
  body: string
}

type Fault = (draft: Draft, chance: Chance) => void

const single = [
  'Host',
  'Authorization',
  'Content-Type',
  'Content-Length',
  'Mcp-Session-Id',
  'MCP-Protocol-Version',
  'Origin',
]

function add(line: (chance: Chance) => string): Fault {
  return ({ lines }, chance) => void lines.splice(1 + chance.below(lines.length), 0, line(chance))
}

function replaceHeader(name: string, line: (chance: Chance) => string | null): Fault {
  return ({ lines }, chance) => {
    const at = lines.findIndex((each) => each.toLowerCase().startsWith(`${name}:`))
    const by = line(chance)
    lines.splice(at, 1, ...(by === null ? [] : [by]))
  }
}

function target(of: (path: string, chance: Chance) => string): Fault {
  return ({ lines }, chance) => {
    const [method = '', path = '', version = ''] = (lines[0] ?? '').split(' ')
    lines[0] = `${method} ${of(path, chance)} ${version}`
  }
}

const control = (chance: Chance): string => String.fromCharCode(chance.of([0, 1, 7, 8, 11, 12, 14, 27, 31, 127]))
const beyondAscii = (chance: Chance): string => String.fromCharCode(0x80 + chance.below(0x80))

const faults: Readonly<Record<string, Fault>> = {
  'a header repeated': ({ lines }, chance) => {
    const name = chance.of(single)
    const line = lines.find((each) => each.startsWith(`${name}:`)) ?? `${name}: x`
    lines.splice(1, 0, chance.below(2) === 0 ? line : line.toLowerCase(), line)
  },
  'an underscore in a name': add(
    (chance) => `${chance.of(['X_Forwarded_For', 'Transfer_Encoding', 'Content_Length', '_'])}: 1`,
  ),
  'a name of objects': add((chance) => `${chance.of(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])}: 1`),
  'a character that names may not have': add(
    (chance) => `X${chance.of([' ', '"', '(', '@', '[', '/', ',', ';', '{'])}y: 1`,
  ),
  'space before the colon': add((chance) => `Content-Length${chance.of([' ', '\t', '  '])}: 0`),
  'a control character in a value': add((chance) => `X-Noise: a${control(chance)}b`),
  'a value beyond ASCII': add((chance) => `X-Noise: a${beyondAscii(chance)}b`),
  'a folded line': add((chance) => `X-Noise: a\r\n${chance.of([' ', '\t'])}b`),
  'a bare carriage return': add(() => 'X-Noise: a\rContent-Length: 0'),
  'a line without colon': add((chance) => chance.of(['nothing', 'GET / HTTP/1.1', '\t', ' '])),
  'no host': replaceHeader('host', () => null),
  'another host': replaceHeader(
    'host',
    (chance) => `Host: ${chance.of(['evil.example', 'localhost.evil', '127.0.0.1.nip.io', '', '*', '127.0.0.1:1'])}`,
  ),
  'transfer and length': add(
    (chance) => `Transfer-Encoding: ${chance.of(['chunked', ' chunked', 'Chunked', '"chunked"'])}`,
  ),
  'another transfer coding': add(
    (chance) => `Transfer-Encoding: ${chance.of(['gzip', 'identity', 'chunked, gzip', 'xchunked', 'chunked;a=b', ''])}`,
  ),
  'a length that is no number': replaceHeader(
    'content-length',
    (chance) =>
      `Content-Length: ${chance.of(['-1', '+200', '0x10', '1e3', '2 00', '20,20', '99999999999999999999', ''])}`,
  ),
  'a content coding': add((chance) => `Content-Encoding: ${chance.of(['gzip', 'identity', 'br', 'chunked', ''])}`),
  'an expectation': add((chance) => `Expect: ${chance.of(['100-continue', 'x', '200-ok'])}`),
  'an upgrade': add((chance) => `Upgrade: ${chance.of(['websocket', 'h2c', 'TLS/1.0'])}`),
  'a connection option': add(
    (chance) => `Connection: ${chance.of(['authorization', 'upgrade', 'close, host', 'content-length', 'te'])}`,
  ),
  'an origin': add(
    (chance) => `Origin: ${chance.of(['https://evil.example', 'null', 'http://localhost', 'https://127.0.0.1'])}`,
  ),
  'too many lines': ({ lines }, chance) => {
    for (let left = 65 + chance.below(200); left > 0; left--) lines.push(`X-Line-${left}: ${left}`)
  },
  'too many bytes': add((chance) => `X-Long: ${'a'.repeat(16_384 + chance.below(8192))}`),
  'another version': ({ lines }, chance) => {
    lines[0] = (lines[0] ?? '').replace(
      'HTTP/1.1',
      chance.of(['HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', 'http/1.1', 'HTTP/1.1 ', 'HTTP/11', 'HTTPS/1.1', '']),
    )
  },
  'another method': ({ lines }, chance) => {
    const method = chance.of([
      'post',
      'PUT',
      'PATCH',
      'TRACE',
      'CONNECT',
      'PROPFIND',
      'POST\t',
      'P\u00d6ST',
      'GETPOST',
      'OPTIONS',
      'M-SEARCH',
    ])
    lines[0] = (lines[0] ?? '').replace('POST', method)
  },
  'an ambiguous path': target((path, chance) =>
    chance.of([
      `/${path}`,
      `/.${path}`,
      `/x/..${path}`,
      `${path}%2f`,
      `${path}%00`,
      path.replace('/mcp', '/%6dcp'),
      `${path};a=b`,
      `${path}\\`,
      `${path}/.`,
      `${path}//`,
      `/mcp%2Ffiles`,
    ]),
  ),
  'an unknown path': target((path, chance) =>
    chance.of([`${path}x`, '/', '/mcp', '/mcp/', `${path}/`, path.toUpperCase(), '/admin', '/v1/status']),
  ),
  'another form of target': target((path, chance) =>
    chance.of([
      `https://127.0.0.1${path}`,
      `http://evil.example${path}`,
      '*',
      'evil.example:443',
      `${path}#x`,
      path.slice(1),
    ]),
  ),
  'no token': replaceHeader('authorization', (chance) =>
    chance.of([
      null,
      'Authorization: Bearer',
      'Authorization: Basic eDp5',
      'Authorization: Bearer x.y.z',
      'Authorization: Bearer  a',
    ]),
  ),
  'another content type': replaceHeader(
    'content-type',
    (chance) =>
      `Content-Type: ${chance.of(['text/plain', 'application/jsonx', 'application/json-seq', '', 'multipart/form-data'])}`,
  ),
}

const names = Object.keys(faults)

const noise: readonly Fault[] = [
  () => undefined,
  add((chance) => `X-Noise-${chance.below(1000)}: ${'z'.repeat(chance.below(64))}`),
  ({ lines }, chance) => {
    const at = 1 + chance.below(lines.length - 1)
    lines[at] = (lines[at] ?? '').replace(/^[^:]+/, (name) =>
      chance.below(2) === 0 ? name.toUpperCase() : name.toLowerCase(),
    )
  },
  add((chance) => `Accept-Language: ${chance.of(['en', 'de;q=0.5', '*'])}`),
]

export interface MalformedHead {
  readonly faults: readonly string[]
  /** Latin-1. */
  readonly text: string
}

/** Bends a good request, given as text, by one to three faults. */
export function malformedHead(good: string, chance: Chance): MalformedHead {
  const end = good.indexOf('\r\n\r\n')
  const draft: Draft = { lines: good.slice(0, end).split('\r\n'), body: good.slice(end + 4) }
  const chosen = Array.from({ length: 1 + chance.below(3) }, () => chance.of(names))
  chance.of(noise)(draft, chance)
  for (const name of chosen) faults[name]?.(draft, chance)
  return { faults: chosen, text: `${draft.lines.join('\r\n')}\r\n\r\n${draft.body}` }
}
