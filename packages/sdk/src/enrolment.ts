/**
 * The enrolment exchange: two requests on one TLS connection whose server is proven between them.
 *
 * The handshake itself proves nothing yet: our certificate is self-signed over the new key, and the anchors are not
 * known. The first answer brings the anchors, in a statement that leads back to the pinned recovery root; one of them
 * must have issued the certificate of this very connection. Only after that anything of value is sent (reference id
 * BS-4). The trust state, which names everybody, comes with the certificate.
 */

import { Agent } from 'node:https'
import { connect } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import {
  buildCertificate,
  DoorwardError,
  epochSeconds,
  newSerial,
  openTrustAnchors,
  openTrustState,
  parseTrustMessage,
  readSignedTrustAnchors,
  selfSignedForKey,
  toBase64url,
  toSeconds,
  trustAnchorsBytes,
  trustMessageBytes,
  workloadId,
} from '@doorward/core'
import type {
  Clock,
  JsonObject,
  OpenedTrustState,
  P256Jwk,
  PeerCertificate,
  SignedTrustState,
  SignKey,
  StatementRefusal,
  TrustAnchors,
  TrustDomain,
  TrustScope,
  TrustStateVersion,
} from '@doorward/core'
import { exchange, exportKey, readJsonBody, withinAnswerTime } from './https-exchange.ts'
import { tlsOptions, untilJudged } from './mutual-tls.ts'
import type { Connected } from './mutual-tls.ts'
import { randomBytes, sha256 } from './platform/hash.ts'
import { importP256 } from './platform/p256.ts'
import type { P256KeyPair } from './platform/p256.ts'
import { redialled } from './redial.ts'
import { readRefusal, refusalError } from './refusal.ts'
import { systemRuntime } from './runtime.ts'
import { anchorsAlone, serverProblem } from './server-identity.ts'

export interface EnrolmentPin {
  readonly trustDomain: TrustDomain
  readonly rootFingerprint: string
  /** Of the trust state that the answer brings. */
  readonly scope: TrustScope
  /** The newest state seen before, so that none older is accepted. */
  readonly current?: TrustStateVersion
}

export interface EnrolmentOptions {
  /** host:port */
  readonly address: string
  readonly pin: EnrolmentPin
  /** The key that the new certificate will be for. */
  readonly key: P256KeyPair
  readonly clock: Clock
  /** Ends the exchange. */
  readonly signal?: AbortSignal
}

/** A trust state together with the message that proves it. */
export interface ProvenTrust {
  readonly opened: OpenedTrustState
  readonly message: SignedTrustState
}

export interface Enrolment {
  /** By which the server was proven. */
  readonly anchors: TrustAnchors
  /** Sends the second message on the proven connection. Throws `join_refused` or another refusal code. */
  submit(
    machine: MachineKey,
    body: (proof: MachineProof, exported: Uint8Array) => Promise<JsonObject>,
  ): Promise<JsonObject>
  close(): void
}

export interface MachineKey {
  readonly jwk: P256Jwk
  readonly signKey: SignKey
}

export interface MachineProof {
  readonly machine_key: P256Jwk
  readonly machine_proof: string
}

export const enrolExporter = 'EXPORTER-doorward-enrol'
const LIFETIME_SECONDS = 600
const HELLO = '{"hello":1}'

/**
 * Connects and proves the server. Throws `server_unreachable`, `connection_timeout`, `connection_lost`, `authority_not_pinned`
 * (the anchors are not signed under the pinned root, or this server is not their authority), `trust_message_malformed`, or a
 * `delegation_*` or `trust_anchors_*` code.
 */
