/**
 * `npm run bench -- authority [--seconds N] [--workloads N] [--json] [--profile FOLDER]`: renewals and tokens per second
 * and per second of CPU, on SQLite and on PostgreSQL, and what a single one waits. Exit 0 when both were measured, 2 for
 * unknown arguments.
 */

import { mkdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { PostgresServer } from '../../fixtures/postgres.ts'
import { startProcess } from '../child.ts'
import type { BenchProcess } from '../child.ts'
import { cpuIsKnown, cpuMicroseconds, treeCpuMicroseconds } from '../cpu.ts'
import type { LoadResult } from '../messages.ts'
import { summed } from '../statistics.ts'
import type { Measured } from '../statistics.ts'
import type { AuthorityReady, BenchDatabase, IssuingRequest } from './messages.ts'
import { textOf } from './report.ts'

const MAXIMUM_TOKENS = 200_000
/** Of each workload: an identity has no more than 256 certificates that live. */
const MAXIMUM_RENEWALS = { warming: 15, all: 200, one: 20 } as const

interface Options {
  readonly seconds: number
  readonly workloads: number
  readonly json: boolean
  readonly profile: string | undefined
}

/** The CPU of the authority is part of `Measured`; beside it that of the others, in microseconds of each call. */
export interface MeasuredIssuing extends Measured {
  readonly callersCpuMicroseconds: number | null
  /** Null for the store that is part of the authority. */
  readonly databaseCpuMicroseconds: number | null
}

export interface IssuingReport {
  readonly store: 'sqlite' | 'postgres'
  readonly workloads: number
  readonly renewals: MeasuredIssuing
  readonly tokens: MeasuredIssuing
  /** One under way in all. */
  readonly single: { readonly renewals: MeasuredIssuing; readonly tokens: MeasuredIssuing }
}

export async function benchAuthority(args: readonly string[]): Promise<number> {
  const options = readOptions(args)
  if (typeof options === 'string') {
    console.error(
      `${options}\nusage: npm run bench -- authority [--seconds N] [--workloads N] [--json] [--profile FOLDER]`,
    )
    return 2
  }
  const reports = [await onSqlite(options), await onPostgres(options)]
  console.log(options.json ? JSON.stringify(reports, null, 2) : textOf(reports))
  return 0
}

function readOptions(args: readonly string[]): Options | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        seconds: { type: 'string' },
        workloads: { type: 'string' },
        json: { type: 'boolean', default: false },
        profile: { type: 'string' },
      },
    })
    const seconds = Number(values.seconds ?? 10)
    const workloads = Number(values.workloads ?? 200)
    if (!(seconds > 0 && seconds <= 120)) return '--seconds: expected 1 to 120'
    if (!(Number.isInteger(workloads) && workloads > 0 && workloads <= 256)) return '--workloads: expected 1 to 256'
    return { seconds, workloads, json: values.json, profile: values.profile }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

interface Store {
  readonly name: IssuingReport['store']
  readonly database: BenchDatabase | null
  /** Process of the database server; null for the store that is part of the authority. */
  readonly pid: number | null
}

function onSqlite(options: Options): Promise<IssuingReport> {
  return measureOn({ name: 'sqlite', database: null, pid: null }, options)
}

async function onPostgres(options: Options): Promise<IssuingReport> {
  const server = await PostgresServer.start()
  try {
    const { target, user, password } = server
    const database = { ...target, user, password, database: await server.createDatabase() }
    const [pid] = readFileSync(join(target.host, 'data', 'postmaster.pid'), 'utf8').split('\n')
    return await measureOn({ name: 'postgres', database, pid: Number(pid) }, options)
  } finally {
    await server.stop('fast')
  }
}

async function measureOn({ name, database, pid }: Store, options: Options): Promise<IssuingReport> {
  await using stack = new AsyncDisposableStack()
  const { workloads, seconds, profile } = options
  if (profile !== undefined) mkdirSync(resolve(profile), { recursive: true })
  const nodeOptions = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${resolve(profile)}`]
  const authority = await startProcess({ process: 'authority', workloads, database }, { nodeOptions })
  stack.defer(() => authority.close())
  const { addresses, tokens } = authority.ready as AuthorityReady
  const load = await startProcess({ process: 'renewals', addresses, tokens })
  stack.defer(() => load.close())
  const measured = (what: IssuingRequest['what'], atOnce: IssuingRequest['atOnce'], most?: number) =>
    measure(
      { authority, load, database: pid },
      {
        what,
        atOnce,
        milliseconds: seconds * 1000,
        maximumCalls: what === 'tokens' ? MAXIMUM_TOKENS : workloads * (most ?? MAXIMUM_RENEWALS[atOnce]),
      },
    )
  // The single ones first: every certificate that lives makes the trust state longer.
  await measured('renewals', 'one', 1)
  const single = { renewals: await measured('renewals', 'one'), tokens: await measured('tokens', 'one') }
  await measured('renewals', 'all', MAXIMUM_RENEWALS.warming)
  return {
    store: name,
    workloads,
    single,
    renewals: await measured('renewals', 'all'),
    tokens: await measured('tokens', 'all'),
  }
}

interface Processes {
  readonly authority: BenchProcess
  readonly load: BenchProcess
  readonly database: number | null
}

async function measure(processes: Processes, request: IssuingRequest): Promise<MeasuredIssuing> {
  const { load } = processes
  load.send(request)
  await load.next()
  const before = cpuOf(processes)
  load.send({})
  const result = await load.next<LoadResult>()
  const after = cpuOf(processes)
  const spent = (of: keyof typeof after) => after[of] - before[of]
  const each = (of: keyof typeof after) => (cpuIsKnown ? spent(of) / result.calls : null)
  return {
    ...summed([{ ...result, cpuMicroseconds: spent('authority') }], cpuIsKnown),
    callersCpuMicroseconds: each('load'),
    databaseCpuMicroseconds: processes.database === null ? null : each('database'),
  }
}

function cpuOf({ authority, load, database }: Processes) {
  return {
    authority: cpuMicroseconds(authority.pid),
    load: cpuMicroseconds(load.pid),
    database: database === null ? 0 : treeCpuMicroseconds(database),
  }
}
