/** Request targets and heads: one spelling for each resource, and no head that two readers split differently. */

import { posix } from 'node:path'
import { utf8 } from '@doorward/core'
import { readHead } from '../../../packages/enforcement/src/wire/request-head.ts'
import { readTarget } from '../../../packages/enforcement/src/wire/request-path.ts'
import { latin1, must } from './target.ts'
import type { FuzzTarget } from './target.ts'

const rules = { authorities: new Set(['h.example']), origins: new Set(['https://h.example']), maxHeaderLines: 16 }
const good = '/mcp/files?x=1\nHost: h.example\nContent-Type: application/json\nAccept: a/b\nAccept: c/d'
const starts = [good, '/a%20b/c.d/%C3%A9?q=%2F', '/', '/orders/v1/~x,(y)', `${good}\nTransfer-Encoding: chunked`]
const words = [
  ['%2f', '%2F', '%5c', '%00', '%25', '%', '..', '/.', '//', '\\', ';a=b', '?', '#', '%C3%A9', '%c3%a9', '%E9'],
  ['https://evil.example', '@', '*', '\t', '\r', '\nHost: h.example', '\nContent-Length: 1', '\nConnection: close'],
  ['\nX_Y: 1', '\n__proto__: 1', '\nTransfer-Encoding: gzip', '\nExpect: 100-continue', '\u00e9', ' '],
].flat()
/** How those who stand before or behind us read a path: none of them may see another one. */
const readers: readonly ((path: string) => string)[] = [
  (path) => new URL(path, 'https://h.example').pathname,
  (path) => posix.normalize(path),
  (path) => path.replaceAll('\\', '/'),
  (path) => path.replaceAll(/;[^/]*/g, ''),
  (path) => path.replaceAll(/\/+/g, '/'),
  (path) => path.replaceAll(/%[0-9a-fA-F]{2}/g, (escape) => escape.toUpperCase()),
  (path) => path.replaceAll(/\.+(?=\/|$)/g, ''),
]
/** Of which several are one list (RFC 9110 §5.3). */
const lists = ['accept', 'accept-encoding', 'accept-language', 'baggage', 'cache-control', 'tracestate', 'via']

function judge(input: Uint8Array): string {
  const [target = '', ...lines] = latin1(input).split('\n')
  const read = readTarget(target)
  if (!('problem' in read)) judgePath(target, read)
  const rawHeaders = lines.flatMap((line) => {
    const colon = line.indexOf(':')
    return [line.slice(0, Math.max(0, colon)), line.slice(colon + 1).trim()]
  })
  const { head, problem } = readHead({ rawHeaders, url: target, httpVersion: '1.1', method: 'POST' }, null, rules)
  must(/^[\x21-\x7e]*$/.test(head.path), 'a path for the record with more than visible ASCII')
  if (problem !== null) return 'problem' in read ? read.problem : problem.code
  must(!('problem' in read), 'a head is accepted with a target that is not')
  judgeHeaders(rawHeaders)
  return 'accepted'
}

function judgePath(target: string, { path, query }: { readonly path: string; readonly query: string }): void {
  must([path, `${path}?${query}`].includes(target), 'another target than was sent')
  for (const reader of readers) must(reader(path) === path, `${path} is ${reader(path)} to another reader`)
  for (const segment of path.split('/')) {
    const once = decodeURIComponent(segment)
    must(!/[/\\%;\0]/.test(once), `${segment} hides a delimiter`)
    must(decodeURIComponent(once) === once, `${segment} is read differently when it is read twice`)
  }
}

function judgeHeaders(raw: readonly string[]): void {
  const seen = new Headers()
  for (let i = 0; i < raw.length; i += 2) {
    const name = (raw[i] ?? '').toLowerCase()
    must(!seen.has(name) || lists.includes(name), `${name} is accepted twice`)
    // Refuses what is no name or value of RFC 9110.
    seen.append(name, raw[i + 1] ?? '')
  }
  must(seen.get('host') === 'h.example', 'accepted for another host')
  must(seen.get('content-length') === null || seen.get('transfer-encoding') === null, 'two lengths')
  must(seen.get('expect') === null && seen.get('upgrade') === null, 'what nobody carries out is accepted')
}

export const request: FuzzTarget = {
  name: 'request',
  rule: 'an accepted path is the same to every reader of paths, an accepted head has one reading, and nothing throws',
  open: async () => ({ starts: starts.map(utf8), words: words.map(utf8), judge }),
}
