/** A person who has signed in at this workload: the identity that the authority gave, the key that proves it, and where both lie. */

import { createPrivateKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  DoorwardError,
  epochSeconds,
  fromBase64,
  fromUtf8,
  isJsonObject,
  isSeconds,
  isText,
  loginProofBytes,
  scanJson,
  Secret,
  toBase64,
  toBase64url,
  userName,
  utf8,
} from '@doorward/core'
import type { EpochSeconds, JsonObject, JsonValue, LoginProof } from '@doorward/core'
import { fileVersion, readBounded, writeDurably } from './durable-file.ts'
import { sha256 } from './platform/hash.ts'
import { p256KeyPairOf } from './platform/p256.ts'
import type { Sealer } from './sealer.ts'

export interface SignedInUser {
  readonly issuer: string
  readonly subject: string
  readonly groups: readonly string[]
}

export interface Login {
  readonly user: SignedInUser
  readonly expires: EpochSeconds
  /** Good at the authority alone, with a proof by the key. */
  readonly identity: Secret
  readonly key: KeyObject
}

const FILE = 'login.json'
const CONTEXT = 'doorward identity login'
const VERSION = 1
const MAX_BYTES = 65_536

/** `login.json` in the folder of an identity: sealed, so that nobody else says whose sign-in it is. */
export class LoginStore {
  readonly path: string
  readonly #sealer: Sealer

  constructor(folder: string, sealer: Sealer) {
    this.path = join(folder, FILE)
    this.#sealer = sealer
  }

  /** Changes with every sign-in; null when nobody is signed in. */
  version(): Promise<string | null> {
    return fileVersion(this.path)
  }

  /** Null when nobody is signed in. Throws `login_unreadable` for a file that is not ours or does not open. */
  async read(): Promise<Login | null> {
    const bytes = await readBounded(this.path, MAX_BYTES)
    if (bytes === null) return null
    const { version, sealed } = objectIn(bytes) ?? {}
    const closed = version === VERSION && typeof sealed === 'string' ? fromBase64(sealed) : null
    if (closed === null) throw this.#unreadable()
    const opened = objectIn(await this.#open(closed)) ?? {}
    const { identity, key, expires_at: expires } = opened
    const user = userIn(opened['user'])
    const der = typeof key === 'string' ? fromBase64(key) : null
    if (typeof identity !== 'string' || der === null || user === null || !isSeconds(expires)) throw this.#unreadable()
    return { user, expires, identity: new Secret(identity), key: this.#keyOf(der) }
  }

  async write({ user, expires, identity, key }: Login): Promise<void> {
    const der = new Uint8Array(key.export({ type: 'pkcs8', format: 'der' }))
    const opened = { user, expires_at: expires, identity: identity.reveal(), key: toBase64(der) }
    const inner = utf8(JSON.stringify(opened))
    const document = { version: VERSION, sealed: toBase64(await this.#sealer.seal(inner, CONTEXT)) }
    der.fill(0)
    inner.fill(0)
    await writeDurably(this.path, utf8(`${JSON.stringify(document, null, 2)}\n`))
  }

  /** Nobody is signed in here any more. */
  async remove(): Promise<void> {
    await rm(this.path, { force: true })
  }

  #keyOf(der: Uint8Array): KeyObject {
    try {
      return createPrivateKey({ key: Buffer.from(der), type: 'pkcs8', format: 'der' })
    } catch (cause) {
      throw this.#unreadable(cause)
    }
  }

  async #open(sealed: Uint8Array): Promise<Uint8Array> {
    try {
      return await this.#sealer.open(sealed, CONTEXT)
    } catch (cause) {
      throw this.#unreadable(cause)
    }
  }

  #unreadable(cause?: unknown): DoorwardError {
    return new DoorwardError('login_unreadable', 'the sign-in that is kept here cannot be read', {
      where: this.path,
      next: 'doorward login, which replaces it',
      cause,
    })
  }
}

function objectIn(bytes: Uint8Array): JsonObject | null {
  try {
    const scan = scanJson(utf8(fromUtf8(bytes)), { maxBytes: MAX_BYTES, maxDepth: 4, maxKeys: 32 })
    return scan.ok && isJsonObject(scan.value) ? scan.value : null
  } catch {
    return null
  }
}

/** Null for anything else than a person as the authority tells them. */
export function userIn(value: JsonValue | undefined): SignedInUser | null {
  if (!isJsonObject(value)) return null
  const { issuer, subject, groups } = value
  const listed = Array.isArray(groups) && groups.every((group) => typeof group === 'string')
  return isText(issuer, 2048) && isText(subject, 2048) && listed ? { issuer, subject, groups } : null
}

/** On whose behalf an identity calls. */
export interface PersonSource {
  /** Whoever is signed in now. Throws `login_missing`, `login_expired` and `login_unreadable`. */
  current(): Promise<Login>
}

/** The file is looked at for each token, so that a new sign-in counts in programs that run already. */
export function personSource(store: LoginStore, now: () => EpochSeconds): PersonSource {
  let held: { readonly version: string; readonly login: Login } | null = null
  return {
    current: async () => {
      const version = await store.version()
      if (version === null || held?.version !== version) {
        const login = version === null ? null : await store.read()
        held = version === null || login === null ? null : { version, login }
      }
      if (held === null)
        throw new DoorwardError('login_missing', 'nobody is signed in here', { next: 'doorward login' })
      if (held.login.expires > now()) return held.login
      throw new DoorwardError('login_expired', `the sign-in of ${userName(held.login.user)} has ended`, {
        where: store.path,
        next: 'doorward login',
      })
    },
  }
}

/** A use of the sign-in, signed by its key: as `login_proof` and `proof` have it. */
export async function signedLoginProof(
  key: KeyObject,
  use: Omit<LoginProof, 'issuedAt'>,
  now: EpochSeconds,
): Promise<object> {
  const { jwk, signKey } = p256KeyPairOf(key)
  const issuedAt = epochSeconds(now)
  const signature = await signKey.sign(loginProofBytes({ ...use, issuedAt }, sha256))
  return { key: jwk, issued_at: issuedAt, signature: toBase64url(signature) }
}
