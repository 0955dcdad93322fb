/**
 * What a server declares that it can do is told as far as its reader could make use of it: asked of the policy that calls meet,
 * with names and arguments open. Both eras; everything else of the answers passes byte for byte.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { GatewayFixture, messagesOf } from '../fixtures/gateway-fixture.ts'
import { modern, modernVersion } from '../fixtures/modern-server.ts'
import { json, scriptedServer } from '../fixtures/scripted-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

const declared = {
  tools: { listChanged: true },
  prompts: {},
  resources: { subscribe: true, listChanged: true },
  completions: {},
  logging: {},
  tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } },
  experimental: { own: { n: 1 } },
  extensions: { 'io.modelcontextprotocol/tasks': {}, 'example/other': {} },
}
/** As a server spells it: what stays has to stay as it is. */
const spelled = JSON.stringify(declared)
  .replace('"n":1', '"n" : 9007199254740993')
  .replace('"experimental"', ' "experimental"')

let server: ScriptedServer
let gateway: GatewayFixture
const callers: Record<string, TestSvid> = {}
let capabilities = spelled

before(async () => {
  server = await scriptedServer((reached, response) => {
    if (reached.method !== 'POST') return void response.writeHead(200).end()
    const { id, method } = JSON.parse(reached.body) as { id: number; method: string }
    const more = method === 'server/discover' ? `"supportedVersions":["${modernVersion}"],` : '"content":[],'
    json(
      response,
      `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"resultType":"complete",${more}"capabilities":${capabilities}}}`,
    )
  })
  gateway = await GatewayFixture.open({
    servers: { files: { url: server.url, effects: { read: ['read_*'] } } },
    roles: {
      all: ['*'],
      tools: ['tools/call:files/read_*'],
      reader: ['read:files/*'],
      writer: ['write:files/*'],
      prompts: ['prompts/get:files/a', 'completion/complete:files/a'],
    },
  })
  for (const role of ['all', 'tools', 'reader', 'writer', 'prompts'])
    callers[role] = await gateway.trust.issue(`agent/${role}`, { roles: [role] })
})
after(async () => {
  await gateway.close()
  await server.close()
})

async function told(
  role: string,
  era: 'legacy' | 'modern',
): Promise<{ readonly text: string; readonly seen: typeof declared }> {
  const svid = callers[role]
  ok(svid)
  server.capabilities = JSON.parse(capabilities) as object
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } }
  const opening = JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
  const answer = await gateway.rpc(svid, 'files', era === 'modern' ? modern('server/discover') : { body: opening })
  equal(answer.status, 200, answer.text)
  return { text: answer.body, seen: messagesOf(answer)[0]?.result?.['capabilities'] as typeof declared }
}

const always = { experimental: declared.experimental, logging: {} }
const { tools, prompts, resources, completions, tasks, extensions } = declared
const other = { extensions: { 'example/other': {} } }
const { list, requests } = tasks
const expected: Readonly<Record<string, object>> = {
  all: declared,
  tools: { ...always, tools, ...other },
  reader: { ...always, tools, prompts, resources, completions, tasks: { list, requests }, extensions },
  writer: { ...always, tools, tasks, extensions },
  prompts: { ...always, prompts, completions, ...other },
}

describe('a caller is told what it could make use of', () => {
  for (const era of ['legacy', 'modern'] as const)
    for (const [role, could] of Object.entries(expected))
      test(`${era}: ${role}`, async () => {
        deepEqual(
          (await told(role, era)).seen,
          JSON.parse(JSON.stringify(could).replace('"n":1', '"n":9007199254740992')),
        )
      })

  test('what stays is spelled as the server spells it', async () => {
    const { text } = await told('prompts', 'modern')
    ok(text.includes('"experimental":{"own":{"n" : 9007199254740993}}'), text)
    equal((await told('all', 'modern')).text.includes(spelled), true)
  })

  test('where no tool may write or administer, whoever may do only that hears of no tools', async () => {
    const servers = { files: { url: server.url, effects: { read: ['*'] } } }
    const own = await GatewayFixture.open({ servers, roles: { writer: ['write:files/*'] } })
    try {
      const writer = await own.trust.issue('agent/writer', { roles: ['writer'] })
      const [message] = messagesOf(await own.rpc(writer, 'files', modern('server/discover')))
      const seen = (message?.result ?? {})['capabilities'] as object
      deepEqual(['tools' in seen, 'prompts' in seen, 'tasks' in seen], [false, false, true])
    } finally {
      await own.close()
    }
  })
})

test('capabilities that can be read in two ways open nothing', async () => {
  capabilities = '{"tools":{},"Tools":{"listChanged":true}}'
  server.capabilities = JSON.parse(capabilities) as object
  const caller = callers['all']
  ok(caller)
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } }
  const opening = JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
  for (const rpc of [{ body: opening }, modern('server/discover')]) {
    const answer = await gateway.rpc(caller, 'files', rpc)
    deepEqual(messagesOf(answer)[0]?.error?.data, { code: 'upstream_invalid' })
    equal(answer.headers['mcp-session-id'], undefined)
  }
})
