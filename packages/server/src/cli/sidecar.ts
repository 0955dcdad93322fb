/** `doorward sidecar`: an identity beside one program in any language, both directions. */

import type { Command } from 'commander'
import { DoorwardError, isDoorwardError } from '@doorward/core'
import type { SidecarEvent } from '../apps/sidecar/events.ts'
import type { SidecarStatus, Way } from '../apps/sidecar/sidecar-numbers.ts'
import type { CliContext } from './context.ts'
import { CheckFailed } from './failure.ts'
import { painter, printable } from './output.ts'

export function register(program: Command, context: CliContext): void {
  const sidecar = program
    .command('sidecar')
    .description('an identity beside one program in any language: calls in and out are mutual TLS, judged and recorded')
    .addHelpText('after', '\nExample:\n  doorward sidecar run --config /etc/orders/sidecar.yaml')
  sidecar
    .command('run')
    .description('let calls in to the program and out of it, as --config says; SIGTERM ends it')
    .addHelpText(
      'after',
      `
The configuration is not doorward.yaml: its keys are identity, record, inbound and outbound (docs/sidecar.md).

Example:
  doorward sidecar run --config /etc/orders/sidecar.yaml --json`,
    )
    .action(() => run(context))
  sidecar
    .command('status')
    .description('show how the sidecar of --config is: identity, trust, listeners, calls and refusals')
    .addHelpText('after', '\nExample:\n  doorward sidecar status --config /etc/orders/sidecar.yaml --json')
    .action(() => status(context))
}

async function status(context: CliContext): Promise<void> {
  const { loadSidecar } = await import('../config/sidecar-file.ts')
  const { askStatus } = await import('../apps/sidecar/ask-status.ts')
  const { socket, file } = await loadSidecar(context.configurationFile)
  if (socket === null)
    throw new DoorwardError('sidecar_unreachable', 'this sidecar says nowhere how it is', {
      where: file,
      expected: 'the key socket',
    })
  const answer = await askStatus(socket).catch((error: unknown) => {
    if (!isDoorwardError(error, 'sidecar_unreachable')) throw error
    // Whoever watches it asks for its state: that it gives no answer is one.
    const { code, message, where = socket, got = '', next = '' } = error
    throw new CheckFailed(code, message, { where, got, next })
  })
  if (context.json) context.out(JSON.stringify(answer))
  else for (const line of statusLines(answer)) context.out(printable(line))
  if (!answer.ready) context.fail()
}

function statusLines(answer: SidecarStatus): readonly string[] {
  const { id, ready, certificate_seconds: left, trust_age_seconds: age, record, inbound, outbound, refusals } = answer
  const way = ({ calls, under_way: open }: Way) => `${calls} calls, ${open} under way`
  return [
    `${id}, ${ready ? 'serves' : 'does not serve'}`,
    `certificate  ends in ${left} s`,
    `trust state  ${age === null ? 'not confirmed yet' : `confirmed ${age} s ago`}`,
    `record       ${record.origin}, ${record.state}, ${record.entries} entries`,
    ...(inbound === null ? [] : [`in           ${inbound.at}: ${way(inbound)}`]),
    ...outbound.map((one) => `out          ${one.at} to ${one.to}: ${way(one)}`),
    ...refusals.map(({ direction, code, count }) => `refused      ${direction}: ${count} ${code}`),
  ]
}

async function run(context: CliContext): Promise<void> {
  const { loadSidecar } = await import('../config/sidecar-file.ts')
  const { runSidecar } = await import('../apps/sidecar/sidecar.ts')
  const { problemNotice } = await import('../apps/bridge.ts')
  const notice = problemNotice(
    (text) => context.err(`warning: ${printable(text)}`),
    () => performance.now(),
  )
  await runSidecar({
    settings: await loadSidecar(context.configurationFile),
    environment: context.environment,
    report: (event) => (context.json ? context.out(JSON.stringify(documentOf(event))) : tell(event, context, notice)),
    signal: context.signal,
  })
}

function documentOf(event: SidecarEvent): object {
  if (event.type !== 'problem') {
    const { type, ...rest } = event
    return { event: type, ...rest }
  }
  const { error } = event
  const code = isDoorwardError(error) ? error.code : 'internal'
  return { event: 'problem', code, message: error instanceof Error ? error.message : String(error) }
}

function tell(event: SidecarEvent, context: CliContext, notice: (error: unknown) => void): void {
  const paint = painter(context.color)
  switch (event.type) {
    case 'ready': {
      const { id, record, inbound, outbound } = event
      context.out(`${paint('green', '\u2713')} ${id}, on record as ${record}`)
      if (inbound !== null) context.out(`  in   ${inbound.host}:${inbound.port}`)
      for (const { at, to, id: peer } of outbound) context.out(`  out  ${printable(at)} to ${to}, ${peer}`)
      break
    }
    case 'refused': {
      const { code, reason, caller, to, count } = event
      const times = count > 1 ? `, ${count} times` : ''
      context.err(paint('red', `refused ${printable(caller)} to ${to}: ${code}, ${printable(reason)}${times}`))
      break
    }
    case 'identity_given':
      context.out(`${event.method} to ${programOf(event)}`)
      break
    case 'identity_refused':
      context.err(paint('red', `refused ${event.method} to ${programOf(event)}: ${printable(event.reason)}`))
      break
    case 'warning':
      context.err(paint('yellow', `warning: ${printable(event.text)}`))
      break
    case 'problem':
      notice(event.error)
  }
}

function programOf({ pid, uid, program }: { pid: number; uid: number; program: string | null }): string {
  return `${printable(program ?? 'a program')} (pid ${pid}, uid ${uid})`
}
