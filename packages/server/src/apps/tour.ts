/** The first calls through a new deployment: one that is allowed and three that are not, each with its entry in the record. */

import { join, resolve } from 'node:path'
import { connect } from 'node:tls'
import { DoorwardError, isJsonObject, parseSpiffeId } from '@doorward/core'
import type { JsonObject, Secret } from '@doorward/core'
import { openMcpClient, systemRuntime } from '@doorward/sdk'
import type { Identity, McpAnswer } from '@doorward/sdk'
import { followEntries } from '../audit/read.ts'
import type { LoggedEntry } from '../audit/read.ts'
import { readAddress } from '../config/settings.ts'
import type { Deployment } from '../config/settings.ts'
import { version } from '../config/version.ts'
import { serverEndpoint } from './bridge.ts'
import { identityName, joinLocally, openLocalIdentity } from './local-identities.ts'
import type { ClientPlace } from './local-identities.ts'

export interface TourRow {
  readonly caller: string
  readonly call: string
  readonly allowed: boolean
  readonly code: string
  readonly reason: string
  /** Name of the entry in the record. */
  readonly entry: string
}

export interface TourOptions extends ClientPlace {
  /** Registers a workload and gives a join string for it. */
  readonly invite: (id: string, roles: readonly string[]) => Promise<Secret>
  readonly onRow: (row: TourRow) => void
  /** The gateway's log, and how many entries it had before. */
  readonly recordFolder: string
  readonly signal: AbortSignal
}

const SERVER = 'files'
const RECORD_MILLISECONDS = 5000

/** Opens the identity, joined first where it is not here yet. */
export async function openOrJoin(
  options: Pick<TourOptions, 'deployment' | 'environment' | 'invite' | 'signal'>,
  path: string,
  roles: readonly string[],
): Promise<Identity> {
  const id = parseSpiffeId(`spiffe://${options.deployment.trustDomain}/${path}`)
  const open = async () => {
    const identity = await openLocalIdentity(options, identityName(id))
    await identity.prepare(options.signal)
    return identity
  }
  try {
    return await open()
  } catch (error) {
    if (!(error instanceof DoorwardError) || error.code !== 'identity_missing') throw error
    await joinLocally(options, await options.invite(id.uri, roles))
    return open()
  }
}

/** Makes the four calls. Throws `tour_unavailable` for a configuration without the example server, and whatever fails unexpectedly. */
export async function tour(options: TourOptions): Promise<readonly TourRow[]> {
  const rows: TourRow[] = []
  const tell = (row: TourRow) => {
    rows.push(row)
    options.onRow(row)
  }
  const documents = documentsFolder(options.deployment)
  const librarian = await openOrJoin(options, 'agent/librarian', [])
  const scribe = await openOrJoin(options, 'agent/scribe', [])
  const visitor = await openOrJoin(options, 'visitor/stranger', [])
  try {
    tell(await toolCall(options, librarian, 'read_text_file', { path: join(documents, 'welcome.md') }))
    tell(
      await toolCall(options, scribe, 'write_file', {
        path: join(documents, 'graffiti.md'),
        content: 'scribe was here',
      }),
    )
    tell(await stolenToken(options, librarian, visitor))
    tell(await withoutCertificate(options, librarian))
  } finally {
    for (const identity of [librarian, scribe, visitor]) identity.close()
  }
  return rows
}

function documentsFolder(deployment: Deployment): string {
  const server = deployment.configuration.servers[SERVER]
  const folder = server !== undefined && 'command' in server ? server.command.at(-1) : undefined
  if (folder === undefined) {
    throw new DoorwardError('tour_unavailable', `the tour needs a server ${SERVER} that serves a folder`, {
      where: deployment.file,
      next: 'run doorward up without --tour',
    })
  }
  return resolve(deployment.folder, folder)
}

async function toolCall(options: TourOptions, identity: Identity, tool: string, args: JsonObject): Promise<TourRow> {
  const client = await openMcpClient({
    fetch: identity,
    endpoint: serverEndpoint(options.deployment, SERVER),
    runtime: systemRuntime,
    client: { name: 'doorward-tour', version },
    signal: options.signal,
  })
  try {
    const answer = await client.request('tools/call', { name: tool, arguments: args })
    const outcome = outcomeOf(answer, tool)
    return {
      caller: identityName(identity.id),
      call: `${SERVER} ${tool}`,
      ...outcome,
      ...(await recorded(options, outcome)),
    }
  } finally {
    await client.close()
  }
}

