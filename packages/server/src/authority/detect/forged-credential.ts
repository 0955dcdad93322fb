/** DT-1: a credential that one of our keys has signed, and that no authority has issued, was shown somewhere and refused. */

import { fromBase64, toBase64url } from '@doorward/core'
import type { AuthorityContext } from '../context.ts'
import { raiseDetection } from '../detection.ts'

export interface SeenCredential {
  readonly kind: 'certificate' | 'token'
  /** Of the key that has signed it. */
  readonly keyId: string
  /** Fingerprint of a certificate, `jti` of a token; may be empty. */
  readonly credential: string
  /** SPIFFE ID that it claims; may be empty. */
  readonly claimed: string
  /** Why nobody has issued it. */
  readonly reason: string
  /** Fingerprint of the certificate that was not issued, as far as whoever saw it knows; null for other reasons. */
  readonly unissued: string | null
  /** Address of whoever showed it, and the listener. */
  readonly remoteAddress: string
  readonly listener: string
}

/**
 * Raises the alarm about the key, one for however many credentials. A certificate that the store knows as released was
 * shown where the mirror was behind: that is none, nor is what a recovery has its old keys sign to show that it is refused.
 * `source` is a gateway's id; null for ourselves. Throws as
 * `raiseDetection`, and `store_unavailable`.
 */
export async function raiseForgedCredential(
  context: AuthorityContext,
  seen: SeenCredential,
  source: string | null,
): Promise<void> {
  const { kind, keyId, credential, claimed, reason, unissued, remoteAddress, listener } = seen
  if (unissued !== null && ((await isReleased(context, unissued)) || (await isCanary(context, unissued)))) return
  const what = `a ${kind} ${credential} that was not issued (${reason}) and claims ${claimed || 'nobody'}`
  await raiseDetection(context, {
    detector: 'DT-1',
    subject: keyId,
    detail: `this key has signed ${what}; shown by ${remoteAddress} to ${listener} of ${source ?? 'this authority'}, and refused: the key is in other hands`,
    ...(source === null ? {} : { source }),
  })
}

/** Exactly what was signed for it: whoever else claims that name has the key. */
async function isCanary({ store, sha256 }: AuthorityContext, fingerprint: string): Promise<boolean> {
  const signed = (await store.ceremonies.newest())?.canary?.signed ?? []
  return signed.some((one) => {
    const certificate = one.kind === 'certificate' ? fromBase64(one.certificate) : null
    return certificate !== null && toBase64url(sha256(certificate)) === fingerprint
  })
}

async function isReleased({ store }: AuthorityContext, fingerprint: string): Promise<boolean> {
  const row = await store.issuance.findByFingerprint(fingerprint)
  return row?.state === 'released'
}
