/** `doorward audit query`: entries by what they say, newest first. */

import type { Command } from 'commander'
import {
  DoorwardError,
  ENTRY_KINDS,
  epochMillis,
  isEntryKind,
  parseSpiffeId,
  parseSpiffeIdPattern,
  readUserName,
} from '@doorward/core'
import type { EpochMillis, JsonObject } from '@doorward/core'
import type { QueryFilter, QueryHit } from '../apps/query-log.ts'
import { absentWords, detailOf, entryDocument, shown, targetOf } from './audit-line.ts'
import { checkpointsOption, logOption, machineLogs, readEntryName, recordOption } from './audit-places.ts'
import type { LogOptions } from './audit-places.ts'
import type { CliContext } from './context.ts'
import { painter, table } from './output.ts'

interface QueryOptions extends LogOptions {
  readonly principal?: string
  readonly user?: string
  readonly delegation?: string
  readonly server?: string
  readonly tool?: string
  readonly action?: string
  readonly decision?: string
  readonly reason?: string
  readonly secret?: string
  readonly kind?: string
  readonly since?: string
  readonly until?: string
  readonly id?: string
  readonly limit: string
  readonly rebuild: boolean
}

const MAX_LIMIT = 100_000

const EXAMPLES = `
Examples:
  doorward audit query --decision deny --since 2h
  doorward audit query --principal "spiffe://example.org/agent/*" --server files --tool read_text_file
  doorward audit query --delegation spiffe://example.org/agent/planner --json
  doorward audit query --id example.org/gateway/main#17`

export function registerQuery(audit: Command, context: CliContext): void {
  audit
    .command('query')
    .description('find entries of all logs of this machine by what they say, newest first; calls with their outcome')
    .option(...logOption)
    .option(...recordOption)
    .option(...checkpointsOption)
    .option(
      '--principal <id>',
      'SPIFFE ID of any link of who called and for whom, or of what an entry is about; * stands for a segment',
    )
    .option('--user <name>', 'person on whose behalf, or whom an entry is about: <issuer>#<subject>')
    .option('--delegation <id>', 'SPIFFE ID that acted for somebody else, anywhere in the chain')
    .option('--server <name>', 'server of the call; authority and gateway are our own')
    .option('--tool <name>', 'tool that was called')
    .option('--action <name>', 'action, such as tools/call, or the change that an operator made')
    .option('--decision <word>', 'allow or deny')
    .option('--reason <code>', 'code of the decision, such as policy_denied')
    .option('--secret <name>', 'calls that were sent with this secret, and its changes')
    .option('--kind <kind>', ENTRY_KINDS.join(', '))
    .option('--since <time>', 'from this time on: RFC 3339, or how long ago: 90s, 30m, 2h, 7d')
    .option('--until <time>', 'before this time')
    .option('--id <id>', 'one entry, by the id of its decision')
    .option('--limit <count>', 'entries at most', '100')
    .option('--rebuild', 'read the logs anew instead of going on from the indexes that are there', false)
    .addHelpText('after', EXAMPLES)
    .action((options: QueryOptions) => query(options, context))
}

async function query(options: QueryOptions, context: CliContext): Promise<void> {
  const limit = Number(options.limit)
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw new DoorwardError('usage', 'not a number of entries', { expected: `1 to ${MAX_LIMIT}`, got: options.limit })
  }
  const { systemClock } = await import('@doorward/sdk')
  const { everyEntry, queryPlaces } = await import('../apps/query-log.ts')
  const filter = { ...everyEntry, ...filterOf(options, systemClock()) }
  const { places, copyDir } = await machineLogs(context, options)
  const { rebuild, secret } = options
  const onProgress = progressOf(context)
  const rows: (readonly string[])[] = []
  for await (const hit of queryPlaces(places, copyDir, { filter, limit, rebuild, secret, onProgress })) {
    if (context.signal.aborted) return
    if (context.json) context.out(JSON.stringify(documentOf(hit)))
    else rows.push(cellsOf(hit, context.color))
  }
  if (context.interactive && !context.json) context.stdout.write('\r\u001b[K')
  if (context.json) return
  if (rows.length === 0) context.err('nothing was found')
  else context.out(table(HEAD, rows, context.color))
}

