/** The one decision path: each stage takes what the previous one returned; refusals are recorded on the way out. */

import { isApprovalDuty, toSeconds } from '@doorward/core'
import type { PolicyVersion } from '@doorward/core'
import { approve } from './approval.ts'
import type { Approved, WhenGone } from './approval.ts'
import type { Approvals, WaitingFor } from './approvals/ports.ts'
import { authorize } from './authorize.ts'
import type { Authorized } from './authorize.ts'
import type { CallPlaces } from './call-hold.ts'
import { classify } from './classify.ts'
import type { Call, Classified, Classifier } from './classify.ts'
import { deny, isDenial } from './denial.ts'
import type { Denial } from './denial.ts'
import type { EdgeRules } from './edge-rules.ts'
import { edgeTokenEnded, edgeWithdrawal } from './edge-standing.ts'
import { identifyEdge } from './identify-edge.ts'
import { identify } from './identify.ts'
import type { Identified, IdentifyDependencies, RequiredCredential } from './identify.ts'
import type { KeptContent } from './kept-content.ts'
import type { Inbound } from './inbound.ts'
import { limit, limitArrival } from './limit.ts'
import type { Admitted, ConnectionLimits } from './limit.ts'
import type { LoadShedding } from './load-shedding.ts'
import { OpenCalls } from './open-calls.ts'
import type { OpenCall } from './open-calls.ts'
import type { Permit } from './permit.ts'
import type { DecisionPort, Rate, RateLimiter, TrustSource } from './ports.ts'
import type { Quota } from './quota.ts'
import { record, recordRefusal } from './record.ts'
import type { RefusalEntry } from './record.ts'
import type { Record } from './record/record.ts'
import type { RefusalCounter } from './record/refusal-counter.ts'
import type { StageTimes } from './stage-times.ts'
import { StandingDecisions, rolesNow } from './standing-decisions.ts'
import { withdrawal } from './withdrawal.ts'

/** A refusal that has been recorded: ready to be answered. */
export interface Refusal {
  readonly refused: true
  readonly denial: Denial
  readonly entry: RefusalEntry
}

export interface PipelineDependencies extends IdentifyDependencies {
  readonly trust: TrustSource
  readonly limiter: RateLimiter
  readonly decisions: DecisionPort
  readonly log: Record
  readonly refusals: RefusalCounter
  readonly connectionLimits: ConnectionLimits
  readonly quotas: readonly Quota[]
  /** Of what is under way; without it no quota counts that. */
  readonly places?: CallPlaces
  /** Who is turned away when there is too much to do; nobody by default. */
  readonly load?: LoadShedding
  readonly watch?: PipelineWatch
  /** What goes into entries of arguments and results; nothing by default. */
  readonly kept?: KeptContent
  /** By whom calls are approved; without it, those that need an approval are refused. */
  readonly approvals?: Approvals
}

/** What may be replaced while requests pass. */
export interface PipelineTuning extends Pick<PipelineDependencies, 'connectionLimits' | 'quotas'> {
  readonly perUser: Rate
  /** Null keeps nothing. */
  readonly kept: KeptContent | null
  /** Null lets nobody in without a certificate. */
  readonly edge: EdgeRules | null
}

/** Told of what passes the pipeline; decides nothing and never throws. */
export interface PipelineWatch {
  readonly refused: (inbound: Inbound, denial: Denial) => void
  readonly identified: (identified: Identified) => void
  /** A connection that did not come about: a reason of the handshake, or of the limits before it. */
  readonly handshakeRefused?: (remoteAddress: string, reason: string) => void
}

/** Reads the complete body of a caller that is certain, within its limits, or says why not. */
export type ReadBody = (identified: Identified) => Promise<Uint8Array | Denial>

export interface EnforceOptions<Detail> {
  readonly credential: RequiredCredential
  readonly readBody: ReadBody
  readonly classifier: Classifier<Detail>
  /** Is told when stages end; nobody measures by default. */
  readonly times?: StageTimes
  /** Tells when the caller waits no longer; as long as it may by default. */
  readonly whenGone?: WhenGone
  /** The request lies elsewhere: what hangs on its body, or on how it ends, is refused. Not by default. */
  readonly elsewhere?: boolean
  /** Is told that the call waits for a human, before `whenGone` is asked; nobody is by default. */
  readonly onWait?: (waiting: WaitingFor, call: Call<Detail>) => void
}

const nobodyGoes: WhenGone = () => undefined

function goingOn<Detail>(admitted: Admitted<Detail>, { authorized, claim }: Approved<Detail>): Admitted<Detail> {
  if (claim !== null) return { ...admitted, authorized, approval: claim.id }
  return authorized === admitted.authorized ? admitted : { ...admitted, authorized }
}

