/** Attempts with the message: what parsers read differently from each other, and what says one thing in the header and another in the body. */

import { refusedBy } from './attempt.ts'
import type { Attempt } from './attempt.ts'
import { greeting, requestOf } from './request.ts'
import type { Changes } from './request.ts'
import type { Scene } from './scene.ts'

type Row = readonly [id: string, title: string, changes: Changes, codes: readonly string[]]

export async function messageAttempts(scene: Scene): Promise<readonly Attempt[]> {
  const token = await scene.caller.token()
  return [...texts(), ...headersAndBody].map(([id, title, changes, codes]): Attempt => ({
    id: `message-${id}`,
    kind: 'message',
    title,
    requirement: 'OS25-D4',
    run: async () => refusedBy(await scene.send(scene.caller.material(), requestOf(scene, token, changes)), codes),
  }))
}

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

const modern = '2026-07-28'
const envelope = `"_meta":{"io.modelcontextprotocol/protocolVersion":"${modern}","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"probe","version":"1"}}`
const listing = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{${envelope}}}`

const headers = { 'MCP-Protocol-Version': modern, 'Mcp-Method': 'tools/list' }
/** A server of the earlier era is asked for nothing of this one, whatever the headers say. */
const mismatch = ['message_header_mismatch', 'protocol_version']

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
  [
    'version',
    'a version of the protocol that is none',
    { body: listing, headers: { ...headers, 'MCP-Protocol-Version': '2099-01-01' } },
    mismatch,
  ],
  [
    'header-method',
    'a header with another method than the body',
    { body: listing, headers: { ...headers, 'Mcp-Method': 'ping' } },
    mismatch,
  ],
  [
    'header-no-method',
    'no method in the header',
    { body: listing, headers: { 'MCP-Protocol-Version': modern } },
    mismatch,
  ],
  [
    'header-name',
    'a header with another name than the body',
    {
      body: listing.replace('tools/list', 'tools/call').replace('{"_meta"', '{"name":"read","arguments":{},"_meta"'),
      headers: { ...headers, 'Mcp-Method': 'tools/call', 'Mcp-Name': 'drop_all' },
    },
    mismatch,
  ],
  [
    'unknown',
    'a method that nobody knows',
    { body: listing.replace('tools/list', 'tools/drop'), headers: { ...headers, 'Mcp-Method': 'tools/drop' } },
    ['method_unknown', 'protocol_version'],
  ],
  [
    'case',
    'a method in capitals',
    { body: listing.replace('tools/list', 'TOOLS/LIST'), headers: { ...headers, 'Mcp-Method': 'TOOLS/LIST' } },
    ['method_unknown', 'protocol_version'],
  ],
  [
    'session',
    'a session that somebody has made up',
    { body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}', headers: { 'Mcp-Session-Id': 'A'.repeat(43) } },
    ['session_unknown'],
  ],
  [
    'no-session',
    'a call without its session',
    { body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}' },
    ['session_missing'],
  ],
]
