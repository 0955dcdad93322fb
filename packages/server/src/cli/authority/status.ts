/** `doorward authority status`: authorities, keys, followers, ceremonies and alarms at one look. */

import type { Command } from 'commander'
import { isJsonObject } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { listIn, numberIn, objectIn, textIn, textsIn } from '../../apps/answer-members.ts'
import { relativeTime } from '../../apps/relative-time.ts'
import { asOption } from '../identity-option.ts'
import type { CliContext } from '../context.ts'
import { painter, printable, table } from '../output.ts'
import type { Paint } from '../output.ts'
import { operating } from './standing.ts'

export function registerStatus(authority: Command, context: CliContext): void {
  authority
    .command('status')
    .description('show authorities, key slots, followers, the newest ceremony and alarms')
    .option(...asOption)
    .addHelpText('after', '\nExamples:\n  doorward authority status\n  doorward authority status --json')
    .action(({ as }: { readonly as?: string }) => status(context, as))
}

async function status(context: CliContext, as: string | undefined): Promise<void> {
  await operating(context, as, async ({ admin }) => {
    const value = await admin.status()
    if (context.json) context.out(JSON.stringify(value))
    else for (const part of shown(value, context.color)) context.out(part)
  })
}

/** Sections, each with its title. */
export function shown(value: JsonObject, color: boolean, now = Date.now()): readonly string[] {
  const paint = painter(color)
  const sections = [
    head(value, paint, now),
    section('Authorities', authorityRows(value, paint, now), color),
    section('Keys', slotRows(value, paint, now), color),
    followers(value, paint),
    section('Revocation lists', crlRows(value, now), color),
    ceremony(value, paint, now),
    section('Alarms', alarmRows(value, now), color),
  ]
  return sections.filter((text) => text !== '').flatMap((text, index) => (index === 0 ? [text] : ['', text]))
}

type Painter = (paint: Paint, text: string) => string

function head(value: JsonObject, paint: Painter, now: number): string {
  const state = objectIn(value, 'trust_state')
  const delegation = objectIn(value, 'delegation')
  const root = objectIn(value, 'recovery_root')
  const ahead = numberIn(value, 'store_ahead_milliseconds')
  const lines = [
    `${paint('bold', textIn(value, 'trust_domain'))}, as authority ${textIn(value, 'self')} sees it`,
    `trust state   ${numberIn(state, 'delegation')}.${numberIn(state, 'sequence')} in full, ${numberIn(state, 'callers_sequence')} for callers, epoch ${numberIn(state, 'epoch')}`,
    `delegation    ${numberIn(delegation, 'version')}, ends ${from(numberIn(delegation, 'expires_at') * 1000, now)}`,
    `workloads     ${numberIn(value, 'workloads')}, with ${numberIn(value, 'certificates')} live certificates`,
    `clock         ${Math.abs(ahead) < 1000 ? 'agrees with the store' : paint('yellow', `${Math.round(ahead / 1000)} s behind the store`)}`,
    `recovery root ${root['at_hand'] === true ? paint('yellow', 'is still on the machine: move it to a safe place') : 'is not on the machine'}`,
  ]
  return lines.join('\n')
}

function authorityRows(value: JsonObject, paint: Painter, now: number): Rows {
  const rows = listIn(value, 'authorities').map((one) => {
    const place = objectIn(one, 'place')
    const runs = one['live'] === true ? paint('green', 'runs') : paint('red', 'does not run')
    return [
      textIn(one, 'name'),
      runs,
      one['delegated'] === true ? 'named by the root' : paint('yellow', 'not named by the root'),
      textIn(place, 'main') || '–',
      `fence ${numberIn(one, 'fence')}`,
      `seen ${from(numberIn(one, 'seen_at'), now)}`,
    ]
  })
  return { head: ['NAME', '', '', 'ADDRESS', '', ''], rows }
}

const stateColour: Readonly<Record<string, Paint>> = { active: 'green', retired: 'dim', published: 'cyan' }

function slotRows(value: JsonObject, paint: Painter, now: number): Rows {
  const rows = listIn(value, 'slots').map((slot) => {
    const state = textIn(slot, 'state')
    const next = objectIn(slot, 'next')
    const planned = textIn(next, 'step')
    const dead = slot['dead'] === true
    return [
      textIn(slot, 'authority'),
      textIn(slot, 'purpose'),
      textIn(slot, 'key_id').slice(0, 16),
      dead ? paint('red', `${state}, refused`) : paint(stateColour[state] ?? 'bold', state),
      `epoch ${numberIn(slot, 'epoch')}`,
      `ends ${from(numberIn(slot, 'not_after') * 1000, now)}`,
      planned === '' ? '' : `${planned} ${from(numberIn(next, 'at') * 1000, now)}`,
    ]
  })
  return { head: ['AUTHORITY', 'PURPOSE', 'KEY', 'STATE', '', '', 'NEXT'], rows }
}

function followers(value: JsonObject, paint: Painter): string {
  const straggling = numberIn(value, 'straggling')
  const count = numberIn(value, 'followers')
  const lines = [`${paint('bold', 'Followers')}\n${count} follow, ${Math.max(0, count - straggling)} are up to date`]
  const names = textsIn(value, 'stragglers')
  for (const name of names.slice(0, 10)) lines.push(paint('yellow', `  behind: ${printable(name)}`))
  if (straggling > 10) lines.push(paint('yellow', `  and ${straggling - 10} more`))
  return lines.join('\n')
}

function crlRows(value: JsonObject, now: number): Rows {
  const rows = listIn(value, 'crls').map((crl) => [
    textIn(crl, 'key_id').slice(0, 16),
    `number ${numberIn(crl, 'number')}`,
    `signed ${from(numberIn(crl, 'this_update') * 1000, now)}`,
    `ends ${from(numberIn(crl, 'next_update') * 1000, now)}`,
  ])
  return { head: ['ANCHOR', '', '', ''], rows }
}

function ceremony(value: JsonObject, paint: Painter, now: number): string {
  const newest = value['ceremony']
  if (!isJsonObject(newest)) return ''
  const stage = textIn(newest, 'stage')
  const colour: Paint = stage === 'done' ? 'green' : stage === 'failed' ? 'red' : 'yellow'
  const stages = listIn(newest, 'stages')
  const note = textIn(stages.at(-1) ?? {}, 'note')
  return [
    paint('bold', 'Newest ceremony'),
    `${textIn(newest, 'kind')} ${textIn(newest, 'id')}: ${paint(colour, stage)}, begun ${from(numberIn(newest, 'started_at'), now)}`,
    `  ${printable(textIn(newest, 'reason'))}, by ${printable(textIn(newest, 'by'))}${note === '' ? '' : `; ${printable(note)}`}`,
  ].join('\n')
}

function alarmRows(value: JsonObject, now: number): Rows {
  const rows = listIn(value, 'alarms').map((alarm) => [
    from(numberIn(alarm, 'last_at'), now),
    textIn(alarm, 'detector'),
    `× ${numberIn(alarm, 'count')}`,
    printable(textIn(alarm, 'subject')),
    printable(textIn(alarm, 'detail')),
  ])
  return { head: ['LAST', 'ALARM', '', 'ABOUT', ''], rows }
}

interface Rows {
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

function section(title: string, { head: columns, rows }: Rows, color: boolean): string {
  if (rows.length === 0) return ''
  return `${painter(color)('bold', title)}\n${table(columns, rows, color)}`
}

function from(milliseconds: number, now: number): string {
  return relativeTime((milliseconds - now) / 1000)
}