export function isRefusal(value: object): value is Refusal {
  return 'refused' in value && value.refused === true
}

/** What only whoever has the request can hold to: people approve a whole call, and some quotas count until its answer ends. */
function unseenProblem<Detail>({ authorized, hold }: Admitted<Detail>): Denial | null {
  const { classified, obligations, policies, policyVersion } = authorized
  const { identified, call } = classified
  const { action, resource } = call
  const told = { caller: identified.principal, action, resource, policies, policyVersion }
  if (obligations.some(isApprovalDuty)) return deny('request_unseen', 'a human has to approve it, body and all', told)
  if (hold !== undefined)
    return deny('request_unseen', 'a quota counts its bytes, or for how long it is under way', told)
  return null
}

export class Pipeline {
  /** Answers under way: whoever applies trust or a policy has them looked at again, by `review` and `policyChanged`. */
  readonly open = new OpenCalls()
  readonly #standing: StandingDecisions
  #dependencies: PipelineDependencies

  constructor(dependencies: PipelineDependencies) {
    this.#dependencies = dependencies
    this.#standing = new StandingDecisions({ ...dependencies, open: this.open })
  }

  get dependencies(): PipelineDependencies {
    return this.#dependencies
  }

  /**
   * Limits the next requests, and keeps of them, by these; those on their way go on with what they began with. Whoever the edge
   * would not let in any more is under way no more.
   */
  retune({ perUser, connectionLimits, quotas, kept, edge }: PipelineTuning): void {
    const { kept: _kept, edge: _edge, settings, ...rest } = this.#dependencies
    const tuned = { ...rest, connectionLimits, quotas, settings: { ...settings, perUser } }
    this.#dependencies = { ...tuned, ...(kept === null ? {} : { kept }), ...(edge === null ? {} : { edge }) }
    this.open.endWhere((identified) => this.edgeProblem(identified))
  }

  /** What the edge would hold now against a caller that it has let in; null when nothing. */
  edgeProblem(identified: Identified): Denial | null {
    return edgeWithdrawal(identified, this.#dependencies.edge)
  }

  /** All stages in order: a permit, or a recorded refusal. Never rejects: what fails unexpectedly is refused. */
  async enforce<Detail>(inbound: Inbound, options: EnforceOptions<Detail>): Promise<Permit<Detail> | Refusal> {
    const caller: { identified: Identified | null } = { identified: null }
    let result: Permit<Detail> | Denial
    try {
      result = await this.#stages(inbound, options, caller)
    } catch (error) {
      result = deny('internal', `a stage failed: ${String(error)}`, { caller: caller.identified?.principal ?? null })
    }
    if (isDenial(result)) return this.refuse(inbound, result)
    options.times?.mark('decided')
    return result
  }

  async #stages<Detail>(
    inbound: Inbound,
    options: EnforceOptions<Detail>,
    caller: { identified: Identified | null },
  ): Promise<Permit<Detail> | Denial> {
    const { dependencies } = this
    const { times } = options
    const over = await limitArrival(inbound, dependencies.limiter, dependencies.connectionLimits)
    if (over !== null) return over
    const { credential } = options
    const identified =
      credential === 'edge'
        ? await identifyEdge(inbound, dependencies)
        : await identify(inbound, credential, dependencies)
    if (isDenial(identified)) return identified
    times?.look('identified')
    caller.identified = identified
    dependencies.watch?.identified(identified)
    const body = await options.readBody(identified)
    if (isDenial(body)) return { ...body, caller: identified.principal }
    times?.look('read')
    // A body may come slowly: what was taken from the caller meanwhile it has no more.
    const classified = classify(rolesNow(identified, dependencies.trust.current()), body, options.classifier)
    if (isDenial(classified)) return classified
    times?.look('classified')
    const authorized = await authorize(classified, dependencies.decisions, dependencies.trust.now())
    if (isDenial(authorized)) return authorized
    times?.look('authorized')
    const admitted = await limit(authorized, dependencies)
    if (isDenial(admitted)) return admitted
    const { hold } = admitted
    try {
      const unseen = options.elsewhere === true ? unseenProblem(admitted) : null
      const result = unseen ?? (await this.#recorded(admitted, options))
      // What was taken for a call that does not come about is given back.
      if (isDenial(result)) hold?.release()
      return result
    } catch (error) {
      hold?.release()
      throw error
    }
  }

  async #recorded<Detail>(
    admitted: Admitted<Detail>,
    { times, whenGone = nobodyGoes, onWait: told }: EnforceOptions<Detail>,
  ): Promise<Permit<Detail> | Denial> {
    const { log, kept, approvals = null } = this.#dependencies
    const { objection = null } = admitted.authorized.classified.call
    const cleared = objection === null ? admitted : await this.#cleared(admitted, objection)
    if (isDenial(cleared)) return cleared
    const again = async () => {
      if (objection === null) return this.#again(cleared.authorized.classified)
      const anew = await this.#cleared(cleared, objection)
      return isDenial(anew) ? anew : anew.authorized
    }
    const onWait = (waiting: WaitingFor) => told?.(waiting, cleared.authorized.classified.call)
    const approved = await approve(cleared.authorized, { approvals, whenGone, onWait, again })
    if (isDenial(approved)) return approved
    times?.mark('admitted')
    const going = goingOn(cleared, approved)
    const result = this.overtaken(going) ?? (await record(going, log, kept))
    if (isDenial(result)) await approved.claim?.giveBack()
    return result
  }

