/** A small MCP client for commands and probes: initialize, requests by id, lists page by page. */

import { DoorwardError, isJsonObject, scanJson, utf8 } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import { ServerRefused } from './refusal.ts'
import { McpSession } from './mcp-session.ts'
import type { Decision, McpEndpoint } from './mcp-session.ts'
import type { Runtime } from './runtime.ts'
import type { SignedFetch } from './signed-fetch.ts'

export interface McpClientOptions {
  readonly fetch: SignedFetch
  readonly endpoint: McpEndpoint
  readonly runtime: Runtime
  readonly client: { readonly name: string; readonly version: string }
  readonly signal?: AbortSignal
}

/** The answer to a request; a JSON-RPC error is a value, because a denial is one. */
export type McpAnswer =
  | { readonly ok: true; readonly result: JsonObject; readonly decision: Decision | null }
  | {
      readonly ok: false
      readonly code: number
      readonly message: string
      readonly data: JsonValue
      readonly decision: Decision | null
    }

export interface McpClient {
  readonly server: JsonObject
  request(method: string, params?: JsonObject): Promise<McpAnswer>
  /** All pages of a list. Throws `mcp_refused` when a page is refused, `mcp_list_endless` after 1000 pages. */
  list(method: string, member: string): Promise<readonly JsonObject[]>
  close(): Promise<void>
}

const PROTOCOL_VERSION = '2025-11-25'
const EMPTY: JsonObject = {}
const MAX_PAGES = 1000

/** Initializes a session. Throws `mcp_refused` with the server's text. */
export async function openMcpClient(options: McpClientOptions): Promise<McpClient> {
  const waiting = new Map<number, (message: JsonObject) => void>()
  const decisions = new Map<number, Decision>()
  const session: McpSession = new McpSession({
    fetch: options.fetch,
    endpoint: options.endpoint,
    runtime: options.runtime,
    deliver: async (text) => take(text, waiting, session),
    onNotice: () => undefined,
    onDecision: (decision) => typeof decision.requestId === 'number' && decisions.set(decision.requestId, decision),
  })
  let next = 1
  const request = async (method: string, params: JsonObject = {}): Promise<McpAnswer> => {
    const id = next++
    const answer = new Promise<JsonObject>((resolve) => waiting.set(id, resolve))
    const sent = session.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }), options.signal)
    const message = await Promise.race([answer, sent.then(() => null)])
    waiting.delete(id)
    return answerOf(message, decisions.get(id) ?? null)
  }
  const opened = await request('initialize', {
    protocolVersion: PROTOCOL_VERSION,
    capabilities: {},
    clientInfo: { ...options.client },
  })
  if (!opened.ok) throw refused('initialize', opened)
  await session.send(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' }), options.signal)
  return {
    server: opened.result,
    request,
    list: (method, member) => listAll(request, method, member),
    close: () => session.end(),
  }
}

/** A refused request as an error: the gateway's code where there is one, else `mcp_refused`. */
export function refused(method: string, answer: Extract<McpAnswer, { ok: false }>): ServerRefused {
  const data = isJsonObject(answer.data) ? answer.data : EMPTY
  const { code, decision, permission } = data
  return new ServerRefused(typeof code === 'string' ? code : 'mcp_refused', answer.message, {
    where: method,
    got: `error ${answer.code}`,
    decision: typeof decision === 'string' ? decision : (answer.decision?.decision ?? null),
    permission: typeof permission === 'string' ? permission : null,
  })
}

async function listAll(
  request: (method: string, params: JsonObject) => Promise<McpAnswer>,
  method: string,
  member: string,
): Promise<readonly JsonObject[]> {
  const items: JsonObject[] = []
  let cursor: JsonValue | undefined
  for (let page = 0; page < MAX_PAGES; page++) {
    const answer = await request(method, typeof cursor === 'string' ? { cursor } : {})
    if (!answer.ok) throw refused(method, answer)
    const listed = answer.result[member]
    if (Array.isArray(listed)) items.push(...(listed as readonly JsonValue[]).filter(isJsonObject))
    cursor = answer.result['nextCursor']
    if (typeof cursor !== 'string') return items
  }
  throw new DoorwardError('mcp_list_endless', `the server gave more than ${MAX_PAGES} pages`, { where: method })
}

/** Responses go to whoever waits; requests of the server are answered, because an open one would keep a call from ending. */
async function take(
  text: string,
  waiting: ReadonlyMap<number, (message: JsonObject) => void>,
  session: McpSession,
): Promise<void> {
  const scan = scanJson(utf8(text), { maxBytes: 64 * 1024 * 1024, maxDepth: 256, maxKeys: 5_000_000 })
  if (!scan.ok || !isJsonObject(scan.value)) return
  const message = scan.value
  const { id, method } = message
  if (typeof method !== 'string') {
    if (typeof id === 'number') waiting.get(id)?.(message)
  } else if (id !== undefined) {
    const answer = method === 'ping' ? { result: {} } : { error: { code: -32601, message: 'method not found' } }
    void session.send(JSON.stringify({ jsonrpc: '2.0', id, ...answer }))
  }
}

function answerOf(message: JsonObject | null, decision: Decision | null): McpAnswer {
  const result = message?.['result']
  if (isJsonObject(result)) return { ok: true, result, decision }
  const error = message?.['error']
  const { code, message: text, data } = isJsonObject(error) ? error : EMPTY
  return {
    ok: false,
    code: typeof code === 'number' ? code : -32603,
    message: typeof text === 'string' ? text : 'the call was not answered',
    data: data ?? null,
    decision,
  }
}
