/** Detections as they are told, and where they go beside record and store. */

import type { EpochMillis, Severity } from '@doorward/core'
import type { EntryRate } from './entry-rate.ts'

export interface Detection {
  /** `DT-1` … `DT-8`, the code of a misconfiguration, or a detector by rate. */
  readonly detector: string
  /** A SPIFFE ID, `<SPIFFE ID>#<instance>`, serial, key id or setting. */
  readonly subject: string
  /** For the operator: what was seen, and what was done about it. No secrets. */
  readonly detail: string
  /** Who has seen it: a gateway's id; this authority by default. */
  readonly source?: string
  /** That of the detector by default. */
  readonly severity?: Severity
  /** When it was found; with its entry by default. */
  readonly since?: EpochMillis
}

export interface DetectionPort {
  /** Bounds their entries in the record. */
  readonly rate: EntryRate
  /** Tells the operator at once. */
  readonly tell: (detection: Detection) => void
}