  /** A server may have been asked, which takes its time: what was decided before is decided again. */
  async #cleared<Detail>(
    admitted: Admitted<Detail>,
    objection: () => Promise<Denial | null>,
  ): Promise<Admitted<Detail> | Denial> {
    const { classified } = admitted.authorized
    const { identified, call } = classified
    const objected = await objection()
    if (objected !== null) {
      const { action, resource, rpcId } = call
      return { ...objected, caller: identified.principal, action, resource, rpcId }
    }
    const authorized = await this.#again(classified)
    return isDenial(authorized) ? authorized : { ...admitted, authorized }
  }

  /** The decision as it is now: with the roles that the caller has, at this time, by this policy. */
  async #again<Detail>(classified: Classified<Detail>): Promise<Authorized<Detail> | Denial> {
    const { decisions, trust } = this.#dependencies
    const identified = rolesNow(classified.identified, trust.current())
    const withdrawn = this.#withdrawn(identified) ?? edgeTokenEnded(identified, toSeconds(trust.now()))
    if (withdrawn !== null) {
      const { action, resource, rpcId } = classified.call
      return { ...withdrawn, action, resource, rpcId }
    }
    return authorize({ ...classified, identified }, decisions, trust.now())
  }

  /**
   * What has been held against the caller since it was identified; null when nothing. A body may come slowly, and the
   * record take its time (reference id RV-4).
   */
  overtaken<Detail>({ authorized: { classified } }: Admitted<Detail>): Denial | null {
    const { identified, call } = classified
    const problem = this.#withdrawn(identified)
    const { action, resource, rpcId } = call
    return problem === null ? null : { ...problem, action, resource, rpcId }
  }

  /** Puts an answer under way among those that a change of trust or policy ends; one that is overtaken ends at once. */
  track(call: OpenCall): void {
    this.open.add(call)
    const problem = this.#withdrawn(call.authorized.classified.identified)
    if (problem !== null) call.withdraw(problem)
    else this.#standing.begin(call)
  }

  /**
   * Ends the answers to callers whom the newest trust state does not accept, at once, and decides those of callers with
   * other roles again. Resolves when that is done; never rejects.
   */
  async review(): Promise<void> {
    const view = this.dependencies.trust.current()
    if (view === null) return
    this.open.review(view)
    await this.#standing.rolesChanged(view)
  }

  /** Decides all answers under way again, by the policy that decides now. Resolves when that is done; never rejects. */
  policyChanged(version: PolicyVersion): Promise<void> {
    return this.#standing.policyChanged(version)
  }

  /** As `policyChanged`, with the same policy at a later time. */
  timePassed(): Promise<void> {
    return this.#standing.timePassed()
  }

  #withdrawn(identified: Identified): Denial | null {
    const refused = this.edgeProblem(identified)
    if (refused !== null) return refused
    const view = this.dependencies.trust.current()
    return view === null || view.generation === identified.generation ? null : withdrawal(identified, view)
  }

  /** Records a refusal that a transport found in the head of a request, which counts against the limits like any other. */
  async refuseHead(inbound: Inbound, denial: Denial): Promise<Refusal> {
    const { limiter, connectionLimits } = this.dependencies
    return this.refuse(inbound, (await limitArrival(inbound, limiter, connectionLimits)) ?? denial)
  }

  /** Records a refusal that a transport found before or after the stages (header hygiene, an upstream's answer). */
  async refuse(inbound: Inbound, denial: Denial): Promise<Refusal> {
    this.dependencies.watch?.refused(inbound, denial)
    const entry = await recordRefusal(inbound, denial, this.dependencies.log, this.dependencies.refusals)
    return { refused: true, denial, entry }
  }
}
