/** A reporter of node:test: one line of JSON for each test that ended and for each diagnostic. */

import type { TestEvent } from 'node:test/reporters'
import { inspect } from 'node:util'

const maxErrorChars = 6000

export interface TestRecord {
  readonly kind: 'passed' | 'failed' | 'skipped' | 'note'
  /** Names from the outermost suite to the test. */
  readonly name: string
  /** The error of a failure, the reason of a skip, the text of a note. */
  readonly detail: string
}

// What node:test says of itself at the end of a file.
const totals = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/

export async function* recordEvents(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const names: string[] = []
  for await (const event of source) {
    if (event.type === 'test:start') names.splice(event.data.nesting, names.length, event.data.name)
    const record = recordOf(event, names)
    if (record !== undefined) yield `${JSON.stringify(record)}\n`
  }
}

function recordOf(event: TestEvent, names: readonly string[]): TestRecord | undefined {
  if (event.type === 'test:diagnostic') {
    if (totals.test(event.data.message)) return undefined
    return { kind: 'note', name: names.slice(0, event.data.nesting + 1).join(' › '), detail: event.data.message }
  }
  if (event.type !== 'test:pass' && event.type !== 'test:fail') return undefined
  const { nesting, details, skip, todo } = event.data
  const name = names.slice(0, nesting + 1).join(' › ')
  // A test marked `todo` proves as little as one that is skipped.
  const left = skip ?? todo
  if (left !== undefined && left !== false) return { kind: 'skipped', name, detail: String(left) }
  if (event.type === 'test:fail') {
    const error = event.data.details.error as Error & { readonly failureType?: string }
    // Its subtests have been recorded themselves.
    if (error.failureType === 'subtestsFailed') return undefined
    return { kind: 'failed', name, detail: inspect(error.cause ?? error).slice(0, maxErrorChars) }
  }
  return details.type === 'suite' ? undefined : { kind: 'passed', name, detail: '' }
}

// node:test asks for the reporter as the default export.
export { recordEvents as default }
