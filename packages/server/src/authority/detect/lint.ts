/** DT-8: lifetimes, overlaps and clocks that cannot be right (reference id CA-7). Looked at when starting and all the time. */

import { readCertificate } from '@doorward/core'
import type { EpochSeconds, Sha256 } from '@doorward/core'
import type { ClockProblem } from '../clock-guard.ts'
import { mostTtlSeconds } from '../lint.ts'
import type { KeySlot, Registration } from '../ports.ts'
import type { Finding } from './finding.ts'

const MAX_NAMED = 16

/** Registrations whose certificates could outlive the rotation of anchors: nothing is issued for them. Pure. */
export function longLifetimes(
  registrations: readonly Pick<Registration, 'id' | 'ttlSeconds'>[],
  active: KeySlot | null,
): readonly Finding[] {
  if (active === null) return []
  const most = mostTtlSeconds(active)
  const long = registrations.filter(({ ttlSeconds }) => ttlSeconds > most)
  return long.slice(0, MAX_NAMED).map(({ id, ttlSeconds }) => ({
    detector: 'DT-8',
    subject: id,
    detail: `its certificates are to live ${ttlSeconds} s, a sixth of the anchor's life is ${most} s: nothing is issued for it; register a shorter lifetime`,
  }))
}

/** Slots that contradict their own certificates, and anchors that end before a successor is out. Pure. */
export function slotContradictions(own: readonly KeySlot[], now: EpochSeconds, sha256: Sha256): readonly Finding[] {
  const anchors = own.filter(({ purpose, notAfter }) => purpose === 'anchor' && notAfter > now)
  const active = anchors.find(({ state }) => state === 'active') ?? null
  const wrong = anchors.flatMap((slot) => contradiction(slot, sha256))
  const successor = anchors.some(({ state }) => state === 'published')
  if (active === null || successor || active.notAfter - now > mostTtlSeconds(active) * 0.9) return wrong
  const detail = `the anchor ends in ${active.notAfter - now} s and no successor is published: what it signs now ends with it`
  return [...wrong, { detector: 'DT-8', subject: 'anchor overlap', detail }]
}

function contradiction({ keyId, notAfter, certificate }: KeySlot, sha256: Sha256): readonly Finding[] {
  const read = certificate === null ? null : readCertificate(certificate, { sha256 })
  const fits = read !== null && !('problem' in read) && read.notAfter === notAfter && read.subjectKeyId === keyId
  if (fits) return []
  const detail =
    'the store says something else about this anchor than its certificate: nothing is signed before that is put right'
  return [{ detector: 'DT-8', subject: keyId, detail, stops: true }]
}

/** What is wrong with the clock. What stops everything does so by itself. */
export function clockFindings(problems: readonly ClockProblem[]): readonly Finding[] {
  return problems.map(({ code, text }) => ({ detector: 'DT-8', subject: code, detail: text }))
}
