/** `doorward workload show`: one workload with everything that stands on it. */

import type { Command } from 'commander'
import type { WorkloadDetail } from '@doorward/sdk'
import type { CliContext } from '../context.ts'
import { asOption } from '../identity-option.ts'
import { painter, printable, table } from '../output.ts'
import { valueText } from './change-view.ts'
import { workloadJson } from './list.ts'
import { idArgument, idOf } from './naming.ts'
import { administerWorkloads } from './refusal.ts'

export function registerShow(workload: Command, context: CliContext): void {
  workload
    .command('show')
    .description('show a workload: its registration, instances, live certificates and unused join tokens')
    .argument(...idArgument)
    .option(...asOption)
    .addHelpText('after', '\nExample:\n  doorward workload show agent/planner')
    .action((name: string, { as }: { readonly as?: string }) =>
      administerWorkloads(context, as, async (client) => {
        const detail = await client.workload((await idOf(context, name)).uri)
        if (context.json) context.out(JSON.stringify(detailJson(detail)))
        else for (const line of detailLines(detail, context.color)) context.out(line)
      }),
    )
}

function detailJson(detail: WorkloadDetail): object {
  return {
    ...workloadJson(detail),
    instances: detail.instances.map(({ attestedBy, boundAt, seenAt, ...rest }) => ({
      ...rest,
      attested_by: attestedBy,
      bound_at: boundAt,
      seen_at: seenAt,
    })),
    certificates: detail.certificates.map(({ notAfter, ...rest }) => ({ ...rest, not_after: notAfter })),
    join_tokens: detail.joinTokens.map(({ createdAt, expiresAt }) => ({
      created_at: createdAt,
      expires_at: expiresAt,
    })),
  }
}

function detailLines(detail: WorkloadDetail, color: boolean): readonly string[] {
  const { document, instances, certificates, joinTokens, counts } = detail
  const { id, ...members } = document
  const paint = painter(color)
  const section = (title: string, shown: number, all: number) =>
    paint('bold', `\n${title}: ${all}${shown < all ? `, the newest ${shown}` : ''}`)
  return [
    paint('bold', id),
    ...Object.entries(members).map(([name, value]) => `  ${name}: ${printable(valueText(value))}`),
    `  registered ${time(detail.createdAt)}, changed ${time(detail.updatedAt)}, revision ${detail.revision}`,
    section('instances', instances.length, counts.instances),
    ...rows(
      ['INSTANCE', 'JOINED BY', 'BOUND', 'SEEN', 'STATES', 'LOCKED'],
      instances.map(({ instance, attestedBy, boundAt, seenAt, sequence, locked }) => [
        instance,
        attestedBy,
        time(boundAt),
        time(seenAt),
        String(sequence),
        locked === null ? '–' : `${time(locked.at)}: ${printable(locked.reason)}`,
      ]),
      color,
    ),
    section('live certificates', certificates.length, counts.certificates),
    ...rows(
      ['SERIAL', 'UNTIL', 'INSTANCE', 'ANCHOR', 'FINGERPRINT'],
      certificates.map(({ serial, notAfter, instance, anchor, fingerprint }) => [
        serial,
        time(notAfter),
        instance ?? '–',
        anchor,
        fingerprint,
      ]),
      color,
    ),
    section('unused join strings', joinTokens.length, counts.joinTokens),
    ...rows(
      ['MADE', 'UNTIL'],
      joinTokens.map(({ createdAt, expiresAt }) => [time(createdAt), time(expiresAt)]),
      color,
    ),
  ]
}

function rows(head: readonly string[], cells: readonly (readonly string[])[], color: boolean): readonly string[] {
  return cells.length === 0 ? [] : [table(head, cells, color)]
}

function time(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z')
}
