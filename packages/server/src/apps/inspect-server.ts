/** Starts a stdio MCP server once, asks what tools it has, and ends it. For `init`: nothing is called. */

import { DoorwardError, isJsonObject, scanJson, utf8 } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import { version } from '../config/version.ts'
import { StdioProcess } from '../transports/stdio.ts'

export interface ServerLaunch {
  readonly command: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
}

export interface InspectedTool {
  readonly name: string
  /** JSON Schema; empty where the server gives none. */
  readonly inputSchema: JsonObject
  /** What the server itself says; a proposal, never trusted. */
  readonly readOnly: boolean
  readonly destructive: boolean
}

const MILLISECONDS = 30_000
const MAX_LINE = 4 * 1024 * 1024
const MAX_PAGES = 100
const SAID_LINES = 3

/** The server's tools. Throws `server_start_failed` or `server_answer_invalid`; the process is gone then, too. */
export async function inspectServer(launch: ServerLaunch, signal: AbortSignal): Promise<readonly InspectedTool[]> {
  const talk = new Talk(launch)
  const interrupted = () => talk.giveUp('it was interrupted')
  signal.addEventListener('abort', interrupted)
  const timer = setTimeout(() => talk.giveUp(`it did not answer within ${MILLISECONDS / 1000} s`), MILLISECONDS)
  try {
    await talk.request('initialize', {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'doorward-init', version },
    })
    talk.send({ jsonrpc: '2.0', method: 'notifications/initialized' })
    return await allTools(talk)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', interrupted)
    await talk.stop()
  }
}

async function allTools(talk: Talk): Promise<readonly InspectedTool[]> {
  const tools: InspectedTool[] = []
  let cursor: JsonValue | undefined
  for (let page = 0; page < MAX_PAGES; page++) {
    const result = await talk.request('tools/list', cursor === undefined ? {} : { cursor })
    const listed = result['tools']
    if (!Array.isArray(listed)) throw talk.invalid('tools/list without a list of tools')
    for (const tool of listed as readonly JsonValue[]) tools.push(toolOf(tool, talk))
    cursor = result['nextCursor']
    if (typeof cursor !== 'string') return tools
  }
  throw talk.invalid(`more than ${MAX_PAGES} pages of tools`)
}

function toolOf(tool: JsonValue, talk: Talk): InspectedTool {
  const name = isJsonObject(tool) ? tool['name'] : undefined
  if (!isJsonObject(tool) || typeof name !== 'string') throw talk.invalid('a tool without a name')
  const hints = tool['annotations']
  const annotations: JsonObject = hints !== undefined && isJsonObject(hints) ? hints : {}
  const schema = tool['inputSchema']
  return {
    name,
    inputSchema: schema !== undefined && isJsonObject(schema) ? schema : {},
    readOnly: annotations['readOnlyHint'] === true,
    destructive: annotations['destructiveHint'] === true,
  }
}

/** Requests and answers over the process's standard streams. */
class Talk {
  readonly #process: StdioProcess
  readonly #launch: ServerLaunch
  readonly #answers = new Map<number, { resolve: (result: JsonObject) => void; reject: (error: Error) => void }>()
  readonly #said: string[] = []
  #nextId = 1
  #ended: Error | null = null

  constructor(launch: ServerLaunch) {
    this.#launch = launch
    this.#process = new StdioProcess({ ...launch, user: null, wrapper: [] }, MAX_LINE, {
      onLine: (line) => this.#onLine(line),
      onLog: (text) => this.#said.push(text) > SAID_LINES && this.#said.shift(),
      onExit: (reason) => this.#end(reason),
    })
  }

  request(method: string, params: JsonObject): Promise<JsonObject> {
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      if (this.#ended !== null) return reject(this.#ended)
      this.#answers.set(id, { resolve, reject })
      this.send({ jsonrpc: '2.0', id, method, params })
    })
  }

  send(message: JsonObject): void {
    this.#process.write(utf8(JSON.stringify(message)))
  }

  invalid(what: string): DoorwardError {
    return new DoorwardError('server_answer_invalid', `the server gave an answer that is not MCP: ${what}`, {
      where: this.#launch.command.join(' '),
    })
  }

  giveUp(why: string): void {
    this.#end(why)
  }

  /** Resolves when the process and what it started are gone. */
  async stop(): Promise<void> {
    this.#process.stop()
    await this.#process.gone
  }

  #onLine(line: Uint8Array): void {
    const scan = scanJson(line, { maxBytes: MAX_LINE, maxDepth: 64, maxKeys: 100_000 })
    if (!scan.ok || !isJsonObject(scan.value)) return
    const { id, result, error } = scan.value
    const answer = typeof id === 'number' ? this.#answers.get(id) : undefined
    if (answer === undefined || typeof id !== 'number') return
    this.#answers.delete(id)
    if (result !== undefined && isJsonObject(result)) answer.resolve(result)
    else answer.reject(this.invalid(`an error: ${JSON.stringify(error ?? null).slice(0, 200)}`))
  }

  #end(how: string): void {
    this.#ended ??= new DoorwardError('server_start_failed', 'the server could not be asked for its tools', {
      where: this.#launch.command.join(' '),
      got: [how, this.#said.join(' | ')].filter((part) => part !== '').join(': '),
      next: 'start the command by hand and see what it needs',
    })
    for (const { reject } of this.#answers.values()) reject(this.#ended)
    this.#answers.clear()
  }
}
