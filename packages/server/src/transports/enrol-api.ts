/**
 * Enrolment: one route for callers that have no certificate yet.
 *
 * The first message brings our anchors under signature, by which the caller pins us before it sends anything; they are
 * public anyway. The second one proves a machine key, and presents evidence the first time and a join state ever after;
 * only its answer holds the trust state, which names everybody. The key to be certified is the one of the caller's
 * self-signed client certificate: the handshake has proven it.
 */

import { exactObject, parseSpiffeId, spkiOfP256Jwk, toBase64 } from '@doorward/core'
import type { ImportP256, JsonObject, PeerCertificate } from '@doorward/core'
import {
  authorize,
  classify,
  deny,
  identifyEnrolment,
  isDenial,
  limit,
  limitArrival,
  record,
  recordOutcome,
  send,
  sendRefusal,
} from '@doorward/enforcement'
import type { Call, Denial, Exchange, Inbound, Permit, Pipeline } from '@doorward/enforcement'
import type { Authority } from '../authority/authority.ts'
import { enrolLabel } from '../authority/join.ts'
import type { EnrolmentRefusal, EnrolRequest, ExaminedEnrolment } from '../authority/join.ts'
import type { IssuedWithState } from '../authority/join-state.ts'
import { isAuthorityRefusal } from '../authority/refusal.ts'
import { failureOf, readJsonObject } from './api-routes.ts'
import { denialOf } from './token-endpoint.ts'
import { readEnrolMessage } from './enrol-message.ts'

export interface EnrolOptions {
  readonly pipeline: Pipeline
  readonly authority: Authority
  /** Where the authority's main API is reached; told to who joins. */
  readonly publicUrl: string
  readonly onProblem: (error: unknown) => void
  /** Told how each enrolment ended that was not refused before it was understood. */
  readonly onAnswered: (code: string) => void
}

const PATH = '/v1/enrol'
/** A chain of four certificates in base64 is the longest there is. */
const MAX_BODY = 48 * 1024

/** Judges and answers one request on the enrolment listener. Never rejects. Refusals of strangers are counted. */
export async function serveEnrol(exchange: Exchange, options: EnrolOptions): Promise<void> {
  const inbound: Inbound = { connection: exchange.connection, head: exchange.head, audience: options.publicUrl }
  try {
    const result = await exchangeOf(exchange, inbound, options)
    if (result !== null) sendRefusal(exchange, await options.pipeline.refuse(inbound, result))
  } catch (error) {
    options.onProblem(error)
    sendRefusal(exchange, await options.pipeline.refuse(inbound, failureOf(error)))
  }
}

/** Null when the exchange has been answered. */
async function exchangeOf(exchange: Exchange, inbound: Inbound, options: EnrolOptions): Promise<Denial | null> {
  const { limiter, connectionLimits, importP256 } = options.pipeline.dependencies
  const over = await limitArrival(inbound, limiter, connectionLimits)
  if (over !== null) return over
  if (exchange.problem !== null) return exchange.problem
  if (exchange.head.path !== PATH) return deny('path_unknown', 'only enrolment is here')
  if (exchange.head.method !== 'POST') return deny('http_method', `expected POST, got ${exchange.head.method}`)
  const certificate = ownCertificate(exchange.connection.certificate, importP256)
  if (isDenial(certificate)) return certificate
  const body = await exchange.readBody(MAX_BODY)
  if (isDenial(body)) return body
  const message = readJsonObject(body)
  if (isDenial(message)) return message
  if (exactObject(message, ['hello']) !== null) return greet(exchange, message, options.authority)
  const read = readEnrolMessage(message)
  if (isDenial(read)) return read
  const request = {
    ...read,
    exported: exchange.exportKeyingMaterial(enrolLabel),
    publicKey: certificate.publicJwk === null ? certificate.publicKeySpki : spkiOfP256Jwk(certificate.publicJwk),
  }
  return enrol(exchange, { inbound, request, body }, options)
}

/** The throw-away certificate over the new key: self-signed, P-256. It names nobody. */
function ownCertificate(certificate: PeerCertificate | null, importP256: ImportP256): PeerCertificate | Denial {
  if (certificate === null) return deny('certificate_missing', 'expected a self-signed certificate over the new key')
  const { publicJwk, tbs, signature } = certificate
  const holds = publicJwk !== null && signature !== null && importP256(publicJwk)?.verify(tbs, signature) === true
  return holds ? certificate : deny('certificate_profile', 'expected a self-signed P-256 certificate')
}