function outcomeOf(answer: McpAnswer, tool: string): Pick<TourRow, 'allowed' | 'code' | 'reason' | 'entry'> {
  const entry = answer.decision?.decision ?? ''
  const meta = answer.ok ? answer.result['_meta'] : answer.data
  const about = meta !== undefined && isJsonObject(meta) ? meta : {}
  const code = about['doorward/code'] ?? about['code']
  if (answer.ok && typeof code !== 'string') {
    if (answer.result['isError'] === true) {
      throw new DoorwardError('tour_failed', `${tool} was allowed, but the server reported an error`, {
        got: JSON.stringify(answer.result).slice(0, 300),
      })
    }
    return { allowed: true, code: 'allowed', reason: '', entry }
  }
  const permission = about['doorward/permission'] ?? about['permission']
  return {
    allowed: false,
    code: typeof code === 'string' ? code : 'unknown',
    reason: typeof permission === 'string' ? `needs ${permission}` : 'denied',
    entry,
  }
}

/** What the record says of the call, which must be what the caller was told. Throws `tour_failed` when it is not. */
async function recorded(
  options: TourOptions,
  told: Pick<TourRow, 'allowed' | 'code' | 'reason' | 'entry'>,
): Promise<Pick<TourRow, 'reason'>> {
  const index = Number(told.entry.slice(told.entry.lastIndexOf('#') + 1))
  const { body } = (await firstEntry(options, index, (entry) => entry.index === index)).entry
  if (body['code'] !== told.code) {
    throw new DoorwardError('tour_failed', 'the record and the caller were told different things', {
      where: told.entry,
      expected: told.code,
      got: String(body['code']),
    })
  }
  const policies = body['policies']
  return { reason: told.allowed && Array.isArray(policies) ? `by ${policies.join(', ')}` : told.reason }
}

/** The first matching entry from an index on, waiting for it. */
async function firstEntry(
  { recordFolder, signal }: TourOptions,
  from: number,
  matches: (entry: LoggedEntry) => boolean,
): Promise<LoggedEntry> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(RECORD_MILLISECONDS)])
  for await (const entry of followEntries(recordFolder, { from, signal: limit, pollMilliseconds: 50 })) {
    if (matches(entry)) return entry
  }
  throw new DoorwardError('tour_failed', 'the decision did not reach the record in time')
}

/** What is left of a bearer token when it is bound: another workload shows it on a connection of its own. */
async function stolenToken(options: TourOptions, owner: Identity, thief: Identity): Promise<TourRow> {
  const endpoint = serverEndpoint(options.deployment, SERVER)
  const token = await owner.token(endpoint.audience)
  const response = await thief.call(endpoint.url, {
    method: 'POST',
    audience: null,
    expectedId: endpoint.expectedId,
    headers: {
      authorization: `Bearer ${token.reveal()}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }),
    signal: options.signal,
  })
  response.body.resume()
  return {
    caller: `${identityName(thief.id)} (stolen token)`,
    call: `${SERVER} tools/list`,
    allowed: response.status === 200,
    code: String(response.headers['doorward-code'] ?? `http_${response.status}`),
    reason: 'bound to another certificate',
    entry: String(response.headers['doorward-decision'] ?? ''),
  }
}

/** TLS with the right anchors and no client certificate. */
async function withoutCertificate(options: TourOptions, witness: Identity): Promise<TourRow> {
  const began = Date.now()
  const refusal = await handshake(options, witness)
  const entry = await refusalEntry(options, began)
  return {
    caller: '(no certificate)',
    call: 'TLS handshake',
    allowed: refusal === null,
    code: entry.reason,
    reason: refusal ?? 'the connection was accepted',
    entry: entry.name,
  }
}

function handshake({ deployment }: TourOptions, witness: Identity): Promise<string | null> {
  const { host, port } = readAddress(new URL(deployment.gateway.publicUrl).host.replace(/^([^:]+|\[.*\])$/, '$1:443'))
  const ca = witness.material().anchors.map(pem)
  return new Promise((done) => {
    // The gateway's name is a SPIFFE ID; who answers does not matter here, because nothing is sent.
    const socket = connect({ host, port, ca, minVersion: 'TLSv1.3', checkServerIdentity: () => undefined })
    const timer = setTimeout(() => socket.destroy(new Error('no answer')), RECORD_MILLISECONDS)
    const finish = (text: string | null) => {
      clearTimeout(timer)
      socket.destroy()
      done(text)
    }
    // In TLS 1.3 the client learns of the refusal with its first read.
    socket.once('data', () => finish(null))
    socket.once('error', (error: Error & { readonly code?: string }) => finish(alertText(error)))
    socket.once('close', () => finish('the gateway closed the connection'))
    socket.once('secureConnect', () => socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'))
  })
}

function alertText(error: Error & { readonly code?: string }): string {
  return error.code === 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED' ? 'alert: certificate required' : error.message
}

function pem(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

/** The counted entry for strangers of this second. */
async function refusalEntry(
  options: TourOptions,
  began: number,
): Promise<{ readonly name: string; readonly reason: string }> {
  const { origin, index } = await firstEntry(
    options,
    0,
    ({ entry }) => entry.kind === 'refusals' && entry.time >= began && entry.body['reason'] === 'certificate_missing',
  )
  return { name: `${origin}#${index}`, reason: 'certificate_missing' }
}
