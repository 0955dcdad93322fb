/** Lists of MCP servers without what their reader may not use: an item stands where some call of it could be allowed. */

import { filterListResult } from '@doorward/core'
import type { McpSubject, ToolEffect } from '@doorward/core'
import { couldCall } from './authorize.ts'
import type { Identified } from './identify.ts'
import type { DecisionPort, TrustSource } from './ports.ts'
import { rolesNow } from './standing-decisions.ts'

export interface ListReader {
  readonly identified: Identified
  /** Name of the server in policy. */
  readonly server: string
  readonly effectOf: (tool: string) => ToolEffect
  readonly decisions: DecisionPort
  readonly trust: TrustSource
}

const useOf = { prompt: 'prompts/get', resource: 'resources/read', task: 'tasks/get', server: 'ping' } as const

/** The answer to the list request without what its reader may not use; why not, when it cannot be read without doubt. */
export async function filteredList(
  bytes: Uint8Array,
  method: string,
  reader: ListReader & {
    /** By item, whether it is as an operator has approved it; null where nothing is compared. */
    readonly approved: readonly boolean[] | null
  },
): Promise<Uint8Array | { readonly problem: string }> {
  const subjects: McpSubject[] = []
  const first = filterListResult(bytes, method, (subject) => subjects.push(subject) > 0)
  if (!first.ok) return { problem: first.message }
  const verdicts = await Promise.all(
    subjects.map(async (subject, i) => reader.approved?.[i] !== false && (await mayKnow(subject, reader))),
  )
  if (verdicts.every(Boolean)) return first.bytes
  let at = 0
  const second = filterListResult(bytes, method, () => verdicts[at++] === true)
  return second.ok ? second.bytes : { problem: second.message }
}

/** True when some call of the subject could be allowed: the same question that the call itself will meet. */
export function mayKnow({ kind, name }: McpSubject, reader: ListReader): Promise<boolean> {
  const { identified, server, effectOf, decisions, trust } = reader
  const action =
    kind === 'tool'
      ? { name: 'tools/call', group: effectOf(name) }
      : ({ name: useOf[kind], group: kind === 'server' ? 'session' : 'read' } as const)
  const asked = { action, resource: { server, kind, name } }
  return couldCall(rolesNow(identified, trust.current()), asked, decisions, trust.now())
}
