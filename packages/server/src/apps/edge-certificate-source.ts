/** The port by which an edge has its certificate, wherever that is from. */

import type { EdgeCertificate } from '../config/edge-certificate.ts'
import type { NameProofs } from '@doorward/enforcement'

/** One that cannot be replaced goes on being shown, for as long as it is good. */
export interface EdgeCertificates {
  /** Null: there is none yet. */
  current(): EdgeCertificate | null
  /** Why there is none, or none that is newer; null when all is well. For the operator, without secrets. */
  problem(): string | null
  /** What a listener has to prove for it; null where nothing is. */
  readonly proofs: NameProofs | null
  /** Brings what replaces it, until the signal aborts. Never rejects. */
  run(signal: AbortSignal, onChange: (certificate: EdgeCertificate) => void): Promise<void>
}
