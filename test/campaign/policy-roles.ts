/** The decision engine against the slow reference, on policies and requests by chance. */

import fc from 'fast-check'
import { compilePolicy } from '@doorward/core'
import { CedarEngine } from '../../packages/server/src/policy/cedar-engine.ts'
import { requestOf, sourceOf } from '../contract/decision-arbitraries.ts'
import { referenceDecision } from '../contract/decision-reference.ts'
import { Findings, Tally } from './part.ts'
import type { Assignment, Part, PartReport } from './part.ts'

const REQUESTS_PER_POLICY = 200

async function run({ seed, goOn }: Assignment): Promise<PartReport> {
  const [findings, effects] = [new Findings(), new Tally()]
  const engine = new CedarEngine()
  let [done, policies] = [0, 0]
  while (goOn(done) && !findings.any) {
    const [source] = fc.sample(sourceOf, { seed: seed + policies, numRuns: 1 })
    const requests = fc.sample(requestOf, { seed: seed - 1 - policies, numRuns: REQUESTS_PER_POLICY })
    policies++
    if (source === undefined) continue
    const compiled = compilePolicy(source)
    if (!compiled.ok) {
      findings.add(`does not compile: ${JSON.stringify(source)}`)
      continue
    }
    await engine.activate(compiled.policy)
    for (const request of requests) {
      const expected = referenceDecision(source, request)
      const [{ effect }, listed] = [await engine.decide(request), await engine.list(request)]
      effects.add(effect)
      if (effect !== expected || listed !== expected) {
        findings.add(`${effect}, listed ${listed}, expected ${expected}: ${JSON.stringify({ source, request })}`)
      }
    }
    done += requests.length
  }
  return { done, findings: findings.list, facts: { policies, effects: String(effects) } }
}

export const policyRoles: Part = {
  name: 'policy-roles',
  rule: 'the engine decides every pair of policy and request as the reference does, and lists agree with calls',
  count: 100_000,
  maximumSeconds: 600,
  run,
}
