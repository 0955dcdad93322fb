/** What is said of a threat, and where its controls are. */

import type { ElementId, Letter } from './threat-elements.ts'

export interface Threat {
  readonly id: string
  readonly title: string
  readonly kinds: readonly Letter[]
  readonly where: readonly ElementId[]
  readonly control: string
  readonly files: readonly string[]
  /** Of a threat beyond the reference: the rules that prove it. */
  readonly evidence: readonly string[]
  /** What the control does not reach, whatever its rules prove. */
  readonly missing?: string
}

export function threat(
  [id, kinds, title]: readonly [id: string, kinds: string, title: string],
  where: readonly ElementId[],
  control: string,
  files: readonly string[],
): Threat {
  return {
    id,
    title,
    kinds: kinds.split('') as readonly string[] as readonly Letter[],
    where,
    control,
    files,
    evidence: [],
  }
}

export const core = 'packages/core/src'
export const path = 'packages/enforcement/src'
export const server = 'packages/server/src'
export const sdk = 'packages/sdk/src'

export function missing(what: string, row: Threat): Threat {
  return { ...row, missing: what }
}

export function beyond(row: Threat, ...evidence: readonly string[]): Threat {
  return { ...row, evidence }
}
