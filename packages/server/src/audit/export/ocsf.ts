/**
 * Entries of the record as OCSF 1.3.0 events (https://schema.ocsf.io/1.3.0). Pure, and one table: which class an entry
 * becomes. Nothing is made up: what the schema demands and an entry does not say is `unknown`, and the whole body of the
 * entry comes along in `unmapped`. Where no class fits, the nearest was taken, with the reason beside it.
 */

import { isIP } from 'node:net'
import { isSeverity } from '@doorward/core'
import type { EntryKind, JsonObject, JsonValue, Severity } from '@doorward/core'
import type { AbsentEntry, LoggedEntry } from '../read.ts'
import { asciiJson } from './ascii-json.ts'
import {
  actorOf,
  delegationOf,
  endpointOf,
  given,
  object,
  requestOf,
  text,
  texts,
  userOf,
  whole,
} from './ocsf-objects.ts'
import type { Body } from './ocsf-objects.ts'
import type { ExportEvent } from './sink.ts'

export const ocsfVersion = '1.3.0'

/** uid and category of the classes that are used. */
export const ocsfClasses = {
  base: { uid: 0, category: 0 },
  detectionFinding: { uid: 2004, category: 2 },
  accountChange: { uid: 3001, category: 3 },
  authentication: { uid: 3002, category: 3 },
  entityManagement: { uid: 3004, category: 3 },
  applicationLifecycle: { uid: 6002, category: 6 },
  apiActivity: { uid: 6003, category: 6 },
} as const

type OcsfClass = keyof typeof ocsfClasses

const OTHER = 99
const SUCCESS = 1
const FAILURE = 2
const INFORMATIONAL = 1
const LOW = 2
const MEDIUM = 3
const HIGH = 4
const CRITICAL = 5

interface Mapped {
  readonly class: OcsfClass
  /** `activity_id`; with a name it is Other (99). */
  readonly activity: number | string
  readonly severity: number
  /** The one line that people read. */
  readonly message: string
  /** Members of the class. */
  readonly members: JsonObject
}

type Mapping = (body: Body, entry: Pick<LoggedEntry, 'origin' | 'index'>) => Mapped

/** Codes of refusals that say who somebody is not; the others say what somebody may not do, or not now. */
const authenticationCode =
  /^(certificate|token|bearer|dpop|client|identity|tls|handshake|connection)_|^(session_resumed|join_refused|instance_locked|proof_invalid)$/
/** Somebody who was let in before, and is not any more. */
const takenAwayCode = /_denied$|_epoch$|^instance_locked$/

const decision: Mapping = (body, { origin }) => {
  const code = text(body['code']) ?? 'unknown'
  const allowed = body['decision'] === 'allow'
  const status = given({
    status_id: allowed ? SUCCESS : FAILURE,
    status_code: code,
    status_detail: text(body['explanation']),
  })
  const from = { src_endpoint: endpointOf(text(body['remote'])), http_request: requestOf(body) }
  const who = text(body['caller'])
  const severity = allowed ? INFORMATIONAL : takenAwayCode.test(code) && code !== 'policy_denied' ? MEDIUM : LOW
  if (!allowed && authenticationCode.test(code)) {
    const user = userOf(text(body['subject']) ?? who)
    const members = given({ ...status, ...from, user, service: { name: origin }, enrichments: delegationOf(body) })
    const message = ['authentication refused:', code, who].filter(Boolean).join(' ')
    return { class: 'authentication', activity: 1, severity, message, members }
  }
  const action = text(body['action'])
  const { server, kind, name } = object(body['resource'])
  const request = from.http_request?.['http_method']
  const resource = given({ uid: text(name), name: text(name), type: text(kind), namespace: text(server) })
  const members = given({
    ...status,
    ...from,
    actor: actorOf(body),
    api: given({ operation: action ?? text(request) ?? 'unknown', service: serviceOf(server), group: groupOf(body) }),
    resources: action === undefined || Object.keys(resource).length === 0 ? undefined : [resource],
    enrichments: delegationOf(body),
  })
  const activity = body['group'] === 'read' ? 2 : (action ?? 'Refused')
  const target = [server, name].filter((part) => text(part) !== undefined).join('/')
  const message = [allowed ? 'allowed' : `denied: ${code}`, who, action, target].filter(Boolean).join(' ')
  return { class: 'apiActivity', activity, severity, message, members }
}

function serviceOf(server: unknown): JsonObject | undefined {
  const name = text(server)
  return name === undefined ? undefined : { name }
}

