/** One certificate from the order to the chain (RFC 8555 §7.4): the name is proven by a handshake at the listener itself (RFC 8737). */

import { certificationRequest, jwkThumbprint, toBase64url, utf8 } from '@doorward/core'
import type { Sha256, SignKey } from '@doorward/core'
import type { AcmeConnection, AcmeObject } from './acme-connection.ts'
import { alpnChallenge, readAuthorization, readChain, readOrder } from './acme-messages.ts'
import type { Authorization, Challenge, Order, Problem } from './acme-messages.ts'
import { AcmeRefusal, unfit } from './acme-problem.ts'

export interface OrderParts {
  readonly connection: AcmeConnection
  /** DNS name. */
  readonly name: string
  /** Of the certificate; never the account's. */
  readonly key: SignKey & { readonly publicKey: Uint8Array }
  /** From when it resolves, handshakes with the name are answered for the challenge, until it is disposed of. */
  readonly answer: (name: string, digest: Uint8Array) => Promise<Disposable>
  readonly sha256: Sha256
  /** Milliseconds that only rise. */
  readonly monotonic: () => number
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>
  readonly signal: AbortSignal
}

/** For a proof to be looked at, and for a certificate to be made. */
const PATIENCE_MILLISECONDS = 120_000
const LEAST_PAUSE_SECONDS = 1
const MOST_PAUSE_SECONDS = 15

/**
 * Orders and brings the chain, leaf first, as the authority answers it: whether it is what was ordered is judged by the
 * caller. Throws `acme_refused`, `acme_answer`, or what the exchange throws.
 */
export async function orderCertificate(parts: OrderParts): Promise<readonly Uint8Array[]> {
  const { connection, name, key } = parts
  await connection.register()
  const { newOrder } = await connection.directory()
  const ordered = await connection.post(newOrder, { identifiers: [{ type: 'dns', value: name }] })
  if (ordered.location === null) throw unfit(newOrder, 'the place of the order', 'none')
  const place = ordered.location
  const order = readOrder(place, ordered.object)
  for (const url of order.authorizations) await prove(url, parts)
  const ready = await orderIn(place, parts, ['ready', 'valid'])
  if (ready.status === 'ready') {
    const csr = toBase64url(await certificationRequest({ name, publicKey: key.publicKey }, key))
    await connection.post(ready.finalize, { csr })
  }
  const { certificate } = await orderIn(place, parts, ['valid'])
  if (certificate === null) throw unfit(place, 'the place of the certificate', 'none')
  return readChain(certificate, await connection.download(certificate, 'application/pem-certificate-chain'))
}

/** The name is ours: whoever connects to it is shown what only the account can know. */
async function prove(url: string, parts: OrderParts): Promise<void> {
  const { connection, name, sha256 } = parts
  const asked = readAuthorization(url, (await connection.get(url)).object)
  if (asked.name !== name) throw unfit(url, `an authorization for ${name}`, asked.name)
  if (asked.status === 'valid') return
  const challenge = challengeOf(url, asked)
  const authorization = `${challenge.token}.${jwkThumbprint(connection.key.jwk, sha256)}`
  using _shown = await parts.answer(name, sha256(utf8(authorization)))
  await connection.post(challenge.url, {})
  await until(url, parts, (answer) => {
    const { status, challenges } = readAuthorization(url, answer.object)
    if (status === 'pending' || status === 'processing') return null
    if (status === 'valid') return true
    throw failed(url, challenges[0]?.problem ?? null, status)
  })
}

function challengeOf(url: string, { status, challenges }: Authorization): Challenge {
  const [challenge] = challenges
  if (status !== 'pending') throw unfit(url, 'an authorization that is pending', status)
  if (challenge === undefined) throw unfit(url, `a challenge ${alpnChallenge}`, 'others alone')
  return challenge
}

function orderIn(place: string, parts: OrderParts, wanted: readonly string[]): Promise<Order> {
  return until(place, parts, (answer) => {
    const order = readOrder(place, answer.object)
    if (wanted.includes(order.status)) return order
    if (order.status === 'invalid') throw failed(place, order.problem, order.status)
    return null
  })
}

function failed(where: string, problem: Problem | null, status: string): AcmeRefusal {
  const { type, detail } = problem ?? { type: 'unknown', detail: `it is ${status}` }
  return new AcmeRefusal({ where, status: 200, type, detail, retryAfterSeconds: null })
}

/** Asks until there is something, no sooner than the authority wants. */
async function until<T>(url: string, parts: OrderParts, judge: (answer: AcmeObject) => T | null): Promise<T> {
  const { connection, monotonic, sleep, signal } = parts
  const end = monotonic() + PATIENCE_MILLISECONDS
  for (;;) {
    const answer = await connection.get(url)
    const found = judge(answer)
    if (found !== null) return found
    const seconds = Math.min(Math.max(answer.retryAfterSeconds ?? 0, LEAST_PAUSE_SECONDS), MOST_PAUSE_SECONDS)
    if (monotonic() + seconds * 1000 > end) throw unfit(url, `an end within ${PATIENCE_MILLISECONDS / 1000} s`, 'none')
    await sleep(seconds * 1000, signal)
    if (signal.aborted) throw unfit(url, 'time to wait', 'the end of the process')
  }
}
