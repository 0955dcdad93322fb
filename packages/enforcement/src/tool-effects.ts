/** What the operator has declared about tools: which only read, which write, which administer. */

import { matchesName, readNamePattern } from '@doorward/core'
import type { NamePattern, ToolEffect } from '@doorward/core'

export interface DeclaredEffects {
  /** Tool names, `*` for any characters. */
  readonly read: readonly string[]
  readonly write: readonly string[]
  readonly admin: readonly string[]
}

export const noEffects: DeclaredEffects = { read: [], write: [], admin: [] }

/** The effect of a tool. The strongest declaration counts; a tool that nobody declared writes. */
export function toolEffects(declared: DeclaredEffects): (tool: string) => ToolEffect {
  const admin = patterns(declared.admin)
  const write = patterns(declared.write)
  const read = patterns(declared.read)
  return (tool) => {
    if (matches(admin, tool)) return 'admin'
    return !matches(write, tool) && matches(read, tool) ? 'read' : 'write'
  }
}

/** Those that some tool or other may have. */
export function possibleEffects({ read, write, admin }: DeclaredEffects): readonly ToolEffect[] {
  if (admin.includes('*')) return ['admin']
  const writes = write.length > 0 || !read.includes('*')
  const reads = read.length > 0 && !write.includes('*')
  return [
    ...(reads ? (['read'] as const) : []),
    ...(writes ? (['write'] as const) : []),
    ...(admin.length > 0 ? (['admin'] as const) : []),
  ]
}

function patterns(texts: readonly string[]): readonly NamePattern[] {
  return texts.flatMap((text) => {
    const pattern = readNamePattern(text)
    return 'problem' in pattern ? [] : [pattern]
  })
}

function matches(list: readonly NamePattern[], tool: string): boolean {
  return list.some((pattern) => matchesName(pattern, tool))
}
