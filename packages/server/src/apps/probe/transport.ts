/** Attempts with the form of the request: what proxies and servers read differently from each other. */

import { refusedBy } from './attempt.ts'
import type { Attempt } from './attempt.ts'
import { greeting, requestOf } from './request.ts'
import type { Changes } from './request.ts'
import type { Scene } from './scene.ts'

type Row = readonly [id: string, title: string, changes: Changes, codes: readonly string[]]

const malformed = ['request_malformed', 'header_duplicate', 'header_name', 'status_400', 'closed']

export async function transportAttempts(scene: Scene): Promise<readonly Attempt[]> {
  const token = await scene.caller.token()
  return [...framing(), ...lengths(), ...names(scene), ...paths(scene), ...sizes()].map(
    ([id, title, changes, codes]): Attempt => ({
      id: `transport-${id}`,
      kind: 'transport',
      title,
      requirement: 'ADR11-REQ-6',
      run: async () =>
        refusedBy(
          await scene.send(scene.caller.material(), requestOf(scene, token, { keep: true, ...changes })),
          codes,
        ),
    }),
  )
}

const hidden = `0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: x\r\n\r\n`
const chunkedBody = `${greeting.length.toString(16)}\r\n${greeting}\r\n0\r\n\r\n`

/** Where a request ends (RFC 9112 §6 and §11.2). */
function framing(): readonly Row[] {
  const chunked = (value: string, more: Changes = {}): Changes => ({
    length: null,
    body: chunkedBody,
    more: [['Transfer-Encoding', value]],
    ...more,
  })
  return [
    ['cl-te', 'a length and chunks', { body: hidden, more: [['Transfer-Encoding', 'chunked']] }, malformed],
    [
      'te-twice',
      'chunks said twice',
      chunked('chunked', {
        more: [
          ['Transfer-Encoding', 'chunked'],
          ['Transfer-Encoding', 'identity'],
        ],
      }),
      malformed,
    ],
    [
      'te-list',
      'chunks among other encodings',
      chunked('gzip, chunked'),
      [...malformed, 'content_encoding', 'status_501'],
    ],
    ['te-x', 'an encoding that looks like chunks', chunked('xchunked'), malformed],
    [
      'te-blank',
      'a blank before the colon',
      { length: null, body: chunkedBody, headers: { 'Transfer-Encoding ': 'chunked' } },
      malformed,
    ],
    ['te-tab', 'a tab inside the word', chunked('chun\tked'), malformed],
    ['te-quoted', 'the word in quotes', chunked('"chunked"'), malformed],
  ]
}

/** How long a body is (RFC 9110 §8.6). */
function lengths(): readonly Row[] {
  const chunked = { length: null, more: [['Transfer-Encoding', 'chunked']] } as const
  return [
    ['cl-twice', 'two lengths', { more: [['Content-Length', '1']] }, malformed],
    ['cl-list', 'a list of lengths', { length: `${greeting.length}, ${greeting.length}` }, malformed],
    ['cl-sign', 'a length with a sign', { length: `+${greeting.length}` }, malformed],
    ['cl-hex', 'a length in other digits', { length: '0x10' }, malformed],
    ['cl-negative', 'a length below zero', { length: '-1' }, malformed],
    [
      'cl-huge',
      'a length beyond all numbers',
      { length: '99999999999999999999' },
      [...malformed, 'body_too_large', 'json_too_large'],
    ],
    [
      'cl-beyond',
      'a length of 16 MiB, and nothing of it',
      { length: String(16 * 1024 * 1024), body: '' },
      ['body_too_large'],
    ],
    [
      'chunk-size',
      'a chunk with a size that is none',
      { ...chunked, body: `zz\r\n${greeting}\r\n0\r\n\r\n` },
      malformed,
    ],
    ['fold', 'a header that goes on in the next line', { headers: { 'X-Folded': 'a\r\n b' } }, malformed],
    ['bare-lf', 'a line that ends without CR', { headers: { 'X-Line': 'a\nAuthorization: Bearer x' } }, malformed],
    ['nul', 'a NUL in a header', { headers: { 'X-Nul': 'a\0b' } }, malformed],
    ['no-colon', 'a line without a colon', { headers: { 'X-None\r\nbroken': 'x' } }, malformed],
  ]
}

