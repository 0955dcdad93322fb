/** How an entry is shown: one line for people, its document for programs. */

import type { JsonObject, JsonValue } from '@doorward/core'
import type { SetEntry } from '../apps/tail-log.ts'
import { painter, printable } from './output.ts'

/** What a program gets of an entry. `kind` and `body` are null where the payload is no longer there. */
export function entryDocument({ origin, index, time, content }: SetEntry): JsonObject {
  if (content.state === 'absent')
    return { origin, index, kind: null, time, body: null, payload: 'absent', why: content.why }
  return { origin, index, kind: content.entry.kind, time, body: content.entry.body as JsonObject }
}

export function entryLine({ origin, index, time, content }: SetEntry, color: boolean): string {
  const paint = painter(color)
  const name = paint('dim', `${origin}#${index}`)
  const when = new Date(time).toISOString().slice(11, 23)
  if (content.state === 'absent') return [when, paint('yellow', 'absent'), absentWords(content.why), name].join('  ')
  const { kind } = content.entry
  const body = content.entry.body as JsonObject
  const allowed = body['decision'] === 'allow'
  const word = kind === 'decision' ? paint(allowed ? 'green' : 'red', allowed ? 'allow' : 'deny') : kind
  return printableKeepingColour([when, word, ...detailsOf(kind, body), name].join('  '), color)
}

/** Why there is nothing to show. */
export function absentWords(why: Extract<SetEntry['content'], { readonly state: 'absent' }>['why']): string {
  switch (why) {
    case 'expired':
      return 'what it says has expired'
    case 'redacted':
      return 'what it says was redacted'
    case 'damaged':
      return 'what it says was lost to damage, which was accepted'
    case 'missing':
      return 'its segment is missing: doorward audit fsck'
  }
}

/** Details come from callers in part: control characters are shown, our own colour codes stay. */
function printableKeepingColour(text: string, color: boolean): string {
  return color ? text : printable(text)
}

function detailsOf(kind: string, body: JsonObject): readonly string[] {
  const field = (name: string) => shown(body[name])
  switch (kind) {
    case 'decision':
      return [
        shown(body['caller'], CHAIN_LENGTH) || field('remote'),
        [field('action'), targetOf(body)].filter(Boolean).join(' '),
        field('code'),
        field('would_allow') && `needs ${field('would_allow')}`,
      ].filter(Boolean)
    case 'outcome':
      return [
        `of #${field('of')}`,
        field('status'),
        field('http'),
        `${field('bytes')} bytes`,
        `${field('milliseconds')} ms`,
      ]
    case 'refusals':
      return [field('source'), field('reason'), `× ${field('count')}`]
    default:
      return Object.entries(body)
        .map(([name, value]) => `${name}=${shown(value)}`)
        .slice(0, 8)
  }
}

/** What an entry in short is about, in one cell. */
export function detailOf(kind: string, body: JsonObject): string {
  return detailsOf(kind, body).join('  ')
}

/** Server and name of the resource; the names of our own routes begin with a slash. */
export function targetOf(body: JsonObject): string {
  const resource = body['resource']
  if (!isObject(resource)) return ''
  const [server, name] = [shown(resource['server']), shown(resource['name'])]
  return [server, name].filter(Boolean).join(name.startsWith('/') ? '' : '/')
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Room for everybody whom a call hangs on. */
const CHAIN_LENGTH = 1024

/** Any value in short, control characters shown. */
export function shown(value: JsonValue | undefined, length = 160): string {
  if (value === undefined) return ''
  return printable(typeof value === 'string' ? value : JSON.stringify(value)).slice(0, length)
}
