/** Starts a stdio MCP server once, asks what tools it has, and ends it. For `init`: nothing is called. */

import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { createInterface } from 'node:readline'
import { DoorwardError, isJsonObject, scanJson, utf8 } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import { version } from '../config/version.ts'

export interface ServerLaunch {
  readonly command: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
}

export interface InspectedTool {
  readonly name: string
  /** What the server itself says; a proposal, never trusted. */
  readonly readOnly: boolean
  readonly destructive: boolean
}

const MILLISECONDS = 30_000
const MAX_LINE = 4 * 1024 * 1024
const MAX_PAGES = 100
const MAX_ERRORS = 4096

/** The server's tools. Throws `server_start_failed` or `server_answer_invalid`. */
export async function inspectServer(launch: ServerLaunch): Promise<readonly InspectedTool[]> {
  const [program = '', ...args] = launch.command
  const child = spawn(program, args, { cwd: launch.cwd, env: launch.env, stdio: ['pipe', 'pipe', 'pipe'] })
  const talk = new Talk(child, launch)
  const timer = setTimeout(() => child.kill('SIGKILL'), MILLISECONDS)
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
    child.stdin.end()
    child.kill('SIGTERM')
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
  return { name, readOnly: annotations['readOnlyHint'] === true, destructive: annotations['destructiveHint'] === true }
}

/** Requests and answers over the child's standard streams, one at a time. */
class Talk {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #launch: ServerLaunch
  readonly #answers = new Map<number, { resolve: (result: JsonObject) => void; reject: (error: Error) => void }>()
  #nextId = 1
  #errors = ''
  #ended: Error | null = null

  constructor(child: ChildProcessWithoutNullStreams, launch: ServerLaunch) {
    this.#child = child
    this.#launch = launch
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-MAX_ERRORS)
    })
    child.stdin.on('error', () => undefined)
    child.once('error', (error) => this.#end(error.message))
    child.once('close', (code, signal) =>
      this.#end(signal === null ? `it ended with exit code ${code}` : `it ended by ${signal}`),
    )
    createInterface({ input: child.stdout }).on('line', (line) => this.#onLine(line))
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
    this.#child.stdin.write(`${JSON.stringify(message)}\n`)
  }

  invalid(what: string): DoorwardError {
    return new DoorwardError('server_answer_invalid', `the server gave an answer that is not MCP: ${what}`, {
      where: this.#launch.command.join(' '),
    })
  }

  #onLine(line: string): void {
    if (line.length > MAX_LINE) return this.#end('it wrote a line of more than 4 MiB')
    const scan = scanJson(utf8(line), { maxBytes: MAX_LINE, maxDepth: 64, maxKeys: 100_000 })
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
      got: [how, this.#errors.trim().split('\n').slice(-3).join(' | ')].filter((part) => part !== '').join(': '),
      next: 'start the command by hand and see what it needs',
    })
    for (const { reject } of this.#answers.values()) reject(this.#ended)
    this.#answers.clear()
  }
}
