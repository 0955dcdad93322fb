/** `doorward revoke`: what was issued is refused from now on, and who has heard of it. */

import { setTimeout as sleep } from 'node:timers/promises'
import { InvalidArgumentError } from 'commander'
import type { Command } from 'commander'
import { DoorwardError, isDoorwardError, readUserName } from '@doorward/core'
import { ServerRefused } from '@doorward/sdk'
import type {
  AdminClient,
  Identity,
  Revocation,
  RevocationReceivers,
  RevocationRow,
  RevocationSubject,
} from '@doorward/sdk'
import { authorityAdmin } from './administration.ts'
import type { CliContext } from './context.ts'
import { CheckFailed } from './failure.ts'
import { asIdentity, asOption } from './identity-option.ts'
import { painter, table } from './output.ts'
import { idOf } from './workload/naming.ts'

interface RevokeOptions {
  readonly as?: string
  readonly reason?: string
  /** Seconds. */
  readonly wait: number
}

const DEFAULT_WAIT = 5
const MAX_WAIT = 60

export function register(program: Command, context: CliContext): void {
  const revoke = program
    .command('revoke')
    .description('deny what was issued: at once, on open connections and streams too')
    .addHelpText(
      'after',
      '\nExamples:\n  doorward revoke workload agent/planner --reason "laptop stolen"\n  doorward revoke serial 5f0c9a1be2d34c77\n  doorward revoke list',
    )
  const kind = (name: string, argument: readonly [string, string], description: string) =>
    revoke
      .command(name)
      .description(description)
      .argument(...argument)
      .option('--reason <text>', 'why, for the record')
      .option('--wait <seconds>', 'how long receivers may take to acknowledge it', readWait, DEFAULT_WAIT)
      .option(...asOption)
  kind('serial', ['<hex>', 'serial number of a certificate'], 'deny one certificate, and every renewal of it')
    .option('--unseen', 'deny it even though it was not issued here', false)
    .addHelpText('after', '\nExample:\n  doorward revoke serial 5F:0C:9A:1B:E2:D3:4C:77 --reason "key leaked"')
    .action((text: string, options: RevokeOptions & { readonly unseen: boolean }) =>
      deny(context, options, { subject: 'serial', serial: readSerial(text), unseen: options.unseen }),
    )
  kind('workload', ['<id>', 'agent/planner, or a full SPIFFE ID'], 'deny all that was issued to an identity so far')
    .option('--issued-before <time>', 'deny what was issued before this moment; now by default', readTime)
    .addHelpText(
      'after',
      '\nIt stays registered, and joins anew with a new join string.\n\nExample:\n  doorward revoke workload agent/planner --issued-before 2026-11-20T08:00:00Z',
    )
    .action(async (name: string, options: RevokeOptions & { readonly issuedBefore?: number }) => {
      const before = options.issuedBefore === undefined ? {} : { issued_before: options.issuedBefore }
      await deny(context, options, { subject: 'workload', id: (await idOf(context, name)).uri, ...before })
    })
  kind('instance', ['<id>', 'as doorward workload show tells it'], 'lock one copy of a workload; the others go on')
    .addHelpText('after', '\nExample:\n  doorward revoke instance 5f0c9a1be2d34c77')
    .action((instance: string, options: RevokeOptions) => deny(context, options, { subject: 'instance', instance }))
  kind('token', ['<jti>', 'id of an access token, never the token itself'], 'deny one access token and its streams')
    .addHelpText('after', '\nExample:\n  doorward revoke token Jd3n0s2vF9mUuJqk4r1XbQ')
    .action((text: string, options: RevokeOptions) =>
      deny(context, options, { subject: 'token', token: readTokenId(text) }),
    )
  kind('user', ['<user>', 'as the record names them: <issuer>#<subject>'], 'end every sign-in and token of a person')
    .addHelpText(
      'after',
      '\nThey may sign in again; whom policy or the provider keeps out may not.\n\nExample:\n  doorward revoke user https://login.acme.example#alice --reason "laptop stolen"',
    )
    .action((user: string, options: RevokeOptions) => deny(context, options, { subject: 'user', user: readUser(user) }))
  kind('authority', ['<key-id>', 'of an anchor or a token key'], 'deny one key of an authority, and all it has signed')
    .addHelpText(
      'after',
      '\nIts successor signs at once, and everybody comes back by machine key.\n\nExample:\n  doorward revoke authority 4b7d0ff0c1e2d3a4b5c6d7e8f9a0b1c2d3e4f5a6',
    )
    .action((keyId: string, options: RevokeOptions) => deny(context, options, { subject: 'authority', key_id: keyId }))
  revoke
    .command('list')
    .description('show what is denied now')
    .option(...asOption)
    .addHelpText('after', '\nExample:\n  doorward revoke list --json')
    .action(({ as }: { readonly as?: string }) => administer(context, as, ({ client }) => list(context, client)))
}

