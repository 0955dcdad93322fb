/** The port by which an edge, or a front, has its certificate, wherever that is from. */

import type { EdgeCertificate } from '../config/edge-certificate.ts'
import type { EdgeSettings } from '../config/edge-settings.ts'
import type { NameProofs } from '@doorward/enforcement'

/** One that cannot be replaced goes on being shown, for as long as it is good. */
export interface EdgeCertificates {
  /** Null: there is none yet. */
  current(): EdgeCertificate | null
  /** Why there is none, or none that is newer; null when all is well. For the operator, without secrets. */
  problem(): string | null
  /**
   * Reads what is in other files, which are looked at from then on once the answer is called. Does nothing where it is from an
   * authority, for that stands until the next start. Throws the codes of `readEdgeCertificate`.
   */
  prepare(from: EdgeSettings['certificate'], onChange: (certificate: EdgeCertificate) => void): Promise<() => void>
  /** What a listener has to prove for it; null where nothing is. */
  readonly proofs: NameProofs | null
  /** Brings what replaces it, until the signal aborts. Never rejects. */
  run(signal: AbortSignal, onChange: (certificate: EdgeCertificate) => void): Promise<void>
}
