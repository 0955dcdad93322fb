/**
 * What people have granted the gateway towards servers: tokens, each grant sealed in a file of its own. Nothing but the ways to
 * servers is given a token, and nothing tells one.
 */

import { createHash } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DoorwardError, fromUtf8, isJsonObject, isText, Secret, utf8 } from '@doorward/core'
import { checkPrivate } from '@doorward/sdk'
import type { Sealer } from '@doorward/sdk'
import { makePrivateFolder, partialSuffix, readIfPresent, syncFolder, writeDurably } from './durable-file.ts'

/** Whose it is, for which server, and whose tokens it holds: a token is never shown to another issuer or server. */
export interface GrantKey {
  /** `<issuer>#<subject>`. */
  readonly user: string
  readonly server: string
  /** The authorization server. */
  readonly issuer: string
}

export interface GrantTokens {
  readonly access: Secret
  /** Null: the person is asked again when the access token has ended. */
  readonly refresh: Secret | null
  /** Seconds since 1970. */
  readonly expires: number
  readonly scopes: readonly string[]
}

export interface Grant extends GrantKey, GrantTokens {
  /** Of the key; tells nothing to whoever does not know it. */
  readonly id: string
  /** What its tokens are for (RFC 8707). */
  readonly resource: string
  /** Scopes that the person was asked for. */
  readonly asked: readonly string[]
  /** Another text for each set of tokens, for the record. */
  readonly version: string
  /** Seconds since 1970: of the consent, and of these tokens. */
  readonly since: number
  readonly changed: number
}

export interface GrantStoreOptions {
  readonly folder: string
  readonly sealer: Sealer
  /** Told of files that do not open: their people are asked again. */
  readonly onBroken: (file: string) => void
}

export const tokenCharacters = 16 * 1024
const MAX_GRANTS = 10_000
/** Two tokens in JSON, sealed. */
const MAX_FILE = 16 * tokenCharacters
const SUFFIX = '.grant'
const ID = /^[0-9a-f]{32}$/

export function grantId({ user, server, issuer }: GrantKey): string {
  return createHash('sha256')
    .update(JSON.stringify([user, server, issuer]))
    .digest('hex')
    .slice(0, 32)
}

/**
 * Grants of one folder, which nobody else writes: the state folder's lock keeps a second process out. What a verb has told is
 * durable; `find` never gives tokens that a crash would take back.
 */
export class GrantStore {
  readonly #options: GrantStoreOptions
  readonly #held = new Map<string, Grant>()
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(options: GrantStoreOptions) {
    this.#options = options
  }

  /** Throws `key_mode` for a folder that is open to others. */
  static async open(options: GrantStoreOptions): Promise<GrantStore> {
    const store = new GrantStore(options)
    await makePrivateFolder(options.folder)
    await checkPrivate(options.folder, 'key_mode')
    for (const file of await readdir(options.folder)) {
      if (file.endsWith(SUFFIX) && !file.endsWith(partialSuffix)) await store.#read(file)
    }
    return store
  }

  find(key: GrantKey): Grant | null {
    return this.#held.get(grantId(key)) ?? null
  }

  byId(id: string): Grant | null {
    return this.#held.get(id) ?? null
  }

  list(): readonly Grant[] {
    return [...this.#held.values()]
  }

  /** In place of the one of the same key. Throws `grants_full`. */
  keep(grant: Grant): Promise<void> {
    return this.#inTurn(async () => {
      this.#checkRoom(grant.id)
      const { access, refresh, ...plain } = grant
      const text = JSON.stringify({ v: 1, ...plain, access: access.reveal(), refresh: refresh?.reveal() ?? null })
      await writeDurably(this.#path(grant.id), await this.#options.sealer.seal(utf8(text), contextOf(grant.id)))
      this.#held.set(grant.id, grant)
    })
  }

  /**
   * Puts other tokens in place of that version; false when it is gone or another by now, and then nothing changes: who was
   * denied meanwhile stays so.
   */
  replace(version: string, grant: Grant): Promise<boolean> {
    return this.#inTurn(async () => {
      if (this.#held.get(grant.id)?.version !== version) return false
      const { access, refresh, ...plain } = grant
      const text = JSON.stringify({ v: 1, ...plain, access: access.reveal(), refresh: refresh?.reveal() ?? null })
      await writeDurably(this.#path(grant.id), await this.#options.sealer.seal(utf8(text), contextOf(grant.id)))
      // Removed while it was written: it counts no more in memory, and the removal that waits takes the file.
      if (this.#held.get(grant.id)?.version !== version) return false
      this.#held.set(grant.id, grant)
      return true
    })
  }

  /** It is given to nobody from this moment on; resolves when it is gone from the disk too. Null when it was not there. */
  async remove(id: string, version?: string): Promise<Grant | null> {
    const held = this.#held.get(id)
    if (held === undefined || (version !== undefined && held.version !== version)) return null
    this.#held.delete(id)
    await this.#inTurn(async () => {
      if (this.#held.has(id)) return
      await rm(this.#path(id), { force: true })
      await syncFolder(this.#options.folder)
    })
    return held
  }

  #checkRoom(id: string): void {
    if (this.#held.has(id) || this.#held.size < MAX_GRANTS) return
    throw new DoorwardError('grants_full', 'as many grants are kept as may be', {
      where: this.#options.folder,
      expected: `at most ${MAX_GRANTS}`,
      next: 'doorward grants revoke what nobody uses',
    })
  }

  /** One that does not open is of no use to anybody: its person is asked again, and the file is replaced then. */
  async #read(file: string): Promise<void> {
    const id = file.slice(0, -SUFFIX.length)
    try {
      const sealed = ID.test(id) ? await readIfPresent(this.#path(id), MAX_FILE) : null
      if (sealed === null) return this.#options.onBroken(file)
      const grant = grantOf(JSON.parse(fromUtf8(await this.#options.sealer.open(sealed, contextOf(id)))))
      if (grant === null || grantId(grant) !== id) return this.#options.onBroken(file)
      this.#held.set(id, grant)
    } catch {
      this.#options.onBroken(file)
    }
  }

  #path(id: string): string {
    return join(this.#options.folder, `${id}${SUFFIX}`)
  }

  /** One change after the other. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#turn.then(work)
    this.#turn = next.catch(() => undefined)
    return next
  }
}

function contextOf(id: string): string {
  return `gateway/grant/${id}`
}

const MAX_TEXT = 4096

function grantOf(value: unknown): Grant | null {
  if (!isJsonObject(value as never)) return null
  const members = value as Readonly<Record<string, unknown>>
  const { v, user, server, issuer, id, resource, version, since, changed, expires, scopes, access, refresh } = members
  // Grants of before are without.
  const { asked = scopes } = members
  const texts = [user, server, issuer, id, resource, version]
  if (v !== 1 || !texts.every((text) => isText(text as string, MAX_TEXT))) return null
  if (![since, changed, expires].every((time) => typeof time === 'number')) return null
  if (typeof access !== 'string' || (refresh !== null && typeof refresh !== 'string')) return null
  if (!areTexts(scopes) || !areTexts(asked)) return null
  const plain = { user, server, issuer, id, resource, version, since, changed, expires, scopes, asked } as Omit<
    Grant,
    'access' | 'refresh'
  >
  return { ...plain, access: new Secret(access), refresh: refresh === null ? null : new Secret(refresh) }
}

function areTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string')
}
