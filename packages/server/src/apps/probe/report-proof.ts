/** Whether a report that was kept is the one that a workload of this trust domain has signed. Pure. */

import {
  chainsToAnchor,
  checkSvidLeaf,
  epochSeconds,
  fromBase64url,
  isJsonObject,
  member,
  openCompactJws,
  readCertificate,
  scanJson,
  toBase64url,
} from '@doorward/core'
import type { EpochSeconds, JsonObject, PeerCertificate, TrustDomain } from '@doorward/core'
import { importP256, sha256 } from '@doorward/sdk'
import { reportType } from './report.ts'

export type ReportProof =
  | { readonly ok: true; readonly by: string; readonly certificate: string; readonly endedAt: string }
  /** Why it is not proven. */
  | { readonly ok: false; readonly problem: string }

export interface ReportTrust {
  readonly trustDomain: TrustDomain
  /** As the newest trust state names them: a report is proven for as long as its signing authority is among them. */
  readonly anchors: readonly PeerCertificate[]
  readonly now: EpochSeconds
}

const jsonLimits = { maxBytes: 4096, maxDepth: 2, maxKeys: 16 }
const reportLimits = { maxBytes: 4 * 1024 * 1024, maxDepth: 8, maxKeys: 100_000 }

/** What is not checked: whether the certificate was denied since, and whether the clock of who signed was right. */
export function proveReport(text: string, signed: string, trust: ReportTrust): ReportProof {
  const claims = objectIn(fromBase64url(signed.trim().split('.')[1] ?? ''), jsonLimits)
  const certificate = claims === null ? null : certificateIn(claims)
  if (claims === null || certificate === null) return unproven('the signature does not carry a certificate')
  const { fingerprint, publicJwk, spiffeId } = certificate
  const key = publicJwk === null ? null : importP256(publicJwk)
  if (key === null) return unproven('the certificate has no key on P-256')
  const opened = openCompactJws(signed.trim(), { typ: reportType, keys: new Map([[fingerprint, key]]) })
  if ('ok' in opened) return unproven(opened.message)
  if (member(claims, 'sha256') !== toBase64url(sha256(Buffer.from(text))))
    return unproven('the report was changed after it was signed')
  const report = objectIn(Buffer.from(text), reportLimits)
  const endedAt = report === null ? null : member(report, 'ended_at')
  const at = typeof endedAt === 'string' ? Math.floor(Date.parse(endedAt) / 1000) : Number.NaN
  if (report === null || typeof endedAt !== 'string' || Number.isNaN(at))
    return unproven('that is no report of a probe')
  const by = spiffeId?.uri ?? ''
  if (by === '' || member(claims, 'by') !== by || member(report, 'by') !== by)
    return unproven(`the certificate is that of ${by || 'nobody'}, and not of whom the report names`)
  const problem = issuedHere(certificate, epochSeconds(at), trust)
  return problem === null ? { ok: true, by, certificate: fingerprint, endedAt } : unproven(problem)
}

/** Null where the certificate was good at that time. */
function issuedHere(certificate: PeerCertificate, at: EpochSeconds, trust: ReportTrust): string | null {
  const { trustDomain, anchors, now } = trust
  if (at > now) return 'the report is from the future'
  const leaf = checkSvidLeaf(certificate, trustDomain)
  if (leaf !== null) return leaf.message
  const anchor = chainsToAnchor(certificate, anchors, at, importP256)
  return 'code' in anchor ? anchor.message : null
}

function unproven(problem: string): ReportProof {
  return { ok: false, problem }
}

function objectIn(bytes: Uint8Array | null, limits: typeof jsonLimits): JsonObject | null {
  const scan = bytes === null ? null : scanJson(bytes, limits)
  return scan?.ok === true && isJsonObject(scan.value) ? scan.value : null
}

function certificateIn(claims: JsonObject): PeerCertificate | null {
  const text = member(claims, 'certificate')
  const der = typeof text === 'string' ? fromBase64url(text) : null
  const read = der === null ? null : readCertificate(der, { sha256 })
  return read === null || 'problem' in read ? null : read
}
