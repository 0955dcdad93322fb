/** Secrets of a KV store, version 2, of HashiCorp Vault or OpenBao. */

import { isDoorwardError, isJsonObject, member, utf8 } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { secretMissing, secretText, secretUnavailable } from './secret-source.ts'
import type { SecretSource } from './secret-source.ts'
import { jsonOf, objectIn, refused, secondsIn } from './vault.ts'
import type { Vault } from './vault.ts'

export interface VaultPlace {
  /** Of the KV store. */
  readonly mount: string
  readonly path: string
  /** Member of the document. */
  readonly field: string
}

export interface VaultSecretsOptions {
  readonly vault: Vault
  /** The oldest that a value may be; 0 asks for each use. */
  readonly cacheMilliseconds: number
  /** Milliseconds that never go back. */
  readonly monotonic: () => number
}

interface Document {
  readonly data: JsonObject
  readonly version: string
  readonly until: number
}

interface Entry {
  document: Document | null
  /** Under way, for all who ask meanwhile. */
  reading: Promise<Document> | null
  /** After a failure nothing is asked for a while. */
  failure: { readonly error: Error; readonly until: number } | null
}

const PAUSE_MILLISECONDS = 1000
const LONGEST_PAUSE_SECONDS = 60

/** Documents by path, each as old as configuration lets it be, and no older than its lease. */
export class VaultSecrets {
  readonly #options: VaultSecretsOptions
  /** As many as the configuration names. */
  readonly #entries = new Map<string, Entry>()

  constructor(options: VaultSecretsOptions) {
    this.#options = options
  }

  source({ mount, path, field }: VaultPlace): SecretSource {
    const at = `${mount}/data/${path.split('/').map(encodeURIComponent).join('/')}`
    const where = `${mount}/${path}`
    return {
      kind: 'vault',
      read: async ({ fresh = false } = {}) => {
        const { data, version } = await this.#document(at, where, fresh)
        const value = member(data, field)
        if (value === undefined) throw secretMissing(`${where} ${field}`, 'put this field there, or correct its name')
        if (typeof value !== 'string') throw secretUnavailable(`${where} ${field}`, 'no text')
        return { value: secretText(utf8(value), where), version }
      },
    }
  }

  #document(at: string, where: string, fresh: boolean): Promise<Document> {
    const now = this.#options.monotonic()
    const entry = this.#entries.get(at) ?? { document: null, reading: null, failure: null }
    this.#entries.set(at, entry)
    if (entry.failure !== null && now < entry.failure.until) return Promise.reject(entry.failure.error)
    if (!fresh && entry.document !== null && now < entry.document.until) return Promise.resolve(entry.document)
    if (!fresh && entry.reading !== null) return entry.reading
    const reading = this.#read(at, where, entry)
    entry.reading = reading
    void reading
      .catch(() => undefined)
      .then(() => {
        if (entry.reading === reading) entry.reading = null
      })
    return reading
  }

  async #read(at: string, where: string, entry: Entry): Promise<Document> {
    let pause = PAUSE_MILLISECONDS
    try {
      const answer = await this.#options.vault.read(at)
      if (answer.retryAfterSeconds !== null)
        pause = Math.max(pause, Math.min(LONGEST_PAUSE_SECONDS, answer.retryAfterSeconds) * 1000)
      if (answer.status === 404) throw secretMissing(where, 'put it there, or correct mount and path')
      if (answer.status !== 200) throw refused(where, answer)
      const document = this.#documentOf(jsonOf(answer), where)
      entry.document = document
      entry.failure = null
      return document
    } catch (error) {
      entry.document = null
      const told = isDoorwardError(error) ? error : secretUnavailable(where, 'something else')
      entry.failure = { error: told, until: this.#options.monotonic() + pause }
      throw told
    }
  }

  /** A version that was made anew under the same number was made at another time. */
  #documentOf(body: JsonObject, where: string): Document {
    const { cacheMilliseconds, monotonic } = this.#options
    const outer = objectIn(body, 'data')
    const metadata = objectIn(outer, 'metadata')
    const [data, version, created] = [
      member(outer, 'data'),
      member(metadata, 'version'),
      member(metadata, 'created_time'),
    ]
    if (!isJsonObject(data) || typeof version !== 'number')
      throw secretUnavailable(where, 'no document of a KV store of version 2')
    const lease = secondsIn(member(body, 'lease_duration')) * 1000
    const life = lease > 0 ? Math.min(lease, cacheMilliseconds) : cacheMilliseconds
    const made = typeof created === 'string' && /^[\x21-\x7e]{1,40}$/.test(created) ? `@${created}` : ''
    return { data, version: `${version}${made}`, until: monotonic() + life }
  }
}
