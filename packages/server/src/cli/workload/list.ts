/** `doorward workload list`: the registered workloads, or those that are searched for. */

import type { Command } from 'commander'
import { DoorwardError } from '@doorward/core'
import type { TrustDomain } from '@doorward/core'
import type { Workload, WorkloadQuery } from '@doorward/sdk'
import type { CliContext } from '../context.ts'
import { asOption } from '../identity-option.ts'
import { printable, table } from '../output.ts'
import { idOf, shortId } from './naming.ts'
import { administerWorkloads } from './refusal.ts'

interface ListOptions {
  readonly as?: string
  readonly role?: string
  readonly under?: string
  readonly attest?: string
}

const kinds = ['join_token', 'bound_key', 'x509_pop', 'oidc'] as const

export function registerList(workload: Command, context: CliContext): void {
  workload
    .command('list')
    .alias('search')
    .description('show the registered workloads, or those with a role, below a path, or with a way to join')
    .option('--role <name>', 'those that have this role')
    .option('--under <path>', 'those below this path, by whole segments: agent/')
    .option('--attest <way>', `those that may prove who they are this way: ${kinds.join(', ')}`)
    .option(...asOption)
    .addHelpText(
      'after',
      '\nExamples:\n  doorward workload list --json\n  doorward workload search --under agent/ --role reader',
    )
    .action((options: ListOptions) => list(context, options))
}

async function list(context: CliContext, options: ListOptions): Promise<void> {
  const query = await queryOf(context, options)
  const { trustDomain } = await context.deployment()
  await administerWorkloads(context, options.as, async (client) => {
    const workloads = await client.listWorkloads(query)
    if (context.json) context.out(JSON.stringify({ workloads: workloads.map(workloadJson) }))
    else {
      const head = ['ID', 'ROLES', 'TTL', 'JOINS BY', 'NAMES']
      context.out(
        table(
          head,
          workloads.map((one) => row(one, trustDomain)),
          context.color,
        ),
      )
    }
  })
}

async function queryOf(context: CliContext, { role, under, attest }: ListOptions): Promise<WorkloadQuery> {
  const attestation = kinds.find((kind) => kind === attest)
  if (attest !== undefined && attestation === undefined)
    throw new DoorwardError('usage', 'that is no way to join', { expected: kinds.join(', '), got: attest })
  return {
    ...(role === undefined ? {} : { role }),
    ...(under === undefined ? {} : { under: (await idOf(context, under.replace(/\/+$/, ''))).uri }),
    ...(attestation === undefined ? {} : { attestation }),
  }
}

/** As the API words it. */
export function workloadJson({ document, revision, createdAt, updatedAt }: Workload): object {
  return { ...document, created_at: createdAt, updated_at: updatedAt, revision }
}

function row({ document }: Workload, trustDomain: TrustDomain): readonly string[] {
  const { id, roles, ttl_seconds, attest, dns_names, ip_addresses } = document
  const ways = [...new Set(attest.map((entry) => Object.keys(entry)[0] ?? ''))]
  const names = [...dns_names, ...ip_addresses]
  const cells = [shortId(id, trustDomain), orDash(roles), timeText(ttl_seconds), orDash(ways), orDash(names)]
  return cells.map(printable)
}

function orDash(texts: readonly string[]): string {
  return texts.join(', ') || '–'
}

/** `1h`, `90m`, `301s`. */
export function timeText(seconds: number): string {
  if (seconds % 3600 === 0) return `${seconds / 3600}h`
  return seconds % 60 === 0 ? `${seconds / 60}m` : `${seconds}s`
}
