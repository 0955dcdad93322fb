/** The context of a call as Cedar sees it: what no policy looks at is not made. */

import type { Principal, Subject } from '../identity/principal.ts'
import { argumentRecord } from './arguments.ts'
import { CallClock } from './call-clock.ts'
import { EvaluationError } from './cedar/evaluation-error.ts'
import type { Policy } from './cedar/expression.ts'
import { IpAddress } from './cedar/ip-address.ts'
import { readsOf } from './cedar/reads.ts'
import { Unfit } from './cedar/unfit.ts'
import { CedarSet, EntityUid } from './cedar/value.ts'
import type { CedarRecord, Value } from './cedar/value.ts'
import type { CompiledPolicy } from './compile.ts'
import type { DecisionContext, DecisionRequest } from './decision.ts'
import { takesArguments } from './schema.ts'

export class CallContexts {
  readonly #clock: CallClock
  readonly #tools: CompiledPolicy['tools']
  /** The members of the arguments that policies look at; null for all. */
  readonly #names: ReadonlySet<string> | null
  readonly #wanted: Readonly<Record<'effect' | 'strength' | 'time' | 'address' | 'delegation' | 'args', boolean>>

  constructor({ tools, timeZone }: Pick<CompiledPolicy, 'tools' | 'timeZone'>, policies: readonly Policy[]) {
    const reads = readsOf(policies)
    const wants = (name: string) => reads.attributes === null || reads.attributes.has(name)
    this.#clock = new CallClock(timeZone)
    this.#tools = tools
    this.#names = reads.args
    this.#wanted = {
      effect: wants('effect'),
      strength: wants('strength'),
      time: wants('time'),
      address: wants('address'),
      delegation: wants('delegation'),
      args: wants('args'),
    }
  }

  /** Whether the moment of a call may decide about it. */
  get looksAtTime(): boolean {
    return this.#wanted.time
  }

  of(request: DecisionRequest): CedarRecord {
    const { principal, action, context } = request
    const { effect, strength, time, address, delegation, args } = this.#wanted
    const record = new Map<string, Value>()
    if (effect) record.set('effect', action.group)
    if (strength) record.set('strength', principal.strength)
    if (time) record.set('time', this.#clock.record(context.timeSeconds))
    if (address) record.set('address', addressOf(context.remoteAddress))
    if (delegation) record.set('delegation', delegationOf(principal))
    if (args && takesArguments.has(action.name)) record.set('args', this.#arguments(request))
    return record
  }

  #arguments({ resource, context }: DecisionRequest): CedarRecord {
    const known = resource.kind === 'tool' ? this.#tools.get(`${resource.server}/${resource.name}`) : undefined
    return argumentRecord(context.args, known?.type ?? null, this.#names)
  }
}

export function subjectUid(subject: Subject): EntityUid {
  if (subject.kind === 'workload') return new EntityUid('Workload', subject.id.uri)
  return new EntityUid('User', `${subject.issuer}#${subject.subject}`)
}

/** An IPv4 address inside an IPv6 one is that IPv4 address; the zone of a link-local one is left out. */
function addressOf(text: DecisionContext['remoteAddress']): Value {
  try {
    const [address = ''] = text.split('%')
    return IpAddress.parse(address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address)
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error
    return new Unfit('no IP address')
  }
}

/** `presenter`, `actors` (who acts, the presenter included), `depth` (hops), and `user` or `workload`: on whose behalf. */
function delegationOf(principal: Principal): CedarRecord {
  const { subject, act, presenter } = principal
  const forItself = act.length === 0 && subject.kind === 'workload' && subject.id.uri === presenter.uri
  const presenting = new EntityUid('Workload', presenter.uri)
  const record = new Map<string, Value>([
    ['presenter', presenting],
    ['actors', new CedarSet([presenting, ...act.map(({ uri }) => new EntityUid('Workload', uri))])],
    ['depth', forItself ? 0 : act.length + 1],
  ])
  if (!forItself) record.set(subject.kind, subjectUid(subject))
  return record
}
