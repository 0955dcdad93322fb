/**
 * The folder of one identity: what a process needs to be that workload again after a restart. It decides nothing about trust.
 *
 * `identity.json` who we are and where the authority is · `machine.key` sealed, proves us when certificates have lapsed ·
 * `svid.json` certificate chain, sealed key and sealed join state in one file, so that they never disagree ·
 * `trust-state.json` the newest
 * trust state, so that older ones stay refused · `renewal.lock` who renews for all processes of this identity.
 */

import { createPrivateKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { join } from 'node:path'
import {
  DoorwardError,
  fromBase64,
  fromUtf8,
  isJsonObject,
  isTrustScope,
  parseTrustMessage,
  readJoinState,
  readSpiffeId,
  scanJson,
  Secret,
  toBase64,
  trustMessageBytes,
  utf8,
} from '@doorward/core'
import type { JsonObject, SignedTrustState, SpiffeId, TrustDomain, TrustScope, TrustStateVersion } from '@doorward/core'
import { fileVersion, privateFolder, readBounded, writeDurably } from './durable-file.ts'
import type { Sealer } from './sealer.ts'
import { svidOf } from './svid.ts'
import type { Svid } from './svid.ts'

export interface IdentityDescription {
  readonly trustDomain: TrustDomain
  readonly id: SpiffeId
  /** RFC 7638 thumbprint of the pinned recovery root, base64url. */
  readonly rootFingerprint: string
  /** What of the trust state it follows. */
  readonly scope: TrustScope
  /** `authority`: https URL of the main listener, issuer and audience at once; `enrol`: host:port. */
  readonly addresses: { readonly authority: string; readonly enrol: string }
}

/** What is remembered of trust: the version counts even when the message has expired. */
export interface RememberedTrust {
  readonly version: TrustStateVersion
  readonly message: SignedTrustState
}

/** What this copy of the workload shows when it comes for its next certificate, as the authority worded it. */
export interface JoinState {
  readonly value: Secret
  /** Later ones of one machine key are higher. */
  readonly number: number
  /** RFC 7638 thumbprint of the machine key that it belongs to. */
  readonly machineKey: string
}

const VERSION = 1
const SMALL = 64 * 1024
const TRUST = 'trust-state.json'
const MAX_ATTEMPTS = 3
const FINGERPRINT = /^[A-Za-z0-9_-]{43}$/

export class IdentityFolder {
  readonly path: string
  readonly #sealer: Sealer
  /** What this process has written last, and the version of that file. */
  #trust: { readonly version: string; readonly remembered: RememberedTrust } | null = null

  constructor(path: string, sealer: Sealer) {
    this.path = path
    this.#sealer = sealer
  }

  get lockPath(): string {
    return join(this.path, 'renewal.lock')
  }

  /** Makes the folder, or checks that it is private. Throws `folder_not_private`. */
  prepare(): Promise<void> {
    return privateFolder(this.path)
  }

  /** Null when nobody has joined here. Throws `identity_folder_invalid` when the file is foreign or half-written. */
  async readDescription(): Promise<IdentityDescription | null> {
    const document = await this.#readJson('identity.json', SMALL)
    return document === null ? null : this.#description(document)
  }

  async writeDescription({ trustDomain, id, rootFingerprint, scope, addresses }: IdentityDescription): Promise<void> {
    await this.#writeJson('identity.json', {
      version: VERSION,
      trust_domain: trustDomain,
      id: id.uri,
      root_fingerprint: rootFingerprint,
      scope,
      addresses: { authority: addresses.authority, enrol: addresses.enrol },
    })
  }

  /** The machine key, or null. Throws `identity_key_unreadable` when it does not unseal. */
  async readMachineKey(): Promise<KeyObject | null> {
    const sealed = await readBounded(join(this.path, 'machine.key'), SMALL)
    return sealed === null ? null : this.#unseal(sealed, 'machine-key')
  }

  async writeMachineKey(key: KeyObject): Promise<void> {
    await writeDurably(join(this.path, 'machine.key'), await this.#seal(key, 'machine-key'))
  }

  /** The current SVID, or null. Throws `identity_folder_invalid`, `identity_key_unreadable` or `svid_invalid`. */
  async readSvid(trustDomain: TrustDomain): Promise<Svid | null> {
    const document = await this.#readJson('svid.json', SMALL)
    if (document === null) return null
    const { chain, key } = document
    const certificates =
      Array.isArray(chain) && chain.length <= 4
        ? chain.map((one) => (typeof one === 'string' ? fromBase64(one) : null))
        : []
    const sealed = typeof key === 'string' ? fromBase64(key) : null
    if (sealed === null || certificates.length === 0 || certificates.some((one) => one === null))
      throw this.#foreign('svid.json')
    return svidOf(certificates as Uint8Array[], await this.#unseal(sealed, 'svid-key'), trustDomain)
  }

  /**
   * Stores an SVID with the join state that came with it, unless the file has a later one already: then some other
   * process was given it after this one, and false says so.
   */
  async writeSvid(svid: Svid, joinState: JoinState | null): Promise<boolean> {
    const document = await this.#svidDocument(svid, joinState)
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const held = await this.readJoinState()
      if (held !== null && joinState !== null && held.machineKey === joinState.machineKey) {
        if (held.number > joinState.number) return false
        if (held.number === joinState.number) return true
      }
      // Without the lock, an earlier one may be written over it: look again.
      await this.#writeJson('svid.json', document)
      if (joinState === null) return true
    }
    return true
  }

  async #svidDocument(svid: Svid, joinState: JoinState | null): Promise<object> {
    const state =
      joinState === null
        ? {}
        : {
            join_state: toBase64(await this.#sealer.seal(utf8(joinState.value.reveal()), contextOf('join-state'))),
            machine_key: joinState.machineKey,
          }
    return {
      version: VERSION,
      chain: svid.chain.map((one) => toBase64(one)),
      key: toBase64(await this.#seal(svid.privateKey, 'svid-key')),
      ...state,
    }
  }

  /** The join state stored with the current SVID; null when there is none. Throws `identity_folder_invalid` or `identity_key_unreadable`. */
  async readJoinState(): Promise<JoinState | null> {
    const document = await this.#readJson('svid.json', SMALL)
    if (document === null || document['join_state'] === undefined) return null
    const { join_state, machine_key } = document
    const sealed = typeof join_state === 'string' ? fromBase64(join_state) : null
    if (sealed === null || typeof machine_key !== 'string' || !FINGERPRINT.test(machine_key))
      throw this.#foreign('svid.json')
    const text = fromUtf8(await this.#open(sealed, 'join-state'))
    const parts = readJoinState(text)
    if (parts === null) throw this.#foreign('svid.json')
    return { value: new Secret(text), number: parts.number, machineKey: machine_key }
  }

  /** Changes whenever some process has stored a new SVID. */
  svidVersion(): Promise<string | null> {
    return fileVersion(join(this.path, 'svid.json'))
  }

  /** The newest trust state that this identity has seen, or null. Nothing is verified here. Read anew when another process has written. */
  async readTrust(): Promise<RememberedTrust | null> {
    const written = this.#trust
    if (written !== null && written.version === (await fileVersion(join(this.path, TRUST)))) return written.remembered
    const document = await this.#readJson(TRUST, trustMessageBytes + SMALL, trustMessageBytes)
    if (document === null) return null
    const version = readVersion(document['newest'])
    const text = document['message']
    const message = typeof text === 'string' ? parseTrustMessage(text) : null
    if (version === null || message === null || 'code' in message || message.kind !== 'trust-state')
      throw this.#foreign(TRUST)
    return { version, message }
  }

  async writeTrust(remembered: RememberedTrust): Promise<void> {
    const { version, message } = remembered
    const { delegation, sequence, epoch, digest, delegationDigest } = version
    const stored = await this.#writeJson(TRUST, {
      version: VERSION,
      newest: { delegation, sequence, epoch, digest, delegation_digest: delegationDigest },
      message: JSON.stringify(message),
    })
    this.#trust = { version: stored, remembered }
  }

  async #readJson(name: string, maxBytes: number, maxText = maxBytes): Promise<JsonObject | null> {
    const bytes = await readBounded(join(this.path, name), Math.max(maxBytes, 2 * maxText))
    if (bytes === null) return null
    const scan = scanJson(bytes, { maxBytes: bytes.length, maxDepth: 4, maxKeys: 64 })
    if (!scan.ok || !isJsonObject(scan.value) || scan.value['version'] !== VERSION) throw this.#foreign(name)
    return scan.value
  }

  async #writeJson(name: string, document: object): Promise<string> {
    return await writeDurably(join(this.path, name), utf8(`${JSON.stringify(document, null, 2)}\n`))
  }

  async #seal(key: KeyObject, context: string): Promise<Uint8Array> {
    const bytes = new Uint8Array(key.export({ type: 'pkcs8', format: 'der' }))
    try {
      return await this.#sealer.seal(bytes, contextOf(context))
    } finally {
      bytes.fill(0)
    }
  }

  async #unseal(sealed: Uint8Array, context: string): Promise<KeyObject> {
    const bytes = await this.#open(sealed, context)
    try {
      const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
      return createPrivateKey({ key, type: 'pkcs8', format: 'der' })
    } catch (cause) {
      throw this.#unreadable(cause)
    } finally {
      bytes.fill(0)
    }
  }

  async #open(sealed: Uint8Array, context: string): Promise<Uint8Array> {
    try {
      return await this.#sealer.open(sealed, contextOf(context))
    } catch (cause) {
      throw this.#unreadable(cause)
    }
  }

  #unreadable(cause: unknown): DoorwardError {
    return new DoorwardError('identity_key_unreadable', 'a secret of this identity does not open', {
      where: this.path,
      expected: 'the key-encryption key under which it was sealed',
      next: 'restore the key file, or join again in an empty folder',
      cause,
    })
  }

  #description(document: JsonObject): IdentityDescription {
    const { trust_domain, id, root_fingerprint, scope, addresses } = document
    const parsed = typeof id === 'string' ? readSpiffeId(id) : null
    const places = isJsonObject(addresses) ? addresses : {}
    const { authority, enrol }: JsonObject = places
    if (parsed === null || 'problem' in parsed || parsed.trustDomain !== trust_domain)
      throw this.#foreign('identity.json')
    if (typeof root_fingerprint !== 'string' || !FINGERPRINT.test(root_fingerprint))
      throw this.#foreign('identity.json')
    if (!isTrustScope(scope)) throw this.#foreign('identity.json')
    if (typeof authority !== 'string' || !URL.canParse(authority) || typeof enrol !== 'string')
      throw this.#foreign('identity.json')
    return {
      trustDomain: parsed.trustDomain,
      id: parsed,
      rootFingerprint: root_fingerprint,
      scope,
      addresses: { authority, enrol },
    }
  }

  #foreign(name: string): DoorwardError {
    return new DoorwardError('identity_folder_invalid', 'a file of this identity is not as this program writes it', {
      where: join(this.path, name),
      expected: `version ${VERSION}`,
      next: 'restore the file from a backup, or join again in an empty folder',
    })
  }
}

/** What was sealed for one use does not open for another. */
function contextOf(use: string): string {
  return `doorward identity ${use}`
}

function readVersion(value: unknown): TrustStateVersion | null {
  if (typeof value !== 'object' || value === null) return null
  const { delegation, sequence, epoch, digest, delegation_digest } = value as Readonly<Record<string, unknown>>
  const counts = [delegation, sequence, epoch].every(
    (one) => typeof one === 'number' && Number.isSafeInteger(one) && one >= 0,
  )
  const digests = [digest, delegation_digest].every((one) => typeof one === 'string' && FINGERPRINT.test(one))
  if (!counts || !digests) return null
  return { delegation, sequence, epoch, digest, delegationDigest: delegation_digest } as TrustStateVersion
}