function groupOf(body: Body): JsonObject | undefined {
  const name = text(body['group'])
  return name === undefined ? undefined : { name }
}

/** The second entry of a call says neither who nor what, only how it ended; API Activity demands an actor. So: base event. */
const outcome: Mapping = (body, { origin }) => {
  const status = text(body['status']) ?? 'unknown'
  const members = given({
    status_id: status === 'completed' ? SUCCESS : FAILURE,
    status,
    status_code: text(body['code']) ?? whole(body['http'])?.toString(),
    status_detail: text(body['explanation']),
    duration: whole(body['milliseconds']),
  })
  const message = `call ${origin}#${whole(body['of']) ?? 'unknown'} ${status}`
  return { class: 'base', activity: 'Outcome', severity: INFORMATIONAL, message, members }
}

/** Strangers, counted by source and second. */
const refusals: Mapping = (body, { origin }) => {
  const source = text(body['source'])
  const reason = text(body['reason']) ?? 'unknown'
  const second = whole(body['second'])
  const address = source !== undefined && isIP(source) !== 0
  const isPerson = source !== undefined && !address && source !== 'other'
  const counted = {
    status_id: FAILURE,
    status_code: reason,
    count: whole(body['count']),
    start_time: second === undefined ? undefined : second * 1000,
    end_time: second === undefined ? undefined : second * 1000 + 999,
    src_endpoint: endpointOf(address ? source : undefined),
  }
  const user = userOf(isPerson ? source : undefined)
  const message = `refused: ${reason}, ${whole(body['count']) ?? 'some'} times, from ${source ?? 'unknown'}`
  if (authenticationCode.test(reason)) {
    const members = given({ ...counted, user, service: { name: origin } })
    return { class: 'authentication', activity: 1, severity: LOW, message, members }
  }
  const members = given({ ...counted, actor: { user }, api: { operation: 'unknown' } })
  return { class: 'apiActivity', activity: 'Refused', severity: LOW, message, members }
}

/** Changes of workloads and operators are changes of accounts. */
const accountActivities: Readonly<Record<string, number | string>> = {
  'workload.add': 1,
  'workload.remove': 6,
  'workload.update': 'Update',
  'join-string.create': 'Invite',
  'operator.invite': 'Invite',
  'instance.lock': 'Lock instance',
  'instance.remove': 'Remove instance',
}

const admin: Mapping = (body) => {
  const change = text(body['change']) ?? 'unknown'
  const id = text(body['id'])
  const by = text(body['by'])
  const actor = by === undefined ? undefined : { user: userOf(by) }
  const message = [change, id ?? text(body['subject']), by === undefined ? '' : `by ${by}`].filter(Boolean).join(' ')
  const revokes = change === 'revoke'
  const named = Object.hasOwn(accountActivities, change) ? accountActivities[change] : undefined
  const activity = revokes ? 5 : named
  const severity = revokes ? MEDIUM : change.endsWith('.refuse') ? LOW : INFORMATIONAL
  const status_id = change.endsWith('.refuse') ? FAILURE : SUCCESS
  const comment = text(body['reason'])
  if (activity !== undefined && id !== undefined) {
    const members = given({ status_id, status_detail: comment, actor, user: userOf(id) })
    return { class: 'accountChange', activity, severity, message, members }
  }
  const members = given({ status_id, actor, comment, entity: entityOf(change, body) })
  return { class: 'entityManagement', activity: entityActivity(change), severity, message, members }
}

/** What is managed is what stands before the dot: a policy, a ceremony, an anchor; for a revocation, what it says. */
function entityOf(change: string, body: Body): JsonObject {
  const [before = change] = change.split('.')
  const type = change === 'revoke' ? (text(body['subject']) ?? before) : before
  const keys = texts(body['key_ids'])
  const named = ['serial', 'key_id', 'id', 'token', 'instance'].map((name) => text(body[name])).find(Boolean)
  const ceremony = type === 'ceremony' || type === 'canary' ? text(body['ceremony']) : undefined
  const uid = named ?? ceremony ?? (keys.length === 1 ? keys[0] : undefined)
  const { digest } = object(body['to'])
  const version = text(digest) ?? whole(body['version'])?.toString() ?? whole(body['sequence'])?.toString()
  return given({ name: change, type, uid, version })
}

const entityActivities: Readonly<Record<string, number>> = {
  prepare: 1,
  start: 1,
  activate: 3,
  publish: 3,
  reissue: 3,
  stage: 3,
  accept: 3,
  delegation: 3,
  state: 3,
  crl: 3,
  remove: 4,
  deny: 4,
  forget: 4,
  abandon: 4,
  revoke: 4,
}

