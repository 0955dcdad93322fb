/**
 * The old keys of a recovery sign once more, after they are denied: what they sign is shown to every listener, and must be
 * refused for its key alone. Nothing of it is good for anything: the certificate is for nobody who is registered, the
 * tokens have ended before they are made.
 */

import {
  anchorName,
  backdatingSeconds,
  buildCertificate,
  epochClaim,
  epochSeconds,
  mintToken,
  newSerial,
  spkiOfP256Jwk,
  svidTemplate,
  toBase64,
  toBase64url,
  workloadId,
} from '@doorward/core'
import type { AccessTokenClaims } from '@doorward/core'
import { isReplaced } from './ceremony-sight.ts'
import type { CanaryRequest, Canary, Ceremony } from './ceremony.ts'
import { nowSeconds } from './context.ts'
import type { AuthorityContext } from './context.ts'
import type { CustodyKey, KeySlot } from './ports.ts'

export interface CanaryParts {
  readonly context: AuthorityContext
  /** `iss` of tokens. */
  readonly issuer: string
}

const certificateSeconds = 600
/** A token of five minutes that ended five minutes ago. */
const tokenAge = { issued: 600, ended: 300 }

/** Signs with every old key of ours that has not signed yet, and adds it to the ceremony. */
export async function signCanaries(parts: CanaryParts, ceremony: Ceremony): Promise<void> {
  const { store } = parts.context
  const wanted = ceremony.canary
  if (wanted === null) return
  const made: Canary[] = []
  for (const { slot, key } of await oldKeys(parts.context, ceremony)) {
    if (wanted.signed.some(({ keyId }) => keyId === slot.keyId)) continue
    made.push(...(await canariesOf(parts, { ceremony, wanted, slot, key })))
  }
  if (made.length === 0) return
  const newest = await store.ceremonies.newest()
  if (newest === null || newest.id !== ceremony.id || newest.stage !== 'settle' || newest.canary === null) return
  const canary = { ...newest.canary, signed: [...newest.canary.signed, ...made] }
  // Two authorities that write at once lose one of the two: its loop sees that and signs again.
  await store.ceremonies.advance(newest.id, newest.stage, { ...newest, canary })
}

interface OldKey {
  readonly slot: KeySlot
  readonly key: CustodyKey
}

async function oldKeys({ store, custody, instance }: AuthorityContext, ceremony: Ceremony): Promise<readonly OldKey[]> {
  const kept = new Set(await custody.names())
  const slots = (await store.slots.list()).filter(
    (slot) => slot.authority === instance && slot.activatedAt !== null && isReplaced(ceremony, slot),
  )
  return Promise.all(
    slots
      .filter(({ keyName }) => kept.has(keyName))
      .map(async (slot) => ({ slot, key: await custody.need(slot.keyName) })),
  )
}

interface CanaryWork extends OldKey {
  readonly ceremony: Ceremony
  readonly wanted: CanaryRequest
}

async function canariesOf(parts: CanaryParts, work: CanaryWork): Promise<readonly Canary[]> {
  const { context } = parts
  const { keyId, purpose } = work.slot
  const body = { change: 'canary.sign', key_id: keyId, ceremony: work.ceremony.id }
  await context.log.append({ kind: 'trust', body })
  const made = { authority: context.name, keyId }
  if (purpose === 'anchor')
    return [{ ...made, kind: 'certificate', certificate: toBase64(await certificateBy(context, work)) }]
  return Promise.all(
    work.wanted.audiences.map(async (audience) => ({
      ...made,
      kind: 'token' as const,
      audience,
      token: await tokenBy(parts, work, audience),
    })),
  )
}

function certificateBy(context: AuthorityContext, { ceremony, wanted, slot, key }: CanaryWork): Promise<Uint8Array> {
  const { trustDomain, random } = context
  const now = nowSeconds(context)
  const template = svidTemplate({
    spiffeId: workloadId(trustDomain, 'doorward', 'canary', ceremony.id),
    publicKey: spkiOfP256Jwk(wanted.publicKey),
    serial: newSerial(random),
    notBefore: epochSeconds(now - backdatingSeconds),
    notAfter: epochSeconds(Math.min(now + certificateSeconds, slot.notAfter)),
    issuer: { name: anchorName(trustDomain, slot.keyId), keyId: slot.keyId },
  })
  return buildCertificate(template, key)
}

function tokenBy(
  { context, issuer }: CanaryParts,
  { ceremony, wanted, slot, key }: CanaryWork,
  audience: string,
): Promise<string> {
  const now = nowSeconds(context)
  const iat = epochSeconds(now - tokenAge.issued)
  const claims: AccessTokenClaims = {
    iss: issuer,
    sub: wanted.subject,
    aud: audience,
    iat,
    nbf: iat,
    exp: epochSeconds(now - tokenAge.ended),
    jti: toBase64url(context.random(16)),
    client_id: wanted.subject,
    cnf: { 'x5t#S256': wanted.fingerprint },
    [epochClaim]: ceremony.epoch,
  }
  return mintToken(claims, { kid: slot.keyId, signKey: key })
}
