/** `GET /v1/servers`, `GET /v1/servers/definitions?server=…`, `POST /v1/servers/approve`: what servers say of themselves, for operators. */

import { DoorwardError, exactObject, flaggedDefinitions, isText } from '@doorward/core'
import type { Definition, JsonObject, JsonValue, OtherServer } from '@doorward/core'
import { deny } from '@doorward/enforcement'
import type { Denial, Permit } from '@doorward/enforcement'
import { byOf, forOperators } from './admin-caller.ts'
import { requestOf } from './api-routes.ts'
import type { ApiAnswer, ApiRequest, ApiRoute } from './api-routes.ts'

/** What is approved of one server. */
export interface ApprovedServer {
  /** Asks the server. Rejects when it cannot be asked. */
  view(): Promise<{
    readonly approved: readonly Definition[]
    readonly defined: readonly Definition[]
    readonly digest: string
    readonly twofold: readonly string[]
  }>
  /** Rejects with `definitions_changed` when the server does not say any more what the digest names. */
  approve(
    digest: string,
    by: string,
  ): Promise<{ readonly entry: string; readonly digest: string; readonly items: number }>
}

export interface DefinitionsPort {
  readonly standing: () => readonly JsonObject[]
  readonly find: (server: string) => ApprovedServer | null
  readonly others: (server: string) => readonly OtherServer[]
}

const MAX_NAME = 63
const DIGEST = /^[0-9a-f]{64}$/

/**
 * The second asks the server and tells what is approved, what it says now, its digest, and flags. The third approves exactly
 * what that digest names, and is refused with `conflict` when the server says something else by then.
 */
export function serversRoutes(port: DefinitionsPort): readonly ApiRoute[] {
  return [
    {
      ...forOperators,
      method: 'GET',
      path: '/v1/servers',
      body: 'none',
      handle: async () => ({ kind: 'json', status: 200, value: { servers: port.standing() } }),
    },
    {
      ...forOperators,
      method: 'GET',
      path: '/v1/servers/definitions',
      body: 'none',
      query: ['server'],
      handle: (permit) => show(port, permit),
    },
    {
      ...forOperators,
      method: 'POST',
      path: '/v1/servers/approve',
      body: 'json',
      handle: (permit) => approve(port, permit),
    },
  ]
}

async function show(port: DefinitionsPort, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const name = requestOf(permit).query.get('server')
  const server = find(port, name)
  if ('denied' in server) return server
  return answered(async () => {
    const { approved, defined, digest, twofold } = await server.view()
    const flags = flaggedDefinitions(defined, port.others(name ?? ''))
    return { server: name, approved, defined, digest, twofold, flags }
  })
}

async function approve(port: DefinitionsPort, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const { server: name, digest } = exactObject(requestOf(permit).json ?? {}, ['server', 'digest']) ?? {}
  if (typeof digest !== 'string' || !DIGEST.test(digest))
    return deny('request_invalid', 'expected server, and the digest of what is approved')
  const server = find(port, name)
  if ('denied' in server) return server
  return answered(() => server.approve(digest, byOf(permit)))
}

function find(port: DefinitionsPort, name: JsonValue | undefined): ApprovedServer | Denial {
  if (!isText(name, MAX_NAME)) return deny('request_invalid', 'expected the name of a server')
  return port.find(name) ?? deny('resource_unknown', 'no server of this name is compared')
}

/** What the server itself is at fault for is told by its code. */
async function answered(work: () => Promise<object>): Promise<ApiAnswer | Denial> {
  try {
    return { kind: 'json', status: 200, value: await work() }
  } catch (error) {
    if (!(error instanceof DoorwardError)) throw error
    const { code, message, got = '' } = error
    if (code === 'definitions_changed') return deny('conflict', message, { details: { reason: code, digest: got } })
    if (code === 'definitions_too_large') return deny('conflict', message, { details: { reason: code } })
    if (code.startsWith('server_')) return deny('upstream_unavailable', `${message}: ${got}`)
    throw error
  }
}
