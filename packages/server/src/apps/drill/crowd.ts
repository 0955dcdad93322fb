/** The workloads of a drill, in processes of their own. */

import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { constants, setPriority } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { DoorwardError } from '@doorward/core'
import type { CrowdGateway, CrowdMember, CrowdOrder, CrowdReport, MemberLook, Tally } from './crowd-messages.ts'

const file = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './crowd-process.ts' : './crowd-process.js', import.meta.url),
)
/** An order that takes longer has hung. */
const ORDER_MILLISECONDS = 300_000

export interface CrowdOptions {
  readonly folder: string
  readonly processes: number
  readonly members: readonly CrowdMember[]
  readonly gateways: readonly CrowdGateway[]
  readonly authorityUrl: string
  readonly onJoined: (count: number) => void
}

export interface CrowdLook {
  readonly members: readonly MemberLook[]
  readonly tally: Tally
}

export class Crowd {
  readonly #processes: readonly ChildProcess[]

  private constructor(processes: readonly ChildProcess[]) {
    this.#processes = processes
  }

  /**
   * They take what the other parts leave of the processor, which have machines of their own otherwise. Resolves when
   * everyone has joined, follows trust and has made a call. Throws `drill_crowd`.
   */
  static async start(options: CrowdOptions): Promise<Crowd> {
    const { folder, members, gateways, authorityUrl } = options
    const processes = Array.from({ length: options.processes }, () =>
      fork(file, [], {
        execArgv: process.execArgv,
        serialization: 'advanced',
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      }),
    )
    const crowd = new Crowd(processes)
    const joined = processes.map(() => 0)
    try {
      for (const { pid } of processes) if (pid !== undefined) setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL)
      await Promise.all(
        processes.map(async (child, i) => {
          const own = join(folder, String(i))
          await mkdir(own, { recursive: true, mode: 0o700 })
          child.on('message', (raw) => {
            const report = raw as CrowdReport
            if (report.type !== 'joined') return
            joined[i] = report.count
            options.onJoined(joined.reduce((sum, one) => sum + one, 0))
          })
          const share = members.filter((_, at) => at % processes.length === i)
          const order: CrowdOrder = { type: 'join', folder: own, members: share, gateways, authorityUrl }
          await ask(child, order, 'ready')
        }),
      )
      return crowd
    } catch (error) {
      await crowd.stop()
      throw error
    }
  }

  traffic(everyMilliseconds: number | null): void {
    for (const child of this.#processes) child.send({ type: 'traffic', everyMilliseconds } satisfies CrowdOrder)
  }

  /** How many accepted one of the messages, and why the others did not. */
  async poison(messages: readonly string[]): Promise<{ accepted: number; refused: Readonly<Record<string, number>> }> {
    const answers = await this.#all({ type: 'poison', messages }, 'poisoned')
    const refused = answers.map((answer) => answer.refused)
    return { accepted: answers.reduce((sum, { accepted }) => sum + accepted, 0), refused: added(refused) }
  }

  async burst(calls: number, concurrency: number): Promise<Tally> {
    const each = Math.ceil(calls / this.#processes.length)
    const order: CrowdOrder = {
      type: 'burst',
      calls: each,
      concurrency: Math.ceil(concurrency / this.#processes.length),
    }
    return tallied((await this.#all(order, 'burst')).map(({ tally }) => tally))
  }

  /** Everybody as they are now; the tally is of the traffic since the last look. */
  async look(): Promise<CrowdLook> {
    const answers = await this.#all({ type: 'look' }, 'look')
    return { members: answers.flatMap(({ members }) => members), tally: tallied(answers.map(({ tally }) => tally)) }
  }

  /** Resolves when all have ended, and write nothing any more. */
  async stop(): Promise<void> {
    await Promise.all(this.#processes.map(end))
  }

  #all<Type extends CrowdReport['type']>(
    order: CrowdOrder,
    type: Type,
  ): Promise<readonly Extract<CrowdReport, { type: Type }>[]> {
    return Promise.all(this.#processes.map((child) => ask(child, order, type)))
  }
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once('exit', () => resolve())
    if (child.connected) child.disconnect()
    child.kill('SIGKILL')
  })
}

function ask<Type extends CrowdReport['type']>(
  child: ChildProcess,
  order: CrowdOrder,
  type: Type,
): Promise<Extract<CrowdReport, { type: Type }>> {
  return new Promise((resolve, reject) => {
    const done = () => {
      clearTimeout(timer)
      child.off('message', heard)
      child.off('exit', ended)
    }
    const fail = (got: string) => {
      done()
      reject(new DoorwardError('drill_crowd', 'the workloads of the drill do not go on', { where: order.type, got }))
    }
    const heard = (raw: unknown) => {
      const report = raw as CrowdReport
      if (report.type === 'failed') fail(report.message)
      if (report.type !== type) return
      done()
      resolve(report as Extract<CrowdReport, { type: Type }>)
    }
    const ended = () => fail('their process has ended')
    const timer = setTimeout(() => fail('no answer in time'), ORDER_MILLISECONDS)
    child.on('message', heard)
    child.once('exit', ended)
    child.send(order)
  })
}

function added(counts: readonly Readonly<Record<string, number>>[]): Readonly<Record<string, number>> {
  const sum: Record<string, number> = {}
  for (const one of counts) for (const [code, times] of Object.entries(one)) sum[code] = (sum[code] ?? 0) + times
  return sum
}

function tallied(tallies: readonly Tally[]): Tally {
  return {
    succeeded: tallies.reduce((sum, { succeeded }) => sum + succeeded, 0),
    failed: tallies.reduce((sum, { failed }) => sum + failed, 0),
    codes: added(tallies.map(({ codes }) => codes)),
  }
}
