/**
 * The SPIFFE Workload API for one peer (reference ids WE-2, WA-1 … WA-6): which of the held identities he is given, looked at
 * anew for every call and before every message of a stream, and what he gets of them. Absence is withdrawal.
 */

import type { Runtime } from '@doorward/sdk'
import type { WorkloadEntry } from '../../config/workload-api-schema.ts'
import { grpcStatus } from '../../transports/grpc/grpc.ts'
import type { GrpcAnswer, GrpcEnd, GrpcCalls } from '../../transports/grpc/grpc.ts'
import {
  jwtBundlesResponse,
  jwtSvidResponse,
  readJwtSvidRequest,
  readValidateRequest,
  validateResponse,
  x509BundlesResponse,
  x509SvidResponse,
} from '../../transports/workload-api/messages.ts'
import type { JwtSvidMessage } from '../../transports/workload-api/messages.ts'
import { domainUri, jwtKeySet } from './held-identities.ts'
import type { HeldIdentities, HeldIdentity, UsableIdentity } from './held-identities.ts'
import { isAudienceRefusal } from './jwt-svids.ts'
import type { JwtSvids } from './jwt-svids.ts'
import type { Peer, PeerFacts } from './peer-facts.ts'
import { isTurnRefusal } from './program-digests.ts'
import { entriesFor } from './selectors.ts'
import { isWithdrawal, streamState } from './stream-state.ts'
import type { StreamState } from './stream-state.ts'

export interface ServedEvent {
  readonly type: 'served'
  readonly method: string
  /** SPIFFE IDs. */
  readonly ids: readonly string[]
  readonly pid: number
  readonly uid: number
  readonly program: string | null
  /** Of JWT-SVIDs. */
  readonly audience?: string
}

export interface RefusedEvent {
  readonly type: 'refused'
  readonly method: string
  readonly pid: number
  readonly uid: number
  readonly program: string | null
  readonly reason: string
}

export interface WorkloadCallsParts {
  readonly entries: readonly WorkloadEntry[]
  readonly identities: HeldIdentities
  readonly jwtSvids: JwtSvids
  readonly runtime: Runtime
  readonly report: (event: ServedEvent | RefusedEvent) => void
  readonly onProblem: (error: unknown) => void
}

/** One identity that a peer is given. */
interface Grant {
  readonly held: HeldIdentity
  readonly hint: string | null
  readonly now: UsableIdentity
}

interface Granted {
  readonly facts: PeerFacts
  readonly grants: readonly Grant[]
}

/** A mass of streams is told of the same change over this time (WA-2); what is withdrawn waits for nothing. */
const JITTER_MILLISECONDS = 1000
const MAX_AUDIENCE = 2048
const HEADER = 'workload.spiffe.io'

const denied: GrpcEnd = { status: grpcStatus.permissionDenied, message: 'no identity issued' }
const unready: GrpcEnd = { status: grpcStatus.unavailable, message: 'no identity can be used now' }
const busy: GrpcEnd = { status: grpcStatus.unavailable, message: 'too many programs are being looked at' }
const stopping: GrpcEnd = { status: grpcStatus.unavailable, message: 'the agent stops' }
const done: GrpcEnd = { status: grpcStatus.ok, message: '' }

export class WorkloadCalls {
  readonly #parts: WorkloadCallsParts

  constructor(parts: WorkloadCallsParts) {
    this.#parts = parts
  }

