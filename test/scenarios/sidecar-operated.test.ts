/** Sidecars at work: many calls at once. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { idOf } from '../fixtures/sdk-stage.ts'
import { askLocally, openSidecarStage, outboundOf } from '../fixtures/sidecar-stage.ts'
import type { SidecarStage } from '../fixtures/sidecar-stage.ts'

let stage: SidecarStage
before(async () => (stage = await openSidecarStage()))
after(() => stage.close())

async function connected(path: string): Promise<void> {
  const socket = connect({ path })
  await once(socket, 'connect').finally(() => socket.destroy())
}

/** As many calls one after the other, on a connection of their own. */
async function callsOn(socketPath: string, count: number): Promise<readonly number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const statuses: number[] = []
  for (let i = 0; i < count; i++) statuses.push((await askLocally(socketPath, '/orders/7', { agent })).status)
  agent.destroy()
  return statuses
}

test('many connections at once are answered each, and nothing of it is refused on either record', async () => {
  const [name, caller, place] = ['service/wide', 'agent/wide', join(stage.folder, 'wide.sock')]
  const audience = `https://127.0.0.1:${stage.ports[1]}`
  const much = '100000/s'
  const callee = await stage.sidecar(
    name,
    `inbound:
  listen: ${new URL(audience).host}
  audience: ${audience}
  service: wide
  routes: ["GET /orders/{id}"]
  roles: { reader: ["read:wide/*"] }
  bindings: [{ role: reader, workloads: ["${idOf(caller)}"] }]
  limits: { global: ${much}, per_address: ${much}, per_caller: ${much} }
  forward: { socket: ${stage.tap.socket}, concurrent: 128, per_caller_concurrent: 128 }
`,
  )
  const side = await stage.sidecar(caller, outboundOf(place, audience, '', idOf(name)))
  // Those that come and go unheard are nobody's refusal.
  const unheard = Array.from({ length: 32 }, () => connected(place))
  const answers = await Promise.all(Array.from({ length: 64 }, () => callsOn(place, 3)))
  await Promise.all(unheard)
  assert.deepEqual([...new Set(answers.flat())], [200])
  assert.equal(answers.flat().length, 192)
  for (const one of [callee, side]) await one.stop()
  const refused = (await Promise.all([name, caller].map((one) => stage.entries(one)))).flat()
  assert.deepEqual(
    refused.filter(({ kind }) => kind === 'refusals').map(({ body }) => body),
    [],
  )
  assert.deepEqual(
    [callee, side].flatMap(({ events }) => events.filter(({ type }) => type === 'refused' || type === 'problem')),
    [],
  )
})
