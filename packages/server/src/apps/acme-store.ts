/** What has to outlive the process of certificates by ACME: the newest with its key, and how often none was got. */

import { createPrivateKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { join } from 'node:path'
import { DoorwardError, fromBase64, isJsonObject, member, scanJson, toBase64, utf8 } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import type { Sealer } from '@doorward/sdk'
import { readSealedFile, writeSealedFile } from '../secrets/sealed-file.ts'
import type { SealedPlace } from '../secrets/sealed-file.ts'

export interface KeptCertificate {
  /** Of the authority that has issued it. */
  readonly directory: string
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[]
  readonly privateKey: KeyObject
  /** Whether it is on record: until it is, nobody is shown it. */
  readonly entered: boolean
}

export interface Attempts {
  /** In a row. */
  readonly failures: number
  /** Milliseconds since the epoch; nothing is asked before. */
  readonly notBefore: number
}

const LIMITS = { maxBytes: 256 * 1024, maxDepth: 4, maxKeys: 16 }

/** The listeners that have certificates by ACME. */
export type AcmeListener = 'edge' | 'front'

/** Whose state it is in: nothing of a gateway opens in an authority's. */
const purposes: Readonly<Record<AcmeListener, string>> = { edge: 'gateway/acme', front: 'authority/acme' }

export class AcmeStore {
  readonly #folder: string
  readonly #sealer: Sealer
  readonly #purpose: string

  constructor(parts: { readonly stateDir: string; readonly sealer: Sealer; readonly listener: AcmeListener }) {
    this.#folder = join(parts.stateDir, 'acme')
    this.#sealer = parts.sealer
    this.#purpose = purposes[parts.listener]
  }

  /** Null where there is none. Throws `key_mode`, `seal_broken`, `seal_version`, `acme_state`. */
  async certificate(): Promise<KeptCertificate | null> {
    const place = this.#place('certificate')
    const kept = await readObject(place)
    if (kept === null) return null
    const [directory, key, chain] = [member(kept, 'directory'), bytesOf(member(kept, 'key')), member(kept, 'chain')]
    // Releases that did not say so have shown what they kept.
    const entered = member(kept, 'entered') ?? true
    const ders = Array.isArray(chain) ? chain.map((one: JsonValue) => bytesOf(one)) : []
    const sound = ders.filter((one) => one !== null)
    const whole = key !== null && sound.length > 0 && sound.length === ders.length
    if (typeof directory !== 'string' || typeof entered !== 'boolean' || !whole) throw broken(place)
    try {
      const privateKey = createPrivateKey({ key: Buffer.from(key), format: 'der', type: 'pkcs8' })
      return { directory, privateKey, chain: sound, entered }
    } catch {
      throw broken(place)
    } finally {
      key.fill(0)
    }
  }

  async keepCertificate({ directory, chain, privateKey, entered }: KeptCertificate): Promise<void> {
    const key = toBase64(privateKey.export({ type: 'pkcs8', format: 'der' }))
    await this.#write('certificate', { directory, key, chain: chain.map((der) => toBase64(der)), entered })
  }

  /** The one that is kept is on record now. */
  async keepEntered(): Promise<void> {
    const kept = await this.certificate()
    if (kept !== null) await this.keepCertificate({ ...kept, entered: true })
  }

  async attempts(): Promise<Attempts> {
    const place = this.#place('attempts')
    const kept = await readObject(place)
    if (kept === null) return { failures: 0, notBefore: 0 }
    const [failures, notBefore] = [member(kept, 'failures'), member(kept, 'notBefore')]
    if (!Number.isSafeInteger(failures) || !Number.isSafeInteger(notBefore)) throw broken(place)
    return { failures: Number(failures), notBefore: Number(notBefore) }
  }

  keepAttempts({ failures, notBefore }: Attempts): Promise<void> {
    return this.#write('attempts', { failures, notBefore })
  }

  async #write(name: string, value: JsonObject): Promise<void> {
    const bytes = utf8(JSON.stringify(value))
    try {
      await writeSealedFile(this.#place(name), bytes)
    } finally {
      bytes.fill(0)
    }
  }

  #place(name: string): SealedPlace {
    return { path: join(this.#folder, `${name}.sealed`), sealer: this.#sealer, purpose: `${this.#purpose}/${name}` }
  }
}

async function readObject(place: SealedPlace): Promise<JsonObject | null> {
  const bytes = await readSealedFile(place)
  if (bytes === null) return null
  const scan = scanJson(bytes, LIMITS)
  bytes.fill(0)
  if (!scan.ok || !isJsonObject(scan.value)) throw broken(place)
  return scan.value
}

function bytesOf(value: JsonValue | undefined): Uint8Array | null {
  return typeof value === 'string' ? fromBase64(value) : null
}

function broken({ path }: SealedPlace): DoorwardError {
  return new DoorwardError('acme_state', 'what is kept of certificates cannot be read', {
    where: path,
    expected: 'what this release has written',
    got: 'something else',
    next: 'move the file away; another certificate is asked for',
  })
}
