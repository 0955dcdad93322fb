/** What a new policy costs before it decides, and what it keeps in memory. */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { judgeOf } from '../../../packages/server/src/policy/cedar-engine.ts'
import { preparePolicy, refuseProblems } from '../../../packages/server/src/policy/prepare-policy.ts'
import type { PreparedPolicy } from '../../../packages/server/src/policy/prepare-policy-worker.ts'
import { populationOf } from './population.ts'
import type { Population, Shape } from './population.ts'

/** Longer than the product waits, for a machine that does much else. */
const PREPARE_TIMEOUT_MILLISECONDS = 600_000

/** Milliseconds of CPU, and of the clock where that is what somebody waits for. */
export interface ChangeCost {
  /** Built-in policies included. */
  readonly policies: number
  /** From roles to Cedar, in the process that decides. */
  readonly compileMilliseconds: number
  /** Reading and checking, in a thread of its own: CPU, then the clock. */
  readonly prepareCpuMilliseconds: number
  readonly prepareMilliseconds: number
  /** From JSON to closures, in the process that decides. */
  readonly closuresMilliseconds: number
  /** Of the heap, for closures and index. */
  readonly keptBytes: number
}

export interface Changed {
  readonly population: Population
  readonly policies: readonly PreparedPolicy[]
  readonly cost: ChangeCost
}

export async function changeTo(shape: Shape): Promise<Changed> {
  const compile = stopwatch()
  const population = populationOf(shape)
  const compileMilliseconds = compile().cpu
  const prepare = stopwatch()
  const prepared = await preparePolicy(population.compiled, PREPARE_TIMEOUT_MILLISECONDS)
  const { cpu, clock } = prepare()
  refuseProblems(prepared)
  const { policies } = prepared
  const before = heapAfterCollection()
  const closures = stopwatch()
  const judge = judgeOf(population.compiled, policies, 1)
  const closuresMilliseconds = closures().cpu
  const keptBytes = heapAfterCollection() - before
  if (judge.version.sequence !== 1) throw new Error('the policy does not decide')
  const cost = {
    policies: policies.length,
    compileMilliseconds,
    prepareCpuMilliseconds: cpu,
    prepareMilliseconds: clock,
    closuresMilliseconds,
    keptBytes,
  }
  return { population, policies, cost }
}

function stopwatch(): () => { readonly cpu: number; readonly clock: number } {
  const cpu = process.cpuUsage()
  const clock = performance.now()
  return () => {
    const { user, system } = process.cpuUsage(cpu)
    return { cpu: (user + system) / 1000, clock: performance.now() - clock }
  }
}

let collect: (() => void) | undefined

function heapAfterCollection(): number {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc')
    collect = runInNewContext('gc') as () => void
  }
  collect()
  collect()
  return process.memoryUsage().heapUsed
}
