/**
 * Chains of servers that held. Profile and signatures of one certificate under one list of anchors never change, so they
 * are verified once; its times, identity and denials are not looked at here.
 */

import type { AnchorCertificate, PeerCertificate } from '@doorward/core'

/** Servers that one workload calls in turn. */
const MOST = 32

type Anchors = readonly PeerCertificate[]

/** Remembers the 32 newest of each list of anchors, for as long as somebody holds the list. What did not hold is judged anew. */
export class VerifiedChains {
  readonly #verified = new WeakMap<Anchors, Map<string, AnchorCertificate>>()

  /** The anchor to which the certificate chained, as an SVID of the trust domain. */
  find(leaf: PeerCertificate, trustDomain: string, anchors: Anchors): AnchorCertificate | undefined {
    return this.#verified.get(anchors)?.get(nameOf(leaf, trustDomain))
  }

  remember(leaf: PeerCertificate, trustDomain: string, anchors: Anchors, anchor: AnchorCertificate): void {
    const verified = this.#verified.get(anchors) ?? new Map<string, AnchorCertificate>()
    this.#verified.set(anchors, verified)
    verified.set(nameOf(leaf, trustDomain), anchor)
    if (verified.size > MOST) verified.delete(verified.keys().next().value as string)
  }
}

function nameOf({ fingerprint }: PeerCertificate, trustDomain: string): string {
  return `${fingerprint} ${trustDomain}`
}
