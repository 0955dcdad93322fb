/**
 * Gateways and the authority are witnesses of each other's logs. `POST /v1/witness`: a gateway shows its log and gets it
 * cosigned. `GET /v1/witness/log`: it asks for the authority's, and `POST /v1/witness/cosignature` brings its cosignature, or what
 * it remembers when that cannot be. Bodies carry the texts of C2SP tlog-witness and tlog-cosignature.
 */

import { exactObject, isText } from '@doorward/core'
import { deny, isDenial } from '@doorward/enforcement'
import type { Denial, Permit } from '@doorward/enforcement'
import { callerOf, requestOf } from './api-routes.ts'
import type { ApiAnswer, ApiRequest, ApiRoute } from './api-routes.ts'

/** A log as it is shown. */
export interface ShownLog {
  /** Verifier key of the log (C2SP signed-note). */
  readonly logKey: string
  /** Body of `add-checkpoint`. */
  readonly submission: string
}

/** A cosignature as it is handed over. */
export interface ShownCosignature {
  /** Verifier key of the witness (C2SP tlog-cosignature). */
  readonly witnessKey: string
  /** The signature line, newline included. */
  readonly cosignature: string
  /** The checkpoint that it is for, signed by its log. */
  readonly checkpoint: string
}

export interface WitnessPort {
  /** `from`: SPIFFE ID of the caller, who may show its own log alone. `elsewhere`: the note that is remembered; null for none. */
  submit(from: string, log: ShownLog): Promise<ShownCosignature | { readonly elsewhere: string | null } | Denial>
  /** The log of this authority for a witness that knows `oldSize` entries of it; `behind` when it has fewer. */
  ownLog(oldSize: number): Promise<ShownLog | { readonly behind: number }>
  takeCosignature(from: string, cosignature: ShownCosignature): Promise<Denial | null>
  /** `note`: a checkpoint of our log that we do not stand by any more, if it is one. */
  takeEvidence(from: string, note: string): Promise<Denial | null>
}

const MAX_KEY = 512
const MAX_SUBMISSION = 16_384

export function witnessRoutes(witness: WitnessPort): readonly ApiRoute[] {
  const route = { credential: 'token' } as const
  return [
    {
      ...route,
      method: 'POST',
      path: '/v1/witness',
      group: 'write',
      body: 'json',
      handle: (permit) => submit(witness, permit),
    },
    {
      ...route,
      method: 'GET',
      path: '/v1/witness/log',
      group: 'read',
      body: 'none',
      query: ['old'],
      handle: (permit) => ownLog(witness, permit),
    },
    {
      ...route,
      method: 'POST',
      path: '/v1/witness/cosignature',
      group: 'write',
      body: 'json',
      handle: (permit) => taken(witness, permit),
    },
  ]
}

async function submit(witness: WitnessPort, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const body = exactObject(requestOf(permit).json ?? {}, ['log_key', 'submission'])
  const logKey = body?.['log_key']
  const submission = body?.['submission']
  if (!isText(logKey, MAX_KEY) || !isText(submission, MAX_SUBMISSION))
    return deny('request_invalid', 'expected exactly log_key and submission')
  const answer = await witness.submit(callerOf(permit).presenter.uri, { logKey, submission })
  if (isDenial(answer)) return answer
  if ('elsewhere' in answer) return { kind: 'json', status: 409, value: { checkpoint: answer.elsewhere } }
  return { kind: 'json', status: 200, value: documentOf(answer) }
}

/** As it goes over the wire. */
export function documentOf({ witnessKey, cosignature, checkpoint }: ShownCosignature): object {
  return { witness_key: witnessKey, cosignature, checkpoint }
}

async function ownLog(witness: WitnessPort, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const old = requestOf(permit).query.get('old') ?? '0'
  if (!/^\d{1,15}$/.test(old)) return deny('request_invalid', 'expected old to be a whole number')
  const shown = await witness.ownLog(Number(old))
  if ('behind' in shown) return { kind: 'json', status: 409, value: { size: shown.behind } }
  return { kind: 'json', status: 200, value: { log_key: shown.logKey, submission: shown.submission } }
}

async function taken(witness: WitnessPort, permit: Permit<ApiRequest>): Promise<ApiAnswer | Denial> {
  const from = callerOf(permit).presenter.uri
  const json = requestOf(permit).json ?? {}
  const evidence = exactObject(json, ['evidence'])?.['evidence']
  const cosigned = exactObject(json, ['witness_key', 'cosignature', 'checkpoint'])
  const problem = isText(evidence, MAX_SUBMISSION)
    ? await witness.takeEvidence(from, evidence)
    : await takeCosigned(witness, from, cosigned)
  return problem ?? { kind: 'json', status: 204, value: null }
}

async function takeCosigned(
  witness: WitnessPort,
  from: string,
  body: ReturnType<typeof exactObject>,
): Promise<Denial | null> {
  const witnessKey = body?.['witness_key']
  const cosignature = body?.['cosignature']
  const checkpoint = body?.['checkpoint']
  if (!isText(witnessKey, MAX_KEY) || !isText(cosignature, MAX_KEY) || !isText(checkpoint, MAX_SUBMISSION))
    return deny('request_invalid', 'expected exactly witness_key, cosignature and checkpoint, or evidence')
  return witness.takeCosignature(from, { witnessKey, cosignature, checkpoint })
}
