/**
 * The identities of a deployment's own programs on this machine: operator, tour and hosts. Each has a folder of its own;
 * one key-encryption key, outside, seals them all.
 */

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDoorwardError, parseSpiffeId, workloadId } from '@doorward/core'
import type { Secret, SpiffeId, TrustDomain } from '@doorward/core'
import { join as joinDomain, openIdentity, randomBytes } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { aesGcmSealer } from '../secrets/sealer.ts'
import type { Sealer } from '../secrets/sealer.ts'
import { openStateFolder } from '../secrets/state-folder.ts'

export interface IdentityPlaces {
  /** Folder of all identities. */
  readonly folder: string
  readonly keyDir: string
  readonly trustDomain: TrustDomain
  /** The deployment's state folder, in which no key may lie. */
  readonly stateDir: string
}

const TRIES = 40
const PAUSE_MILLISECONDS = 50

/** Opens the sealer that all identities share. Only the making of the key excludes other processes. */
async function sealerOf(places: IdentityPlaces): Promise<Sealer> {
  for (let attempt = 1; ; attempt++) {
    try {
      const folder = await openStateFolder({
        folder: places.folder,
        kind: 'identities',
        trustDomain: places.trustDomain,
        keyFile: join(places.keyDir, 'identities.key'),
        keyOutsideOf: [places.stateDir],
        random: randomBytes,
      })
      if (!folder.founded) await folder.complete()
      folder.release()
      return aesGcmSealer(folder.key, randomBytes)
    } catch (error) {
      if (!isDoorwardError(error, 'state_in_use') || attempt === TRIES) throw error
      await sleep(PAUSE_MILLISECONDS)
    }
  }
}

/** Folder name of an identity: `+` is in no path segment. */
function folderName(id: SpiffeId): string {
  return id.segments.join('+')
}

/** `agent/x` under the trust domain, or a full SPIFFE ID. Throws `spiffe_id_invalid`. */
export function identityId(trustDomain: TrustDomain, name: string): SpiffeId {
  return name.startsWith('spiffe://') ? parseSpiffeId(name) : workloadId(trustDomain, ...name.split('/'))
}

export class Identities {
  readonly #places: IdentityPlaces
  readonly #sealer: Sealer

  private constructor(places: IdentityPlaces, sealer: Sealer) {
    this.#places = places
    this.#sealer = sealer
  }

  static async open(places: IdentityPlaces): Promise<Identities> {
    return new Identities(places, await sealerOf(places))
  }

  folderOf(id: SpiffeId): string {
    return join(this.#places.folder, folderName(id))
  }

  /** Throws `identity_missing` when nobody has joined as `id` here, and the codes of `openIdentity`. */
  open(id: SpiffeId, onProblem?: (error: unknown) => void): Promise<Identity> {
    return openIdentity({
      folder: this.folderOf(id),
      sealer: this.#sealer,
      ...(onProblem === undefined ? {} : { onProblem }),
    })
  }

  /** Joins as `id` with a join string and opens the identity. Throws the codes of `join`. */
  async join(id: SpiffeId, joinString: Secret): Promise<Identity> {
    const folder = this.folderOf(id)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    await joinDomain({ joinString: joinString.reveal(), folder, sealer: this.#sealer })
    return this.open(id)
  }

  /** The identity, joined first when it is not here yet. */
  async openOrJoin(id: SpiffeId, invite: () => Promise<Secret>): Promise<Identity> {
    try {
      return await this.open(id)
    } catch (error) {
      if (!isDoorwardError(error, 'identity_missing')) throw error
      return this.join(id, await invite())
    }
  }
}
