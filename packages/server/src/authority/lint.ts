/** The profile check before signing: exactly the bytes that are about to be signed, read as a stranger would read them (reference id CA-7). */

import { checkSvidLeaf, concat, DoorwardError, readCertificate } from '@doorward/core'
import type { PeerCertificate, SignKey } from '@doorward/core'
import type { AuthorityContext } from './context.ts'
import type { KeySlot } from './ports.ts'

/** ecdsa-with-SHA256 as AlgorithmIdentifier, and a BIT STRING with a signature that is none: r = s = 1. */
const ALGORITHM = Uint8Array.of(0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02)
const NO_SIGNATURE = Uint8Array.of(0x03, 0x09, 0x00, 0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01)
const SEQUENCE_2 = [0x30, 0x82] as const

/** A key that signs certificates of the X.509-SVID profile and no others: what is not one throws `certificate_unfit`. */
export function lintingKey(key: SignKey, context: Pick<AuthorityContext, 'trustDomain' | 'sha256'>): SignKey {
  return {
    sign: async (tbs) => {
      checkProfile(certificateOver(tbs), context)
      return key.sign(tbs)
    },
  }
}

/** Throws `certificate_unfit` for anything but an X.509-SVID leaf of our trust domain. Verifies no signature. */
export function checkProfile(
  der: Uint8Array,
  context: Pick<AuthorityContext, 'trustDomain' | 'sha256'>,
): PeerCertificate {
  const certificate = readCertificate(der, context)
  if ('problem' in certificate) throw unfit(certificate.problem, certificate.message)
  const problem = checkSvidLeaf(certificate, context.trustDomain)
  if (problem !== null) throw unfit(problem.code, problem.message)
  return certificate
}

/** A certificate lives at most a sixth of its anchor's life: from then on the anchor signs no more (reference id CA-7). */
export function mostTtlSeconds({ notAfter, preparedAt }: Pick<KeySlot, 'notAfter' | 'preparedAt'>): number {
  return Math.floor((notAfter - preparedAt) / 6)
}

export function unfit(code: string, message: string): DoorwardError {
  return new DoorwardError('certificate_unfit', `a certificate was not released: ${code}: ${message}`)
}

/** The certificate around the bytes. Those are always longer than 256 and far shorter than 65,536. */
function certificateOver(tbs: Uint8Array): Uint8Array {
  const length = tbs.length + ALGORITHM.length + NO_SIGNATURE.length
  return concat(Uint8Array.of(...SEQUENCE_2, length >> 8, length & 0xff), tbs, ALGORITHM, NO_SIGNATURE)
}
