/** By what a workload proves who it is when it joins, and how that goes over the wire (reference ids BS-1 … BS-3). */

import { constants, sign } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { DoorwardError, jwkThumbprint, toBase64, toBase64url, x509ProofBytes } from '@doorward/core'
import type { JsonObject, P256Jwk, Secret } from '@doorward/core'
import { sha256 } from './platform/hash.ts'

export type Evidence =
  /** The single-use token of a join string. */
  | { readonly kind: 'join_token'; readonly token: Secret }
  /** The machine key, whose thumbprint the operator has registered. */
  | { readonly kind: 'bound_key' }
  /** A certificate of somebody else's authority: DER, leaf first, at most four, and the leaf's key (P-256 or RSA). */
  | { readonly kind: 'x509_pop'; readonly chain: readonly Uint8Array[]; readonly privateKey: KeyObject }
  /** A platform's token for the audience of the authority, read when it is needed: it does not live long. */
  | { readonly kind: 'oidc'; readonly token: () => Promise<Secret> }

export interface ProvingOver {
  readonly machineKey: P256Jwk
  /** Keying material of the connection for enrolment. */
  readonly exported: Uint8Array
}

/** The evidence as the authority reads it. Throws `evidence_key` for a key that cannot prove anything there. */
export async function evidenceMessage(evidence: Evidence, over: ProvingOver): Promise<JsonObject> {
  switch (evidence.kind) {
    case 'join_token':
      return { kind: evidence.kind, token: evidence.token.reveal() }
    case 'bound_key':
      return { kind: evidence.kind }
    case 'oidc':
      return { kind: evidence.kind, token: (await evidence.token()).reveal() }
    case 'x509_pop': {
      const proof = certificateProof(evidence.privateKey, over)
      return { kind: evidence.kind, chain: evidence.chain.map((der) => toBase64(der)), proof: toBase64url(proof) }
    }
  }
}

/** ES256 or PS256, as the key is (RFC 7518 §3.4, §3.5). */
function certificateProof(key: KeyObject, { machineKey, exported }: ProvingOver): Uint8Array {
  const data = x509ProofBytes(jwkThumbprint(machineKey, sha256), exported)
  if (key.asymmetricKeyType === 'rsa') {
    const padding = constants.RSA_PKCS1_PSS_PADDING
    return new Uint8Array(sign('sha256', data, { key, padding, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }))
  }
  if (key.asymmetricKeyDetails?.namedCurve === 'prime256v1')
    return new Uint8Array(sign('sha256', data, { key, dsaEncoding: 'ieee-p1363' }))
  throw new DoorwardError('evidence_key', 'the key of the certificate cannot be used', {
    expected: 'a P-256 or RSA key',
    got: key.asymmetricKeyType ?? key.type,
  })
}
