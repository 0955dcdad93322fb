/** docs/agents.md in a real deployment: a program of the SDK with the official client, an agent with a signed card, an operator. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { AgentCard, generateAgentCardSignature, ListTasksRequest, SendMessageRequest } from '@a2a-js/sdk'
import { ClientFactory, DefaultAgentCardResolver, JsonRpcTransportFactory } from '@a2a-js/sdk/client'
import { connect } from '@doorward/sdk'
import type { ConnectedIdentity } from '@doorward/sdk'
import { card, openAgent, saying } from '../fixtures/agent-stage.ts'
import type { AgentServer } from '../fixtures/agent-stage.ts'
import { TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { fences } from '../fixtures/guide.ts'

let agent: AgentServer
let system: TestDeployment
let lead: ConnectedIdentity | undefined
let url: string

const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const { securitySchemes: _schemes, securityRequirements: _requirements, ...plain } = card

async function signed(shown: object): Promise<object> {
  const sign = generateAgentCardSignature(keys.privateKey, { alg: 'ES256', kid: 'card-1', typ: 'JOSE' })
  return AgentCard.toJSON(await sign(AgentCard.fromJSON(shown))) as object
}

before(async () => {
  agent = await openAgent()
  agent.card = await signed(plain)
  const guide = await readFile(new URL('../../docs/agents.md', import.meta.url), 'utf8')
  const [example] = fences(guide).filter(({ kind }) => kind === 'yaml')
  const yaml = (example?.text ?? '')
    .replace(/^trust_domain: .*\n/, '')
    .replaceAll('spiffe://acme.example/', 'spiffe://test.example/')
    .replace('url: https://planner.acme.example/a2a', `url: ${agent.url}\n    insecure_upstream: true`)
  ok(yaml.includes(agent.url), yaml)
  system = await TestDeployment.prepare({ yaml: `${yaml}${wideLimits}` })
  const jwk = { ...keys.publicKey.export({ format: 'jwk' }), kid: 'card-1', alg: 'ES256' }
  await writeFile(join(system.folder, 'planner-keys.json'), JSON.stringify({ keys: [jwk] }))
  await system.up()
  const file = join(system.folder, 'lead.join')
  equal((await system.run(['workload', 'add', 'agent/lead', '--out', file])).code, 0)
  const { publicUrl } = (await system.deployment()).gateway
  url = `${publicUrl}/a2a/planner`
  const keyFolder = join(system.folder, 'lead-keys')
  await mkdir(keyFolder, { mode: 0o700 })
  lead = await connect({
    folder: join(system.folder, 'lead'),
    key: join(keyFolder, 'lead.key'),
    join: { file },
    peers: { [publicUrl]: { id: 'spiffe://test.example/doorward/gateway/main', audience: url } },
  })
})

after(async () => {
  agent.close()
  await lead?.close()
  await system.remove()
})

const fetchImpl: typeof fetch = (input, init) => {
  ok(lead !== undefined)
  return lead.fetch(input, init)
}
const shownAt = () => fetchImpl(`${url}/.well-known/agent-card.json`)

test('an agent is refused until an operator has approved its card; then the official client gets on by the card alone', async () => {
  const refused = await shownAt()
  deepEqual([refused.status, refused.headers.get('doorward-code')], [403, 'definition_unapproved'])

  const { code, stdout } = await system.run(['servers', 'show', 'planner', '--json'])
  equal(code, 0, stdout)
  const { digest } = JSON.parse(stdout) as { readonly digest: string }
  equal((await system.run(['servers', 'approve', 'planner', '--yes', '--digest', digest])).code, 0)
  // What was refused is not looked at again at once.
  while ((await shownAt()).status !== 200) await new Promise((resolve) => setTimeout(resolve, 100))

  const factory = new ClientFactory({
    transports: [new JsonRpcTransportFactory({ fetchImpl })],
    cardResolver: new DefaultAgentCardResolver({ fetchImpl }),
  })
  const client = await factory.createFromUrl(url, '/a2a/planner/.well-known/agent-card.json')
  const begun = await client.sendMessage(SendMessageRequest.fromJSON(saying('ask me')))
  ok('status' in begun)
  const got = await client.getTask({ id: begun.id, tenant: '', historyLength: undefined })
  equal(got.id, begun.id)
  const { tasks } = await client.listTasks(ListTasksRequest.fromJSON({ pageSize: 10 }))
  deepEqual(
    tasks.map(({ id }) => id),
    [begun.id],
  )
  const last = agent.reached.at(-1)
  deepEqual([last?.headers.authorization, last?.headers['a2a-version']], [undefined, '1.0'])
})

test('what the role does not name is refused and on record, and nothing reaches the agent', async () => {
  const sent = agent.reached.length
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'CancelTask', params: { id: 'x' } })
  const headers = { 'Content-Type': 'application/json', 'A2A-Version': '1.0' }
  const answer = await fetchImpl(url, { method: 'POST', body, headers })
  equal(answer.headers.get('doorward-code'), 'handle_unknown')
  equal(agent.reached.length, sent)
  const entries = await system.record()
  ok(entries.some(({ entry }) => JSON.stringify(entry).includes('handle_unknown')))
})
