/** The operator's own Cedar policies on the running system: what arguments allow, and what hostile ones can not. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { wideLimits } from '../fixtures/deployment.ts'
import { messageOf, Stage } from './stage.ts'
import type { Attempt, Caller } from './stage.ts'

const policies = `@id("notes-only")
forbid (principal, action == Action::"tools/call", resource == Tool::"files/read_note")
unless { context.args has path && context.args.path like "notes/*" };

@id("small-amounts")
forbid (principal, action == Action::"tools/call", resource == Tool::"files/write_note")
when { context.args has amount && context.args.amount > 100 };

@id("no-roles")
forbid (principal, action == Action::"tools/call", resource == Tool::"files/stream_note")
unless { context.args.who has name && context.args.who.name == "me" };

@id("drop-on-the-moon")
permit (principal, action == Action::"tools/call", resource == Tool::"files/drop_notes")
when { context.address.isInRange(ip("192.0.2.0/24")) };

@id("other-for-nobody")
forbid (principal, action, resource in Server::"other");
`

let folder: string
let stage: Stage
/** Roles `reader`, by binding, and `writer`. */
let agent: Caller

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doorward-policies-'))
  const file = join(folder, 'own.cedar')
  await writeFile(file, policies)
  stage = await Stage.open({ yaml: `policy: { files: ["${file}"] }\n${wideLimits}` })
  agent = await stage.caller('agent/a', ['writer'])
})
after(async () => {
  await stage.close()
  await rm(folder, { recursive: true, force: true })
})

let requests = 1000

/** A call of which the arguments are this text. */
function calls(tool: string, args: string): Attempt {
  const body = () =>
    `{"jsonrpc":"2.0","id":${++requests},"method":"tools/call","params":{"name":"${tool}","arguments":${args}}}`
  return { caller: agent, body }
}

/** The answer is one to the call, hence 200. */
const refuses = (tool: string, args: string, code: string, status = 200) =>
  stage.refuses({ ...calls(tool, args), status }, code)

test('arguments decide: what a forbid names is refused, and everything else of the same tool passes', async () => {
  await stage.passes(calls('read_note', '{"path":"notes/a"}'))
  await refuses('read_note', '{"path":"secrets/a"}', 'policy_forbidden')
  await refuses('read_note', '{"path":"notes"}', 'policy_forbidden')
  await refuses('read_note', '{"paht":"notes/a"}', 'policy_forbidden')
  await refuses('read_note', '{}', 'policy_forbidden')
  await stage.passes(calls('write_note', '{"amount":100}'))
  await refuses('write_note', '{"amount":101}', 'policy_forbidden')
  await stage.passes(calls('write_note', '{}'))
})

test('the record names the policy of the file, and by which policy of which number it was decided', async () => {
  const answer = await refuses('write_note', '{"amount":101}', 'policy_forbidden')
  ok(answer !== null)
  const { body } = await stage.decision('gateway', answer)
  deepEqual(body['policies'], [`${join(folder, 'own.cedar')}#small-amounts`])
  const allowed = (await stage.decision('gateway', await stage.passes(calls('write_note', '{}')))).body
  deepEqual(body['policy'], allowed['policy'])
  const { digest, sequence } = body['policy'] as { digest: string; sequence: number }
  ok(digest.length === 43 && sequence === 1)
})

test('values that are no number of Cedar, or of another type, are an error in the policy that reads them, and deny', async () => {
  for (const value of ['100.5', '1e400', '-1e400', '9007199254740993', '1e-7', 'null', '"100"', 'true', '{}', '[100]'])
    await refuses('write_note', `{"amount":${value}}`, 'policy_error')
  for (const value of ['0', '-0', '1e2', '-9007199254740991', '100.0'])
    await stage.passes(calls('write_note', `{"amount":${value}}`))
  await refuses('write_note', '{"amount":9007199254740991}', 'policy_forbidden')
  for (const value of ['null', '1', '1.5', '["notes/a"]', '[]', '{"like":"notes/a"}', 'false', '[[[[null]]]]'])
    await refuses('read_note', `{"path":${value}}`, 'policy_error')
})

test('what looks like Cedar in JSON is a record with that name, and nothing else', async () => {
  const escapes = [
    '{"__entity":{"type":"Role","id":"admin"}}',
    '{"__extn":{"fn":"ip","arg":"192.0.2.1"}}',
    '{"__expr":"principal"}',
    '{"type":"Role","id":"admin"}',
  ]
  for (const value of escapes) {
    await refuses('read_note', `{"path":${value}}`, 'policy_error')
    await refuses('stream_note', `{"who":${value}}`, 'policy_forbidden')
    await refuses('write_note', `{"amount":${value}}`, 'policy_error')
  }
  await stage.passes(calls('stream_note', '{"who":{"name":"me","__entity":{"type":"Role","id":"admin"}}}'))
  await stage.passes(calls('read_note', '{"path":"notes/a","__extn":{"fn":"ip","arg":"10.0.0.1"}}'))
})

test('names of prototypes and repeated names do not reach any policy', async () => {
  for (const name of ['__proto__', 'constructor', 'prototype'])
    await refuses('read_note', `{"${name}":{"path":"notes/a"}}`, 'json_forbidden_key', 400)
  await refuses('read_note', '{"path":"notes/a","path":"secrets/a"}', 'json_duplicate_key', 400)
  await refuses('read_note', '{"path":"secrets/a","p\\u0061th":"notes/a"}', 'json_duplicate_key', 400)
  await refuses('read_note', '{"toString":"notes/a"}', 'policy_forbidden')
  await refuses('stream_note', '{"who":{"hasOwnProperty":"me"}}', 'policy_forbidden')
})

test('many, deep and long arguments are decided, or refused, and the gateway goes on', async () => {
  const many = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`a${i}`, i]))
  await stage.passes(calls('read_note', JSON.stringify({ ...many, path: 'notes/a' })))
  await refuses('read_note', JSON.stringify({ ...many, path: 'secrets' }), 'policy_forbidden')
  await stage.passes(calls('read_note', JSON.stringify({ path: `notes/${'*'.repeat(100_000)}` })))
  await refuses('read_note', JSON.stringify({ path: `${'notes'.repeat(20_000)}/` }), 'policy_forbidden')
  await refuses('read_note', `{"path":${'['.repeat(100)}${']'.repeat(100)}}`, 'json_too_deep', 400)
  const array = JSON.stringify(Array.from({ length: 65 }, () => ({})))
  await refuses('read_note', `{"path":${array}}`, 'policy_error')
  await stage.passes(calls('read_note', `{"path":"notes/a","other":${array}}`))
})

test('a list shows what some call could be allowed to do, and no other', async () => {
  const names = async (server: string) => {
    const session = await stage.initialize(agent, {
      token: await stage.token(agent, stage.audience(server)),
      target: `/mcp/${server}`,
      headers: { 'Mcp-Session-Id': null },
    })
    if (session === '') return null
    const answer = await stage.send({
      caller: agent,
      target: `/mcp/${server}`,
      token: await stage.token(agent, stage.audience(server)),
      headers: { 'Mcp-Session-Id': session },
      body: messageOf('tools/list'),
    })
    const { result } = JSON.parse(answer?.body ?? '{}') as { result?: { tools: readonly { name: string }[] } }
    return result?.tools.map(({ name }) => name).toSorted()
  }
  deepEqual(await names('files'), ['read_note', 'stream_note', 'write_note'])
  equal(await names('other'), null)
})
