/** `security.rbac`: what no role allows is denied, in calls and in lists alike. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { tapTools } from '../fixtures/tap.ts'
import { callOf, initializeMessage, messageOf, Stage } from './stage.ts'
import type { Attempt, Caller } from './stage.ts'

let stage: Stage
/** Role `reader` by the binding of `agent/*`. */
let reader: Caller

before(async () => {
  stage = await Stage.open()
  reader = await stage.caller('agent/reader')
})
after(() => stage.close())

interface Rpc {
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: { readonly code: number }
}

/** Each denial answers the request of the client, hence 200; the decision is in the message. */
async function contrast(right: Attempt, wrong: Partial<Attempt>, code: string, status = 200): Promise<Rpc> {
  const answer = await stage.contrast(right, { ...wrong, status }, code)
  ok(answer !== null)
  return JSON.parse(answer.body) as Rpc
}

test('a tool that the role does not list is denied, and the model is told by which permission it would be allowed', async () => {
  for (const tool of ['write_note', 'drop_notes', 'no_such_tool']) {
    const { result } = await contrast({ caller: reader }, { body: callOf(tool) }, 'policy_denied')
    equal(result?.['isError'], true)
    const meta = result['_meta'] as Readonly<Record<string, string>>
    equal(meta['doorward/permission'], `tools/call:files/${tool}`)
  }
})

test('a name that only resembles a permitted tool is denied', async () => {
  for (const tool of ['Read_note', ' read_note', 'xread_note', 'read', 'read-note', 'reader_note', '\uff52ead_note'])
    await contrast({ caller: reader }, { body: callOf(tool) }, 'policy_denied')
})

test('a method that no protocol revision lists is refused, whoever asks', async () => {
  const admin = await stage.caller('service/admin', ['admin'])
  for (const method of [
    'tools/destroy',
    'Tools/Call',
    'tools/call ',
    'server/discover',
    '$/cancelRequest',
    'rpc.discover',
    'constructor',
    '__proto__',
    '',
  ]) {
    const { error } = await contrast(
      { caller: admin },
      { body: messageOf(method, { name: 'read_note', arguments: {} }) },
      'method_unknown',
    )
    equal(error?.code, -32601, method)
  }
})

test('a notification that clients do not send is refused', async () => {
  const right: Attempt = {
    caller: reader,
    status: 202,
    body: () => '{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}',
  }
  const body = () => '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'
  await contrast(right, { body }, 'notification_unknown', 400)
})

test('the same call passes with a role that has the permission and is denied with one that has not', async () => {
  const writer = await stage.caller('agent/writer', ['writer'])
  await contrast({ caller: writer, body: callOf('write_note') }, { caller: reader }, 'policy_denied')
})

test('a role for one server opens no other', async () => {
  const both = await stage.caller('service/both', ['readonly'])
  const there: Partial<Attempt> = {
    target: '/mcp/other',
    headers: { 'Mcp-Session-Id': null },
    body: () => initializeMessage,
  }
  const token = (caller: Caller) => stage.token(caller, stage.audience('other'))
  const right: Attempt = { caller: both, ...there, token: await token(both) }
  await contrast(right, { caller: reader, token: await token(reader) }, 'policy_denied')
})

test('a caller without any role may not even begin', async () => {
  const nobody = await stage.caller('service/nobody')
  equal(nobody.session, '')
  const begin: Attempt = { caller: reader, headers: { 'Mcp-Session-Id': null }, body: () => initializeMessage }
  await contrast(begin, { caller: nobody, token: await stage.token(nobody) }, 'policy_denied')
})

test('a role that no configuration defines grants nothing', async () => {
  const claimed = await stage.caller('service/claimed', ['superuser'])
  equal(claimed.session, '')
})

test('readonly reads, user also writes, admin does everything: as ADR-0011 prints them', async () => {
  const [readonly, user, admin] = [
    await stage.caller('service/readonly', ['readonly']),
    await stage.caller('service/user', ['user']),
    await stage.caller('service/all', ['admin']),
  ]
  await contrast({ caller: readonly }, { body: callOf('write_note') }, 'policy_denied')
  await contrast({ caller: user, body: callOf('write_note') }, { body: callOf('drop_notes') }, 'policy_denied')
  await stage.passes({ caller: admin, body: callOf('drop_notes') })
})

test('a session is worth nothing to another caller, whatever his roles', async () => {
  const thief = await stage.caller('service/thief', ['admin'])
  const right: Attempt = { caller: reader }
  const wrong = { caller: thief, token: await stage.token(thief), headers: { 'Mcp-Session-Id': reader.session } }
  await contrast(right, wrong, 'session_unknown', 404)
})

test('a list shows what a call would meet: the reader sees what he may call, the admin everything', async () => {
  const admin = await stage.caller('service/lister', ['admin'])
  const listed = async (caller: Caller) => {
    const answer = await stage.passes({ caller, body: messageOf('tools/list') })
    const { tools } = (JSON.parse(answer.body) as { result: { tools: { name: string }[] } }).result
    return tools.map(({ name }) => name)
  }
  deepEqual(await listed(admin), [...tapTools])
  deepEqual(await listed(reader), ['read_note', 'stream_note'])
})

test('the body is what is decided about: headers that name another call are refused, whichever it is', async () => {
  const right: Attempt = { caller: reader, headers: { 'Mcp-Method': 'tools/call', 'Mcp-Name': 'read_note' } }
  await stage.contrast(right, { body: callOf('write_note') }, 'message_header_mismatch')
  await stage.contrast(right, { headers: { 'Mcp-Method': 'tools/list' } }, 'message_header_mismatch')
  await stage.contrast(right, { headers: { 'Mcp-Name': 'stream_note' } }, 'message_header_mismatch')
})

test('the record counts each refusal without a caller by its reason, and no others', () => stage.settle())
