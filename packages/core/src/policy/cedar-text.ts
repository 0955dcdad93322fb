/** Writes Cedar: quoted strings, entity references, patterns and one laid-out policy. */

import type { NamePattern } from './name-pattern.ts'

export type EntityType =
  | 'Workload'
  | 'User'
  | 'Role'
  | 'Server'
  | 'Action'
  | 'Tool'
  | 'Resource'
  | 'Prompt'
  | 'Task'
  | 'Route'

/** One policy under a stable id, with its Cedar text. */
export interface CedarPolicy {
  readonly id: string
  readonly text: string
}

export interface PolicyParts {
  readonly id: string
  readonly effect: 'permit' | 'forbid'
  /** What the operator wrote, shown above the policy. One line. */
  readonly source: string
  readonly principal: string
  readonly action: string
  readonly resource: string
  readonly when?: readonly string[]
  readonly unless?: string
}

/** A Cedar string literal. Everything but printable ASCII is written as an escape, so the text stays one line. */
export function quote(text: string): string {
  let out = ''
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0
    if (character === '"' || character === '\\') out += `\\${character}`
    else if (code >= 0x20 && code < 0x7f) out += character
    else out += `\\u{${code.toString(16)}}`
  }
  return `"${out}"`
}

export function entity(type: EntityType, id: string): string {
  return `${type}::${quote(id)}`
}

/** `resource.name` against the pattern, or null when every name matches. */
export function nameCondition(pattern: NamePattern): string | null {
  if (pattern.text === '*') return null
  if (pattern.parts.length === 1) return `resource.name == ${quote(pattern.text)}`
  return `resource.name like ${quote(pattern.text)}`
}

export function writePolicy(parts: PolicyParts): CedarPolicy {
  const when = parts.when ?? []
  const clauses = [
    ...(when.length === 0 ? [] : [`\nwhen { ${when.join(' && ')} }`]),
    ...(parts.unless === undefined ? [] : [`\nunless { ${parts.unless} }`]),
  ]
  const scope = `  ${parts.principal},\n  ${parts.action},\n  ${parts.resource}`
  const text = `// ${parts.source}\n@id(${quote(parts.id)})\n${parts.effect} (\n${scope}\n)${clauses.join('')};\n`
  return { id: parts.id, text }
}
