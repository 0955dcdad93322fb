/** The authority's own server certificate: issued to itself for a key that never leaves memory, renewed at half-life. */

import { generateKeyPairSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { DoorwardError, epochMillis, isDoorwardError, readCertificate, toMillis, toSeconds } from '@doorward/core'
import type { Clock, EpochMillis, EpochSeconds } from '@doorward/core'
import type { TlsMaterial } from '@doorward/enforcement'
import { sha256 } from '@doorward/sdk'
import type { Authority } from '../authority/authority.ts'
import { nowSeconds } from '../authority/context.ts'
import type { AuthorityContext } from '../authority/context.ts'
import type { CertificateNames } from '../authority/issue.ts'
import { isAuthorityRefusal } from '../authority/refusal.ts'
import type { OpenedTrust } from './authority-trust.ts'

const JITTER = 0.1

interface Held {
  readonly certificate: Uint8Array
  readonly anchorKeyId: string | null
  readonly privateKey: KeyObject
  readonly renewAt: EpochMillis
  readonly notBefore: EpochSeconds
  readonly notAfter: EpochSeconds
}

export interface OwnIdentityOptions {
  readonly authority: Authority
  readonly clock: Clock
  /** Of this authority alone: others with the same SPIFFE ID have theirs. Those of the registration by default. */
  readonly names?: CertificateNames
  /** Uniform in [0, 1). */
  readonly chance: () => number
}

export class OwnIdentity {
  readonly #options: OwnIdentityOptions
  #held: Held | null = null

  constructor(options: OwnIdentityOptions) {
    this.#options = options
  }

  /** True at half-life, ± 10 %, before the first certificate, and when another anchor signs than signed the one held. */
  isDue(): boolean {
    const { authority, clock } = this.#options
    if (this.#held === null || clock() >= this.#held.renewAt) return true
    const signing = authority.anchorKeyId()
    return signing !== null && signing !== this.#held.anchorKeyId
  }

  /** A new key and certificate. Throws `own_identity` when it is refused; what is held stays. */
  async renew(): Promise<void> {
    const { authority, clock, names, chance } = this.#options
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }))
    const issued = await authority.issueOwn(spki, names)
    if (isAuthorityRefusal(issued)) {
      throw new DoorwardError(
        'own_identity',
        `the authority has no certificate of its own: ${issued.code}: ${issued.explanation}`,
      )
    }
    const now = clock()
    const half = (toMillis(issued.notAfter) - now) / 2
    const renewAt = epochMillis(now + half * (1 - JITTER + 2 * JITTER * chance()))
    const read = readCertificate(issued.certificate, { sha256 })
    const anchorKeyId = 'problem' in read ? null : read.authorityKeyId
    const { certificate, notAfter } = issued
    const notBefore = 'problem' in read ? toSeconds(now) : read.notBefore
    this.#held = { certificate, anchorKeyId, privateKey, renewAt, notBefore, notAfter }
  }

  /** When the certificate that is held ends; 0 before the first. */
  notAfter(): number {
    return this.#held?.notAfter ?? 0
  }

  /** Of the certificate that is held; null before the first. */
  validity(): Pick<Held, 'notBefore' | 'notAfter'> | null {
    return this.#held
  }

  /** For listeners, with the anchors of the newest trust state. */
  material(): TlsMaterial {
    if (this.#held === null) throw new DoorwardError('own_identity', 'the authority has no certificate of its own yet')
    const anchors = this.#options.authority.trustState().state.anchors.map(({ certificate }) => certificate)
    return { chain: [this.#held.certificate], privateKey: this.#held.privateKey, anchors }
  }
}

/**
 * The first certificate. Another authority may deny the key that is to sign it while we start, and then its successor
 * signs: as long as there is one, it is asked for. Throws `own_identity`, and what moving the slots throws.
 */
export function firstCertificate(
  own: OwnIdentity,
  context: AuthorityContext,
  { slots, publisher, onceDelegated }: Pick<OpenedTrust, 'slots' | 'publisher' | 'onceDelegated'>,
): Promise<void> {
  return onceDelegated(async () => {
    for (;;) {
      try {
        return await own.renew()
      } catch (error) {
        if (!isDoorwardError(error, 'own_identity') || !(await slots.advance(nowSeconds(context)))) throw error
        await publisher.publish()
      }
    }
  })
}
