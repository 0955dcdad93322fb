/**
 * `npm run bench -- authority [--seconds N] [--workloads N] [--json] [--profile FOLDER]`: renewals and tokens per second
 * and per second of CPU, on SQLite and on PostgreSQL. Exit 0 when both were measured, 2 for unknown arguments.
 */

import { mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { PostgresServer } from '../../fixtures/postgres.ts'
import { startProcess } from '../child.ts'
import type { BenchProcess } from '../child.ts'
import { cpuIsKnown, cpuMicroseconds } from '../cpu.ts'
import type { LoadResult } from '../messages.ts'
import { summed } from '../statistics.ts'
import type { Measured } from '../statistics.ts'
import type { AuthorityReady, BenchDatabase, IssuingRequest } from './messages.ts'
import { textOf } from './report.ts'

const MAXIMUM_CALLS = 200_000

interface Options {
  readonly seconds: number
  readonly workloads: number
  readonly json: boolean
  readonly profile: string | undefined
}

export interface IssuingReport {
  readonly store: 'sqlite' | 'postgres'
  readonly renewals: Measured
  readonly tokens: Measured
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
    const workloads = Number(values.workloads ?? 64)
    if (!(seconds > 0 && seconds <= 120)) return '--seconds: expected 1 to 120'
    if (!(Number.isInteger(workloads) && workloads > 0 && workloads <= 256)) return '--workloads: expected 1 to 256'
    return { seconds, workloads, json: values.json, profile: values.profile }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function onSqlite(options: Options): Promise<IssuingReport> {
  return measureOn('sqlite', null, options)
}

async function onPostgres(options: Options): Promise<IssuingReport> {
  const server = await PostgresServer.start()
  try {
    const { target, user, password } = server
    return await measureOn('postgres', { ...target, user, password, database: await server.createDatabase() }, options)
  } finally {
    await server.stop('fast')
  }
}

async function measureOn(
  store: IssuingReport['store'],
  database: BenchDatabase | null,
  options: Options,
): Promise<IssuingReport> {
  await using stack = new AsyncDisposableStack()
  const { workloads, seconds, profile } = options
  if (profile !== undefined) mkdirSync(resolve(profile), { recursive: true })
  const nodeOptions = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${resolve(profile)}`]
  const authority = await startProcess({ process: 'authority', workloads, database }, { nodeOptions })
  stack.defer(() => authority.close())
  const { addresses, tokens } = authority.ready as AuthorityReady
  const load = await startProcess({ process: 'renewals', addresses, tokens })
  stack.defer(() => load.close())
  const measured = (what: IssuingRequest['what']) => measure({ authority, load }, { what, seconds })
  await measure({ authority, load }, { what: 'renewals', seconds: Math.min(2, seconds) })
  return { store, renewals: await measured('renewals'), tokens: await measured('tokens') }
}

async function measure(
  { authority, load }: { readonly authority: BenchProcess; readonly load: BenchProcess },
  { what, seconds }: { readonly what: IssuingRequest['what']; readonly seconds: number },
): Promise<Measured> {
  load.send({ what, milliseconds: seconds * 1000, maximumCalls: MAXIMUM_CALLS } satisfies IssuingRequest)
  await load.next()
  const before = cpuMicroseconds(authority.pid)
  load.send({})
  const result = await load.next<LoadResult>()
  return summed([{ ...result, cpuMicroseconds: cpuMicroseconds(authority.pid) - before }], cpuIsKnown)
}
