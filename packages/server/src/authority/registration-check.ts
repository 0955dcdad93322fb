/** What may be registered, beyond the form of the document (reference ids CA-7, SID-8). Pure. */

import {
  gatewayRole,
  isReservedId,
  parseSpiffeId,
  readWorkloadDocument,
  trustStateLimits,
  workloadLimits,
} from '@doorward/core'
import type { DocumentProblem, JsonObject, JsonValue, TrustDomain, WorkloadDocument } from '@doorward/core'
import { refuse } from './refusal.ts'
import type { AuthorityRefusal } from './refusal.ts'
import { anchorSchedule } from './slot-schedule.ts'

/**
 * The longest lifetime of a certificate: a day, and no more than a sixth of its anchor's (CA-7), so that a successor
 * has long been trusted when the anchor ends.
 */
export function longestTtlSeconds(anchorLifetimeSeconds: number): number {
  return Math.min(workloadLimits.mostTtlSeconds, Math.floor(anchorLifetimeSeconds / 6))
}

/** Who asks: an operator, or the authority itself for parts of Doorward. */
export type Asking = 'operator' | 'authority'

export interface DocumentCheck {
  readonly trustDomain: TrustDomain
  readonly asking: Asking
  /** Audiences that are the deployment's: nobody registers them. */
  readonly isOwnAudience: (audience: string) => boolean
}

/** The document with its defaults. Refusal: `request_invalid`, with every problem. */
export function checkedDocument(
  value: JsonValue,
  { trustDomain, asking, isOwnAudience }: DocumentCheck,
): WorkloadDocument | AuthorityRefusal {
  const read = readWorkloadDocument(value, { trustDomain, reserved: asking === 'authority' })
  const problems =
    'problems' in read ? read.problems : [...ruleProblems(read), ...audienceProblems(read, isOwnAudience)]
  if (problems.length > 0 || 'problems' in read) return invalid(problems)
  return read
}

function ruleProblems(document: WorkloadDocument): readonly DocumentProblem[] {
  const problems: DocumentProblem[] = []
  const longest = longestTtlSeconds(anchorSchedule.lifetimeSeconds)
  if (document.ttl_seconds > longest)
    problems.push({
      keys: ['ttl_seconds'],
      message: 'longer than a sixth of the life of its anchor',
      expected: `at most ${longest}`,
      got: String(document.ttl_seconds),
    })
  if (document.roles.includes(gatewayRole) && !isGatewayId(document.id))
    problems.push({
      keys: ['roles', document.roles.indexOf(gatewayRole)],
      message: 'the role of gateways, which see everything',
      expected: 'a role of yours; gateways are added by: doorward gateway add',
      got: gatewayRole,
    })
  return problems
}

function audienceProblems(
  { audiences, roles }: WorkloadDocument,
  isOwnAudience: DocumentCheck['isOwnAudience'],
): readonly DocumentProblem[] {
  const problems: DocumentProblem[] = audiences.flatMap((audience, i) =>
    isOwnAudience(audience)
      ? [
          {
            keys: ['audiences', i],
            message: 'an audience of Doorward itself',
            expected: 'a URL at which the workload is called',
            got: audience,
          },
        ]
      : [],
  )
  // The trust state says by one more role that it decides about callers.
  if (audiences.length > 0 && roles.length >= trustStateLimits.rolesPerWorkload)
    problems.push({
      keys: ['roles'],
      message: 'too many for a workload with audiences',
      expected: `at most ${trustStateLimits.rolesPerWorkload - 1}`,
      got: String(roles.length),
    })
  return problems
}

function isGatewayId(text: string): boolean {
  const id = parseSpiffeId(text)
  return isReservedId(id) && id.segments[1] === 'gateway' && id.segments.length === 3
}

function invalid(problems: readonly DocumentProblem[]): AuthorityRefusal {
  const told = problems.map(({ keys, message, expected }) => {
    const place = keys.length === 0 ? 'the registration' : keys.join('.')
    return `${place}: ${message}${expected === null ? '' : `; expected ${expected}`}`
  })
  return refuse('request_invalid', told.join('; '), { problems: problems.map(problemObject) })
}

function problemObject({ keys, message, expected, got }: DocumentProblem): JsonObject {
  return { keys, message, expected, got }
}
