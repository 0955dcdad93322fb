/**
 * The adversary of a drill: has an authority's state folder and its key-encryption key, and signs with the real keys. Takes
 * no lock and writes nothing.
 */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { KeyObject } from 'node:crypto'
import {
  anchorName,
  backdatingSeconds,
  buildCertificate,
  DoorwardError,
  epochClaim,
  epochSeconds,
  jwkThumbprint,
  keyIdOf,
  mintToken,
  newSerial,
  parseSpiffeId,
  readSignedDelegation,
  readCertificate,
  signTrustState,
  svidTemplate,
  toBase64url,
  toSeconds,
} from '@doorward/core'
import type { EpochSeconds, JsonValue, SignKey, TrustState } from '@doorward/core'
import { aesGcmSealer, generateP256, randomBytes, readKeyFile, sha256, systemClock } from '@doorward/sdk'
import { KeyCustody } from '../../secrets/key-custody.ts'
import { asP256 } from '../../secrets/signing-key.ts'
import type { P256SigningKey } from '../../secrets/signing-key.ts'
import { drillDomain } from './plan.ts'
import type { PlannedPart } from './plan.ts'

export interface ForgedIdentity {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[]
  readonly privateKey: KeyObject
  readonly fingerprint: string
  readonly serial: string
}

export interface Forger {
  /** Key id of the stolen anchor, `kid` of the stolen token key. */
  readonly anchorKeyId: string
  readonly tokenKeyId: string
  /** A certificate for this SPIFFE ID that no log knows. */
  certificate(id: string): Promise<ForgedIdentity>
  /** A token for it. */
  token(id: string, forged: ForgedIdentity, audience: string, epoch: number): Promise<string>
  /** A trust state with another administrator, signed by the stolen keys in turn. */
  poison(genuine: string): Promise<readonly string[]>
}

/** Steals what an authority has. Throws the codes of the key file and of custody. */
export async function stealFrom(part: PlannedPart, authorityUrl: string): Promise<Forger> {
  const folder = join(part.stateDir, 'authority')
  const marker = JSON.parse(await readFile(join(folder, 'state.json'), 'utf8')) as { readonly state_id: string }
  const place = { path: join(part.keyDir, 'authority.key'), outsideOf: [part.stateDir], stateId: marker.state_id }
  const custody = new KeyCustody(join(folder, 'keys'), aesGcmSealer(await readKeyFile(place), randomBytes))
  const anchor = await keyOf(custody, 'anchor-')
  const token = await keyOf(custody, 'token-')
  const trustState = await keyOf(custody, 'trust-state-')
  const keys = { anchor, token, trustState }
  return {
    anchorKeyId: keyIdOf(anchor.jwk, sha256),
    tokenKeyId: jwkThumbprint(token.jwk, sha256),
    certificate: (id) => forgeCertificate(anchor, id),
    token: (id, forged, audience, epoch) => forgeToken(token, { id, forged, audience, epoch, authorityUrl }),
    poison: (genuine) => poison(keys, genuine),
  }
}

async function keyOf(custody: KeyCustody, prefix: string): Promise<P256SigningKey> {
  const name = (await custody.names())
    .filter((one) => one.startsWith(prefix))
    .toSorted()
    .at(-1)
  if (name === undefined) throw new DoorwardError('key_missing', 'there is nothing to steal', { where: prefix })
  return asP256(await custody.need(name, 'p256'))
}

function now(): EpochSeconds {
  return toSeconds(systemClock())
}

async function forgeCertificate(anchor: P256SigningKey, id: string): Promise<ForgedIdentity> {
  const own = await generateP256()
  const keyId = keyIdOf(anchor.jwk, sha256)
  const serial = newSerial(randomBytes)
  const template = svidTemplate({
    spiffeId: parseSpiffeId(id),
    publicKey: own.spki,
    serial,
    notBefore: epochSeconds(now() - backdatingSeconds),
    notAfter: epochSeconds(now() + 3600),
    issuer: { name: anchorName(drillDomain, keyId), keyId },
  })
  const der = await buildCertificate(template, anchor)
  const read = readCertificate(der, { sha256 })
  if ('problem' in read) throw new DoorwardError('certificate_unfit', read.message)
  return { chain: [der], privateKey: own.privateKey, fingerprint: read.fingerprint, serial }
}

interface TokenWish {
  readonly id: string
  readonly forged: ForgedIdentity
  readonly audience: string
  readonly epoch: number
  readonly authorityUrl: string
}

function forgeToken(key: P256SigningKey, { id, forged, audience, epoch, authorityUrl }: TokenWish): Promise<string> {
  const iat = now()
  const claims = {
    iss: authorityUrl,
    sub: id,
    aud: audience,
    iat,
    nbf: epochSeconds(iat - backdatingSeconds),
    exp: epochSeconds(iat + 300),
    jti: toBase64url(randomBytes(16)),
    client_id: id,
    cnf: { 'x5t#S256': forged.fingerprint },
    [epochClaim]: epoch,
  }
  return mintToken(claims, { kid: jwkThumbprint(key.jwk, sha256), signKey: key })
}

/** What an anchor or token key signs is no trust state; what the old trust-state key signs is none any more after a recovery. */
async function poison(
  keys: Readonly<Record<'anchor' | 'token' | 'trustState', SignKey>>,
  genuine: string,
): Promise<readonly string[]> {
  const { delegation, payload } = JSON.parse(genuine) as { readonly delegation: JsonValue; readonly payload: string }
  const signed = readSignedDelegation(delegation)
  const state = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as { readonly sequence: number }
  if (signed === null) throw new DoorwardError('delegation_malformed', 'no delegation to poison')
  const wanted = poisoned(state)
  const signers = [keys.anchor, keys.token, keys.trustState]
  return Promise.all(
    signers.map(async (signKey) => JSON.stringify(await signTrustState(wanted, signed, { signKey, sha256 }))),
  )
}

function poisoned(document: object): TrustState {
  const d = document as Readonly<Record<string, never>>
  const issuedAt = now()
  return {
    scope: 'callers',
    trustDomain: drillDomain,
    delegation: Number(d['delegation']),
    sequence: Number(d['sequence']) + 1_000_000,
    issuedAt,
    expiresAt: epochSeconds(issuedAt + 3600),
    epoch: Number(d['epoch']),
    authorities: [{ name: 'evil', main: '127.0.0.1:1', enrol: '127.0.0.1:1' }],
    anchors: [],
    tokenKeys: [],
    jwtSvidKeys: [],
    workloads: [],
    issued: [],
    denied: { identities: [], serials: [], tokens: [], authorities: [] },
  }
}