/** Throws `usage`, `spiffe_pattern_invalid`, `spiffe_id_invalid`. */
function filterOf(options: QueryOptions, now: EpochMillis): Partial<QueryFilter> {
  const { principal, user, delegation, server, tool, action, decision, reason, kind, since, until, id } = options
  if (kind !== undefined && !isEntryKind(kind)) throw misuse('not a kind of entries', ENTRY_KINDS.join(', '), kind)
  if (decision !== undefined && decision !== 'allow' && decision !== 'deny')
    throw misuse('not a decision', 'allow or deny', decision)
  if (user !== undefined && readUserName(user) === null)
    throw misuse('not the name of a person', '<issuer>#<subject>', user)
  return {
    ...(user === undefined ? {} : { user }),
    ...(principal === undefined ? {} : { principal: parseSpiffeIdPattern(principal) }),
    ...(delegation === undefined ? {} : { delegation: parseSpiffeId(delegation).uri }),
    ...(server === undefined ? {} : { server }),
    ...(tool === undefined ? {} : { tool }),
    ...(action === undefined ? {} : { action }),
    ...(decision === undefined ? {} : { decision }),
    ...(reason === undefined ? {} : { reason }),
    ...(kind === undefined ? {} : { kind }),
    ...(since === undefined ? {} : { since: readTime(since, now) }),
    ...(until === undefined ? {} : { until: readTime(until, now) }),
    ...(id === undefined ? {} : { id: readEntryName(id) }),
  }
}

const MILLISECONDS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const AGO = /^(\d{1,6})([smhd])$/
/** RFC 3339 §5.6; the day of the month is looked at by whether it is still the same afterwards. */
const MOMENT = /^(\d{4}-\d{2}-\d{2})T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/i

/** A moment, or how long before `now`. Throws `usage`. */
export function readTime(text: string, now: EpochMillis): EpochMillis {
  const [, count, unit] = AGO.exec(text) ?? []
  if (count !== undefined && unit !== undefined) return epochMillis(now - Number(count) * (MILLISECONDS[unit] ?? 0))
  const day = MOMENT.exec(text)?.[1]
  const time = day === undefined ? Number.NaN : Date.parse(text.toUpperCase())
  const isDay = day !== undefined && new Date(`${day}T00:00:00Z`).toJSON()?.startsWith(day) === true
  if (isDay && Number.isFinite(time)) return epochMillis(time)
  throw misuse('not a time', 'RFC 3339 as in 2026-01-31T12:00:00Z, or how long ago as in 2h', text)
}

function misuse(message: string, expected: string, got: string): DoorwardError {
  return new DoorwardError('usage', message, { expected, got: got.slice(0, 200) })
}

function documentOf({ outcome, ...entry }: QueryHit): JsonObject {
  return { ...entryDocument(entry), outcome: outcome === null ? null : entryDocument(outcome) }
}

const HEAD = ['time', 'what', 'who', 'target', 'code', 'outcome', 'id'] as const

function cellsOf({ outcome, ...entry }: QueryHit, color: boolean): readonly string[] {
  const { origin, index, time, content } = entry
  const paint = painter(color)
  const [when, name] = [new Date(time).toISOString(), paint('dim', `${origin}#${index}`)]
  if (content.state === 'absent') return [when, paint('yellow', 'absent'), absentWords(content.why), '', '', '', name]
  const { kind } = content.entry
  const body = content.entry.body as JsonObject
  if (kind !== 'decision') return [when, kind, ...otherCells(kind, body), '', name]
  const allowed = body['decision'] === 'allow'
  const word = paint(allowed ? 'green' : 'red', allowed ? 'allow' : 'deny')
  const who = shown(body['caller']) || shown(body['remote'])
  const target = [shown(body['action']), targetOf(body)].filter(Boolean).join(' ')
  return [when, word, who, target, shown(body['code']), outcomeOf(outcome), name]
}

/** A cell that is longer makes the table unreadable; the whole entry is what --json shows. */
const CELL = 60

/** Who, what and why of what is no decision. */
function otherCells(kind: string, body: JsonObject): readonly string[] {
  const first = (...names: readonly string[]) => names.map((name) => shown(body[name])).find(Boolean) ?? ''
  if (kind === 'outcome') return ['', detailOf(kind, body), '']
  const subject = first('id', 'subject', 'key_id', 'name')
  const who = first('by', 'source')
  const what = [first('change', 'phase', 'event', 'detector'), who === '' ? '' : subject].filter(Boolean).join(' ')
  return [who || subject, what, first('reason', 'outcome', 'detail', 'count')].map((cell) => cell.slice(0, CELL))
}

function outcomeOf(outcome: QueryHit['outcome']): string {
  if (outcome === null) return ''
  if (outcome.content.state === 'absent') return 'absent'
  const { status, http, milliseconds } = outcome.content.entry.body as JsonObject
  return `${shown(status)} ${shown(http)} ${shown(milliseconds)} ms`
}

type Progress = { readonly origin: string; readonly entries: number; readonly expected: number }

function progressOf(context: CliContext): (progress: Progress) => void {
  if (!context.interactive || context.json) return () => undefined
  return ({ origin, entries, expected }) => context.stdout.write(`\rreading ${origin}: ${entries} of ${expected} `)
}