export async function openEnrolment(options: EnrolmentOptions): Promise<Enrolment> {
  const { socket, server } = await redialled(() => dial(options), systemRuntime, options.signal)
  try {
    const agent = agentOver(socket)
    const url = new URL(`https://${options.address}/v1/enrol`)
    const post = (body: string, limitBytes: number) => ask({ agent, url, signal: options.signal }, body, limitBytes)
    const hello = await post(HELLO, trustAnchorsBytes + 1024)
    const anchors = openAnchors(hello['trust_anchors'], options)
    proveServer(server, anchors, options)
    return {
      anchors,
      submit: async (machine, body) => {
        const exported = exportKey(socket, enrolExporter)
        const machine_proof = toBase64url(await machine.signKey.sign(exported))
        const message = await body({ machine_key: machine.jwk, machine_proof }, exported)
        return post(JSON.stringify(message), trustMessageBytes + 65_536)
      },
      close: () => socket.destroy(),
    }
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** Opens a trust state that arrived as JSON. Throws `authority_not_pinned` or the code of `openTrustState`. */
export function openProvenTrust(value: JsonObject[string] | undefined, pin: EnrolmentPin, clock: Clock): ProvenTrust {
  const message = parseTrustMessage(JSON.stringify(value ?? null))
  if ('code' in message || message.kind !== 'trust-state') {
    throw new DoorwardError('trust_message_malformed', 'the authority sent something other than a trust state')
  }
  const opened = openTrustState(message, { ...pin, now: toSeconds(clock()), importP256, sha256 })
  if ('code' in opened) throw notAccepted(opened, pin)
  return { opened, message }
}

function openAnchors(value: JsonObject[string] | undefined, { pin, clock }: EnrolmentOptions): TrustAnchors {
  const message = readSignedTrustAnchors(value)
  if (message === null)
    throw new DoorwardError('trust_message_malformed', 'the authority sent something other than its trust anchors')
  const opened = openTrustAnchors(message, { ...pin, now: toSeconds(clock()), importP256, sha256 })
  if ('code' in opened) throw notAccepted(opened, pin)
  return opened
}

function notAccepted({ code, message }: StatementRefusal, { rootFingerprint }: EnrolmentPin): DoorwardError {
  return new DoorwardError(
    code === 'delegation_root' ? 'authority_not_pinned' : code,
    'the trust that the authority asks for is not accepted',
    { expected: `a statement signed under the recovery root ${rootFingerprint}`, got: message },
  )
}

function proveServer(server: PeerCertificate, anchors: TrustAnchors, { pin, clock, address }: EnrolmentOptions): void {
  const problem = serverProblem(server, {
    expected: workloadId(pin.trustDomain, 'doorward', 'authority'),
    trust: anchorsAlone(anchors, sha256),
    now: toSeconds(clock()),
    importP256,
    mirror: 'skip',
  })
  if (problem === null) return
  throw new DoorwardError('authority_not_pinned', 'the server is not the authority that the join string names', {
    where: address,
    expected: `the authority of ${pin.trustDomain}`,
    got: `${problem.code}: ${problem.message}`,
    next: 'check the address, or ask the operator for a new join string',
  })
}

async function dial(options: EnrolmentOptions): Promise<Connected> {
  const { hostname, port } = new URL(`https://${options.address}`)
  const host = hostname.replaceAll(/^\[|\]$/g, '')
  const now = toSeconds(options.clock())
  const certificate = await buildCertificate(
    selfSignedForKey({
      publicKey: options.key.spki,
      serial: newSerial(randomBytes),
      notBefore: epochSeconds(now - LIFETIME_SECONDS),
      notAfter: epochSeconds(now + LIFETIME_SECONDS),
    }),
    options.key.signKey,
  )
  const place = {
    host,
    port: Number(port || '443'),
    svid: { chain: [certificate], privateKey: options.key.privateKey },
  }
  // Judged in `proveServer`, before anything but the greeting is sent.
  const socket = connect({ ...tlsOptions(place), ca: [], rejectUnauthorized: false })
  const end = () => socket.destroy()
  options.signal?.addEventListener('abort', end, { once: true })
  socket.once('close', () => options.signal?.removeEventListener('abort', end))
  return untilJudged(socket, { ...place, judge: async () => null })
}

/** An agent that has this one connection and never opens another. */
function agentOver(socket: TLSSocket): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, maxCachedSessions: 0 })
  let given = false
  agent.createConnection = (_options, callback) => {
    if (given)
      callback?.(
        new DoorwardError('connection_lost', 'the enrolment connection ended between its two messages'),
        socket,
      )
    else callback?.(null, socket)
    given = true
    return undefined
  }
  return agent
}

interface Line {
  readonly agent: Agent
  readonly url: URL
  readonly signal: AbortSignal | undefined
}

async function ask({ agent, url, signal }: Line, body: string, limitBytes: number): Promise<JsonObject> {
  const response = await exchange(agent, url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body,
    signal: withinAnswerTime(signal),
  })
  if (response.status === 200) return readJsonBody(response, limitBytes)
  throw refusalError(await readRefusal(response), url.host)
}
