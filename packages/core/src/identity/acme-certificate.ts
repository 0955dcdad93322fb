/** What a certificate authority is shown by ACME (RFC 8555): a request for a certificate, and the answer of tls-alpn-01 to a challenge. */

import { utf8 } from '../bytes.ts'
import type { SignKey } from '../primitives.ts'
import type { EpochSeconds } from '../time.ts'
import { EXTENSION } from './certificate-extensions.ts'
import { derExtension, nameOf, signedDer } from './certificate-template.ts'
import type { CertificateTemplate, TemplateExtension } from './certificate-template.ts'
import { derInteger, derOctets, derOid, derSequence, derTagged, derValue } from './der-writer.ts'
import { TAG } from './der.ts'

export interface RequestContents {
  /** The DNS name that the certificate is for. */
  readonly name: string
  /** DER SubjectPublicKeyInfo of a P-256 key. */
  readonly publicKey: Uint8Array
}

const EXTENSION_REQUEST = '1.2.840.113549.1.9.14'
/** RFC 8737 §6.1. */
const ACME_IDENTIFIER = '1.3.6.1.5.5.7.1.31'
const DNS = 2

/** A PKCS #10 request (RFC 2986) in DER: empty subject, the name as the only alternative name. */
export async function certificationRequest({ name, publicKey }: RequestContents, key: SignKey): Promise<Uint8Array> {
  const extensions = derSequence(derExtension(alternativeName(name)))
  const attribute = derSequence(derOid(EXTENSION_REQUEST), derValue(TAG.set, extensions))
  const info = derSequence(
    derInteger(Uint8Array.of(0)),
    nameOf(null),
    publicKey,
    derTagged(0, 'constructed', attribute),
  )
  return signedDer(info, key)
}

export interface ChallengeContents extends RequestContents {
  readonly serial: string
  readonly notBefore: EpochSeconds
  readonly notAfter: EpochSeconds
  /** SHA-256 of the key authorization (RFC 8555 §8.1). */
  readonly digest: Uint8Array
}

/** The certificate of tls-alpn-01 (RFC 8737 §3): for the one name, with the critical acmeIdentifier. Nobody else accepts it. */
export function acmeChallengeTemplate(contents: ChallengeContents): CertificateTemplate {
  const { name, publicKey, serial, notBefore, notAfter, digest } = contents
  return {
    publicKey,
    serial,
    notBefore,
    notAfter,
    issuer: CHALLENGE_NAME,
    subject: CHALLENGE_NAME,
    extensions: [alternativeName(name), { oid: ACME_IDENTIFIER, critical: true, value: derOctets(digest) }],
  }
}

const CHALLENGE_NAME = 'doorward acme challenge'

function alternativeName(name: string): TemplateExtension {
  return { oid: EXTENSION.subjectAltName, critical: false, value: derSequence(derTagged(DNS, 'primitive', utf8(name))) }
}
