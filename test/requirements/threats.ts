/**
 * The attack checklist (AT), the threat model (TM) and the fault model (FM) of the reference by id: `AT-1` is the first attack.
 * Each row says what proves it, by the names of tests, and what does not yet.
 */

import { attacks } from './attack-checklist.ts'
import { faults } from './fault-model.ts'
import type { ThreatRow } from './threat-proofs.ts'
import { threats } from './threat-model.ts'

export const threatIds: ReadonlyMap<string, ThreatRow> = new Map(
  Object.entries({ AT: attacks, TM: threats, FM: faults }).flatMap(([kind, rows]) =>
    rows.map((row, i) => [`${kind}-${i + 1}`, row] as const),
  ),
)
