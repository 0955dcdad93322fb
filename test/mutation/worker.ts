/** Runs the tests of one target against one mutant after the other, all in this process. */

import { readFileSync } from 'node:fs'
import { createRequire, registerHooks, stripTypeScriptTypes } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { configureGlobal } from 'fast-check'
import { fileScope } from './collected.ts'
import type { Collected, Collection } from './collected.ts'
import { root } from './instrument.ts'
import type { Plan } from './instrument.ts'

export type Status = 'killed' | 'survived' | 'uncovered'

export interface Outcome {
  readonly id: string
  readonly status: Status
}

interface Coverage {
  readonly static: Readonly<Record<string, number>>
  readonly perTest: Readonly<Record<string, Readonly<Record<string, number>>>>
}

/** What instrumented sources look at. */
interface Switches {
  activeMutant?: string | undefined
  currentTestId?: string | undefined
  mutantCoverage?: Coverage
  hitCount?: number | undefined
  hitLimit?: number | undefined
}

const global = globalThis as typeof globalThis & { __stryker__?: Switches; collectedTests?: Collection }
const switches: Switches = (global.__stryker__ = {})
const plan = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as Plan
const repository = pathToFileURL(`${root}/`).href
const own = [`${repository}packages/`, `${repository}test/`]

/** Sources without types, which is much of what another generation costs. */
const stripped = new Map<string, string>()

/** Every generation of modules is loaded anew: for what is decided while a module is loaded. */
let generation = 0

registerHooks({
  resolve(specifier, context, next) {
    if (specifier === 'node:test') return next('./collected.ts', { ...context, parentURL: import.meta.url })
    const resolved = next(specifier, context)
    if (!own.some((prefix) => resolved.url.startsWith(prefix)) || resolved.url.includes('/node_modules/'))
      return resolved
    return { ...resolved, url: `${resolved.url}?generation=${generation}` }
  },
  load(url, context, next) {
    const [file = '', query] = url.split('?')
    if (query === undefined || !file.endsWith('.ts')) return next(url, context)
    const source =
      stripped.get(file) ?? stripTypeScriptTypes(plan.sources[file] ?? readFileSync(fileURLToPath(file), 'utf8'))
    stripped.set(file, source)
    return { format: 'module', source, shortCircuit: true }
  },
})

/** What the official build answered once it need not be asked again. */
function remember(): void {
  type Ask = (...asked: readonly unknown[]) => unknown
  const build = createRequire(import.meta.url)('@cedar-policy/cedar-wasm/nodejs') as Record<string, Ask>
  const answers = new Map<string, unknown>()
  let [wanted, prepared]: [readonly unknown[], string] = [[], '']
  const { preparsePolicySet, statefulIsAuthorized } = build as Record<'preparsePolicySet' | 'statefulIsAuthorized', Ask>
  const once = (key: string, ask: () => unknown): unknown => {
    const known = answers.get(key)
    if (known !== undefined) return known
    const answer = ask()
    answers.set(key, answer)
    return answer
  }
  for (const name of ['policyToJson', 'isAuthorized']) {
    const ask = build[name] as Ask
    build[name] = (asked) => once(`${name} ${JSON.stringify(asked)}`, () => ask(asked))
  }
  build['preparsePolicySet'] = (...asked) => {
    wanted = asked
    return { type: 'success' }
  }
  build['statefulIsAuthorized'] = (asked) =>
    once(`${JSON.stringify(wanted)} ${JSON.stringify(asked)}`, () => {
      const text = JSON.stringify(wanted)
      if (prepared !== text) preparsePolicySet(...wanted)
      prepared = text
      return statefulIsAuthorized(asked)
    })
}

interface Loaded extends Collected {
  readonly milliseconds: number
}

async function load(): Promise<readonly Collected[]> {
  const collection: Collection = (global.collectedTests = { tests: [], before: [], scopes: [] })
  for (const url of plan.tests) {
    collection.scopes = fileScope()
    await import(url)
  }
  for (const hook of collection.before) await hook()
  return collection.tests.filter(({ name }) => !plan.slow.some((part) => name.includes(part)))
}

/** Null where it passes. */
async function failureOf({ run }: Collected): Promise<unknown> {
  try {
    await run()
    return null
  } catch (error) {
    return error ?? 'failed'
  }
}

/** Every test once without any mutant, which says what each of them comes by. */
async function rehearse(): Promise<readonly Loaded[]> {
  const loaded: Loaded[] = []
  for (const [i, one] of (await load()).entries()) {
    for (const again of [false, true]) {
      switches.currentTestId = String(i + 1)
      const begun = performance.now()
      const failure = await failureOf(one)
      if (failure !== null) throw new Error(`fails without a mutant: ${one.name}`, { cause: failure })
      if (again) loaded.push({ ...one, milliseconds: performance.now() - begun })
    }
  }
  switches.currentTestId = undefined
  return loaded
}

async function judge(id: string, tests: readonly Loaded[], { static: early, perTest }: Coverage): Promise<Status> {
  const hits = Object.values(perTest).reduce((sum, covered) => sum + (covered[id] ?? 0), 0)
  const atLoad = early[id] !== undefined
  if (hits === 0 && !atLoad) return 'uncovered'
  switches.activeMutant = id
  switches.hitCount = 0
  switches.hitLimit = hits * 100 + 10_000
  try {
    const order = tests.map((one, i) => ({ ...one, i })).toSorted((a, b) => a.milliseconds - b.milliseconds)
    let current: readonly Collected[] = tests
    if (atLoad) {
      generation++
      current = await load()
    }
    for (const { i } of order) {
      if (!atLoad && (perTest[String(i + 1)]?.[id] ?? 0) === 0) continue
      const one = current[i]
      if (one === undefined || (await failureOf(one)) !== null) return 'killed'
    }
    return 'survived'
  } catch {
    // It cannot even be loaded.
    return 'killed'
  } finally {
    switches.activeMutant = undefined
    switches.hitCount = undefined
    switches.hitLimit = undefined
  }
}

// What a test draws by chance is the same for every mutant.
configureGlobal({ seed: 20_261_122 })
remember()
const tests = await rehearse()
const coverage = switches.mutantCoverage ?? { static: {}, perTest: {} }
process.send?.('ready')
process.on('message', (id: string) => {
  void (async () => {
    const outcome: Outcome = { id, status: await judge(id, tests, coverage) }
    process.send?.(outcome)
  })()
})