function entityActivity(change: string): number | string {
  const verb = change.slice(change.lastIndexOf('.') + 1)
  return Object.hasOwn(entityActivities, verb) ? (entityActivities[verb] ?? change) : change
}

const provenPhases: ReadonlyMap<string, readonly [activity: 1 | 'Token', what: string]> = new Map([
  ['attested', [1, 'attested']],
  ['token', ['Token', 'token issued']],
  ['jwt-svid', ['Token', 'JWT-SVID issued']],
  ['user', [1, 'signed in']],
])

/**
 * OCSF has no class for issuing. A certificate is an entity that the authority makes; a workload that proves itself, a person
 * who signs in at one, and the tokens that they get then, are authentication.
 */
const issuance: Mapping = (body, { origin }) => {
  const phase = text(body['phase']) ?? 'unknown'
  const id = text(body['id'])
  const proven = provenPhases.get(phase)
  if (proven !== undefined) {
    const [activity, what] = proven
    const person = text(body['user'])
    const service = { name: text(body['audience']) ?? origin }
    const members = given({ status_id: SUCCESS, user: userOf(person ?? id), service })
    const message = [what, id, person === undefined ? null : `for ${person}`].filter(Boolean).join(' ')
    return { class: 'authentication', activity, severity: INFORMATIONAL, message, members }
  }
  const serial = text(body['serial'])
  const isVoid = body['outcome'] === 'void'
  const entity = given({ name: `certificate of ${id ?? 'unknown'}`, type: 'certificate', uid: serial })
  const members = given({ status_id: isVoid ? FAILURE : SUCCESS, entity })
  const what = phase === 'outcome' ? (isVoid ? 'void' : 'issued') : phase
  const message = `certificate ${what}: ${[id, serial].filter(Boolean).join(' ')}`
  return {
    class: 'entityManagement',
    activity: phase === 'outcome' ? 1 : phase,
    severity: INFORMATIONAL,
    message,
    members,
  }
}

/** Keys and states of trust are entities that the authority manages; nobody acts but itself. */
const trust: Mapping = (body) => {
  const change = text(body['change']) ?? 'unknown'
  const entity = entityOf(change, body)
  const severity = change === 'authority.deny' || change === 'store.restored' ? MEDIUM : INFORMATIONAL
  const message = [change, text(entity['uid'])].filter(Boolean).join(' ')
  return {
    class: 'entityManagement',
    activity: entityActivity(change),
    severity,
    message,
    members: { status_id: SUCCESS, entity },
  }
}

/** `severity_id` of what findings say; high where they do not. */
const severityIds: Readonly<Record<Severity, number>> = { low: LOW, medium: MEDIUM, high: HIGH, critical: CRITICAL }

export function severityIdOf(value: unknown): number {
  return isSeverity(value) ? severityIds[value] : HIGH
}

const detection: Mapping = (body, { origin, index }) => {
  const detector = text(body['detector']) ?? 'unknown'
  const subject = text(body['subject'])
  const ended = body['ended'] === true
  const desc = text(body['detail']) ?? text(body['reason'])
  const uid = subject === undefined ? `${origin}#${index}` : `${detector} ${subject}`
  const finding_info = given({ uid, title: `${detector} ${subject ?? ''}`.trim(), desc, types: [detector] })
  const message = [ended ? 'over:' : '', detector, subject, desc].filter(Boolean).join(' ')
  const members = { finding_info, status_id: ended ? 4 : 1 }
  return {
    class: 'detectionFinding',
    activity: ended ? 3 : 1,
    severity: ended ? INFORMATIONAL : severityIdOf(body['severity']),
    message,
    members,
  }
}

const lifecycle: Mapping = (body, { origin }) => {
  const event = text(body['event']) ?? 'unknown'
  const activity = event.endsWith('.start') ? 3 : event.endsWith('.stop') ? 4 : event
  const [part = event] = event.split('.')
  const app = { ...product, name: `doorward ${part}`, uid: origin }
  return { class: 'applicationLifecycle', activity, severity: INFORMATIONAL, message: event, members: { app } }
}

