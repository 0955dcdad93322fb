/** Some of a drill's workloads in one process: each with its own keys, identity folder, trust-state stream and connections. */

import { randomBytes as nodeRandom } from 'node:crypto'
import { join } from 'node:path'
import { isDoorwardError, isJsonObject, parseSpiffeId, parseTrustMessage, Secret } from '@doorward/core'
import type { JsonValue } from '@doorward/core'
import {
  aesGcmSealer,
  join as joinAuthority,
  openIdentity,
  openMcpClient,
  randomBytes,
  systemRuntime,
  timerSleep,
  TrustMemory,
} from '@doorward/sdk'
import type { Identity, McpClient } from '@doorward/sdk'
import type { CrowdGateway, CrowdMember, CrowdOrder, CrowdReport, MemberLook, Tally } from './crowd-messages.ts'

interface Member {
  readonly identity: Identity
  readonly gateway: CrowdGateway
  /** Nothing is tried twice. */
  strict: boolean
  client: McpClient | null
  since: number
}

const JOINING = 8
const sealer = aesGcmSealer(new Secret(new Uint8Array(nodeRandom(32))), randomBytes)
/** One machine plays them all: what depends on nothing but its input is worked out once for all of them. */
const memory = TrustMemory.ofMany()
const ending = new AbortController()
const members: Member[] = []
let tally = newTally()
let traffic = new AbortController()

function newTally(): { succeeded: number; failed: number; codes: Record<string, number> } {
  return { succeeded: 0, failed: 0, codes: {} }
}

function say(report: CrowdReport): void {
  if (process.connected) process.send?.(report)
}

process.once('disconnect', () => process.exit(0))
process.on('message', (raw) => void obey(raw as CrowdOrder).catch(fail))

function fail(error: unknown): void {
  say({ type: 'failed', message: error instanceof Error ? (error.stack ?? error.message) : String(error) })
}

async function obey(order: CrowdOrder): Promise<void> {
  switch (order.type) {
    case 'join':
      return joinAll(order)
    case 'traffic':
      return startTraffic(order.everyMilliseconds)
    case 'poison':
      return poison(order.messages)
    case 'burst':
      return say({ type: 'burst', tally: await burst(order) })
    case 'look':
      say({ type: 'look', members: members.map(lookOf), tally })
      tally = newTally()
  }
}

async function joinAll(order: Extract<CrowdOrder, { type: 'join' }>): Promise<void> {
  const waiting = order.members.map((member, i) => ({ member, i }))
  const one = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      await admit(order, next.member, next.i)
      say({ type: 'joined', count: members.length })
    }
  }
  await Promise.all(Array.from({ length: JOINING }, one))
  say({ type: 'ready' })
}

async function admit(
  { folder: root, gateways, authorityUrl }: Extract<CrowdOrder, { type: 'join' }>,
  { joinString }: CrowdMember,
  i: number,
): Promise<void> {
  const folder = join(root, String(i))
  await joinAuthority({ joinString, folder, sealer, authorityUrl })
  const identity = await openIdentity({ folder, sealer, memory })
  await identity.prepare()
  void identity.run(ending.signal)
  const gateway = gateways[i % gateways.length]
  if (gateway === undefined) throw new TypeError('no gateway')
  const member: Member = { identity, gateway, strict: false, client: null, since: Date.now() }
  identity.credentials.onChange(() => (member.since = Date.now()))
  members.push(member)
  await callOnce(member)
}

function lookOf({ identity, since }: Member): MemberLook {
  return { id: identity.id.uri, anchor: identity.credentials.current().certificate.authorityKeyId ?? '', since }
}

/** Null, or why it failed. A session that is gone is opened anew with the next call. */
async function callOnce(member: Member): Promise<string | null> {
  const { identity, gateway } = member
  try {
    member.client ??= await openMcpClient({
      fetch: { call: (url, options) => identity.call(url, { ...options, retries: !member.strict }) },
      endpoint: { url: gateway.url, audience: gateway.audience, expectedId: parseSpiffeId(gateway.id) },
      runtime: systemRuntime,
      client: { name: 'drill', version: '1' },
      signal: ending.signal,
    })
    const answer = await member.client.request('tools/call', { name: 'echo', arguments: {} })
    if (answer.ok && answer.result['isError'] !== true) return null
    member.client = null
    return answer.decision?.code ?? (answer.ok ? 'tool_error' : reasonOf(answer))
  } catch (error) {
    member.client = null
    return isDoorwardError(error) ? error.code : String(error)
  }
}

/** What has kept the call from the gateway, by its code. */
function reasonOf({ code, data }: { readonly code: number; readonly data: JsonValue }): string {
  const reason = isJsonObject(data) ? data['code'] : undefined
  return typeof reason === 'string' ? reason : String(code)
}

function count(into: ReturnType<typeof newTally>, problem: string | null): void {
  if (problem === null) into.succeeded++
  else {
    into.failed++
    into.codes[problem] = (into.codes[problem] ?? 0) + 1
  }
}

async function startTraffic(everyMilliseconds: number | null): Promise<void> {
  traffic.abort()
  if (everyMilliseconds === null) return
  traffic = new AbortController()
  const { signal } = traffic
  for (const [i, member] of members.entries()) {
    void (async () => {
      await timerSleep((everyMilliseconds * i) / members.length, signal)
      while (!signal.aborted) {
        count(tally, await callOnce(member))
        await timerSleep(everyMilliseconds, signal)
      }
    })()
  }
}

async function burst({ calls, concurrency }: Extract<CrowdOrder, { type: 'burst' }>): Promise<Tally> {
  const made = newTally()
  for (const member of members) member.strict = true
  let started = 0
  const one = async (first: number) => {
    for (let i = first; started < calls; i++) {
      started++
      const member = members[i % members.length]
      if (member !== undefined) count(made, await callOnce(member))
    }
  }
  await Promise.all(Array.from({ length: concurrency }, (_, i) => one(i * Math.ceil(members.length / concurrency))))
  return made
}

async function poison(messages: readonly string[]): Promise<void> {
  const refused: Record<string, number> = {}
  let accepted = 0
  for (const text of messages) {
    for (const { identity } of members) {
      const message = parseTrustMessage(text)
      const result =
        'code' in message || message.kind !== 'trust-state' ? message : await identity.trustStore.accept(message)
      if ('code' in result) refused[result.code] = (refused[result.code] ?? 0) + 1
      else accepted++
    }
  }
  say({ type: 'poisoned', accepted, refused })
}
