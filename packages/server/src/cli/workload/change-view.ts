/** How planned changes are shown: to people line by line, to programs as one object. */

import type { AttestationEntry, JsonValue, TrustDomain, WorkloadChange } from '@doorward/core'
import { shortDocument } from '../../config/workload-file.ts'
import { painter, printable } from '../output.ts'
import type { Paint } from '../output.ts'
import { shortId } from './naming.ts'
import { attestationText } from './attestation-option.ts'
import type { Plan, PlannedStep } from './plan.ts'

/** Lists with commas, attestation entries as `--attest` takes them. */
export function valueText(value: JsonValue): string {
  if (Array.isArray(value)) return (value as readonly JsonValue[]).map(valueText).join(', ') || '–'
  return typeof value === 'object' ? attestationText(value as AttestationEntry) : String(value)
}

export function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? '' : 's'}`
}

interface Style {
  readonly mark: string
  readonly paint: Paint
}

const styles: Readonly<Record<PlannedStep['action'], Style>> = {
  add: { mark: '+', paint: 'green' },
  change: { mark: '~', paint: 'yellow' },
  remove: { mark: '-', paint: 'red' },
}

export interface View {
  readonly trustDomain: TrustDomain
  readonly color: boolean
}

export function stepLines(step: PlannedStep, { trustDomain, color }: View): readonly string[] {
  const { mark, paint: name } = styles[step.action]
  const paint = painter(color)
  const head = paint(name, `${mark} ${printable(shortId(step.document.id, trustDomain))}`)
  return [head, ...innerLines(step, trustDomain).map((line) => `    ${printable(line)}`)]
}

function innerLines(step: PlannedStep, trustDomain: TrustDomain): readonly string[] {
  switch (step.action) {
    case 'add': {
      const { id: _, ...members } = shortDocument(step.document, trustDomain)
      return Object.entries(members).map(([name, value]) => `${name}: ${valueText(value)}`)
    }
    case 'change':
      return changeLines(step.changes)
    case 'remove':
      return []
  }
}

export function changeLines(changes: readonly WorkloadChange[]): readonly string[] {
  return changes.map(({ field, before, after }) => `${field}: ${valueText(before)} → ${valueText(after)}`)
}

export function planLines(plan: Plan, view: View): readonly string[] {
  const { steps, unchanged, undeclared } = plan
  const number = (action: PlannedStep['action']) => steps.filter((step) => step.action === action).length
  const paint = painter(view.color)
  const summary =
    steps.length === 0
      ? `no changes; ${unchanged} unchanged`
      : `${number('add')} to add, ${number('change')} to change, ${number('remove')} to remove; ${unchanged} unchanged`
  const others =
    undeclared.length === 0
      ? []
      : [paint('dim', `${counted(undeclared.length, 'other workload')} registered and not declared; left alone`)]
  return [...steps.flatMap((step) => stepLines(step, view)), summary, ...others]
}

export function planJson({ steps, unchanged, undeclared }: Plan): object {
  return { changes: steps.map(stepJson), unchanged, undeclared }
}

function stepJson(step: PlannedStep): object {
  const { action, document } = step
  switch (action) {
    case 'add':
      return { action, id: document.id, workload: document }
    case 'change':
      return { action, id: document.id, changes: step.changes, revision: step.revision }
    case 'remove':
      return { action, id: document.id, revision: step.revision }
  }
}
