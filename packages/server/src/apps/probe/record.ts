/** That everything that was told is on the record of the gateway, and that nothing else was let in. */

import type { AdminClient } from '@doorward/sdk'
import { isJsonObject } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { denialRow, isDenialCode } from '@doorward/enforcement'
import { cutCode, judged } from './attempt.ts'
import type { Judged, ToldDecision } from './attempt.ts'

export interface RecordQuestion {
  /** The gateway's. */
  readonly admin: Pick<AdminClient, 'record'>
  /** Size of its log before the first attempt. */
  readonly from: number
  readonly told: Judged['decisions']
  /** SPIFFE IDs of those who took part. */
  readonly members: readonly string[]
  /** How many of their calls had to be let in. */
  readonly allowed: number
}

export interface RecordJudged {
  readonly entries: Judged
  readonly letIn: Judged
}

/** With these a call ends that was let in when its caller was denied: its entry lets it in, its outcome has the code. */
const WITHDRAWN: ReadonlySet<string> = new Set(['certificate_denied', 'token_denied', 'identity_denied'])

/** These are told before anybody is identified: they are counted by address. */
const BEFORE_IDENTITY: ReadonlySet<string> = new Set([
  'content_encoding',
  'expectation',
  'header_duplicate',
  'header_name',
  'host_unknown',
  'http_method',
  'origin_unknown',
  'path_ambiguous',
  'path_unknown',
])

/** Whether every answer with this code names its entry: whoever is told it has shown a certificate that holds. */
export function standsAlone(code: string): boolean {
  if (code === 'allowed') return true
  return isDenialCode(code) && !denialRow(code).counted && !BEFORE_IDENTITY.has(code)
}

/** What was counted and not recorded one by one, refusals of strangers, is not asked for. */
export async function recordJudged(question: RecordQuestion): Promise<RecordJudged> {
  const { told, allowed } = question
  const { codes, outcomes, letIn } = await readAll(question)
  const named = told.flatMap(({ entry, ...more }) => (entry === null ? [] : [{ entry, ...more }]))
  const unnamed = told.filter(({ entry, code }) => entry === null && standsAlone(code))
  const different = named.filter(({ entry, code }) => codes.get(entry) !== code)
  const overtaken = different.filter(
    ({ entry, code, mayEnd = false }) =>
      codes.get(entry) === 'allowed' && (mayEnd || WITHDRAWN.has(code)) && outcomes.get(entry) === code,
  )
  const missing = different.filter((one) => !overtaken.includes(one))
  const due = allowed + overtaken.length
  const cut = told.filter(({ code }) => code === cutCode).length
  const wrong = [
    ...(missing.length === 0
      ? []
      : [`${missing.length} missing or different: ${missing[0]?.entry} ${missing[0]?.code}`]),
    ...(unnamed.length === 0 ? [] : [`${unnamed.length} answers name none: ${codesOf(unnamed)}`]),
  ]
  const all = named.length + unnamed.length
  return {
    entries: judged(
      wrong.length === 0 && all > 0,
      `${all} entries, each with the code that was told`,
      wrong.length === 0 ? 'all' : wrong.join('; '),
    ),
    letIn: judged(letIn >= due && letIn <= due + cut, `${due} calls let in`, String(letIn)),
  }
}

const mostCodes = 5

function codesOf(told: readonly ToldDecision[]): string {
  const codes = [...new Set(told.map(({ code }) => code))]
  return codes.length > mostCodes ? `${codes.slice(0, mostCodes).join(', ')} and others` : codes.join(', ')
}

interface ReadRecord {
  /** By entry. */
  readonly codes: ReadonlyMap<string, string>
  readonly outcomes: ReadonlyMap<string, string>
  readonly letIn: number
}

const mostReadings = 20
const againMilliseconds = 250

/** What is durable is shown once a checkpoint covers it: a moment after the answer that names it. */
async function readAll(question: RecordQuestion): Promise<ReadRecord> {
  for (let readings = 1; ; readings++) {
    const found = await readOnce(question)
    const all = question.told.every(({ entry }) => entry === null || found.codes.has(entry))
    if (all || readings === mostReadings) return found
    await new Promise((resolve) => setTimeout(resolve, againMilliseconds))
  }
}

async function readOnce({ admin, from, members }: RecordQuestion): Promise<ReadRecord> {
  const codes = new Map<string, string>()
  const outcomes = new Map<string, string>()
  let letIn = 0
  for await (const { origin, index, document } of admin.record({ from })) {
    const body = bodyOf(document)
    const code = textIn(body, 'code')
    if (typeof body['of'] === 'number') outcomes.set(`${origin}#${body['of']}`, code)
    codes.set(`${origin}#${index}`, code === '' && textIn(body, 'decision') === 'allow' ? 'allowed' : code)
    if (textIn(body, 'decision') === 'allow' && isOf(body, members) && !isEnding(body)) letIn++
  }
  return { codes, outcomes, letIn }
}

function bodyOf(document: JsonObject): JsonObject {
  const entry = document['entry']
  const body = isJsonObject(entry) ? entry['body'] : document['body']
  return isJsonObject(body) ? body : {}
}

function isOf(body: JsonObject, members: readonly string[]): boolean {
  const text = JSON.stringify(body)
  return members.some((id) => text.includes(JSON.stringify(id)))
}

/** Ending a session of one's own is let in, and opens nothing. */
function isEnding(body: JsonObject): boolean {
  return JSON.stringify(body).includes('"DELETE"') || JSON.stringify(body).includes('session/end')
}

function textIn(value: JsonObject, name: string): string {
  const text = value[name]
  return typeof text === 'string' ? text : ''
}