/** Who is meant, and who is said to ask (RFC 9110 §7.2; DNS rebinding). */
function names({ host, path }: Scene): readonly Row[] {
  const wrong = ['host_unknown', 'request_malformed', 'header_duplicate', 'status_400']
  return [
    ['host-none', 'no Host', { headers: { Host: null } }, wrong],
    ['host-other', 'another Host', { headers: { Host: 'attacker.example' } }, wrong],
    ['host-twice', 'two Hosts', { more: [['Host', 'attacker.example']] }, wrong],
    ['host-prefix', 'a Host that begins as ours does', { headers: { Host: `${host}.attacker.example` } }, wrong],
    ['host-user', 'a Host with a name before it', { headers: { Host: `x@${host}` } }, wrong],
    [
      'absolute',
      'a target that names another host',
      { target: `https://attacker.example${path}` },
      [...wrong, 'path_ambiguous'],
    ],
    ['origin', 'the page of somebody else', { headers: { Origin: 'https://attacker.example' } }, ['origin_unknown']],
    ['origin-null', 'a page without an origin', { headers: { Origin: 'null' } }, ['origin_unknown']],
    ['underscore', 'a header with an underscore', { headers: { Transfer_Encoding: 'chunked' } }, ['header_name']],
    [
      'underscore-x',
      'a header that a proxy reads as another',
      { headers: { X_Forwarded_For: '127.0.0.1' } },
      ['header_name'],
    ],
    ['expect', 'an expectation that nobody knows', { headers: { Expect: '200-maybe' } }, ['expectation']],
    ['encoding', 'a compressed body', { headers: { 'Content-Encoding': 'gzip' } }, ['content_encoding']],
    ['http-1.0', 'HTTP/1.0', { version: '1.0' }, ['http_version']],
    [
      'http-2',
      'HTTP/2 by prior knowledge',
      { method: 'PRI', target: '*', version: '2.0', length: null, body: '' },
      ['http_version', 'request_malformed', 'status_400', 'status_505', 'closed'],
    ],
    ['method', 'a method that is none', { method: 'TRACE' }, ['http_method', 'request_malformed']],
    [
      'connect',
      'a tunnel',
      { method: 'CONNECT', target: 'attacker.example:443' },
      ['http_method', 'request_malformed', 'path_unknown', 'path_ambiguous', 'status_400', 'closed'],
    ],
    [
      'upgrade',
      'another protocol',
      { headers: { Connection: 'Upgrade', Upgrade: 'websocket' }, method: 'GET', length: null, body: '' },
      ['request_malformed', 'http_method', 'session_missing', 'header_name', 'status_400', 'closed', 'accept_type'],
    ],
  ]
}

/** One spelling of a path (RFC 3986 §6). */
function paths({ path }: Scene): readonly Row[] {
  const last = path.slice(path.lastIndexOf('/') + 1)
  const at = path.slice(0, path.lastIndexOf('/'))
  const spelled: readonly (readonly [id: string, target: string, code?: string])[] = [
    ['double-slash', `${at}//${last}`],
    ['dot', `${at}/./${last}`],
    ['dot-dot', `${at}/x/../${last}`],
    ['encoded-dot', `${at}/%2e%2e/mcp/${last}`],
    ['encoded-slash', `${at}%2f${last}`],
    ['encoded-letter', `${at}/%${last.charCodeAt(0).toString(16)}${last.slice(1)}`],
    ['encoded-twice', `${at}/%25${last.charCodeAt(0).toString(16)}${last.slice(1)}`],
    ['backslash', `${at}\\${last}`],
    ['encoded-backslash', `${at}%5c${last}`],
    ['parameter', `${at}/${last};a=b`],
    ['nul', `${at}/${last}%00`],
    ['capitals', `${at.toUpperCase()}/${last}`, 'path_unknown'],
    ['final-slash', `${path}/`, 'path_unknown'],
    ['final-dot', `${path}.`],
    ['blank', `${path}%20`, 'path_unknown'],
    ['overlong', `${at}/%c0%ae%c0%ae/${last}`],
    ['wide', `${at}/${last}%e2%80%8b`],
    ['fragment', `${path}#x`],
  ]
  return spelled.map(([id, target, code = 'path_ambiguous']) => [
    `path-${id}`,
    `the path spelled ${target}`,
    { target },
    [code],
  ])
}

function sizes(): readonly Row[] {
  const many = Array.from({ length: 200 }, (_, index) => [`X-Filler-${index}`, 'x'] as const)
  return [
    ['headers-many', '200 headers', { more: many }, ['header_limit', 'status_431']],
    [
      'headers-huge',
      'a header of 64 KiB',
      { headers: { 'X-Huge': 'x'.repeat(65_536) } },
      ['header_limit', 'status_431', 'closed'],
    ],
    [
      'target-huge',
      'a path of 64 KiB',
      { target: `/mcp/${'x'.repeat(65_536)}` },
      ['header_limit', 'request_malformed', 'status_431', 'status_414', 'closed'],
    ],
  ]
}
