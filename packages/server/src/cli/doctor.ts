/** `doorward doctor`: what is wrong on this machine and in the deployment, and what to do about it. */

import type { Command } from 'commander'
import { isDoorwardError } from '@doorward/core'
import { AdminClient } from '@doorward/sdk'
import type { Patient } from '../apps/doctor/doctor.ts'
import type { Finding, Verdict } from '../apps/doctor/finding.ts'
import { ConfigurationError } from '../config/problem.ts'
import { secretFrom } from '../config/secret-input.ts'
import { gatewayAdminAudience } from '../config/settings.ts'
import type { Deployment } from '../config/settings.ts'
import { authorityAdmin } from './administration.ts'
import type { CliContext } from './context.ts'
import { CheckFailed } from './failure.ts'
import { asIdentity, asOption, readyIdentity } from './identity-option.ts'
import { painter, printable } from './output.ts'
import type { Paint } from './output.ts'

interface DoctorOptions {
  readonly as?: string
  readonly offline?: boolean
  readonly token?: string
  readonly all?: boolean
}

const EXAMPLES = `
Exit code 1 when something fails or cannot be looked at; warnings alone are 0.

Examples:
  doorward doctor
  doorward doctor --offline --json
  doorward doctor --token refused.token
  doorward doctor --token - < refused.token`

export function register(program: Command, context: CliContext): void {
  program
    .command('doctor')
    .description('find what is wrong on this machine and in the deployment; changes nothing')
    .option(...asOption)
    .option('--offline', 'look at this machine alone, ask nobody', false)
    .option('--token <file>', 'tell why this token is refused; - for standard input')
    .option('--all', 'show what is fine as well', false)
    .addHelpText('after', EXAMPLES)
    .action((options: DoctorOptions) =>
      options.token === undefined ? examined(context, options) : explained(context, options.token, options),
    )
}

async function examined(context: CliContext, options: DoctorOptions): Promise<void> {
  const all: Finding[] = []
  const tell = teller(context, options.all === true)
  for await (const { title, findings } of examination(context, options)) {
    all.push(...findings)
    tell(title, findings)
  }
  conclude(context, all)
}

async function* examination(context: CliContext, options: DoctorOptions) {
  const { examine, looksOf } = await import('../apps/doctor/doctor.ts')
  const deployment = await deploymentOrFindings(context)
  if (Array.isArray(deployment)) yield { title: 'configuration', findings: deployment as readonly Finding[] }
  else yield* examine(looksOf(await patientOf(context, deployment as Deployment, options)))
}

/** A configuration that is refused is a finding, and there is nothing to look at beyond. */
async function deploymentOrFindings(context: CliContext): Promise<Deployment | readonly Finding[]> {
  try {
    return await context.deployment()
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error
    const { mistakes } = await import('../apps/doctor/configuration.ts')
    return mistakes(error)
  }
}

async function patientOf(
  context: CliContext,
  deployment: Deployment,
  { as, offline = false }: DoctorOptions,
): Promise<Patient> {
  const { localIdentities } = await import('../apps/local-identities.ts')
  const identities = await localIdentities({ deployment, environment: context.environment })
  const online = {
    open: (onProblem: (error: unknown) => void) => readyIdentity(context, as, onProblem),
    authorityStatus: async (identity: Parameters<typeof authorityAdmin>[0]) =>
      authorityAdmin(identity, deployment).status(),
    gatewayStatus: async (identity: Parameters<typeof authorityAdmin>[0]) =>
      gatewayAdmin(identity, deployment).status(),
  }
  return { deployment, folder: await folderOf(context), identities, online: offline ? null : online }
}

function gatewayAdmin(identity: Parameters<typeof authorityAdmin>[0], deployment: Deployment): AdminClient {
  const { adminUrl: url, id: expectedId } = deployment.gateway
  return new AdminClient(identity, { url, audience: gatewayAdminAudience(deployment), expectedId })
}

/** Null where nothing has been started yet. */
async function folderOf(context: CliContext): Promise<Patient['folder']> {
  try {
    return await context.deploymentFolder({ make: false })
  } catch (error) {
    if (isDoorwardError(error, 'state_missing')) return null
    throw error
  }
}

async function explained(context: CliContext, file: string, { as, all = false }: DoctorOptions): Promise<void> {
  const { stdin, signal } = context
  const token = await secretFrom({
    file: file === '-' ? undefined : file,
    stdin,
    signal,
    ask: (text) => context.err(text),
  })
  const deployment = await context.deployment()
  const { tokenFindings } = await import('../apps/doctor/token.ts')
  const findings = await asIdentity(context, as, (identity) => tokenFindings({ token, deployment, identity }))
  teller(context, all || findings.every(({ verdict }) => verdict === 'fine'))('token', findings)
  conclude(context, findings)
}

const marks: Readonly<Record<Verdict, readonly [Paint, string]>> = {
  fine: ['green', '✓'],
  warning: ['yellow', '!'],
  failure: ['red', '✗'],
  unknown: ['yellow', '?'],
}

/** For people, one look after the other as they are made. */
function teller(context: CliContext, all: boolean): (title: string, findings: readonly Finding[]) => void {
  if (context.json) return () => undefined
  const paint = painter(context.color)
  return (title, findings) => {
    const told = all ? findings : findings.filter(({ verdict }) => verdict !== 'fine')
    const good = findings.length - told.length
    const [color, mark] = marks[worst(findings)]
    context.out(`${paint(color, mark)} ${paint('bold', title)}${good > 0 ? `  ${good} fine` : ''}`)
    for (const finding of told) for (const line of linesOf(finding, paint)) context.out(line)
  }
}

function linesOf(
  { verdict, check, where, message, expected, got, next }: Finding,
  paint: (paint: Paint, text: string) => string,
) {
  const [color, mark] = marks[verdict]
  const lines = [`    ${paint(color, mark)} ${check}: ${printable(message)}`]
  for (const [name, text] of Object.entries({ at: where, expected, got, next }))
    if (text !== undefined) lines.push(`        ${paint('dim', `${name}:`)} ${printable(text)}`)
  return lines
}

const order: readonly Verdict[] = ['failure', 'unknown', 'warning', 'fine']

function worst(findings: readonly Finding[]): Verdict {
  return order.find((one) => findings.some(({ verdict }) => verdict === one)) ?? 'fine'
}

function conclude(context: CliContext, findings: readonly Finding[]): void {
  const count = (verdict: Verdict) => findings.filter((one) => one.verdict === verdict).length
  const counts = {
    fine: count('fine'),
    warnings: count('warning'),
    failures: count('failure'),
    unknown: count('unknown'),
  }
  const failed = counts.failures + counts.unknown > 0
  const summary = `${counts.fine} fine, ${counts.warnings} warnings, ${counts.failures} failures, ${counts.unknown} not looked at`
  if (context.json) {
    context.out(JSON.stringify({ ok: !failed, ...counts, findings }))
    if (failed) context.fail()
    return
  }
  context.out(`\n${summary}`)
  if (!failed) return
  throw new CheckFailed('doctor_found', 'something is wrong, or could not be looked at', {
    next: 'do what each of them says, and run this again',
  })
}
