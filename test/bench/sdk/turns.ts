/** Short turns of several programs, one after the other, over and over: whatever else the machine does hits all of them alike. */

import { setTimeout as delay } from 'node:timers/promises'
import { cpuMicroseconds } from '../cpu.ts'
import { median } from '../statistics.ts'
import type { Callers } from './callers.ts'

export interface Contender {
  /** Whose CPU time counts. */
  readonly pids: readonly number[]
  readonly callers: Callers
}

export interface Turns {
  readonly callsPerSecond: number
  readonly p50: number
  readonly p99: number
  /** The median of its turns. */
  readonly cpuPerCall: number
  /** A quarter of the turns needed less, a quarter more. */
  readonly quarter: number
  readonly threeQuarters: number
  /** CPU microseconds of a call, by turn. */
  readonly cpuOfTurns: readonly number[]
}

const TURN_MILLISECONDS = 400
/** For what a program does when nobody calls any more: it is part of what the calls have cost. */
const SETTLE_MILLISECONDS = 60

/** Each has its turns for so many seconds in all. */
export async function alternate(contenders: readonly Contender[], seconds: number): Promise<readonly Turns[]> {
  const rounds = Math.max(3, Math.round((seconds * 1000) / TURN_MILLISECONDS))
  const turns: Turn[][] = contenders.map(() => [])
  for (let round = 0; round < rounds; round++) {
    // Another one begins each time.
    for (let i = 0; i < contenders.length; i++) {
      const at = (i + round) % contenders.length
      turns[at]!.push(await turnOf(contenders[at]!))
    }
  }
  return turns.map(summary)
}

interface Turn {
  readonly seconds: number
  readonly cpuMicroseconds: number
  readonly latencies: readonly number[]
}

async function turnOf({ pids, callers }: Contender): Promise<Turn> {
  const cpu = () => pids.reduce((sum, pid) => sum + cpuMicroseconds(pid), 0)
  const before = cpu()
  const began = performance.now()
  const latencies = await callers.call(() => performance.now() - began < TURN_MILLISECONDS)
  const seconds = (performance.now() - began) / 1000
  await delay(SETTLE_MILLISECONDS)
  return { seconds, cpuMicroseconds: cpu() - before, latencies }
}

function summary(turns: readonly Turn[]): Turns {
  const latencies = turns.flatMap((turn) => turn.latencies).toSorted((a, b) => a - b)
  const seconds = turns.reduce((sum, turn) => sum + turn.seconds, 0)
  const cpuOfTurns = turns.map((turn) => turn.cpuMicroseconds / turn.latencies.length)
  const sorted = cpuOfTurns.toSorted((a, b) => a - b)
  const at = (values: readonly number[], share: number) => values[Math.floor(values.length * share)] ?? Number.NaN
  return {
    callsPerSecond: latencies.length / seconds,
    p50: at(latencies, 0.5),
    p99: at(latencies, 0.99),
    cpuPerCall: median(cpuOfTurns),
    quarter: at(sorted, 0.25),
    threeQuarters: at(sorted, 0.75),
    cpuOfTurns,
  }
}
