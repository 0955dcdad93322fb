/** Text of servers, callers and files reaches a terminal only in a form that the terminal does not obey. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { json, scriptedServer } from '../fixtures/scripted-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'

const EVIL = 'x\u001b[2J\u001b]0;owned\u0007\u009b31m\u202e'
// oxlint-disable-next-line no-control-regex -- what a terminal would obey, line ends apart
const OBEYED = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/

function resultOf(method: string, params: { readonly name?: string } | undefined): object {
  if (method === 'tools/list') {
    return {
      tools: [
        {
          name: `tool-${EVIL}`,
          description: `does ${EVIL}`,
          inputSchema: { type: 'object', properties: { [EVIL]: {} } },
        },
      ],
    }
  }
  if (params?.name === 'picture')
    return {
      content: [
        { type: EVIL, mimeType: EVIL },
        { type: 'resource_link', uri: EVIL },
      ],
    }
  return { content: [{ type: 'text', text: `line 1 ${EVIL}\nline 2` }], isError: params?.name === 'failing' }
}

describe('a terminal', () => {
  let system: TestDeployment
  let server: ScriptedServer
  before(async () => {
    server = await scriptedServer(({ body }, response) => {
      if (body === '') return void response.writeHead(405).end()
      const { id, method, params } = JSON.parse(body) as { id: number; method: string; params?: { name?: string } }
      if (params?.name === 'refused')
        return json(
          response,
          JSON.stringify({ jsonrpc: '2.0', id, error: { code: 1, message: EVIL, data: { x: EVIL } } }),
        )
      json(response, JSON.stringify({ jsonrpc: '2.0', id, result: resultOf(method, params) }))
    })
    system = await TestDeployment.start({
      // Such names would not be shown at all otherwise.
      yaml: `servers: { evil: { url: "${server.url}", insecure_upstream: true, approval: off } }
${wideLimits}`,
    })
  })
  after(async () => {
    await server.close()
    await system.remove()
  })

  /** Words and exit code; JSON is asked of those that print what others wrote. */
  const commands: readonly (readonly [words: readonly string[], code: number])[] = [
    [['tools', 'evil'], 0],
    [['tools', 'evil', '--json'], 0],
    [['call', 'evil', `tool-${EVIL}`], 0],
    [['call', 'evil', 'picture'], 0],
    [['call', 'evil', 'failing', '--json'], 1],
    [['call', 'evil', 'refused'], 1],
    [['call', 'evil', 'refused', '--json'], 1],
    [['call', EVIL, 'x'], 2],
    [['workload', 'add', `agent/${EVIL}`], 2],
    [['workload', 'add', 'agent/a', '--role', EVIL], 1],
    [['join'], 2],
    [['audit', 'tail', '-n', '200'], 0],
    [['audit', 'tail', '-n', '200', '--json'], 0],
    [[EVIL], 2],
    [[EVIL, '--json'], 2],
  ]
  for (const [words, code] of commands) {
    test(`gets nothing to obey from ${JSON.stringify(words.join(' ')).slice(0, 40)}`, async () => {
      const { stdout, stderr, ...result } = await system.run(words, EVIL)
      equal(OBEYED.test(stdout), false, JSON.stringify(stdout))
      equal(OBEYED.test(stderr), false, JSON.stringify(stderr))
      equal(result.code, code, stderr)
      if (words.includes('--json')) for (const line of stdout.trim().split('\n')) JSON.parse(line)
    })
  }

  test('the record keeps the name as it was, and shows it harmless', async () => {
    const record = await system.record()
    const named = record.filter(({ entry }) => JSON.stringify(entry.body).includes('tool-x'))
    ok(named.length > 0)
    deepEqual(named[0]?.entry.body['resource'], { server: 'evil', kind: 'tool', name: `tool-${EVIL}` })
    match((await system.run(['audit', 'tail', '-n', '200'])).stdout, /tools\/call evil\/tool-x\\u001b\[2J/)
  })

  test('logs hold nothing to obey', async () => {
    equal(OBEYED.test(system.stderr), false)
    for (const event of system.events) equal(OBEYED.test(JSON.stringify(event)), false)
  })
})