/** What waits for a human, and what became of it. Nothing is called yet, so that it is no API Activity: the request is managed. */
const approval: Mapping = (body) => {
  const event = text(body['event']) ?? 'unknown'
  const id = text(body['approval'])
  const who = text(body['by']) ?? text(body['caller'])
  const { server, name } = object(body['resource'])
  const target = [server, name].filter((part) => text(part) !== undefined).join('/')
  const entity = given({ type: 'approval', uid: id, name: target === '' ? 'approval' : target })
  const actor = who === undefined ? undefined : { user: userOf(who) }
  const members = given({
    status_id: event === 'denied' || event === 'cooling' ? FAILURE : SUCCESS,
    actor,
    comment: text(body['reason']),
    entity,
  })
  const message = ['approval', id, event, text(body['action']), target, who === undefined ? '' : `by ${who}`]
  const activity = event === 'requested' ? 1 : event
  const severity = event === 'cooling' ? MEDIUM : event === 'denied' ? LOW : INFORMATIONAL
  return { class: 'entityManagement', activity, severity, message: message.filter(Boolean).join(' '), members }
}

const mappings: Readonly<Record<EntryKind, Mapping>> = {
  decision,
  outcome,
  refusals,
  admin,
  issuance,
  trust,
  lifecycle,
  detection,
  approval,
}

const product = { name: 'Doorward', vendor_name: 'Doorward' }

/** The OCSF event of an entry. `unmapped` has the body of the entry as it is. */
export function ocsfOf(logged: LoggedEntry): JsonObject {
  const { origin, index, entry } = logged
  const mapped = mappings[entry.kind](entry.body, logged)
  const of = entry.kind === 'outcome' ? whole(entry.body['of']) : undefined
  const correlation = of === undefined ? text(entry.body['ceremony']) : `${origin}#${of}`
  return eventOf(mapped, {
    origin,
    index,
    time: entry.time,
    kind: entry.kind,
    correlation,
    unmapped: entry.body as JsonObject,
  })
}

interface Placed {
  readonly origin: string
  readonly index: number
  readonly time: number
  readonly kind: string
  readonly correlation: string | undefined
  readonly unmapped: JsonObject | undefined
}

function eventOf(mapped: Mapped, { origin, index, time, kind, correlation, unmapped }: Placed): JsonObject {
  const { uid, category } = ocsfClasses[mapped.class]
  const activity = typeof mapped.activity === 'number' ? mapped.activity : OTHER
  const metadata: Readonly<Record<string, JsonValue | undefined>> = {
    version: ocsfVersion,
    product,
    uid: `${origin}#${index}`,
    sequence: index,
    log_name: origin,
    log_provider: 'doorward',
    event_code: kind,
    correlation_uid: correlation,
  }
  return given({
    category_uid: category,
    class_uid: uid,
    activity_id: activity,
    activity_name: text(mapped.activity),
    type_uid: uid * 100 + activity,
    time,
    severity_id: mapped.severity,
    message: mapped.message,
    metadata: given(metadata),
    ...mapped.members,
    unmapped,
  })
}

/** The entry as sinks get it. */
export function exportEvent(logged: LoggedEntry): ExportEvent {
  const { origin, index, entry } = logged
  const ocsf = ocsfOf(logged)
  const severity = ocsf['severity_id'] as number
  return { origin, index, kind: entry.kind, time: entry.time, severity, json: asciiJson(ocsf) }
}

/** Tells a receiver that an entry was written, and that what it says is gone. */
export function absentEvent({ origin, index, time, why }: AbsentEntry): ExportEvent {
  const message = `what entry ${index} of ${origin} says is absent: ${why}`
  const mapped = { class: 'base', activity: 'Absent', severity: INFORMATIONAL, message, members: {} } as const
  const ocsf = eventOf(mapped, { origin, index, time, kind: 'absent', correlation: undefined, unmapped: { why } })
  return { origin, index, kind: 'absent', time, severity: INFORMATIONAL, json: asciiJson(ocsf) }
}

/** Tells a receiver that the entries from `from` up to `to`, exclusive, will not come any more. */
export function gapEvent(gap: {
  readonly origin: string
  readonly from: number
  readonly to: number
  readonly time: number
}): ExportEvent {
  const { origin, from, to, time } = gap
  const message = `entries ${from} to ${to - 1} of ${origin} were deleted before they were delivered`
  const members = { status_id: FAILURE, count: to - from }
  const mapped = { class: 'base', activity: 'Gap', severity: HIGH, message, members } as const
  const unmapped = { from, to }
  const ocsf = eventOf(mapped, { origin, index: from, time, kind: 'gap', correlation: undefined, unmapped })
  return { origin, index: from, kind: 'gap', time, severity: HIGH, json: asciiJson(ocsf) }
}
