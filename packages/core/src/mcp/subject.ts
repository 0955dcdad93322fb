/** Finding in the params what a message is about. */

import type { JsonObject, JsonValue } from '../json-value.ts'
import { isJsonObject } from '../json/object.ts'
import { SERVER_SUBJECT, type McpSubject, type SubjectRule } from './method.ts'

/** Longest name or URI that a subject may have, in UTF-16 units. */
const MAX_SUBJECT_LENGTH = 4096

/** Most URIs and task ids that one request may name. */
const MAX_PARTS = 64

export interface FoundSubject {
  readonly subject: McpSubject
  /** More subjects that must be allowed as well (`subscriptions/listen`). */
  readonly parts: readonly McpSubject[]
}

const NO_PARTS: readonly McpSubject[] = []
const ON_THE_SERVER: FoundSubject = { subject: SERVER_SUBJECT, parts: NO_PARTS }

/** The subject that `rule` names, or null when it is missing, empty, too long or of the wrong type. */
export function findSubject(rule: SubjectRule, params: JsonObject | undefined): FoundSubject | null {
  if (rule.from === 'server') return ON_THE_SERVER
  if (params === undefined) return null
  switch (rule.from) {
    case 'param':
      return named(rule.kind, params[rule.field])
    case 'ref':
      return referenced(params['ref'])
    case 'filter':
      return filtered(params['notifications'])
  }
}

export function isSubjectName(name: JsonValue | undefined): name is string {
  return typeof name === 'string' && name.length > 0 && name.length <= MAX_SUBJECT_LENGTH
}

function named(kind: McpSubject['kind'], name: JsonValue | undefined): FoundSubject | null {
  return isSubjectName(name) ? { subject: { kind, name }, parts: NO_PARTS } : null
}

/** A reference names one thing: a prompt with a `uri` or a resource with a `name` could be read as either. */
function referenced(ref: JsonValue | undefined): FoundSubject | null {
  if (!isJsonObject(ref)) return null
  if (ref['type'] === 'ref/prompt' && ref['uri'] === undefined) return named('prompt', ref['name'])
  if (ref['type'] === 'ref/resource' && ref['name'] === undefined) return named('resource', ref['uri'])
  return null
}

function filtered(filter: JsonValue | undefined): FoundSubject | null {
  if (!isJsonObject(filter)) return null
  const parts: McpSubject[] = []
  for (const key in filter) {
    const kind = key === 'resourceSubscriptions' ? 'resource' : key === 'taskIds' ? 'task' : null
    if (
      kind !== null
        ? !collect(parts, kind, filter[key])
        : !LIST_CHANGES.includes(key) || typeof filter[key] !== 'boolean'
    )
      return null
  }
  return { subject: SERVER_SUBJECT, parts }
}

const LIST_CHANGES: readonly string[] = ['toolsListChanged', 'promptsListChanged', 'resourcesListChanged']

function collect(parts: McpSubject[], kind: McpSubject['kind'], names: JsonValue | undefined): boolean {
  if (!Array.isArray(names)) return false
  for (const name of names as readonly JsonValue[]) {
    if (!isSubjectName(name) || parts.length === MAX_PARTS) return false
    parts.push({ kind, name })
  }
  return true
}