  /** What one connection is served. */
  forPeer(peer: Peer): GrpcCalls {
    const method = (name: string, work: (call: Call, request: Uint8Array) => GrpcAnswer) =>
      [
        `/SpiffeWorkloadAPI/${name}`,
        (request: Uint8Array, signal: AbortSignal) => this.#guarded(work({ name, peer, signal }, request)),
      ] as const
    return {
      admit: (headers) =>
        headers[HEADER] === 'true'
          ? null
          : { status: grpcStatus.invalidArgument, message: `expected the metadata ${HEADER}: true` },
      methods: new Map([
        method('FetchX509SVID', (call) => this.#stream(call, x509Svids)),
        method('FetchX509Bundles', (call) => this.#stream(call, x509Bundles)),
        method('FetchJWTBundles', (call) => this.#stream(call, jwtBundles)),
        method('FetchJWTSVID', (call, request) => this.#jwtSvids(call, request)),
        method('ValidateJWTSVID', (call, request) => this.#validate(call, request)),
      ]),
      onProblem: this.#parts.onProblem,
    }
  }

  /** A fault of ours is told to the operator, and to the caller without its words. */
  async *#guarded(answer: GrpcAnswer): GrpcAnswer {
    try {
      return yield* answer
    } catch (error) {
      this.#parts.onProblem(error)
      return { status: grpcStatus.internal, message: 'the agent failed' }
    }
  }

  /** The full state at once, and again whenever it is another one, until nothing is left of it. */
  async *#stream(call: Call, encode: (grants: readonly Grant[]) => Uint8Array): GrpcAnswer {
    const { identities, runtime } = this.#parts
    let told: StreamState | null = null
    let due: number | null = null
    for (;;) {
      const changed = identities.changed(call.signal)
      const given = await this.#granted(call)
      if (call.signal.aborted) return stopping
      if ('status' in given) return given
      const now = streamState(given.grants)
      if (told !== null && told.basis === now.basis) {
        due = null
        await changed
        continue
      }
      if (told !== null && !isWithdrawal(told, given.grants)) {
        due ??= runtime.monotonic() + runtime.chance() * JITTER_MILLISECONDS
        const left = due - runtime.monotonic()
        if (left > 0) {
          // Whatever comes meanwhile is part of what is told, and ends the wait when it is a withdrawal.
          await sleepUntil(changed, left, call.signal, runtime)
          continue
        }
      }
      told = now
      due = null
      yield this.#told(call, given, encode)
    }
  }

  #told(call: Call, given: Granted, encode: (grants: readonly Grant[]) => Uint8Array): Uint8Array {
    this.#report(call, given)
    return encode(given.grants)
  }

  /** JWT-SVIDs for one audience, of all identities that the peer is given or of the one that he names (WA-5). */
  async *#jwtSvids(call: Call, request: Uint8Array): GrpcAnswer {
    const read = readJwtSvidRequest(request)
    const [audience = '', ...others] = read?.audiences ?? []
    if (read === null || audience === '' || audience.length > MAX_AUDIENCE || others.length > 0)
      return invalid('expected one audience: ask once for each, or each could use the JWT-SVID at the others')
    const given = await this.#granted(call)
    if ('status' in given) return given
    const grants = given.grants.filter(({ now }) => read.id === '' || now.svid.id.uri === read.id)
    if (grants.length === 0) return this.#refused(call, given.facts, 'not an identity of this program')
    const svids: JwtSvidMessage[] = []
    try {
      for (const { held, hint, now } of grants) {
        const svid = await this.#parts.jwtSvids.for(held, now, audience, call.signal)
        svids.push({ id: now.svid.id.uri, svid: svid.reveal(), hint })
      }
    } catch (error) {
      if (isAudienceRefusal(error)) return this.#refused(call, given.facts, 'no JWT-SVIDs for this audience')
      this.#parts.onProblem(error)
      return { status: grpcStatus.unavailable, message: 'the authority gives no JWT-SVID now' }
    }
    // The authority was waited for.
    const now = await this.#granted(call)
    if ('status' in now) return now
    if (!grants.every(({ held }) => now.grants.some((one) => one.held === held)))
      return this.#refused(call, now.facts, 'not an identity of this program any more')
    this.#report(call, { ...now, grants }, audience)
    yield jwtSvidResponse(svids)
    return done
  }

  async *#validate(call: Call, request: Uint8Array): GrpcAnswer {
    const read = readValidateRequest(request)
    if (read === null) return invalid('expected audience and svid')
    const given = await this.#granted(call)
    if ('status' in given) return given
    const [first] = given.grants
    if (first === undefined) return denied
    const verdict = this.#parts.jwtSvids.judge(read.svid, first.held, read.audience)
    if (!verdict.ok) return invalid(`not a JWT-SVID that holds here and now: ${verdict.code}`)
    const { id, claims } = verdict.svid
    yield validateResponse(id.uri, claims)
    return done
  }