interface Administration {
  readonly client: AdminClient
  readonly identity: Identity
}

async function administer(
  context: CliContext,
  as: string | undefined,
  work: (administration: Administration) => Promise<void>,
): Promise<void> {
  const deployment = await context.deployment()
  await asIdentity(context, as, (identity) => work({ client: authorityAdmin(identity, deployment), identity }))
}

async function deny(context: CliContext, options: RevokeOptions, subject: RevocationSubject): Promise<void> {
  await administer(context, options.as, async ({ client, identity }) => {
    const revocation = await client.revoke(subject, options.reason).catch((error: unknown) => {
      throw explained(error)
    })
    const receivers = await heard(context, { client, identity }, revocation, options.wait)
    if (context.json) context.out(JSON.stringify(jsonOf(revocation, receivers)))
    else tell(context, revocation, receivers)
    if (receivers.stragglers.length > 0) context.fail()
  })
}

const RETURN_MILLISECONDS = 10_000
const PAUSE_MILLISECONDS = 250

/** A denial may end our own connection and certificate: then we come back first, as everybody does. */
async function heard(
  context: CliContext,
  { client, identity }: Administration,
  { mark }: Revocation,
  wait: number,
): Promise<RevocationReceivers> {
  const until = performance.now() + RETURN_MILLISECONDS
  for (let returned = false; ; returned = true) {
    try {
      if (returned) await identity.prepare(context.signal)
      return await client.receivers(mark, wait)
    } catch (error) {
      if (!isDoorwardError(error) || context.signal.aborted || performance.now() > until) throw unconfirmed(error)
      await sleep(PAUSE_MILLISECONDS)
    }
  }
}

function unconfirmed(cause: unknown): CheckFailed {
  return new CheckFailed('revocation_unconfirmed', 'it is denied, but who has heard of it is not known', {
    got: cause instanceof Error ? cause.message : String(cause),
    next: 'look at doorward authority status',
    cause,
  })
}

function jsonOf({ revocations, locked, mark }: Revocation, { acknowledged, stragglers }: RevocationReceivers): object {
  return { revocations: revocations.map(rowJson), locked, trust_state: mark, acknowledged, stragglers }
}

function rowJson({ kind, value, issuedBefore, deniedAt, lapsesAt, reason }: RevocationRow): object {
  const moment = issuedBefore === null ? { denied_at: deniedAt } : { issued_before: issuedBefore }
  return { kind, value, ...moment, lapses_at: lapsesAt, reason }
}

function tell(
  context: CliContext,
  { revocations, locked }: Revocation,
  { acknowledged, stragglers }: RevocationReceivers,
): void {
  const paint = painter(context.color)
  for (const { kind, value } of revocations) context.out(`${paint('green', '✓')} denied ${kind} ${value}`)
  for (const instance of locked) context.out(`${paint('green', '✓')} locked instance ${instance}`)
  context.out(paint('dim', `  acknowledged by ${acknowledged.length === 0 ? 'nobody' : acknowledged.join(', ')}`))
  for (const id of stragglers) context.err(`${paint('yellow', '!')} not acknowledged by ${id}`)
  if (stragglers.length > 0)
    context.err(paint('dim', '  who does not hear of it stops by itself when its trust state is too old'))
}

