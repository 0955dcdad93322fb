/** Options that say what a registration contains, shared by `add` and `set`. */

import type { Command } from 'commander'
import { DoorwardError } from '@doorward/core'
import type { WorkloadDocument } from '@doorward/core'
import { attestationOption } from './attestation-option.ts'

export interface ContentOptions {
  readonly role?: readonly string[] | false
  readonly ttl?: string
  readonly dns?: readonly string[] | false
  readonly ip?: readonly string[] | false
  readonly attest?: readonly string[] | false
  readonly sharedNames?: boolean
  readonly singleInstance?: boolean
  readonly canary?: boolean
  readonly audience?: readonly string[] | false
}

/** `add` starts from nothing, `set` from what is there: only it needs words that take something away. */
export function withContentOptions(command: Command, { removing }: { readonly removing: boolean }): Command {
  command
    .option('--role <name...>', 'roles that it has')
    .option('--ttl <time>', 'lifetime of its certificates: 30m, 1h (5m to 24h)')
    .option('--dns <name...>', 'DNS names in its certificates, for clients that dial by name')
    .option('--ip <address...>', 'IP addresses in its certificates')
    .option('--attest <way...>', 'how it may prove who it is: join_token, bound_key:…, x509_pop:…, oidc:…')
    .option('--audience <url...>', 'URLs at which it is called, for which its callers may ask for tokens')
    .option('--shared-names', 'others may have its DNS names too, when they say the same')
    .option('--single-instance', 'a new instance ends the earlier ones')
    .option('--canary', 'nobody is meant to have it: issuing to it is an alarm')
  if (!removing) return command
  return command
    .option('--no-role', 'no roles')
    .option('--no-dns', 'no DNS names')
    .option('--no-ip', 'no IP addresses')
    .option('--no-attest', 'nobody joins any more')
    .option('--no-audience', 'nobody is given tokens for it any more')
    .option('--no-shared-names', 'its DNS names are its own')
    .option('--no-single-instance', 'any number of instances')
    .option('--no-canary', 'somebody has it')
}

/** The members that were given; lists replace the ones that are there. Throws `usage`. */
export function givenContent(options: ContentOptions): Partial<Omit<WorkloadDocument, 'id'>> {
  const { role, ttl, dns, ip, attest, sharedNames, singleInstance, canary, audience } = options
  return {
    ...(role === undefined ? {} : { roles: listOf(role) }),
    ...(ttl === undefined ? {} : { ttl_seconds: secondsOf(ttl) }),
    ...(dns === undefined ? {} : { dns_names: listOf(dns) }),
    ...(ip === undefined ? {} : { ip_addresses: listOf(ip) }),
    ...(attest === undefined ? {} : { attest: listOf(attest).map(attestationOption) }),
    ...(sharedNames === undefined ? {} : { shared_names: sharedNames }),
    ...(singleInstance === undefined ? {} : { single_instance: singleInstance }),
    ...(canary === undefined ? {} : { canary }),
    ...(audience === undefined ? {} : { audiences: listOf(audience) }),
  }
}

function listOf(given: readonly string[] | false): readonly string[] {
  return given === false ? [] : [...new Set(given)]
}

const units: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['s', 1],
  ['m', 60],
  ['h', 3600],
  ['d', 86_400],
])

/** `90m`, `1h`, `3600`. Throws `usage`. */
export function secondsOf(text: string): number {
  const match = /^([1-9][0-9]{0,6})([smhd]?)$/.exec(text)
  const unit = units.get(match?.[2] ?? '')
  if (match?.[1] === undefined || unit === undefined)
    throw new DoorwardError('usage', 'that is no lifetime', { where: '--ttl', expected: '30m, 1h, 3600', got: text })
  return Number(match[1]) * unit
}
