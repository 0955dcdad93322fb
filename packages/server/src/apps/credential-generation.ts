/** What one generation of credential files holds: certificate, key, bundle and tokens that belong together. */

import { X509Certificate } from 'node:crypto'
import { DoorwardError, encodeTrustBundle, exactObject, isJsonObject, isSeconds, scanJson, utf8 } from '@doorward/core'
import type { EpochSeconds, JsonObject, PeerCertificate, Secret } from '@doorward/core'
import type { Svid } from '@doorward/sdk'
import { isCredentialName } from './credential-folder.ts'

export interface TokenRequest {
  /** Resource that the token is for. */
  readonly audience: string
  /** Name in the folder. */
  readonly file: string
}

export interface WrittenToken extends TokenRequest {
  readonly token: Secret
  readonly expiresAt: EpochSeconds
}

/** What is trusted, with the version that names it. */
export interface TrustedAnchors {
  readonly anchors: readonly PeerCertificate[]
  readonly delegation: number
  readonly sequence: number
}

export interface Generation {
  readonly svid: Svid
  readonly trust: TrustedAnchors
  readonly tokens: readonly WrittenToken[]
}

/** What `status.json` says of the files beside it. */
export interface WrittenStatus {
  readonly state: 'current' | 'withdrawn'
  readonly id: string
  /** Null when withdrawn. */
  readonly notAfter: EpochSeconds | null
}

export const statusName = 'status.json'
const OWN_NAMES = ['svid.pem', 'svid.key', 'svid_and_key.pem', 'bundle.pem', 'bundle.spiffe.json', statusName]
const MAX_TOKENS = 16
/** As the authority's own bundle endpoint says. */
const REFRESH_HINT_SECONDS = 60
const LIMITS = { maxBytes: 65_536, maxDepth: 4, maxKeys: 256 }

/** Every name that a generation may have. Throws `token_file_invalid`. */
export function generationNames(tokens: readonly TokenRequest[]): readonly string[] {
  const files = tokens.map(({ file }) => file)
  const wrong = files.find(
    (file, i) => !isCredentialName(file) || OWN_NAMES.includes(file) || files.indexOf(file) !== i,
  )
  if (wrong === undefined && files.length <= MAX_TOKENS) return [...OWN_NAMES, ...files]
  throw new DoorwardError('token_file_invalid', 'a token cannot be written under this name', {
    expected: `at most ${MAX_TOKENS} different plain names of letters, digits, dot, dash and underscore, none of ${OWN_NAMES.join(', ')}`,
    got: wrong ?? `${files.length} names`,
  })
}

/** The files of a generation. `status.json` names it and holds no secret. */
export function generationFiles(
  { svid, trust, tokens }: Generation,
  writtenAt: EpochSeconds,
): ReadonlyMap<string, Uint8Array> {
  const chain = svid.chain.map(pemOf).join('')
  const key = String(svid.privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const { anchors, delegation, sequence } = trust
  const bundle = encodeTrustBundle({
    sequence: BigInt(sequence),
    refreshHintSeconds: REFRESH_HINT_SECONDS,
    x509: anchors,
    jwt: [],
  })
  const status = {
    v: 1,
    state: 'current',
    id: svid.id.uri,
    serial: svid.certificate.serial,
    not_after: svid.certificate.notAfter,
    written_at: writtenAt,
    trust: { delegation, sequence },
    tokens: tokens.map(({ file, audience, expiresAt }) => ({ file, audience, expires_at: expiresAt })),
  }
  return new Map([
    ['svid.pem', utf8(chain)],
    ['svid.key', utf8(key)],
    ['svid_and_key.pem', utf8(chain + key)],
    ['bundle.pem', utf8(anchors.map(({ der }) => pemOf(der)).join(''))],
    ['bundle.spiffe.json', utf8(`${bundle}\n`)],
    [statusName, statusBytes(status)],
    ...tokens.map(({ file, token }) => [file, utf8(token.reveal())] as const),
  ])
}

/** What is left when the identity can no longer be used: who it was, and why. */
export function withdrawnFiles(id: string, reason: string, writtenAt: EpochSeconds): ReadonlyMap<string, Uint8Array> {
  return new Map([[statusName, statusBytes({ v: 1, state: 'withdrawn', id, reason, written_at: writtenAt })]])
}

/** Reads what this program wrote; null for anything else. */
export function readStatus(bytes: Uint8Array): WrittenStatus | null {
  const scan = scanJson(bytes, LIMITS)
  if (!scan.ok || !isJsonObject(scan.value)) return null
  const current = exactObject(scan.value, ['v', 'state', 'id', 'serial', 'not_after', 'written_at', 'trust', 'tokens'])
  const withdrawn = exactObject(scan.value, ['v', 'state', 'id', 'reason', 'written_at'])
  const { v, state, id, not_after }: JsonObject = current ?? withdrawn ?? {}
  if (v !== 1 || typeof id !== 'string') return null
  if (withdrawn !== null) return state === 'withdrawn' ? { state, id, notAfter: null } : null
  return state === 'current' && isSeconds(not_after) ? { state, id, notAfter: not_after } : null
}

function statusBytes(status: object): Uint8Array {
  return utf8(`${JSON.stringify(status, null, 2)}\n`)
}

function pemOf(der: Uint8Array): string {
  return new X509Certificate(der).toString()
}
