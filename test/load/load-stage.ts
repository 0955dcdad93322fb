/** The running system with limits that leave the load to be borne, and what all loads have in common. */

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Stage } from '../refusals/stage.ts'
import type { Caller } from '../refusals/stage.ts'
import { LiveCaller } from './live-caller.ts'

const MAX_PROBLEMS = 5
const plenty = '90000000/min'

const yaml = `security:
  rate_limiting: { global: ${plenty}, per_ip: ${plenty}, per_user: ${plenty} }
limits:
  networks:
    - { cidr: 127.0.0.0/8, per_ip: ${plenty}, connections_per_ip: 10000, handshakes_per_ip: ${plenty} }
  sessions_per_user: 1000
  handshakes_per_ip: ${plenty}
`

export class LoadStage {
  readonly stage: Stage
  /** May read, and may not drop. */
  readonly callers: readonly Caller[]
  #allowed = 0

  private constructor(stage: Stage, callers: readonly Caller[]) {
    this.stage = stage
    this.callers = callers
  }

  static async open(callers: number): Promise<LoadStage> {
    const stage = await Stage.open({ yaml })
    try {
      const all: Caller[] = []
      while (all.length < callers) all.push(await stage.caller(`agent/load-${all.length}`))
      return new LoadStage(stage, all)
    } catch (error) {
      await stage.close()
      throw error
    }
  }

  /** What was recorded before does not count for the next load. */
  async begin(): Promise<void> {
    this.#allowed = await this.#allows()
  }

  /** The caller of that place, over and over again. */
  caller(place: number): Caller {
    const caller = this.callers[place % this.callers.length]
    if (caller === undefined) throw new RangeError('a stage without callers')
    return caller
  }

  live(place: number): Promise<LiveCaller> {
    return LiveCaller.open(this.stage, this.caller(place))
  }

  /**
   * What must hold after every load: the record has one decision for each call that a client saw allowed, and what was
   * denied has not reached the server. Empty when it does.
   */
  async findings(live: readonly LiveCaller[]): Promise<readonly string[]> {
    const seen = live.reduce((sum, { allowed }) => sum + allowed, 0)
    const recorded = (await this.#allows()) - this.#allowed
    const heard = this.stage.tap.since(0)
    const leaked = live.flatMap(({ deniedMarks }) => deniedMarks.filter((mark) => heard.includes(mark)))
    return [
      ...(recorded === seen ? [] : [`${recorded} calls were allowed on the record, ${seen} on the wire`]),
      ...(leaked.length === 0 ? [] : [`${leaked.length} denied calls have reached the server`]),
      ...(live.some(({ deniedMarks }) => deniedMarks.length > 0) ? [] : ['nothing was denied']),
      ...live.flatMap(({ problems }) => problems).slice(0, MAX_PROBLEMS),
    ]
  }

  /** Resident memory of the gateway in bytes; null where the system does not tell. */
  async memory(): Promise<number | null> {
    const pid = await gatewayPid(this.stage.system.pid)
    if (pid === null) return null
    const kibibytes = /^VmRSS:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]
    return kibibytes === undefined ? null : Number(kibibytes) * 1024
  }

  close(): Promise<void> {
    return this.stage.close()
  }

  async #allows(): Promise<number> {
    const calls = await this.stage.entries('gateway')
    return calls.filter(({ entry: { body } }) => body['decision'] === 'allow' && body['action'] === 'tools/call').length
  }
}

/** The child of `up` that runs the gateway. */
async function gatewayPid(supervisor: number): Promise<string | null> {
  const processes = await readdir('/proc').catch(() => [])
  for (const pid of processes.filter((name) => /^\d+$/.test(name))) {
    const told = await Promise.all(
      ['status', 'cmdline'].map((file) => readFile(join('/proc', pid, file), 'utf8').catch(() => '')),
    )
    const [status = '', command = ''] = told
    if (status.includes(`\nPPid:\t${supervisor}\n`) && command.split('\0').includes('gateway')) return pid
  }
  return null
}
