/** Attempts with the message: what parsers read differently from each other, and what says one thing in the header and another in the body. */

import { refusedBy } from './attempt.ts'
import type { Attempt } from './attempt.ts'
import { greeting, requestOf } from './request.ts'
import type { Changes } from './request.ts'
import type { Scene } from './scene.ts'
import { statelessCall } from './stateless.ts'
import type { Stateless, StatelessCall } from './stateless.ts'

type Row = readonly [id: string, title: string, changes: Changes, codes: readonly string[]]

export async function messageAttempts(scene: Scene, stateless: Stateless): Promise<readonly Attempt[]> {
  const token = await scene.caller.token()
  const plainly = [...texts(), ...headersAndBody].map(([id, title, changes, codes]): Attempt => ({
    id: `message-${id}`,
    kind: 'message',
    title,
    requirement: 'OS25-D4',
    run: async () => refusedBy(await scene.send(scene.caller.material(), requestOf(scene, token, changes)), codes),
  }))
  return [...plainly, ...statelessAttempts(scene, stateless)]
}

const plain = (method: string) => JSON.stringify({ jsonrpc: '2.0', id: 1, method })
/** In header and body. */
const noVersion = statelessCall({
  method: 'tools/list',
  version: '2099-01-01',
  headers: { 'MCP-Protocol-Version': '2099-01-01' },
})
const inside = (more: string) => greeting.replace('{', `{${more},`)

/** RFC 8259 §4 and §8; I-JSON (RFC 7493). */
function texts(): readonly Row[] {
  const deep = `${'['.repeat(5000)}${']'.repeat(5000)}`
  const keys = Array.from({ length: 20_000 }, (_, index) => `"k${index}":0`).join(',')
  return [
    ['empty', 'no body', { body: '' }, ['body_missing', 'json_syntax']],
    ['not-json', 'a body that is no JSON', { body: '<xml/>' }, ['json_syntax']],
    ['cut-off', 'a body that is cut off', { body: greeting.slice(0, -1) }, ['json_syntax']],
    ['trailing', 'something after the message', { body: `${greeting}{}` }, ['json_syntax']],
    ['comment', 'a comment in it', { body: `/**/${greeting}` }, ['json_syntax']],
    ['number', 'a number that is none', { body: inside('"x":NaN') }, ['json_syntax']],
    ['bom', 'a byte order mark', { body: `﻿${greeting}` }, ['json_bom']],
    [
      'not-utf8',
      'bytes that are no UTF-8',
      { body: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]) },
      ['json_not_utf8'],
    ],
    ['surrogate', 'half of a character', { body: inside('"x":"\\ud800"') }, ['json_lone_surrogate']],
    ['method-twice', 'two methods', { body: inside('"method":"ping"') }, ['json_duplicate_key']],
    [
      'method-escaped',
      'two methods, one of them escaped',
      { body: inside('"\\u006dethod":"ping"') },
      ['json_duplicate_key'],
    ],
    ['prototype', 'a prototype', { body: inside('"__proto__":{"admin":true}') }, ['json_forbidden_key']],
    ['constructor', 'a constructor', { body: inside('"constructor":{"prototype":{}}') }, ['json_forbidden_key']],
    ['deep', '5,000 lists in each other', { body: inside(`"x":${deep}`) }, ['json_too_deep']],
    ['keys', '20,000 keys', { body: inside(`"x":{${keys}}`) }, ['json_too_many_keys', 'json_too_large']],
    [
      'huge',
      'a body of 8 MiB',
      { body: inside(`"x":"${'a'.repeat(8 * 1024 * 1024)}"`) },
      ['body_too_large', 'json_too_large', 'closed'],
    ],
    ['batch', 'several messages at once', { body: `[${greeting},${greeting}]` }, ['message_batch']],
    ['not-rpc', 'another version of JSON-RPC', { body: greeting.replace('"2.0"', '"1.0"') }, ['message_malformed']],
    ['no-method', 'no method', { body: '{"jsonrpc":"2.0","id":1}' }, ['message_malformed', 'response_unexpected']],
    ['id-object', 'an id that is an object', { body: greeting.replace('"id":1', '"id":{}') }, ['message_malformed']],
    [
      'method-number',
      'a method that is a number',
      { body: greeting.replace('"initialize"', '7') },
      ['message_malformed'],
    ],
  ]
}

/** The body decides; a header that says something else is a mistake or an attack. */
const headersAndBody: readonly Row[] = [
  ['type', 'another type of content', { headers: { 'Content-Type': 'text/plain' } }, ['content_type']],
  [
    'form',
    'a form, as pages of anybody can send',
    { headers: { 'Content-Type': 'application/x-www-form-urlencoded' } },
    ['content_type'],
  ],
  ['accept', 'an answer that we do not speak', { headers: { Accept: 'text/html' } }, ['accept_type']],
  ['version', 'a version of the protocol that is none', noVersion, ['protocol_version']],
  ['unknown', 'a method that nobody knows', { body: plain('tools/drop') }, ['method_unknown']],
  ['case', 'a method in capitals', { body: plain('TOOLS/LIST') }, ['method_unknown']],
  [
    'session',
    'a session that somebody has made up',
    { body: plain('tools/list'), headers: { 'Mcp-Session-Id': 'A'.repeat(43) } },
    ['session_unknown'],
  ],
  ['no-session', 'a call without its session', { body: plain('tools/list') }, ['session_missing']],
]

type StatelessRow = readonly [id: string, title: string, call: StatelessCall, codes: readonly string[]]

const mismatch = ['message_header_mismatch']

/** Headers that say what the body says are of calls without a session. */
const mirrored: readonly StatelessRow[] = [
  [
    'header-version',
    'a header with another version than the body',
    { method: 'tools/list', headers: { 'MCP-Protocol-Version': '2099-01-01' } },
    mismatch,
  ],
  [
    'header-method',
    'a header with another method than the body',
    { method: 'tools/list', headers: { 'Mcp-Method': 'ping' } },
    mismatch,
  ],
  ['header-no-method', 'no method in the header', { method: 'tools/list', headers: { 'Mcp-Method': null } }, mismatch],
  [
    'header-name',
    'a header with another name than the body',
    { method: 'tools/call', params: { name: 'read', arguments: {} }, headers: { 'Mcp-Name': 'drop_all' } },
    mismatch,
  ],
  ['stateless-unknown', 'a method that nobody knows, without a session', { method: 'tools/drop' }, ['method_unknown']],
]

function statelessAttempts(scene: Scene, stateless: Stateless): readonly Attempt[] {
  return mirrored.map(([id, title, call, codes]) => ({
    id: `message-${id}`,
    kind: 'message',
    title,
    requirement: 'OS25-D4',
    run: () => stateless.refused(scene, { who: scene.caller, call, codes }),
  }))
}
