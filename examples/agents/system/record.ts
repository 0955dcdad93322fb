/** What stands in the records of everybody: of the gateway and the authority, and of each program that protects itself. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Deployment } from './deployment.ts'

export interface Entry {
  /** As answers name it: `shop.example/workload/service/stock#3`. */
  readonly name: string
  readonly time: number
  readonly kind: string
  readonly body: Readonly<Record<string, unknown>>
}

interface Line {
  readonly origin: string
  readonly index: number
  readonly time: number
  readonly kind: string
  readonly body: Readonly<Record<string, unknown>>
}

const MOST = '100000'
const MOST_TRIES = 10

export class Records {
  readonly #deployment: Deployment
  readonly #programs: readonly string[]

  /** `programs`: paths of those that have a record. */
  constructor(deployment: Deployment, programs: readonly string[]) {
    this.#deployment = deployment
    const folders = programs.map((path) => join(deployment.home, path.replaceAll('/', '+'), 'record'))
    this.#programs = ['--record', ...folders.filter((folder) => existsSync(folder)), '--checkpoints', 'checkpoints']
  }

  /**
   * All entries, in the order of time, as soon as they are complete. Readers see what a checkpoint covers, which is a moment later; what
   * is not there after some seconds does not come.
   */
  async entries(complete: (entries: readonly Entry[]) => boolean): Promise<readonly Entry[]> {
    for (let tries = 1; ; tries++) {
      const lines = await Promise.all(
        [[], this.#programs].map((where) => this.#deployment.run('audit', 'tail', '--json', '-n', MOST, ...where)),
      )
      const entries = lines.flatMap(entriesIn).toSorted((a, b) => a.time - b.time)
      if (complete(entries) || tries === MOST_TRIES) return entries
      await sleep(500)
    }
  }

  /** Derives every log anew and compares it with what was signed. A line for each; throws when one is not what it was. */
  async verified(): Promise<string> {
    const told = await Promise.all(
      [[], this.#programs].map((where) => this.#deployment.run('audit', 'verify', ...where)),
    )
    return told.join('').trimEnd()
  }
}

function entriesIn(lines: string): readonly Entry[] {
  return lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line)
    .map(({ origin, index, time, kind, body }) => ({ name: `${origin}#${index}`, time, kind, body }))
}

/** A call that was allowed, as a row: who for whom through whom, what, by which rules, where that stands. */
export function callRow({ name, body }: Entry): readonly string[] {
  const { caller, action, resource, policies } = body as {
    readonly caller: string
    readonly action: string
    readonly resource: { readonly server: string; readonly name: string }
    readonly policies: readonly string[]
  }
  const what = `${action} ${resource.server}/${resource.name.replace(/^\//, '')}`
  const rules = policies.filter((one) => !one.startsWith('builtin:'))
  return [withoutDomain(caller), what, rules.join(' '), withoutDomain(name)]
}

/** Of a call that is worth a row: opening and closing sessions is not. */
export function isCall({ kind, body }: Entry): boolean {
  const { decision, group, resource } = body as {
    readonly decision?: string
    readonly group?: string
    readonly resource?: { readonly server?: string }
  }
  const server = resource?.server ?? ''
  return kind === 'decision' && decision === 'allow' && group !== 'session' && !own.has(server)
}

const own = new Set(['', 'authority', 'gateway'])

export function withoutDomain(text: string): string {
  return text.replaceAll(/spiffe:\/\/[^/]+\//g, '').replaceAll(/(?:https:\/\/login\.)?shop\.example[/#]/g, '')
}
