/** The second message of an enrolment as values: strict, and bounded before anything is decoded. */

import {
  exactObject,
  foreignPathLength,
  fromBase64,
  fromBase64url,
  isText,
  isTrustScope,
  foreignTokenBytes,
  readJoinState,
  readList,
  readP256Jwk,
  Secret,
} from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import { deny } from '@doorward/enforcement'
import type { Denial } from '@doorward/enforcement'
import type { Evidence } from '../authority/attest/attestor.ts'
import { attestationKinds } from '../authority/attest/rule.ts'
import type { EnrolRequest } from '../authority/join.ts'

const MAX_ID = 2048
const MAX_TOKEN = 256
const MAX_PROOF = 128
/** A certificate of 8 KiB, and a signature by RSA with 4096 bits. */
const MAX_CERTIFICATE = 11_000
const MAX_FOREIGN_PROOF = 700

/** What the message itself says; the rest of a request comes from the connection. */
export type EnrolMessage = Omit<EnrolRequest, 'exported' | 'publicKey'>

export function readEnrolMessage(message: JsonObject): EnrolMessage | Denial {
  const body = exactObject(message, ['machine_key', 'machine_proof'], ['evidence', 'id', 'join_state', 'scope'])
  if (body === null)
    return deny(
      'request_invalid',
      'expected machine_key and machine_proof, and at most evidence, id, join_state and scope',
    )
  const machineKey = readP256Jwk(body['machine_key'])
  const machineProof = readBytes(body['machine_proof'], MAX_PROOF)
  if (machineKey === null || machineProof === null)
    return deny('request_invalid', 'expected a P-256 key and a proof in base64url')
  const id = body['id'] ?? null
  const joinState = readState(body['join_state'])
  if ((id !== null && !isText(id, MAX_ID)) || joinState === undefined)
    return deny('request_invalid', 'expected an id and a join state in their forms')
  const scope = body['scope'] ?? 'callers'
  if (!isTrustScope(scope)) return deny('request_invalid', 'expected the scope full or callers')
  const evidence = body['evidence'] === undefined ? null : readEvidence(body['evidence'])
  if (evidence === undefined)
    return deny('request_invalid', 'expected evidence of a kind that is known, in the form of that kind')
  if (id === null && evidence?.kind !== 'join_token')
    return deny('request_invalid', 'expected an id where there is no join token')
  return { evidence, id, machineKey, machineProof, joinState, scope }
}

/** Null for none, undefined for what is no join state. */
export function readState(value: JsonValue | undefined): Secret | null | undefined {
  if (value === undefined) return null
  return typeof value === 'string' && readJoinState(value) !== null ? new Secret(value) : undefined
}

function readEvidence(value: JsonValue): Evidence | undefined {
  const named = exactObject(value, ['kind'], ['token', 'chain', 'proof'])?.['kind']
  const kind = attestationKinds.find((one) => one === named)
  if (kind === undefined) return undefined
  switch (kind) {
    case 'join_token':
    case 'oidc': {
      const token = exactObject(value, ['kind', 'token'])?.['token']
      const limit = kind === 'oidc' ? foreignTokenBytes : MAX_TOKEN
      return isText(token, limit) ? { kind, token: new Secret(token) } : undefined
    }
    case 'bound_key':
      return exactObject(value, ['kind']) === null ? undefined : { kind }
    case 'x509_pop':
      return readCertificates(exactObject(value, ['kind', 'chain', 'proof']))
  }
}

function readCertificates(value: JsonObject | null): Evidence | undefined {
  const chain = readList(value?.['chain'], foreignPathLength, (item) =>
    isText(item, MAX_CERTIFICATE) ? fromBase64(item) : null,
  )
  const proof = readBytes(value?.['proof'], MAX_FOREIGN_PROOF)
  return chain === null || chain.length === 0 || proof === null ? undefined : { kind: 'x509_pop', chain, proof }
}

function readBytes(value: JsonValue | undefined, maxLength: number): Uint8Array | null {
  return isText(value, maxLength) ? fromBase64url(value) : null
}
