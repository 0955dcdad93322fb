/** Certificates by which a name is proven in a handshake (tls-alpn-01), for as long as the proof is asked for. */

import { acmeChallengeTemplate, buildCertificate, newSerial, toSeconds, epochSeconds } from '@doorward/core'
import type { Clock } from '@doorward/core'
import type { NameProofs, TlsMaterial } from '@doorward/enforcement'
import { randomBytes } from '@doorward/sdk'
import { generatePrivateKey, signingKeyOf } from '../secrets/signing-key.ts'

const HOUR_SECONDS = 3600

export class AcmeProofs implements NameProofs {
  readonly #now: Clock
  #shown: { readonly name: string; readonly material: TlsMaterial } | null = null

  constructor(now: Clock) {
    this.#now = now
  }

  proofOf(serverName: string): TlsMaterial | null {
    return this.#shown?.name === serverName ? this.#shown.material : null
  }

  /** One at a time; with a key of its own, which nothing else is done with. */
  async answer(name: string, digest: Uint8Array): Promise<Disposable> {
    const privateKey = generatePrivateKey('p256')
    const key = signingKeyOf('p256', privateKey)
    const now = toSeconds(this.#now())
    const template = acmeChallengeTemplate({
      name,
      digest,
      publicKey: key.publicKey,
      serial: newSerial(randomBytes),
      notBefore: epochSeconds(now - HOUR_SECONDS),
      notAfter: epochSeconds(now + HOUR_SECONDS),
    })
    const shown = { name, material: { chain: [await buildCertificate(template, key)], privateKey, anchors: [] } }
    this.#shown = shown
    return {
      [Symbol.dispose]: () => {
        if (this.#shown === shown) this.#shown = null
      },
    }
  }
}
