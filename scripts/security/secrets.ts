/** Secrets in what is committed: by the forms that they have. */

import { createHash } from 'node:crypto'
import { resultOf } from './check.ts'
import type { CheckResult } from './check.ts'

/** Forms of credentials that are of use to whoever reads them; each takes as much as there is of one. */
const forms: readonly (readonly [what: string, form: RegExp])[] = [
  [
    'a private key',
    /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----(?:\s|\\r|\\n)*[A-Za-z0-9+/=](?:[A-Za-z0-9+/=]|\s|\\r|\\n){39,}/g,
  ],
  ['an access key of AWS', /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/g],
  ['a token of GitHub', /\b(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{36}\b|\bgithub_pat_[A-Za-z0-9_]{60,}/g],
  ['a token of npm', /\bnpm_[A-Za-z0-9]{36}\b/g],
  ['a token of Slack', /\bxox[abprs]-[A-Za-z0-9-]{20,}/g],
  ['a key of Google', /\bAIza[0-9A-Za-z_-]{35}\b/g],
  ['a key of OpenAI or Anthropic', /\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}/g],
  ['a key of Stripe', /\b[rs]k_live_[A-Za-z0-9]{20,}/g],
  ['a JSON Web Token', /\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{40,}/g],
  ['a private JWK', /"d"\s*:\s*"[A-Za-z0-9_-]{43}"/g],
  ['a join string of ours', /\bdoorward-join:[A-Za-z0-9_-]{80,}/g],
]
const unread = 'a file that is not read'
const maxFileBytes = 2 * 1024 * 1024

export interface CommittedFile {
  readonly path: string
  readonly bytes: Uint8Array
}

/** A secret that is made for a test and opens nothing, or a file that nobody can read for secrets: this one, here, and no other. */
export interface KnownSecret {
  readonly path: string
  /** As a finding says it. */
  readonly what: string
  /** SHA-256 of the text that has the form, or of the file, hex, its first 16 digits. */
  readonly digest: string
  readonly reason: string
}

type Found = Omit<KnownSecret, 'reason'>

/** What is known and not there any more is a finding too: it would excuse what comes next. */
export function checkSecrets(files: readonly CommittedFile[], known: readonly KnownSecret[]): CheckResult {
  const all = files.flatMap(foundIn)
  const excused = known.filter(({ reason }) => reason.trim() !== '')
  const findings = [
    ...all.filter((one) => !excused.some((other) => isSame(one, other))).map(told),
    ...known
      .filter((one) => !all.some((other) => isSame(one, other)))
      .map(({ path, what, digest }) => `${path}: ${what}, ${digest}, is not there: take it out of known-secrets.json`),
  ]
  return resultOf('secrets', findings, `${files.length} files without one, ${known.length} known`)
}

function foundIn({ path, bytes }: CommittedFile): readonly Found[] {
  // Compressed, or in an encoding of two bytes, a secret has none of the forms.
  if (bytes.length > maxFileBytes || bytes.includes(0)) return [{ path, what: unread, digest: digestOf(bytes) }]
  const text = Buffer.from(bytes).toString('utf8')
  return forms.flatMap(([what, form]) =>
    [...text.matchAll(form)].map(([match]) => ({ path, what, digest: digestOf(match) })),
  )
}

function told({ path, what, digest }: Found): string {
  const next =
    what === unread
      ? 'it is too large or not text; take it away, or say in known-secrets.json what is in it'
      : 'take it away, and replace it where it is used'
  return `${path}: ${what}, ${digest}; ${next}`
}

function isSame(one: Found, other: Found): boolean {
  return one.path === other.path && one.what === other.what && one.digest === other.digest
}

function digestOf(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 16)
}
