/** The messages of `SpiffeWorkloadAPI` (SPIFFE Workload API §5 and §6, and its service definition; reference ids WA-1 … WA-6). */

import { concat } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { bytesField, mapEntry, readFields, structOf, textField, textsOf } from '../grpc/protobuf.ts'

export interface X509SvidMessage {
  readonly id: string
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[]
  /** PKCS#8 DER, unencrypted. */
  readonly privateKey: Uint8Array
  /** DER. */
  readonly bundle: readonly Uint8Array[]
  readonly hint: string | null
}

/** `X509SVIDResponse`; the first is the default. */
export function x509SvidResponse(svids: readonly X509SvidMessage[]): Uint8Array {
  return concat(
    ...svids.map(({ id, chain, privateKey, bundle, hint }) =>
      bytesField(
        1,
        concat(
          textField(1, id),
          bytesField(2, concat(...chain)),
          bytesField(3, privateKey),
          bytesField(4, concat(...bundle)),
          ...hintField(5, hint),
        ),
      ),
    ),
  )
}

/** `X509BundlesResponse`, by SPIFFE ID of the trust domain. */
export function x509BundlesResponse(trustDomain: string, bundle: readonly Uint8Array[]): Uint8Array {
  return mapEntry(2, trustDomain, concat(...bundle))
}

/** `JWTBundlesResponse`: a key set as JSON, by SPIFFE ID of the trust domain. */
export function jwtBundlesResponse(trustDomain: string, keySet: Uint8Array): Uint8Array {
  return mapEntry(1, trustDomain, keySet)
}

export interface JwtSvidMessage {
  readonly id: string
  readonly svid: string
  readonly hint: string | null
}

/** `JWTSVIDResponse`. */
export function jwtSvidResponse(svids: readonly JwtSvidMessage[]): Uint8Array {
  return concat(
    ...svids.map(({ id, svid, hint }) =>
      bytesField(1, concat(textField(1, id), textField(2, svid), ...hintField(3, hint))),
    ),
  )
}

function hintField(number: number, hint: string | null): readonly Uint8Array[] {
  return hint === null ? [] : [textField(number, hint)]
}

/** `ValidateJWTSVIDResponse`. */
export function validateResponse(id: string, claims: JsonObject): Uint8Array {
  return concat(textField(1, id), bytesField(2, structOf(claims)))
}

export interface JwtSvidRequest {
  readonly audiences: readonly string[]
  /** Empty for all. */
  readonly id: string
}

/** Null for what is no `JWTSVIDRequest`. */
export function readJwtSvidRequest(bytes: Uint8Array): JwtSvidRequest | null {
  const fields = readFields(bytes) ?? []
  const audiences = textsOf(fields, 1)
  const id = textsOf(fields, 2)?.at(-1) ?? ''
  return audiences === null ? null : { audiences, id }
}

/** Null for what is no `ValidateJWTSVIDRequest` with both members. */
export function readValidateRequest(bytes: Uint8Array): { readonly audience: string; readonly svid: string } | null {
  const fields = readFields(bytes) ?? []
  const audience = textsOf(fields, 1)?.at(-1) ?? ''
  const svid = textsOf(fields, 2)?.at(-1) ?? ''
  return audience === '' || svid === '' ? null : { audience, svid }
}
