/** Programs in other languages beside a deployment: the examples of docs/credential-files.md, as they stand there. */

import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { repository } from '../fixtures/deployment.ts'
import type { RunResult, TestDeployment } from '../fixtures/deployment.ts'

const documents = join(repository, 'examples', 'first-call', 'documents')
const PATIENCE_MILLISECONDS = 60_000

/** One server, whose lists and reads every agent may see. */
export const yaml = `servers:
  files:
    command: [mcp-server-filesystem, ${documents}]
    effects: { read: [read_*, list_*] }
roles:
  reader: ["read:files/*"]
bindings:
  - { role: reader, workloads: ["spiffe://test.example/agent/*"] }
`

/** The only example of that language, for this deployment's gateway instead of the default one. */
export async function example(language: 'sh' | 'python', system: TestDeployment): Promise<string> {
  const text = await readFile(join(repository, 'docs', 'credential-files.md'), 'utf8')
  const found = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'ms').exec(text)?.[1]
  if (found === undefined) throw new Error(`no example in ${language}`)
  const { gateway } = await system.deployment()
  return found.replaceAll('https://127.0.0.1:8443', gateway.publicUrl)
}

/** Runs a program in the deployment's folder, where `credentials` is. */
export function runThere(system: TestDeployment, command: string, ...args: readonly string[]): Promise<RunResult> {
  const child = spawn(command, args, { cwd: system.folder, env: { ...system.env, PYTHONDONTWRITEBYTECODE: '1' } })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (part: Buffer) => (stdout += part.toString()))
  child.stderr.on('data', (part: Buffer) => (stderr += part.toString()))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout, stderr }))
  })
}

export async function runExample(language: 'sh' | 'python', system: TestDeployment): Promise<RunResult> {
  const file = join(system.folder, language === 'sh' ? 'example.sh' : 'doorward_example.py')
  await writeFile(file, await example(language, system))
  return runThere(system, language === 'sh' ? 'sh' : (pythonWithRequests() ?? 'python3'), file)
}

/** A Python that has `requests`; null when none is here. */
export function pythonWithRequests(): string | null {
  const usable = (python: string) => spawnSync(python, ['-c', 'import requests']).status === 0
  return ['python3', '/usr/bin/python3'].find(usable) ?? null
}

export function hasCurl(): boolean {
  return spawnSync('curl', ['--version']).status === 0
}

/** True when the tool is here. Without it a plain checkout says so, and a run that has to be complete fails. */
export function isHere(present: boolean, what: string, t: TestContext): boolean {
  if (!present && process.env['CI'] === 'true') throw new Error(`${what} is not installed`)
  if (!present) t.diagnostic(`${what} is not installed: not shown`)
  return present
}

export async function until(holds: () => Promise<boolean> | boolean, what: string): Promise<void> {
  for (const deadline = performance.now() + PATIENCE_MILLISECONDS; !(await holds());) {
    if (performance.now() > deadline) throw new Error(`not in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

export interface AgentEventLine {
  readonly event?: string
  readonly serial?: string
  readonly code?: string
  readonly ok?: boolean
  readonly reason?: string
  readonly uid?: number
  readonly error?: { readonly code: string }
}

/** `doorward agent run --json` as a process. */
export class RunningAgent {
  readonly events: AgentEventLine[] = []
  readonly #process: ChildProcess
  readonly #closed: Promise<unknown>
  stderr = ''

  constructor(system: TestDeployment, words: readonly string[]) {
    const { command, args, env } = system.launch([])
    // Last, because words after `--` are not ours.
    const all = [...args, 'agent', 'run', '--json', ...words]
    const child = spawn(command, all, { cwd: system.folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#process = child
    this.#closed = once(child, 'close')
    child.stderr.on('data', (part: Buffer) => (this.stderr += part.toString()))
    createInterface({ input: child.stdout }).on('line', (line) => this.events.push(JSON.parse(line) as AgentEventLine))
  }

  /** Waits for events of that kind, `count` in all; the newest. */
  async heard(kind: string, count = 1): Promise<AgentEventLine> {
    const found = () => this.events.filter(({ event }) => event === kind)
    const over = () => this.#process.exitCode !== null
    await until(() => found().length >= count || over(), `${count} × ${kind}: ${JSON.stringify(this.events)}`)
    const newest = found().at(-1)
    if (found().length < count || newest === undefined) throw new Error(`ended: ${this.stderr}`)
    return newest
  }

  /** Resolves with the exit code. */
  async ended(): Promise<number | null> {
    await this.#closed
    return this.#process.exitCode
  }

  kill(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    this.#process.kill(signal)
    return this.ended()
  }
}
