/** Leaves out of what a server declares that it can do what its caller may not: by the decision that calls meet, three-valued. */

import {
  declaredCapabilities,
  hasLookalikeCapability,
  isJsonObject,
  member,
  SERVER_SUBJECT,
  withoutCapabilities,
} from '@doorward/core'
import type { ActionGroup, CapabilityUse, JsonValue, Revision, ToolEffect } from '@doorward/core'
import { couldCall, couldCallSome } from '../authorize.ts'
import { rolesNow } from '../standing-decisions.ts'
import type { Identified } from '../identify.ts'
import type { DecisionPort, TrustSource } from '../ports.ts'
import type { CallScope } from './call-scope.ts'

const ALL_EFFECTS = ['read', 'write', 'admin'] as const

interface Judging {
  readonly decisions: DecisionPort
  readonly trust: TrustSource
  /** The effects that some tool of the server may have; all by default. */
  readonly effects?: readonly ToolEffect[]
}

interface Declaring {
  /** The result of `initialize` or `server/discover`. */
  readonly result: JsonValue | undefined
  readonly revision: Revision
  readonly scope: CallScope
  /** Who has asked. */
  readonly identified: Identified
  readonly options: Judging
}

/** The answer with the capabilities of which its caller could use something; null when they can be read in two ways. */
export async function withoutDeniedCapabilities(bytes: Uint8Array, declaring: Declaring): Promise<Uint8Array | null> {
  const { result, revision } = declaring
  const capabilities = isJsonObject(result) ? member(result, 'capabilities') : undefined
  if (!isJsonObject(capabilities)) return bytes
  if (hasLookalikeCapability(capabilities)) return null
  const asked = new Map<string, Promise<boolean>>()
  const denied: (readonly string[])[] = []
  for (const { path, uses } of declaredCapabilities(capabilities, revision)) {
    const could = await Promise.all(
      uses.map((use) => {
        const key = `${use.method} ${use.kind}`
        const answer = asked.get(key) ?? couldUse(use, declaring)
        asked.set(key, answer)
        return answer
      }),
    )
    if (!could.includes(true)) denied.push(path)
  }
  return withoutCapabilities(bytes, denied)
}

async function couldUse(
  { method, kind, group }: CapabilityUse,
  { scope, identified: asked, options }: Declaring,
): Promise<boolean> {
  const { decisions, trust, effects = ALL_EFFECTS } = options
  const identified = rolesNow(asked, trust.current())
  const groups: readonly ActionGroup[] = group === 'declared' ? effects : [group]
  for (const one of groups) {
    const action = { name: method, group: one }
    const could =
      kind === 'server'
        ? couldCall(
            identified,
            { action, resource: { server: scope.server, ...SERVER_SUBJECT } },
            decisions,
            trust.now(),
          )
        : couldCallSome(identified, { action, server: scope.server, kind }, decisions, trust.now())
    if (await could) return true
  }
  return false
}
