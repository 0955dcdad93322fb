/** Whether a certificate is an X.509-SVID leaf (SPIFFE X509-SVID §2 … §5; reference ids X5-1, X5-2, X5-4, X5-5, SID-1 … SID-5). */

import type { PeerCertificate } from './certificate.ts'
import { checkEndEntity, firstProblem } from './certification-path.ts'
import type { LeafProblem, LeafRule } from './certification-path.ts'

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

/**
 * Null when the certificate has the profile of an X.509-SVID leaf of the trust domain, `checkEndEntity` included.
 * The name is the URI SAN alone; the subject and DNS names decide nothing.
 * Not checked here: signature and validity (`chainsToAnchor`), issuance and denials.
 */
export function checkSvidLeaf(cert: PeerCertificate, trustDomain: string): LeafProblem | null {
  const problem = checkEndEntity(cert) ?? firstProblem(SVID_RULES, cert)
  if (problem !== null) return problem
  if (cert.spiffeId?.trustDomain === trustDomain) return null
  return {
    code: 'svid_trust_domain',
    message: `expected an id of ${trustDomain}, got ${JSON.stringify(cert.uris[0] ?? '')}`,
  }
}

const SVID_RULES: readonly LeafRule[] = [
  [
    'svid_key_usage',
    'expected critical key usage with digitalSignature and without keyCertSign and cRLSign',
    leafKeyUsage,
  ],
  ['svid_extended_key_usage', 'expected serverAuth and clientAuth', leafPurposes],
  ['svid_uri', 'expected exactly one URI name', ({ uris }) => uris.length === 1],
  ['svid_id', 'expected a SPIFFE ID as URI name', ({ spiffeId }) => spiffeId !== null],
  [
    'svid_path',
    'expected a SPIFFE ID with a path',
    ({ spiffeId }) => spiffeId !== null && spiffeId.segments.length > 0,
  ],
]

function leafKeyUsage({ extensions: { keyUsage } }: PeerCertificate): boolean {
  return (
    keyUsage !== null && keyUsage.critical && keyUsage.digitalSignature && !keyUsage.keyCertSign && !keyUsage.crlSign
  )
}

function leafPurposes({ extensions: { extendedKeyUsage } }: PeerCertificate): boolean {
  if (extendedKeyUsage === null || !extendedKeyUsage.includes(SERVER_AUTH) || !extendedKeyUsage.includes(CLIENT_AUTH))
    return false
  return extendedKeyUsage.every((purpose) => purpose === SERVER_AUTH || purpose === CLIENT_AUTH)
}
