/** Generated cases under the closures of core and under the official build: where do they differ? */

import { PolicySet } from '../../packages/core/src/policy/cedar/policy-set.ts'
import type { Policy } from '../../packages/core/src/policy/cedar/expression.ts'
import { Policies, entitiesBy, namesIn, requestBy } from './cedar-cases.ts'
import type { Case } from './cedar-cases.ts'
import type { Tastes } from './cedar-expressions.ts'
import { knownOf, worldOf, worldOfCase } from './cedar-evaluation.ts'
import { entitiesJson, officialAnswer, officialRequest, prepare } from './cedar-official.ts'
import { count, countOperators } from './cedar-operators.ts'
import type { Counts } from './cedar-operators.ts'
import { smaller } from './cedar-shrink.ts'
import { policyText } from './cedar-text.ts'
import { seeded } from './chance.ts'

const STORES_PER_SET = 3
const REQUESTS_PER_STORE = 8

export interface Differences {
  readonly done: number
  /** Each small, and ready to be pasted. */
  readonly found: readonly string[]
  readonly counts: Counts
}

interface Amount {
  readonly seed: number
  readonly goOn: (done: number) => boolean
  readonly tastes?: Tastes
  /** Makes what differs small first. True unless told. */
  readonly shrink?: boolean
}

/** Ends at the first difference. */
export function differences({ seed, goOn, tastes, shrink = true }: Amount): Differences {
  const chance = seeded(seed)
  const source = new Policies(chance, tastes)
  const [found, counts]: [string[], Counts] = [[], new Map()]
  let done = 0
  while (goOn(done) && found.length === 0) {
    const policies = source.set()
    const set = new PolicySet(prepare(policies))
    const names = namesIn(policies)
    for (const { conditions } of policies) for (const { body } of conditions) countOperators(body, counts)
    for (let stores = 0; stores < STORES_PER_SET; stores++) {
      const entities = entitiesBy(chance, names)
      const [known, json] = [knownOf(entities), entitiesJson(entities)]
      for (let asked = 0; asked < REQUESTS_PER_STORE; asked++, done++) {
        const request = requestBy(chance, names)
        const [ours, official] = [oursOf(set, worldOf(request, known)), officialOf(officialRequest(request, json))]
        countAnswer(official, counts)
        if (textOf(ours) !== textOf(official))
          found.push(shrink ? described(smaller({ policies, entities, request }, differ)) : 'one')
        if (found.length > 0) return { done, found, counts }
      }
    }
  }
  return { done, found, counts }
}

interface Answer {
  readonly decision: string
  readonly reasons: readonly string[]
  readonly errors: readonly string[]
}

function oursOf(set: PolicySet, world: Parameters<PolicySet['authorize']>[0]): Answer {
  const { decision, reasons, errors } = set.authorize(world)
  return { decision, reasons: reasons.toSorted(), errors: errors.map(({ policyId }) => policyId).toSorted() }
}

function officialOf(request: object): Answer {
  const { decision, diagnostics } = officialAnswer(request)
  const errors = diagnostics.errors.map(({ policyId }) => policyId)
  return { decision, reasons: diagnostics.reason.toSorted(), errors: errors.toSorted() }
}

function textOf({ decision, reasons, errors }: Answer): string {
  return `${decision} ${reasons.join(',')} ${errors.join(',')}`
}

/** Both answers anew, from the policies on. */
function answersOf({ policies, entities, request }: Case): readonly [ours: Answer, official: Answer] {
  const set = new PolicySet(prepare(policies))
  const ours = oursOf(set, worldOfCase({ policies, entities, request }))
  return [ours, officialOf(officialRequest(request, entitiesJson(entities)))]
}

function differ(one: Case): boolean {
  try {
    const [ours, official] = answersOf(one)
    return textOf(ours) !== textOf(official)
  } catch {
    return false
  }
}

function described(one: Case): string {
  const [ours, official] = answersOf(one)
  const { policies, entities, request } = one
  return [
    `ours ${JSON.stringify(ours)}, official ${JSON.stringify(official)}`,
    ...policies.map((policy: Policy) => policyText(policy)),
    `entities ${JSON.stringify(entitiesJson(entities))}`,
    `request ${JSON.stringify(officialRequest(request, []))}`,
  ].join('\n')
}

function countAnswer({ decision, reasons, errors }: Answer, counts: Counts): void {
  count(counts, `decision ${decision}`)
  if (decision === 'deny' && reasons.length > 0) count(counts, 'decision forbid')
  if (errors.length > 0) count(counts, 'decision with errors')
}
