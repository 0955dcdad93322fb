/** What became of the attempts: as one document, as JUnit, and signed by who tried. */

import { signCompactJws, toBase64url } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { sha256, signKeyOf } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import type { Attempt, Judged } from './attempt.ts'

export interface Tried extends Pick<Attempt, 'id' | 'kind' | 'title' | 'requirement'>, Omit<Judged, 'decisions'> {
  readonly milliseconds: number
}

export interface ProbeReport {
  readonly url: string
  readonly server: string
  readonly by: string
  /** ISO 8601. */
  readonly startedAt: string
  readonly endedAt: string
  readonly passed: number
  readonly failed: number
  readonly notRun: number
  readonly attempts: readonly Tried[]
}

export function counted(attempts: readonly Tried[]): Pick<ProbeReport, 'passed' | 'failed' | 'notRun'> {
  const count = (verdict: Judged['verdict']) => attempts.filter((one) => one.verdict === verdict).length
  return { passed: count('passed'), failed: count('failed'), notRun: count('not_run') }
}

export function reportDocument(report: ProbeReport): JsonObject {
  const { startedAt, endedAt, notRun, attempts, ...plain } = report
  return {
    ...plain,
    started_at: startedAt,
    ended_at: endedAt,
    not_run: notRun,
    ok: report.failed === 0,
    attempts: attempts.map((one) => ({ ...one })),
  }
}

/** As continuous integration reads it. */
export function junitOf({ url, failed, notRun, attempts }: ProbeReport): string {
  const cases = attempts.map(({ id, kind, title, requirement, verdict, expected, got, milliseconds }) => {
    const name = escaped(`${id}: ${title} [${requirement}]`)
    const told = escaped(`expected ${expected}, got ${got}`)
    const inner =
      verdict === 'failed'
        ? `<failure message="${told}"/>`
        : verdict === 'not_run'
          ? `<skipped message="${told}"/>`
          : ''
    return `    <testcase classname="doorward.probe.${kind}" name="${name}" time="${(milliseconds / 1000).toFixed(3)}">${inner}</testcase>`
  })
  const head = `<testsuite name="doorward probe ${escaped(url)}" tests="${attempts.length}" failures="${failed}" skipped="${notRun}">`
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<testsuites>',
    `  ${head}`,
    ...cases,
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n')
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

function escaped(text: string): string {
  // oxlint-disable-next-line no-control-regex -- XML 1.0 has none of them
  return text.replaceAll(/[\u0000-\u001f]/g, ' ').replaceAll(/[&<>"]/g, (one) => entities[one] ?? one)
}

/** `typ` of the signed form. */
export const reportType = 'doorward-probe-report+jwt'

/**
 * The digest of the report as a compact JWS by the key of who tried, with the certificate of that key, whose fingerprint is on the
 * issuance record. The report itself is beside it, since it is larger than a token may be. `proveReport` verifies both.
 */
export function signReport(text: string, { id, credentials }: Pick<Identity, 'id' | 'credentials'>): Promise<string> {
  const { privateKey, fingerprint, chain } = credentials.current()
  const digest = toBase64url(sha256(Buffer.from(text)))
  const certificate = toBase64url(chain[0] ?? new Uint8Array())
  const claims = { by: id.uri, 'x5t#S256': fingerprint, certificate, sha256: digest }
  return signCompactJws(reportType, claims, { kid: fingerprint, signKey: signKeyOf(privateKey) })
}