function greet(exchange: Exchange, message: JsonObject, authority: Authority): Denial | null {
  if (message['hello'] !== 1) return deny('request_invalid', 'expected hello to be 1')
  const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }
  send(exchange, 200, headers, `{"trust_anchors":${authority.trustState().anchorsText}}`)
  return null
}

interface Enrolling {
  readonly inbound: Inbound
  readonly request: EnrolRequest
  readonly body: Uint8Array
}

/** Nothing is consumed before the decision is on record. */
async function enrol(exchange: Exchange, enrolling: Enrolling, options: EnrolOptions): Promise<Denial | null> {
  const examined = await options.authority.examineEnrolment(enrolling.request)
  if (isAuthorityRefusal(examined)) return refusedBy(examined, exchange)
  const permit = await decide(examined, enrolling, options)
  if (isDenial(permit)) return permit
  await complete(exchange, permit, options)
  return null
}

/** Who has proven a key that we know is named in the record, though it is refused. */
function refusedBy(refusal: EnrolmentRefusal, { connection }: Exchange): Denial {
  const denial = denialOf(refusal)
  const { certificate } = connection
  if (refusal.proven === undefined || certificate === null) return denial
  const { fingerprint, serial } = certificate
  return { ...denial, caller: { id: refusal.proven, certificateFingerprint: fingerprint, certificateSerial: serial } }
}

/** The remaining stages of the decision path, for a caller whom evidence or the machine key has identified. */
async function decide(
  examined: ExaminedEnrolment,
  enrolling: Enrolling,
  { pipeline }: EnrolOptions,
): Promise<Permit<ExaminedEnrolment> | Denial> {
  const { decisions, trust, limiter, quotas, log } = pipeline.dependencies
  const identified = await identifyEnrolment(enrolling.inbound, parseSpiffeId(examined.id), pipeline.dependencies)
  if (isDenial(identified)) return identified
  const call: Call<ExaminedEnrolment> = {
    action: { name: 'POST', group: 'write' },
    resource: { server: 'authority', kind: 'route', name: PATH },
    args: undefined,
    rpcId: undefined,
    detail: examined,
  }
  const classified = classify(identified, enrolling.body, () => call)
  if (isDenial(classified)) return classified
  const authorized = await authorize(classified, decisions, trust.now())
  if (isDenial(authorized)) return authorized
  const admitted = await limit(authorized, { limiter, quotas })
  return isDenial(admitted) ? admitted : record(admitted, log)
}

async function complete(exchange: Exchange, permit: Permit<ExaminedEnrolment>, options: EnrolOptions): Promise<void> {
  const started = performance.now()
  const { call, identified } = permit.use().authorized.classified
  const issued = await issue(call.detail, options)
  if ('denied' in issued) {
    sendRefusal(exchange, { refused: true, denial: { ...issued, caller: identified.principal }, entry: permit.entry })
  } else {
    const headers = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }
    const decision = { 'Doorward-Decision': permit.entry.toString(), 'Doorward-Code': 'allowed' }
    send(exchange, 200, { ...headers, ...decision }, answerOf(issued, call.detail.request, options))
  }
  options.onAnswered('denied' in issued ? issued.code : 'allowed')
  const http = exchange.response.statusCode
  const milliseconds = Math.round(performance.now() - started)
  const how =
    'denied' in issued
      ? ({ status: 'failed', code: issued.code, explanation: issued.explanation } as const)
      : ({ status: 'completed' } as const)
  await recordOutcome(permit.entry, { ...how, http, bytes: 0, milliseconds }, options.pipeline.dependencies.log).catch(
    options.onProblem,
  )
}

async function issue(
  examined: ExaminedEnrolment,
  { authority, onProblem }: EnrolOptions,
): Promise<IssuedWithState | Denial> {
  try {
    const issued = await authority.completeEnrolment(examined)
    return isAuthorityRefusal(issued) ? denialOf(issued) : issued
  } catch (error) {
    onProblem(error)
    return failureOf(error)
  }
}

/** The trust state goes in as it was signed: it holds the new certificate's fingerprint and the anchors to judge it by. */
function answerOf(
  { id, certificate, joinState }: IssuedWithState,
  { scope }: EnrolRequest,
  { authority, publicUrl }: EnrolOptions,
): string {
  const what = { id, certificate: toBase64(certificate), join_state: joinState.reveal(), authority_url: publicUrl }
  const head = JSON.stringify(what)
  return `${head.slice(0, -1)},"trust_state":${authority.trustFor(id, scope)}}`
}
