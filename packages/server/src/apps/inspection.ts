/** Asking a server what it defines, over whatever leads to it: the fixed messages of a client that calls nothing. */

import { DoorwardError, isJsonObject, listedDefinitions, member, serverDefinitions } from '@doorward/core'
import type { Definition, JsonObject, JsonValue } from '@doorward/core'
import { maxDefinitions } from '@doorward/enforcement'
import { version } from '../config/version.ts'

/** A server that answers. */
export interface Conversation {
  /** For errors: what was asked. */
  readonly where: string
  /** The result. Rejects with `server_start_failed` or `server_answer_invalid`. */
  request(method: string, params: JsonObject): Promise<JsonObject>
  notify(method: string): Promise<void>
  /** Ends it, and everything that waits. */
  giveUp(why: string): void
  /** Resolves when nothing of it is left. */
  stop(): Promise<void>
}

export interface Inspection {
  /** The server itself, then tools, prompts and resource templates as it lists them. */
  readonly definitions: readonly Definition[]
}

/** Of the whole inspection. */
const MILLISECONDS = 30_000
const MAX_PAGES = 100

/** Method, and the member of `capabilities` without which it is not asked. Tools are asked for in any case. */
const lists = [
  ['tools/list', null],
  ['prompts/list', 'prompts'],
  ['resources/templates/list', 'resources'],
] as const

/** Ends the conversation in any case. Throws `server_start_failed` or `server_answer_invalid`. */
export async function inspect(
  conversation: Conversation,
  signal: AbortSignal,
  milliseconds = MILLISECONDS,
): Promise<Inspection> {
  const interrupted = () => conversation.giveUp('it was interrupted')
  signal.addEventListener('abort', interrupted)
  const late = () => conversation.giveUp(`it did not answer within ${milliseconds / 1000} s`)
  const timer = setTimeout(late, milliseconds)
  try {
    const era = await greet(conversation)
    const capabilities = member(era.hello, 'capabilities')
    const can = isJsonObject(capabilities) ? capabilities : {}
    const definitions: Definition[] = [...serverDefinitions(era.hello)]
    for (const [method, needs] of lists)
      if (needs === null || Object.hasOwn(can, needs))
        definitions.push(...(await all(conversation, { method, optional: needs !== null, envelope: era.envelope })))
    if (definitions.length > maxDefinitions)
      throw answerInvalid(conversation.where, `more than ${maxDefinitions} items`)
    return { definitions }
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', interrupted)
    await conversation.stop()
  }
}

interface Era {
  /** What the server says of itself. */
  readonly hello: JsonObject
  /** Of every request. */
  readonly envelope: JsonObject
}

const client = { name: 'doorward', version }
const MODERN = '2026-07-28'
const modernEnvelope = {
  _meta: {
    'io.modelcontextprotocol/protocolVersion': MODERN,
    'io.modelcontextprotocol/clientCapabilities': {},
    'io.modelcontextprotocol/clientInfo': client,
  },
}

/** A server that knows no handshake is of the modern era. Rejects as the handshake does where it is of neither. */
async function greet(conversation: Conversation): Promise<Era> {
  try {
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: client }
    const hello = await conversation.request('initialize', params)
    await conversation.notify('notifications/initialized')
    return { hello, envelope: {} }
  } catch (error) {
    if (!(error instanceof DoorwardError) || !error.code.startsWith('server_answer_')) throw error
    const hello = await conversation.request('server/discover', modernEnvelope).catch(() => null)
    if (hello === null) throw error
    return { hello, envelope: modernEnvelope }
  }
}

interface Listing {
  readonly method: string
  /** A server that announces resources need not have templates. */
  readonly optional: boolean
  readonly envelope: JsonObject
}

/** All pages. */
async function all(
  conversation: Conversation,
  { method, optional, envelope }: Listing,
): Promise<readonly Definition[]> {
  const found: Definition[] = []
  let cursor: JsonValue | undefined
  for (let page = 0; page < MAX_PAGES && found.length <= maxDefinitions; page++) {
    const result = await conversation
      .request(method, cursor === undefined ? envelope : { ...envelope, cursor })
      .catch((error: unknown) => {
        if (optional && error instanceof DoorwardError && error.code === 'server_answer_error') return null
        throw error
      })
    if (result === null) return found
    const definitions = listedDefinitions(method, result)
    if (definitions === null) throw answerInvalid(conversation.where, `${method} without a list of named items`)
    found.push(...definitions)
    cursor = member(result, 'nextCursor')
    if (typeof cursor !== 'string') return found
  }
  throw answerInvalid(conversation.where, `${method} has more than ${MAX_PAGES} pages or ${maxDefinitions} items`)
}

export function answerInvalid(where: string, what: string): DoorwardError {
  return new DoorwardError('server_answer_invalid', `the server gave an answer that is not MCP: ${what}`, { where })
}

/** The server answered with an error: `server_answer_error`. */
export function answeredError(where: string, error: JsonValue | undefined): DoorwardError {
  const got = JSON.stringify(error ?? null).slice(0, 200)
  return new DoorwardError('server_answer_error', 'the server answered with an error', { where, got })
}

/** Asking a server of a gateway, beside all sessions, once there is a way to it. */
export class Asking {
  /** Set with the way to the server. */
  inspect: ((signal: AbortSignal) => Promise<Inspection>) | null = null
  readonly #closing = new AbortController()

  async definitions(): Promise<Inspection['definitions']> {
    if (this.inspect === null) throw new DoorwardError('server_start_failed', 'there is no way to ask the server')
    return (await this.inspect(this.#closing.signal)).definitions
  }

  /** Ends what is under way. */
  close(): void {
    this.#closing.abort()
  }
}