async function list(context: CliContext, client: AdminClient): Promise<void> {
  const revocations = await client.revocations()
  if (context.json) return context.out(JSON.stringify({ revocations: revocations.map(rowJson) }))
  const rows = revocations.map(({ kind, value, issuedBefore, deniedAt, lapsesAt, reason }) => [
    kind,
    value,
    issuedBefore === null ? timeText(deniedAt ?? 0) : `before ${timeText(issuedBefore)}`,
    timeText(lapsesAt),
    reason,
  ])
  context.out(table(['KIND', 'WHAT', 'DENIED', 'UNTIL', 'REASON'], rows, context.color))
}

function timeText(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000', '')
}

/** As programs print it: perhaps in capitals, with colons or a sign octet. */
function readSerial(text: string): string {
  const digits = text.toLowerCase().replaceAll(':', '').replace(/^0x/, '')
  if (!/^[0-9a-f]{1,42}$/.test(digits))
    throw new DoorwardError('serial_invalid', 'this is no serial number', {
      expected: 'hex, as openssl x509 -serial or doorward workload show print it',
    })
  const even = digits.length % 2 === 0 ? digits : `0${digits}`
  return even.replace(/^(?:00)+(?=..)/, '')
}

/** What was given is not repeated: it may be a token. */
function readTokenId(text: string): string {
  if (/^[A-Za-z0-9_-]{22}$/.test(text)) return text
  const isToken = text.split('.').length === 3
  throw new DoorwardError('token_id_invalid', 'this is not the id of a token', {
    expected: 'its jti: 22 characters of base64url, as the record names it',
    ...(isToken ? { got: 'a token, which others on this machine may have seen now' } : {}),
  })
}

function readUser(text: string): string {
  if (readUserName(text) !== null) return text
  throw new DoorwardError('user_invalid', 'this is not the name of a person', {
    expected: '<issuer>#<subject>, as the record names them: https://login.acme.example#alice',
  })
}

function readWait(text: string): number {
  const seconds = /^\d{1,2}$/.test(text) ? Number(text) : MAX_WAIT + 1
  if (seconds > MAX_WAIT) throw new InvalidArgumentError(`expected whole seconds, at most ${MAX_WAIT}`)
  return seconds
}

const ISO_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2})$/

function readTime(text: string): number {
  if (/^\d{9,11}$/.test(text)) return Number(text)
  const time = ISO_TIME.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time)) throw new InvalidArgumentError('expected 2026-11-20T08:00:00Z, or seconds since 1970')
  return Math.floor(time / 1000)
}

const explanations: Readonly<Record<string, readonly [code: string, message: string, next: string]>> = {
  serial_unknown: [
    'serial_unknown',
    'no certificate with this serial was issued here',
    'look at doorward workload show ID; a forged one is denied with --unseen',
  ],
  workload_unknown: [
    'workload_unknown',
    'no such workload is registered',
    'look at doorward workload list; what was removed is denied already',
  ],
  instance_unknown: ['instance_unknown', 'there is no such instance', 'look at doorward workload show ID'],
  key_unknown: [
    'key_unknown',
    'no anchor and no token key has this id',
    'look at doorward authority status; a stolen key for trust state is replaced by doorward authority recover',
  ],
  self: [
    'revokes_itself',
    'this identity cannot deny itself: it could not come back',
    'call as another operator, with --as',
  ],
  authority: [
    'authority_by_key',
    'an authority is denied by its key',
    'doorward revoke authority KEY-ID, as doorward authority status tells it',
  ],
  ended: ['revocation_ended', 'it has ended by itself, and so has every renewal of it', 'there is nothing to do'],
}

function explained(error: unknown): unknown {
  const reason = error instanceof ServerRefused ? error.details?.['reason'] : undefined
  const [code, message, next] = explanations[typeof reason === 'string' ? reason : ''] ?? []
  return code === undefined || message === undefined
    ? error
    : new CheckFailed(code, message, next === undefined ? {} : { next })
}
