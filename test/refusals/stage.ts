/**
 * The running system with a tap behind its gateway. A request passes: the tap shows its bytes. The same request with
 * one thing wrong is refused: the tap shows none, and what the client is told stands in the record.
 */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { denialTable } from '@doorward/enforcement'
import type { DenialCode } from '@doorward/enforcement'
import { AdminClient, IdentityFolder, join as joinAuthority, openIdentity } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { identityHome, joinLocally, openLocalIdentity } from '../../packages/server/src/apps/local-identities.ts'
import type { ClientPlace } from '../../packages/server/src/apps/local-identities.ts'
import { readEntries } from '../../packages/server/src/audit/read.ts'
import type { LoggedEntry } from '../../packages/server/src/audit/read.ts'
import { readEnvironment } from '../../packages/server/src/config/environment.ts'
import { backendAudience, serverAudience } from '../../packages/server/src/config/settings.ts'
import type { Address, Deployment } from '../../packages/server/src/config/settings.ts'
import { TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import type { DeploymentOptions } from '../fixtures/deployment.ts'
import { complete, dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { openTap } from '../fixtures/tap.ts'
import type { Tap } from '../fixtures/tap.ts'
import { pemOf } from '../fixtures/trust-fixture.ts'

export interface Caller {
  readonly id: string
  readonly identity: Identity
  /** What it presents and trusts; host and port are the gateway's. */
  readonly tls: ConnectionOptions
  /** MCP session on the server `files`; empty when it could not open one. */
  readonly session: string
}

/** How to connect: TLS, and the address to come from. */
export type Dial = ConnectionOptions & { readonly localAddress?: string }

export type Headers = Readonly<Record<string, string | readonly string[] | null>>

/** One request, by default a call of `read_note` that is right in every way. */
export interface Attempt {
  readonly caller: Caller
  readonly method?: string
  readonly target?: string
  /** Null leaves the header out. The caller's own for the server `files` by default. */
  readonly token?: string | null
  /** On top of the right ones; null leaves one out, a list repeats it. */
  readonly headers?: Headers
  /** Holds the mark by which the tap is searched. */
  readonly body?: (mark: string) => string
  readonly connect?: Dial
  /** A connection that is open already, and stays open. */
  readonly on?: TLSSocket
  /** Changes the bytes of the request. */
  readonly bytes?: (text: string) => string | Uint8Array
  /** When the answer is all there. */
  readonly until?: (soFar: string) => boolean
  /** 200 by default for what passes, the denial table's for what is refused. */
  readonly status?: number
  /** Whose record holds the refusal; the gateway's by default. */
  readonly log?: Log
}

export type Log = 'gateway' | 'authority'

/** A quarter of a second. */
const QUIET_LOOKS = 10

const servers = (url: string, more: string) => `servers:
  files: { url: "${url}", insecure_upstream: true, effects: { read: [read_*, stream_*], admin: [drop_*] } }
  other: { url: "${url}", insecure_upstream: true, effects: { read: [read_*] } }
${more}services:
  orders: { url: "${url}", insecure_upstream: true, methods: [GET, POST] }
roles:
  reader: ["read:files/*"]
  ordering: ["GET:orders/v1/*", "POST:orders/v1/notes"]
  writer: ["tools/call:files/write_note"]
bindings:
  - { role: reader, workloads: ["spiffe://test.example/agent/*"] }
  - { role: ordering, workloads: ["spiffe://test.example/agent/planner"] }
`

export class Stage {
  readonly system: TestDeployment
  readonly tap: Tap
  readonly deployment: Deployment
  readonly operator: Identity
  readonly admin: AdminClient
  readonly #place: ClientPlace
  readonly #identities: Identity[] = []
  readonly #entries: Record<Log, LoggedEntry[]> = { gateway: [], authority: [] }
  readonly #folders: Partial<Record<Log, string>> = {}
  /** Counted refusals by log and reason: caused and not looked for yet, and seen in the record. */
  readonly #counted = new Map<string, number>()
  readonly #settled = new Map<string, number>()
  readonly #refusedMarks: string[] = []
  #marks = 0

  private constructor(parts: { system: TestDeployment; tap: Tap; place: ClientPlace; operator: Identity }) {
    this.system = parts.system
    this.tap = parts.tap
    this.#place = parts.place
    this.deployment = parts.place.deployment
    this.operator = parts.operator
    const { authority } = this.deployment
    this.admin = new AdminClient(parts.operator, {
      url: authority.adminUrl,
      audience: authority.publicUrl,
      expectedId: authority.id,
    })
    this.#identities.push(parts.operator)
  }

  /** `yaml` holds the blocks `security` and `limits`; `more` further servers; the others further entries of those sections. */
  static async open({
    yaml = wideLimits,
    more = '',
    ...lists
  }: { readonly yaml?: string; readonly more?: string } & Pick<
    DeploymentOptions,
    'listeners' | 'authorityListeners'
  > = {}): Promise<Stage> {
    const tap = await openTap()
    const system = await TestDeployment.prepare({ yaml: `${servers(tap.url, more)}${yaml}`, ...lists })
    try {
      await system.up()
      const place = { deployment: await system.deployment(), environment: readEnvironment({ ...system.env }) }
      const operator = await openLocalIdentity(place)
      await operator.prepare()
      return new Stage({ system, tap, place, operator })
    } catch (error) {
      await Promise.all([system.remove(), tap.close()])
      throw error
    }
  }

  /** Registers, joins and opens an MCP session. */
  async caller(path: string, roles: readonly string[] = []): Promise<Caller> {
    const id = `spiffe://${this.deployment.trustDomain}/${path}`
    await this.admin.addWorkload(id, roles)
    await joinLocally(this.#place, (await this.admin.invite(id)).joinString)
    const identity = await openLocalIdentity(this.#place, path)
    this.#identities.push(identity)
    await identity.prepare()
    const caller = { id, identity, tls: this.tlsOf(identity), session: '' }
    return { ...caller, session: await this.initialize(caller) }
  }

  /** A further gateway, for what is theirs alone. It opens no session. */
  async gateway(name: string): Promise<Caller> {
    const { id } = (await this.admin.addGateway(name)).document
    const { joinString } = await this.admin.invite(id)
    const { folder: home, sealer } = await identityHome(this.#place)
    const folder = join(home, 'gateways', name)
    await joinAuthority({ joinString: joinString.reveal(), folder, sealer, scope: 'full' })
    const identity = await openIdentity({ folder, sealer })
    this.#identities.push(identity)
    await identity.prepare()
    return { id, identity, tls: this.tlsOf(identity), session: '' }
  }

  tlsOf(identity: Identity, address: Address = this.deployment.gateway.listeners.main): ConnectionOptions {
    const { chain, privateKey } = identity.credentials.current()
    return {
      ...address,
      ca: identity.material().anchors.map(pemOf),
      cert: chain.map(pemOf).join(''),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    }
  }

  /** What tokens for the plain HTTP service `orders` are for. */
  backendAudience(): string {
    return backendAudience(this.deployment, 'orders')
  }

  audience(server = 'files'): string {
    return serverAudience(this.deployment, server)
  }

  /** The join state that the caller has in its folder: whoever renews by hand shows it, or is taken for a copy. */
  async joinState({ identity }: Caller): Promise<string> {
    const { folder, sealer } = await identityHome(this.#place)
    const held = await new IdentityFolder(join(folder, ...identity.id.segments), sealer).readJoinState()
    return held?.value.reveal() ?? ''
  }

  async token(caller: Caller, audience = this.audience()): Promise<string> {
    return (await caller.identity.token(audience)).reveal()
  }

  /** The id of a new session; empty when it is refused. */
  async initialize(caller: Caller, attempt: Partial<Attempt> = {}): Promise<string> {
    const answer = await this.send({
      caller,
      headers: { 'Mcp-Session-Id': null },
      body: () => initializeMessage,
      ...attempt,
    })
    const session = answer?.headers['mcp-session-id'] ?? ''
    if (session !== '') {
      const headers = { 'Mcp-Session-Id': session }
      await this.send({ caller, ...attempt, headers, body: () => initializedMessage })
    }
    return session
  }

  /** The answer; null when there was no connection or it ended without one. */
  async send(attempt: Attempt, mark = ''): Promise<RawAnswer | null> {
    const text = await this.text(attempt, mark)
    const bytes = attempt.bytes?.(text) ?? text
    const socket = attempt.on ?? (await dial({ ...attempt.caller.tls, ...attempt.connect }).catch(() => null))
    if (socket === null) return null
    const answer = parseAnswer(await talk(socket, bytes, attempt.until ?? whole))
    if (attempt.on === undefined) socket.destroy()
    return answer.status === 0 ? null : answer
  }

  /** The request as it goes over the wire, before `bytes` changes it. */
  async text(attempt: Attempt, mark = ''): Promise<string> {
    const { caller, method = 'POST', target = '/mcp/files', body = callOf('read_note') } = attempt
    const token = attempt.token === undefined ? await this.token(caller) : attempt.token
    const sends = method === 'POST' || method === 'PUT'
    const content = sends ? body(mark) : ''
    const { host, port } = this.deployment.gateway.listeners.main
    const headers: Headers = {
      Host: `${host}:${port}`,
      Authorization: token === null ? null : `Bearer ${token}`,
      Accept: 'application/json, text/event-stream',
      'Mcp-Session-Id': caller.session === '' ? null : caller.session,
      'Content-Type': sends ? 'application/json' : null,
      'Content-Length': sends ? String(Buffer.byteLength(content)) : null,
      ...attempt.headers,
    }
    const lines = Object.entries(headers).flatMap(([name, value]) =>
      (value === null ? [] : typeof value === 'string' ? [value] : value).map((one) => `${name}: ${one}\r\n`),
    )
    return `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n${content}`
  }

  /** Passes; and then, with the change alone, is refused with the code. */
  async contrast(right: Attempt, wrong: Partial<Attempt>, code: string): Promise<RawAnswer | null> {
    await this.passes(right)
    return this.refuses({ ...right, ...wrong, headers: { ...right.headers, ...wrong.headers } }, code)
  }

  /** Reaches the server, and the record says that it may. */
  async passes(attempt: Attempt): Promise<RawAnswer> {
    const byte = this.tap.bytes
    const mark = this.#mark()
    const answer = await this.send(attempt, mark)
    ok(answer !== null, 'there was no answer')
    equal(answer.status, attempt.status ?? 200, answer.text)
    equal(answer.headers['doorward-code'], 'allowed', answer.text)
    const text = this.tap.since(byte)
    ok(attempt.method === undefined && attempt.body === undefined ? text.includes(mark) : text.length > 0)
    const { body } = await this.decision('gateway', answer)
    deepEqual([body['decision'], body['code']], ['allow', 'allowed'])
    return answer
  }

  /** Nothing reaches the server, and client and record say why. Null when the handshake was refused. */
  async refuses(attempt: Attempt, code: string): Promise<RawAnswer | null> {
    const byte = this.tap.bytes
    const mark = this.#mark()
    this.#refusedMarks.push(mark)
    const answer = await this.send(attempt, mark)
    equal(this.tap.bytes, byte, 'bytes have reached the server')
    const { log = 'gateway', status } = attempt
    if (answer === null) this.count(log, code)
    else {
      const told = [answer.status, answer.headers['doorward-code']]
      deepEqual(told, [status ?? denialTable[code as DenialCode].http, code], answer.text)
      await this.recorded(log, answer, code)
    }
    return answer
  }

  /** Compares the answer with its entry; what is only counted is looked for by `settle`. */
  async recorded(log: Log, answer: RawAnswer, code: string): Promise<void> {
    if (answer.headers['doorward-decision'] === undefined) return this.count(log, code)
    const { body } = await this.decision(log, answer)
    deepEqual([body['decision'], body['code']], ['deny', code])
  }

  /** The entry that the answer names. */
  async decision(log: Log, answer: RawAnswer): Promise<LoggedEntry['entry']> {
    const name = answer.headers['doorward-decision'] ?? ''
    const [origin, index] = name.split('#')
    const found = await this.entry(log, (entry) => entry.index === Number(index))
    deepEqual([found.origin, found.entry.kind], [origin, 'decision'], name)
    return found.entry
  }

  /** Waits for an entry. */
  async entry(log: Log, which: (entry: LoggedEntry) => boolean): Promise<LoggedEntry> {
    return this.poll(async () => (await this.entries(log)).find(which), 'an entry of the record')
  }

  async entries(log: Log): Promise<readonly LoggedEntry[]> {
    const entries = this.#entries[log]
    // Whoever has his answer need not wait for the checkpoint: the entry is in the file.
    for await (const entry of readEntries(await this.#folder(log), { from: entries.length, unsigned: true }))
      entries.push(entry)
    return entries
  }

  /** A refusal of this reason must be counted in the log. */
  count(log: Log, reason: string, times = 1): void {
    const key = `${log} ${reason}`
    this.#counted.set(key, (this.#counted.get(key) ?? 0) + times)
  }

  /** Waits until every refusal that is counted stands in the record, and no other of the same reason. */
  async settle(): Promise<void> {
    const pending = [...this.#counted]
    this.#counted.clear()
    for (const [key, expected] of pending) {
      const [log, reason] = key.split(' ') as [Log, string]
      const settled = this.#settled.get(key) ?? 0
      const fresh = async () => (await this.#total(log, reason)) - settled
      await this.poll(async () => (await fresh()) >= expected || undefined, `${expected} counted ${key}`)
      this.#settled.set(key, await this.#total(log, reason))
      equal(await fresh(), expected, key)
    }
  }

  async #folder(log: Log): Promise<string> {
    return (this.#folders[log] ??= await this.system.recordFolder(log))
  }

  async #total(log: Log, reason: string): Promise<number> {
    const entries = (await this.entries(log)).map(({ entry }) => entry)
    const counts = entries.filter(({ kind, body }) => kind === 'refusals' && body['reason'] === reason)
    return counts.reduce((sum, { body }) => sum + Number(body['count']), 0)
  }

  /** Waits until the server hears nothing any more: calls that were under way may be taken back there. */
  async quiet(): Promise<void> {
    let [heard, looks] = [-1, 0]
    await this.poll(async () => {
      looks = heard === this.tap.bytes ? looks + 1 : 0
      heard = this.tap.bytes
      return looks >= QUIET_LOOKS || undefined
    }, 'silence')
  }

  /** Looks again and again, for ten seconds at most. */
  async poll<T>(look: () => Promise<T | undefined>, what: string, milliseconds = 10_000): Promise<T> {
    const deadline = performance.now() + milliseconds
    for (;;) {
      const found = await look()
      if (found !== undefined) return found
      if (performance.now() > deadline) throw new Error(`not seen in time: ${what}`)
      await sleep(25)
    }
  }

  /** Ends everything; not one of the refused requests has reached the server meanwhile. */
  async close(): Promise<void> {
    for (const identity of this.#identities) identity.close()
    await this.system.remove()
    await this.tap.close()
    const all = this.tap.since(0)
    deepEqual(
      this.#refusedMarks.filter((mark) => all.includes(mark)),
      [],
    )
  }

  #mark(): string {
    return `mark-${++this.#marks}-`
  }
}

export const initializeMessage = JSON.stringify({
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'refusals', version: '1' } },
})
const initializedMessage = '{"jsonrpc":"2.0","method":"notifications/initialized"}'

let requests = 0

/** A call of the tool. */
export function callOf(name: string): (mark: string) => string {
  return (mark) => messageOf('tools/call', { name, arguments: { mark } })(mark)
}

export function messageOf(method: string, params?: object): (mark: string) => string {
  return () => JSON.stringify({ jsonrpc: '2.0', id: ++requests, method, ...(params === undefined ? {} : { params }) })
}

/** A complete answer: by its length, or an event stream that has ended. */
export function whole(text: string): boolean {
  return (
    complete(text) || (text.endsWith('0\r\n\r\n') && /^HTTP\/1\.1 200[^]*\r\ntransfer-encoding: chunked/i.test(text))
  )
}

/** The head is there: enough of an answer that does not end. */
export function headOnly(text: string): boolean {
  return text.includes('\r\n\r\n')
}
