/** Malformed request heads on a real listener, with a valid certificate, token and session: none gets anywhere. */

import type { TLSSocket } from 'node:tls'
import { GatewayFixture } from '../fixtures/gateway-fixture.ts'
import { complete, dial } from '../fixtures/raw-http.ts'
import { json, scriptedServer } from '../fixtures/scripted-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'
import { seeded } from '../fuzz/chance.ts'
import { malformedHead } from '../fuzz/malformed-heads.ts'
import { Findings, Tally } from './part.ts'
import type { Assignment, Part, PartReport } from './part.ts'

const TOGETHER = 8
const CANARY_EVERY = 500
const SILENCE_MILLISECONDS = 2000
/** A second answer, to a request smuggled behind the first, would come at once. */
const SECOND_ANSWER_MILLISECONDS = 50

interface Stage {
  readonly server: ScriptedServer
  readonly gateway: GatewayFixture
  readonly caller: TestSvid
}

async function run(assignment: Assignment): Promise<PartReport> {
  const server = await scriptedServer(({ body }, response) => {
    const { id } = JSON.parse(body) as { id: number }
    json(response, `{"jsonrpc":"2.0","id":${id},"result":{"content":[]}}`)
  })
  const gateway = await GatewayFixture.open({ servers: { files: { url: server.url } }, roles: { all: ['*'] } })
  try {
    const caller = await gateway.trust.issue('agent/planner', { roles: ['all'] })
    return await attack({ server, gateway, caller }, assignment)
  } finally {
    await gateway.close()
    await server.close()
  }
}

async function attack(stage: Stage, { seed, goOn }: Assignment): Promise<PartReport> {
  const [chance, findings, statuses] = [seeded(seed), new Findings(), new Tally()]
  const { gateway, caller, server } = stage
  let [done, canaries, good] = [0, 0, '']
  while (goOn(done) && !findings.any) {
    if (done % CANARY_EVERY === 0) {
      // Confirmed by the authority, as it would be; and every canary brings a fresh session and token.
      gateway.trust.holder.confirm(gateway.trust.state().issuedAt)
      good = await freshRequest(stage)
      if ((await gateway.raw(caller, good)).status === 200) canaries++
      else findings.add(`after ${done} heads the right request was refused`)
      server.reached.length = 0
    }
    const heads = Array.from({ length: TOGETHER }, () => malformedHead(good, chance))
    const answers = await Promise.all(heads.map(({ text }) => answerTo(stage, text)))
    for (const [i, status] of answers.entries()) {
      statuses.add(status === 0 ? 'closed without answer' : String(status))
      if (status >= 200 && status < 300) findings.add(`${status} for ${heads[i]?.faults.join(', ')}: ${heads[i]?.text}`)
    }
    if (server.reached.length > 0) findings.add(`bytes at the server from one of ${JSON.stringify(heads)}`)
    done += TOGETHER
  }
  return { done, findings: findings.list, facts: { 'canaries served': canaries, answers: String(statuses) } }
}

async function freshRequest({ gateway, caller }: Stage): Promise<string> {
  const session = await gateway.initialize(caller, 'files')
  const body = '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"canary","arguments":{}}}'
  return gateway.request(caller, 'files', { session, body, headers: { 'MCP-Protocol-Version': '2025-11-25' } })
}

/** Status of the first answer, of an answer that is a success wherever it stands, or 0 without one. */
async function answerTo({ gateway, caller }: Stage, text: string): Promise<number> {
  const socket = await dial(gateway.connection(caller))
  const answer = await exchange(socket, Buffer.from(text, 'latin1'))
  socket.destroy()
  const all = Array.from(answer.matchAll(/^HTTP\/1\.1 (\d{3})/gm), ([, status]) => Number(status))
  return all.find((status) => status >= 200 && status < 300) ?? all[0] ?? 0
}

/** What comes until the gateway closes, or says nothing more. */
function exchange(socket: TLSSocket, bytes: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    let soFar = ''
    const done = () => resolve(soFar)
    socket.setTimeout(SILENCE_MILLISECONDS, done)
    socket.on('close', done).on('data', (chunk: Buffer) => {
      soFar += chunk.toString('latin1')
      if (complete(soFar)) socket.setTimeout(SECOND_ANSWER_MILLISECONDS)
    })
    socket.write(bytes)
  })
}

export const requestHeads: Part = {
  name: 'request-heads',
  rule: 'no malformed head is answered with a success or reaches a server, and right requests are served all the while',
  count: 20_000,
  maximumSeconds: 600,
  run,
}
