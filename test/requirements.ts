/**
 * The requirements manifest: every sentence of both decision records, how far it is met, and the tests that prove it.
 * A sentence without an entry in `proofs` or `background` is open. test/architecture/requirements.test.ts is its gate.
 */

import { adr0011 } from './requirements/adr-0011.ts'
import { adrOs025 } from './requirements/adr-os-025.ts'

export type RequirementId = keyof typeof adr0011 | keyof typeof adrOs025

/** A test that proves a sentence: its file from the root of the repository, and its name as written there. */
export interface TestReference {
  readonly file: string
  readonly name: string
}

export type Proof =
  | {
      readonly state: 'done' | 'partial'
      readonly tests: readonly TestReference[]
      /** The control without which one of the tests turns red. */
      readonly control?: string
    }
  | { readonly state: 'open'; readonly tests: readonly TestReference[] }
  | { readonly state: 'declined'; readonly reason: string }

export interface Requirement {
  readonly id: RequirementId
  readonly source: 'adr-0011-zero-trust-security-model.md' | 'adr-os-025-zero-trust-internal-security-baseline.md'
  readonly sentence: string
  readonly proof: Proof
}

/** What has been proven so far, and what differs from `background`, by id. */
const proofs: Partial<Record<RequirementId, Proof>> = {
  ...declined('it says how things were before the decision', ['ADR11-CTX-1', 'OS25-CTX-1', 'OS25-CTX-2']),
  ...declined('it is answered by the design, not by a test', ['OS25-QST-4', 'OS25-ASM-7']),
  // Why an alternative was rejected is a demand on the one that was chosen.
  ...stillOpen([
    'ADR11-ALT1-10',
    'ADR11-ALT2-10',
    'ADR11-ALT3-10',
    'OS25-ALT-2',
    'OS25-ALT-3',
    'OS25-ALT-4',
    'OS25-ALT-6',
    'OS25-ALT-7',
  ]),
}

/** Kinds of sentence that ask for nothing, by the part of the id before the number. */
const background: Readonly<Record<string, string>> = {
  'ADR11-META': 'it names the record',
  'ADR11-REF': 'it is a reference',
  'ADR11-ALT1': 'it describes an alternative that the record rejects',
  'ADR11-ALT2': 'it describes an alternative that the record rejects',
  'ADR11-ALT3': 'it describes an alternative that the record rejects',
  'OS25-META': 'it names the record',
  'OS25-CONF': 'it says how sure the authors were',
  'OS25-ALT': 'it describes an alternative that the record rejects',
}

export const requirements: readonly Requirement[] = [
  ...rows(adr0011, 'adr-0011-zero-trust-security-model.md'),
  ...rows(adrOs025, 'adr-os-025-zero-trust-internal-security-baseline.md'),
]

function rows(
  sentences: Partial<Record<RequirementId, string>>,
  source: Requirement['source'],
): readonly Requirement[] {
  return (Object.keys(sentences) as RequirementId[]).map((id) => ({
    id,
    source,
    sentence: sentences[id] ?? '',
    proof: proofs[id] ?? backgroundOf(id) ?? { state: 'open', tests: [] },
  }))
}

function backgroundOf(id: RequirementId): Proof | undefined {
  const reason = background[id.replace(/-\d+$/, '')]
  return reason === undefined ? undefined : { state: 'declined', reason }
}

function declined(reason: string, ids: readonly RequirementId[]): Partial<Record<RequirementId, Proof>> {
  return Object.fromEntries(ids.map((id) => [id, { state: 'declined', reason }]))
}

function stillOpen(ids: readonly RequirementId[]): Partial<Record<RequirementId, Proof>> {
  return Object.fromEntries(ids.map((id) => [id, { state: 'open', tests: [] }]))
}
