/** Mistakes in exports and webhooks that only show when several keys are read together. */

import type { ApprovalWebhookSection } from './approval-schema.ts'
import type { AlertWebhookSection, ExportSection } from './audit-schema.ts'

interface ExportProblem {
  readonly keys: readonly (string | number)[]
  readonly message: string
  readonly expected: string | null
  readonly got: string | null
}

const loopback = /^(localhost|127(\.[0-9]{1,3}){3}|\[::1\])$/

export function exportProblems(exports: readonly ExportSection[]): readonly ExportProblem[] {
  const names = new Set<string>()
  const dirs = new Set<string>()
  return exports.flatMap((one, index) => {
    const at = (key: string): ExportProblem['keys'] => ['audit', 'exports', index, key]
    const found: ExportProblem[] = []
    const say = (key: string, message: string, expected: string, got: string | null = null) =>
      void found.push({ keys: at(key), message, expected, got })
    if (names.has(one.name)) say('name', 'another export has this name', 'a name of its own', one.name)
    names.add(one.name)
    if (one.kind === 'file') {
      if (dirs.has(one.dir)) say('dir', 'another export writes there', 'a folder of its own', one.dir)
      dirs.add(one.dir)
    } else remoteProblems(one, say)
    return found
  })
}

/** The same of the webhooks of alerts. */
export function alertProblems(webhooks: readonly AlertWebhookSection[]): readonly ExportProblem[] {
  const names = new Set<string>()
  return webhooks.flatMap((one, index) => {
    const found: ExportProblem[] = []
    const say = (key: string, message: string, expected: string, got: string | null = null) =>
      void found.push({ keys: ['alerts', 'webhooks', index, key], message, expected, got })
    if (names.has(one.name)) say('name', 'another webhook has this name', 'a name of its own', one.name)
    names.add(one.name)
    remoteProblems({ ...one, kind: 'webhook' }, say)
    return found
  })
}

type Say = (key: string, message: string, expected: string, got?: string | null) => void

function remoteProblems(one: Exclude<ExportSection, { kind: 'file' }>, say: Say): void {
  const { host, plain } = placeOf(one, say)
  if (plain && !(one.insecure && loopback.test(host))) {
    say(
      'kind' in one && one.kind === 'syslog' ? 'insecure' : 'url',
      'without TLS only this machine is spoken to, and only with insecure: true',
      'TLS',
      host,
    )
  }
  if (one.kind !== 'syslog' && !plain && one.insecure)
    say('insecure', 'the receiver is reached over TLS already', 'no insecure', 'true')
  if ((one.certificate_file === undefined) !== (one.key_file === undefined))
    say(
      one.key_file === undefined ? 'certificate_file' : 'key_file',
      'certificate and key belong together',
      'both certificate_file and key_file',
    )
  if (plain && (one.ca_file ?? one.certificate_file ?? one.key_file) !== undefined)
    say(
      'insecure',
      'files of TLS are of no use without TLS',
      'neither ca_file nor certificate_file nor key_file',
      'true',
    )
  if (one.kind === 'syslog' && !plain && one.certificate_file === undefined && one.key_file === undefined)
    say('kind', 'syslog is sent over mutual TLS', 'certificate_file and key_file', null)
}

/** Syslog has no scheme: it goes without TLS where `insecure` says so. */
function placeOf(
  one: Exclude<ExportSection, { kind: 'file' }>,
  say: Say,
): { readonly host: string; readonly plain: boolean } {
  if (one.kind === 'syslog') {
    if (Number(one.address.slice(one.address.lastIndexOf(':') + 1)) > 65_535)
      say('address', 'not a port', '1 to 65535', one.address)
    return { host: one.address.slice(0, one.address.lastIndexOf(':')), plain: one.insecure }
  }
  const { protocol, hostname, username, password, hash } = new URL(one.url)
  if (username !== '' || password !== '' || hash !== '')
    say('url', 'the URL of an export has no credentials and no fragment', 'https://host/path')
  return { host: hostname, plain: protocol === 'http:' }
}

/** The same of one webhook at these keys. */
export function webhookProblems(
  keys: ExportProblem['keys'],
  webhook: ApprovalWebhookSection,
): readonly ExportProblem[] {
  const found: ExportProblem[] = []
  const say: Say = (key, message, expected, got = null) =>
    void found.push({ keys: [...keys, key], message, expected, got })
  remoteProblems({ ...webhook, kind: 'webhook', name: 'approval', spool_bytes: 0 }, say)
  return found
}
