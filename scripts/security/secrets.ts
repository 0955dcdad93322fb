/** Secrets in what is committed: by the forms that they have. */

import { resultOf } from './check.ts'
import type { CheckResult } from './check.ts'

/** Forms of credentials that are of use to whoever reads them. */
const forms: readonly (readonly [what: string, form: RegExp])[] = [
  ['a private key', /-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----(?:\s|\\r|\\n)*[A-Za-z0-9+/=]{40}/],
  ['an access key of AWS', /\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/],
  ['a token of GitHub', /\b(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{36}\b|\bgithub_pat_[A-Za-z0-9_]{60,}/],
  ['a token of npm', /\bnpm_[A-Za-z0-9]{36}\b/],
  ['a token of Slack', /\bxox[abprs]-[A-Za-z0-9-]{20,}/],
  ['a key of Google', /\bAIza[0-9A-Za-z_-]{35}\b/],
  ['a key of OpenAI or Anthropic', /\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}/],
  ['a key of Stripe', /\b[rs]k_live_[A-Za-z0-9]{20,}/],
  ['a JSON Web Token', /\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{40,}/],
  ['a private JWK', /"d"\s*:\s*"[A-Za-z0-9_-]{43}"/],
  ['a join string of ours', /\bdoorward-join:[A-Za-z0-9_-]{80,}/],
]

export interface CommittedFile {
  readonly path: string
  readonly text: string
}

/** `known`: files whose secrets are made for a test and open nothing, each with the reason. */
export function checkSecrets(files: readonly CommittedFile[], known: Readonly<Record<string, string>>): CheckResult {
  const findings = files.flatMap(({ path, text }) =>
    known[path] === undefined
      ? forms
          .filter(([, form]) => form.test(text))
          .map(([what]) => `${path}: ${what}; take it away, and replace it where it is used`)
      : [],
  )
  return resultOf('secrets', findings, `${files.length} files without one`)
}
