/** `doorward workload`: who may have an identity, and with which roles. */

import { open, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import type { Command } from 'commander'
import { DoorwardError, parseSpiffeId, workloadId } from '@doorward/core'
import type { SpiffeId } from '@doorward/core'
import type { AdminClient, JoinInvitation } from '@doorward/sdk'
import type { CliContext } from './context.ts'
import { CheckFailed } from './failure.ts'
import { administer } from './administration.ts'
import { asOption } from './identity-option.ts'
import { painter, table } from './output.ts'

interface AddOptions {
  readonly as?: string
  readonly role: readonly string[]
  readonly out?: string
}

export function register(program: Command, context: CliContext): void {
  const workload = program
    .command('workload')
    .description('register, list and remove workloads')
    .addHelpText('after', '\nExamples:\n  doorward workload add agent/planner --role reader\n  doorward workload list')
  workload
    .command('add')
    .description('register a workload and print a join string for it: one use, ten minutes')
    .argument('<id>', 'agent/planner, or a full SPIFFE ID')
    .option('--role <name...>', 'roles that it has', [])
    .option('--out <file>', 'write the join string to this file (mode 0600) instead of standard output')
    .option(...asOption)
    .addHelpText(
      'after',
      '\nExamples:\n  doorward workload add agent/planner --role reader --out planner.join\n  doorward workload add agent/planner | doorward join',
    )
    .action((name: string, options: AddOptions) =>
      administer(context, options.as, (client) => add(context, client, name, options)),
    )
  workload
    .command('list')
    .description('show the registered workloads')
    .option(...asOption)
    .addHelpText('after', '\nExample:\n  doorward workload list --json')
    .action((options: { readonly as?: string }) => administer(context, options.as, (client) => list(context, client)))
  workload
    .command('remove')
    .description('remove a workload: its certificates and tokens are refused from now on')
    .argument('<id>', 'agent/planner, or a full SPIFFE ID')
    .option(...asOption)
    .addHelpText('after', '\nExample:\n  doorward workload remove agent/planner')
    .action((name: string, options: { readonly as?: string }) =>
      administer(context, options.as, (client) => remove(context, client, name)),
    )
}

async function idOf(context: CliContext, name: string): Promise<SpiffeId> {
  const { trustDomain } = await context.deployment()
  return name.startsWith('spiffe://') ? parseSpiffeId(name) : workloadId(trustDomain, ...name.split('/'))
}

async function add(context: CliContext, client: AdminClient, name: string, options: AddOptions): Promise<void> {
  const id = await idOf(context, name)
  await warnOfUnknownRoles(context, options.role)
  const { joinString, expiresAt } = await invited(client, id.uri, options)
  const shown = options.out === undefined ? joinString.reveal() : null
  if (context.json) {
    context.out(
      JSON.stringify({
        id: id.uri,
        roles: options.role,
        join_string: shown,
        file: options.out ?? null,
        expires_at: expiresAt,
      }),
    )
    return
  }
  const paint = painter(context.color)
  context.err(
    `${paint('green', '✓')} registered ${id.uri}${options.role.length === 0 ? ', without a role' : ` as ${options.role.join(', ')}`}`,
  )
  context.err(
    paint(
      'dim',
      `  join string${options.out === undefined ? '' : ` in ${options.out}`}: works once, until ${new Date(expiresAt * 1000).toISOString()}`,
    ),
  )
  if (shown !== null) context.out(shown)
}

async function enter(client: AdminClient, id: string, roles: readonly string[]): Promise<void> {
  try {
    await client.addWorkload(id, roles)
  } catch (error) {
    const { ServerRefused } = await import('@doorward/sdk')
    if (!(error instanceof ServerRefused) || error.code !== 'conflict') throw error
    const registered = await client.listWorkloads()
    if (!registered.some((one) => one.id === id)) throw error
    throw new CheckFailed('workload_exists', 'the workload is registered already', {
      where: id,
      next: 'to invite it anew, remove it and add it again: what it holds now is refused from then on',
    })
  }
}

/** A role that the configuration does not define grants nothing. */
async function warnOfUnknownRoles(context: CliContext, roles: readonly string[]): Promise<void> {
  const { configuration } = await context.deployment()
  const known = new Set([
    'gateway',
    ...configuration.security.rbac.policies.map(({ role }) => role),
    ...Object.keys(configuration.roles),
  ])
  for (const role of roles) {
    if (!known.has(role)) context.err(`warning: the configuration defines no role ${role}; it grants nothing`)
  }
}

/** The file first: a join string that cannot be kept would be lost, with the workload registered. */
async function newFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', 0o600)
  } catch (error) {
    throw new DoorwardError('file_not_written', 'the join string cannot be written', {
      where: path,
      got: error instanceof Error ? error.message : String(error),
      next: 'name a file that is not there yet; nothing has been registered',
    })
  }
}

/** Registers, invites and keeps the join string where it is wanted. An error leaves no file. */
async function invited(client: AdminClient, id: string, { role, out }: AddOptions): Promise<JoinInvitation> {
  const file = out === undefined ? null : await newFile(out)
  try {
    await enter(client, id, role)
    const invitation = await client.invite(id)
    await file?.writeFile(`${invitation.joinString.reveal()}\n`)
    return invitation
  } catch (error) {
    if (out !== undefined) await rm(out, { force: true })
    throw error
  } finally {
    await file?.close()
  }
}

async function list(context: CliContext, client: AdminClient): Promise<void> {
  const workloads = await client.listWorkloads()
  if (context.json) context.out(JSON.stringify({ workloads: workloads.map(({ details }) => details) }))
  else
    context.out(
      table(
        ['ID', 'ROLES'],
        workloads.map(({ id, roles }) => [id, roles.join(', ') || '–']),
        context.color,
      ),
    )
}

async function remove(context: CliContext, client: AdminClient, name: string): Promise<void> {
  const id = await idOf(context, name)
  await client.removeWorkload(id.uri)
  if (context.json) context.out(JSON.stringify({ removed: id.uri }))
  else
    context.out(
      `${painter(context.color)('green', '✓')} removed ${id.uri}: its certificates and tokens are refused from now on`,
    )
}
