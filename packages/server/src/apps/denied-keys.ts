/**
 * Shows, against listeners that run, that keys which were replaced are good for nothing: a certificate and a token that they
 * have signed just now, a connection from before, and its resumption. A control beside them shows that the listener knows
 * a certificate that is good. No token of ours is ever sent, so that nobody has to be believed to be the listener.
 */

import { setTimeout as sleep } from 'node:timers/promises'
import { fromBase64 } from '@doorward/core'
import type { Canary, Probe } from '@doorward/sdk'
import { ProbeConnection } from './probe-connection.ts'
import type { ProbeAnswer, ProbeMaterial, ProbePlace, ProbeRequest } from './probe-connection.ts'

/** One listener, and a request that it judges the caller by. */
export interface ProbeTarget {
  /** Such as `gateway main`. */
  readonly listener: string
  readonly place: ProbePlace
  /** `Host` that it answers to. */
  readonly host: string
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** What tokens for it are for. */
  readonly audience: string
}

/** Connections of before, by a certificate that is going to be replaced. */
export interface HeldConnections {
  readonly connections: ReadonlyMap<ProbeTarget, ProbeConnection>
  readonly material: ProbeMaterial
  close(): void
}

/** What the prover has: a standing of its own, and what the old keys have signed for it. */
export interface ProofParts {
  readonly targets: readonly ProbeTarget[]
  readonly held: HeldConnections
  /** The prover's present certificate. */
  readonly own: ProbeMaterial
  readonly canaries: readonly Canary[]
  /** Of the key that the canary certificates are for. */
  readonly canaryKey: ProbeMaterial['privateKey']
}

/** What a good certificate is told that comes without a token. */
const recognised = 'token_missing'
/** How a listener may say no to a certificate: before the first request, or to it. */
const certificateRefusals = /^(?:closed|alert_[a-z_]+|certificate_untrusted|certificate_denied)$/
const recognitionMilliseconds = 10_000
const askAgainMilliseconds = 250

/** Opens one connection to each listener and shows that it works. Listeners that do not know us now are left out. */
export async function holdConnections(
  targets: readonly ProbeTarget[],
  material: ProbeMaterial,
): Promise<HeldConnections> {
  const connections = new Map<ProbeTarget, ProbeConnection>()
  for (const target of targets) {
    const opened = await ProbeConnection.open(target.place, material)
    if (!(opened instanceof ProbeConnection)) continue
    const answer = await opened.ask(requestOf(target, null))
    if (answer.code === recognised) connections.set(target, opened)
    else opened.close()
  }
  return {
    connections,
    material,
    close: () => {
      for (const connection of connections.values()) connection.close()
    },
  }
}

/** Tries everything against every listener; the order is that of the targets. Listeners that are away are waited for once, together. */
export async function proveDenied(parts: ProofParts): Promise<readonly Probe[]> {
  const probes: Probe[] = []
  const recognisedBy = performance.now() + recognitionMilliseconds
  for (const target of parts.targets) {
    const attempts = [
      () => control(target, parts, recognisedBy),
      ...parts.canaries.flatMap((canary) => attemptOf(target, canary, parts)),
      () => liveConnection(target, parts),
      () => resumption(target, parts),
    ]
    for (const attempt of attempts) {
      const made = await attempt()
      if (made !== null) probes.push({ listener: target.listener, address: addressOf(target), ...made })
    }
  }
  return probes
}

type Made = Omit<Probe, 'listener' | 'address'>
type Attempt = () => Promise<Made | null>

/** A listener whose own standing was just replaced may hear of our certificate a moment later: it is asked again until then. */
async function control(target: ProbeTarget, { own }: ProofParts, recognisedBy: number): Promise<Made> {
  for (;;) {
    const { code } = await once(target, own, null)
    if (code === recognised || performance.now() > recognisedBy)
      return { attempt: 'control', keyId: '', got: code, ok: code === recognised }
    await sleep(askAgainMilliseconds)
  }
}

function attemptOf(target: ProbeTarget, canary: Canary, parts: ProofParts): readonly Attempt[] {
  const { keyId, kind } = canary
  if (kind === 'token') {
    if (canary.audience !== target.audience) return []
    return [
      async () => {
        const answer = await once(target, parts.own, canary.token)
        return { attempt: 'token', keyId, got: answer.code, ok: answer.code === 'token_key_unknown' }
      },
    ]
  }
  const der = fromBase64(canary.certificate) ?? new Uint8Array()
  return [
    async () => {
      const answer = await once(target, { chain: [der], privateKey: parts.canaryKey }, null)
      return { attempt: 'certificate', keyId, got: answer.code, ok: isRefused(answer) }
    },
  ]
}

async function liveConnection(target: ProbeTarget, { held }: ProofParts): Promise<Made | null> {
  const connection = held.connections.get(target)
  if (connection === undefined) return null
  const answer = await connection.ask(requestOf(target, null))
  return { attempt: 'live connection', keyId: '', got: answer.code, ok: isRefused(answer) }
}

/** A server that offers no ticket has nothing to resume; the certificate of before is tried anyway. */
async function resumption(target: ProbeTarget, { held }: ProofParts): Promise<Made | null> {
  const connection = held.connections.get(target)
  if (connection === undefined) return null
  const ticket = connection.tickets.at(-1)
  const offered = ticket === undefined ? 'no ticket, ' : ''
  const opened = await ProbeConnection.open(target.place, held.material, ticket)
  if (!(opened instanceof ProbeConnection))
    return { attempt: 'resumption', keyId: '', got: `${offered}${opened.code}`, ok: isRefused(opened) }
  const answer = await opened.ask(requestOf(target, null))
  const { resumed } = opened
  opened.close()
  const got = `${resumed ? 'resumed, ' : offered}${answer.code}`
  return { attempt: 'resumption', keyId: '', got, ok: !resumed && isRefused(answer) }
}

async function once(target: ProbeTarget, material: ProbeMaterial, token: string | null): Promise<ProbeAnswer> {
  const opened = await ProbeConnection.open(target.place, material)
  if (!(opened instanceof ProbeConnection)) return opened
  const answer = await opened.ask(requestOf(target, token))
  opened.close()
  return answer
}

function requestOf({ method, path, host }: ProbeTarget, token: string | null): ProbeRequest {
  return { method, path, host, token }
}

function isRefused(answer: ProbeAnswer): boolean {
  return answer.kind === 'refused' && certificateRefusals.test(answer.code)
}

function addressOf({ place }: ProbeTarget): string {
  return place.host.includes(':') ? `[${place.host}]:${place.port}` : `${place.host}:${place.port}`
}
