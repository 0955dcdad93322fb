/** Stands in for `node:test`: tests are collected, to be run again and again. */

type Run = (context: Context) => unknown
type Hook = (context: Context) => unknown

interface Scope {
  readonly before: Hook[]
  readonly after: Hook[]
}

export interface Collected {
  readonly name: string
  readonly run: () => unknown
}

/** Tests of one generation of modules, and what has to come before them. */
export interface Collection {
  readonly tests: Collected[]
  readonly before: (() => unknown)[]
  /** Of the file that is being loaded: what stands around the next test. */
  scopes: readonly Scope[]
}

/** What tests of the set ask of their context. */
interface Context {
  readonly name: string
  after(hook: Hook): void
  test(name: string, run: Run): Promise<void>
  diagnostic(text: string): void
}

const place = globalThis as typeof globalThis & { collectedTests?: Collection }
const collection = (): Collection => place.collectedTests ?? { tests: [], before: [], scopes: [] }

export const fileScope = (): readonly Scope[] => [{ before: [], after: [] }]

export function test(name: string, ...rest: readonly unknown[]): void {
  const run = rest.findLast((one): one is Run => typeof one === 'function')
  const { tests, scopes: around } = collection()
  const isSkipped = rest.some((one) => typeof one === 'object' && one !== null && 'skip' in one && Boolean(one.skip))
  if (run === undefined || isSkipped) return
  tests.push({ name, run: () => inScopes(name, run, around) })
}

async function inScopes(name: string, run: Run, around: readonly Scope[]): Promise<void> {
  const ended: Hook[] = []
  const context: Context = {
    name,
    after: (hook) => void ended.unshift(hook),
    test: (inner, of) => inScopes(inner, of, []),
    diagnostic: () => undefined,
  }
  try {
    for (const scope of around) for (const hook of scope.before) await hook(context)
    await run(context)
  } finally {
    for (const scope of around.toReversed()) for (const hook of scope.after) await hook(context)
    for (const hook of ended) await hook(context)
  }
}

export function describe(_name: string, ...rest: readonly unknown[]): void {
  const now = collection()
  const outer = now.scopes
  now.scopes = [...outer, ...fileScope()]
  const run = rest.findLast((one): one is () => void => typeof one === 'function')
  run?.()
  now.scopes = outer
}

export const it = test

/** Once for a generation; what it opened is closed with the process. */
export function before(hook: () => unknown): void {
  collection().before.push(hook)
}

export function after(): void {}

export function beforeEach(hook: Hook): void {
  collection().scopes.at(-1)?.before.push(hook)
}

export function afterEach(hook: Hook): void {
  collection().scopes.at(-1)?.after.push(hook)
}
