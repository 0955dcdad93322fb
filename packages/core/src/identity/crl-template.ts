/**
 * Certificate revocation lists (RFC 5280 §5) that an authority signs, for verifiers that are not ours (reference id RV-7):
 * one complete list per signing authority.
 */

import { toBase64 } from '../bytes.ts'
import { DoorwardError } from '../error.ts'
import type { SignKey } from '../primitives.ts'
import type { EpochSeconds } from '../time.ts'
import { authorityKeyId, derExtension, ecdsaWithSha256, fromHex, nameOf, signedDer } from './certificate-template.ts'
import type { IssuerName } from './certificate-template.ts'
import { CRL_EXTENSION, CRL_LIMITS, REVOCATION_REASONS } from './crl.ts'
import type { RevokedSerial } from './crl.ts'
import { derInteger, derSequence, derTagged, derTime, derValue } from './der-writer.ts'

export interface CrlContents {
  /** The anchor whose certificates are listed, and which signs. */
  readonly issuer: IssuerName
  /** Rises with every list of this issuer (RFC 5280 §5.2.3); below 2^159. */
  readonly number: bigint
  readonly thisUpdate: EpochSeconds
  /** A verifier that has no newer list by then trusts no certificate of the issuer. */
  readonly nextUpdate: EpochSeconds
  /** Each serial once; those of certificates that have expired may be left out. At most 65,536. */
  readonly revoked: readonly RevokedSerial[]
}

/** Encodes and signs a version 2 list with ES256. Throws `crl_template_invalid`, or what custody throws. */
export async function buildCrl(contents: CrlContents, signKey: SignKey): Promise<Uint8Array> {
  check(contents)
  const extensions = [
    authorityKeyId(contents.issuer.keyId),
    { oid: CRL_EXTENSION.number, critical: false, value: integer(contents.number.toString(16)) },
  ]
  const tbs = derSequence(
    derInteger(Uint8Array.of(1)),
    ecdsaWithSha256,
    nameOf(contents.issuer.name),
    derTime(contents.thisUpdate),
    derTime(contents.nextUpdate),
    // The list is absent when there is nothing on it (§5.1.2.6).
    ...(contents.revoked.length === 0 ? [] : [derSequence(...contents.revoked.map(entryOf))]),
    derTagged(0, 'constructed', derSequence(...extensions.map(derExtension))),
  )
  return signedDer(tbs, signKey)
}

/** The text form of RFC 7468 §6. */
export function crlPem(der: Uint8Array): string {
  const lines = toBase64(der).match(/.{1,64}/g) ?? []
  return `-----BEGIN X509 CRL-----\n${lines.join('\n')}\n-----END X509 CRL-----\n`
}

const SERIAL = /^(?!00)(?:[0-9a-f]{2}){1,20}$/
const MAX_INTEGER_OCTETS = 20

function check({ number, thisUpdate, nextUpdate, revoked }: CrlContents): void {
  if (number < 0n || number >= 2n ** 159n) throw templateError('expected a list number from 0 and below 2^159')
  if (thisUpdate >= nextUpdate) throw templateError('expected thisUpdate before nextUpdate')
  if (revoked.length > CRL_LIMITS.revoked) throw templateError(`expected at most ${CRL_LIMITS.revoked} serials`)
  if (!revoked.every(({ serial }) => SERIAL.test(serial) && integer(serial).length <= 2 + MAX_INTEGER_OCTETS))
    throw templateError('expected positive serial numbers of at most 20 octets in lowercase hex')
  if (new Set(revoked.map(({ serial }) => serial)).size !== revoked.length)
    throw templateError('expected every serial once')
}

function templateError(message: string): DoorwardError {
  return new DoorwardError('crl_template_invalid', message)
}

const ENUMERATED = 0x0a

function entryOf({ serial, revokedAt, reason }: RevokedSerial): Uint8Array {
  if (reason === null) return derSequence(integer(serial), derTime(revokedAt))
  const value = derValue(ENUMERATED, Uint8Array.of(REVOCATION_REASONS[reason]))
  const extension = derExtension({ oid: CRL_EXTENSION.reason, critical: false, value })
  return derSequence(integer(serial), derTime(revokedAt), derSequence(extension))
}

function integer(hexDigits: string): Uint8Array {
  return derInteger(fromHex(hexDigits.length % 2 === 0 ? hexDigits : `0${hexDigits}`))
}
