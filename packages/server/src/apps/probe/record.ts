/** That everything that was told is on the record of the gateway, and that nothing else was let in. */

import type { AdminClient } from '@doorward/sdk'
import { isJsonObject } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { judged } from './attempt.ts'
import type { Judged } from './attempt.ts'

export interface RecordQuestion {
  /** The gateway's. */
  readonly admin: AdminClient
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

/** What was counted and not recorded one by one, refusals of strangers, is not asked for. */
export async function recordJudged({ admin, from, told, members, allowed }: RecordQuestion): Promise<RecordJudged> {
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
  const different = told.filter(({ entry, code }) => codes.get(entry) !== code)
  const overtaken = different.filter(
    ({ entry, code }) => codes.get(entry) === 'allowed' && WITHDRAWN.has(code) && outcomes.get(entry) === code,
  )
  const missing = different.filter((one) => !overtaken.includes(one))
  const due = allowed + overtaken.length
  const got =
    missing.length === 0 ? 'all' : `${missing.length} missing or different: ${missing[0]?.entry} ${missing[0]?.code}`
  return {
    entries: judged(
      missing.length === 0 && told.length > 0,
      `${told.length} entries, each with the code that was told`,
      got,
    ),
    letIn: judged(letIn === due, `${due} calls let in`, String(letIn)),
  }
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
