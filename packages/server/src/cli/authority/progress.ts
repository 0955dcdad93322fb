/** How a ceremony is shown while it goes on: one line for each stage, with its time and its counts. */

import type { CeremonySight, CeremonyStep, CeremonyView } from '@doorward/sdk'
import type { CliContext } from '../context.ts'
import { painter, printable } from '../output.ts'

/** What each stage does, for people. */
const meanings: Readonly<Record<string, string>> = {
  prepare: 'new keys are made',
  delegate: 'the recovery root names the new keys',
  publish: 'everyone hears of the new keys',
  activate: 'the new keys sign',
  reissue: 'everyone gets a new certificate',
  deny: 'the old keys are refused',
  settle: 'everyone acknowledges it',
}

/** Tells each stage once, when it is over; in between what is waited for, once for each change. */
export class ProgressLines {
  readonly #context: CliContext
  #told = 0
  #waiting = ''

  constructor(context: CliContext) {
    this.#context = context
  }

  show(ceremony: CeremonyView): void {
    const { stages } = ceremony
    for (; this.#told < stages.length - 1; this.#told++) this.#ended(stages[this.#told]!, stages[this.#told + 1]!)
    if (ceremony.stage === 'failed') this.#failed(ceremony)
    else if (ceremony.stage !== 'done') this.#waits(ceremony)
  }

  #ended(step: CeremonyStep, next: CeremonyStep): void {
    if (next.stage === 'failed') return
    const { stage } = step
    const milliseconds = Math.max(0, next.at - step.at)
    if (this.#context.json) {
      const { followers, acknowledged, reissued, straggling, stragglers, note } = step
      const seen = { followers, acknowledged, reissued, straggling, stragglers, note }
      return this.#context.out(JSON.stringify({ event: 'stage', stage, milliseconds, ...seen }))
    }
    const paint = painter(this.#context.color)
    const meaning = stage === 'deny' && step.note !== '' ? step.note : (meanings[stage] ?? '')
    const mark = step.straggling === 0 ? paint('green', '✓') : paint('yellow', '!')
    this.#context.out(
      `${mark} ${stage.padEnd(9)} ${paint('dim', seconds(milliseconds).padStart(7))}  ${meaning}${counts(stage, step)}`,
    )
    for (const name of step.stragglers.slice(0, 10))
      this.#context.out(paint('yellow', `    without ${printable(name)}`))
    if (step.straggling > 10) this.#context.out(paint('yellow', `    and ${step.straggling - 10} more`))
    if (stage !== 'deny' && step.note !== '') this.#context.out(paint('yellow', `    ${printable(step.note)}`))
  }

  /** On a terminal alone: programs hear of stages that are over. */
  #waits({ stage, progress }: CeremonyView): void {
    if (this.#context.json || !this.#context.interactive) return
    const line = `${stage}${progress === null ? '' : counts(stage, progress)}`
    if (line === this.#waiting) return
    this.#waiting = line
    this.#context.err(painter(this.#context.color)('dim', `  … ${line}`))
  }

  #failed({ stages }: CeremonyView): void {
    if (this.#context.json) return
    const note = stages.at(-1)?.note ?? ''
    this.#context.out(painter(this.#context.color)('red', `✗ failed: ${printable(note)}; the keys of before go on`))
  }
}

function counts(stage: string, { followers, acknowledged, reissued }: CeremonySight): string {
  if (followers === 0) return ''
  if (stage === 'reissue') return `: ${reissued} of ${followers} re-issued`
  return `: ${acknowledged} of ${followers} acknowledged`
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`
}
