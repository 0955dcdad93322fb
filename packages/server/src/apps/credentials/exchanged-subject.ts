/** Who a token is exchanged for, and what the gateway says of them to the provider. */

import { principalName, subjectName, userName } from '@doorward/core'
import type { JsonObject, Principal, SpiffeId } from '@doorward/core'
import type { TokenExchangeSettings } from '../../config/secret-settings.ts'
import type { UpstreamFailure } from '../../transports/server-credential.ts'

export interface ExchangedSubject {
  /** `sub` of the assertion: the person's at their issuer, or the SPIFFE ID of a workload. */
  readonly subject: string
  /** Who acts for them, the one at the connection first (RFC 8693 §4.1); null where nobody does. */
  readonly act: JsonObject | null
  /** One text for the same subject and the same actors: tokens of one are given to no other. */
  readonly key: string
  /** For the record. */
  readonly name: string
  /** Names that a denial may be of. */
  readonly parties: readonly string[]
}

/** Who may be spoken for stands in the configuration; of anybody else nothing is said to anybody. */
export function exchangedSubject(
  principal: Principal,
  { people, workloads }: Pick<TokenExchangeSettings, 'people' | 'workloads'>,
  server: string,
): ExchangedSubject | UpstreamFailure {
  const { subject, presenter, act } = principal
  const actors = [presenter, ...act].filter(({ uri }) => subject.kind === 'user' || uri !== subject.id.uri)
  const whole = {
    act: nested(actors),
    key: JSON.stringify([subjectName(subject), ...actors.map(({ uri }) => uri)]),
    name: principalName(principal),
    parties: [subjectName(subject), ...actors.map(({ uri }) => uri)],
  }
  if (subject.kind === 'user') {
    if (subject.issuer === people) return { ...whole, subject: subject.subject }
    const who = userName(subject)
    return { code: 'credential_withheld', explanation: `no token of ${server} is meant for people such as ${who}` }
  }
  if (workloads) return { ...whole, subject: subject.id.uri }
  return { code: 'credential_user_needed', explanation: `${server} is called for people alone` }
}

function nested([first, ...others]: readonly SpiffeId[]): JsonObject | null {
  if (first === undefined) return null
  const rest = nested(others)
  return rest === null ? { sub: first.uri } : { sub: first.uri, act: rest }
}