  /** What the peer is given now, or why nothing. */
  async #granted(call: Call): Promise<Granted | GrpcEnd> {
    const { entries, identities } = this.#parts
    const facts = await call.peer.facts()
    if (typeof facts === 'string') return this.#refused(call, null, facts)
    const matching = await entriesFor(entries, facts).catch((error: unknown) => {
      if (isTurnRefusal(error)) return null
      throw error
    })
    if (matching === null) return this.#refused(call, facts, 'too many programs of this user are being looked at', busy)
    if (matching.length === 0) return this.#refused(call, facts, 'no entry matches')
    const states = matching.flatMap(({ identity, hint }) => {
      const held = identities.get(identity)
      return held === null ? [] : [{ held, hint: hint ?? null, now: held.now() }]
    })
    const grants = states.flatMap(({ held, hint, now }) => (now.kind === 'usable' ? [{ held, hint, now }] : []))
    // Matching may have read a whole program.
    if (!call.peer.isSame()) return this.#refused(call, facts, 'the process has ended, or is another program')
    if (grants.length > 0) return { facts, grants }
    if (states.some(({ now }) => now.kind === 'lapsed')) return unready
    return this.#refused(call, facts, 'the authority has taken the identity away')
  }

  #refused(call: Call, facts: PeerFacts | null, reason: string, end = denied): GrpcEnd {
    const { pid, uid } = call.peer.credentials
    this.#parts.report({ type: 'refused', method: call.name, pid, uid, program: facts?.program ?? null, reason })
    return end
  }

  #report({ name: method }: Call, { facts, grants }: Granted, audience?: string): void {
    const { pid, uid, program } = facts
    const ids = grants.map(({ now }) => now.svid.id.uri)
    this.#parts.report({
      type: 'served',
      method,
      ids,
      pid,
      uid,
      program,
      ...(audience === undefined ? {} : { audience }),
    })
  }
}

interface Call {
  readonly name: string
  readonly peer: Peer
  readonly signal: AbortSignal
}

function invalid(message: string): GrpcEnd {
  return { status: grpcStatus.invalidArgument, message }
}

async function sleepUntil(changed: Promise<void>, left: number, signal: AbortSignal, runtime: Runtime): Promise<void> {
  const woken = new AbortController()
  await Promise.race([changed, runtime.sleep(left, AbortSignal.any([signal, woken.signal]))])
  woken.abort()
}

function x509Svids(grants: readonly Grant[]): Uint8Array {
  return x509SvidResponse(
    grants.map(({ hint, now: { svid, anchors } }) => ({
      id: svid.id.uri,
      chain: svid.chain,
      privateKey: svid.privateKey.export({ type: 'pkcs8', format: 'der' }),
      bundle: anchors,
      hint,
    })),
  )
}

/** All identities are of one trust domain; the one that trusts what is newest tells of it. */
function newestOf(grants: readonly Grant[]): UsableIdentity {
  const ordered = grants.map(({ now }) => now).toSorted((a, b) => order(b) - order(a))
  return ordered[0]!
}

function order({ trust: { delegation, sequence } }: UsableIdentity): number {
  return delegation * 2 ** 32 + sequence
}

function x509Bundles(grants: readonly Grant[]): Uint8Array {
  const { svid, anchors } = newestOf(grants)
  return x509BundlesResponse(domainUri(svid.id), anchors)
}

function jwtBundles(grants: readonly Grant[]): Uint8Array {
  const { svid, trust } = newestOf(grants)
  return jwtBundlesResponse(domainUri(svid.id), Buffer.from(jwtKeySet(trust)))
}
