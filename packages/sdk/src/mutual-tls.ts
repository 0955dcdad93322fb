/**
 * One TLS 1.3 connection with our SVID to a server that proves who it is before it gets a single byte of ours.
 *
 * The identity is judged here, after `secureConnect`, from the DER of the certificate: `checkServerIdentity` does not run
 * on resumed sessions (reference id TR-2) and sees URI names as one joined text (TR-5).
 */

import { isIP } from 'node:net'
import { connect } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { DoorwardError, readCertificate } from '@doorward/core'
import type { PeerCertificate } from '@doorward/core'
import { clientContext, contextOptions } from './client-context.ts'
import type { ClientContexts } from './client-context.ts'
import { connectionError } from './connection-error.ts'
import { sha256 } from './platform/hash.ts'
import type { ServerProblem } from './server-identity.ts'
import type { Svid } from './svid.ts'

export interface Dial {
  readonly host: string
  readonly port: number
  readonly svid: Pick<Svid, 'chain' | 'privateKey'>
  /** DER certificates to which the server must chain; never the system's roots. */
  readonly anchors: readonly Uint8Array[]
  /** Of earlier connections, to be used again; a context of its own by default. */
  readonly contexts?: ClientContexts
  /** Judges the server's leaf. Nothing is sent before it answers null. */
  readonly judge: (certificate: PeerCertificate) => Promise<ServerProblem | null>
  /** TCP, handshake and judgement together; 10 s by default. */
  readonly timeoutMilliseconds?: number
}

export interface Connected {
  readonly socket: TLSSocket
  readonly server: PeerCertificate
}

const DEFAULT_TIMEOUT = 10_000

/** What every connection of ours insists on. `resume` is never offered. */
export function tlsOptions(dial: Pick<Dial, 'host' | 'port' | 'svid'>): ConnectionOptions {
  return { ...placeOptions(dial), ...contextOptions(dial.svid) }
}

/** What does not belong to the context of a connection. */
function placeOptions({ host, port }: Pick<Dial, 'host' | 'port'>): ConnectionOptions {
  return {
    host,
    port,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ALPNProtocols: ['http/1.1'],
    // The name is a SPIFFE ID and judged after the handshake; DNS names decide nothing here.
    checkServerIdentity: () => undefined,
  }
}

/**
 * Connects and judges. Throws `server_unreachable`, `connection_timeout`, `connection_refused` (the server does not accept our
 * certificate), `server_untrusted` (no chain to the anchors), or the code of `judge`.
 */
export async function connectMutualTls(dial: Dial): Promise<Connected> {
  if (dial.anchors.length === 0) {
    throw new DoorwardError('server_untrusted', 'the trust state has no anchors: no server can be trusted', {
      where: `${dial.host}:${dial.port}`,
    })
  }
  const secureContext = dial.contexts?.of(dial.svid, dial.anchors) ?? clientContext(dial.svid, dial.anchors)
  const socket = connect({ ...placeOptions(dial), secureContext, rejectUnauthorized: true })
  // For `checkServerIdentity`, Node.js makes of the whole chain what nobody looks at, at a tenth of what a connection costs.
  Object.assign(socket, { getPeerCertificate: () => ({}) })
  const connected = await untilJudged(socket, dial)
  Reflect.deleteProperty(socket, 'getPeerCertificate')
  return connected
}

/** Waits for the handshake, then for the judgement; destroys the socket unless both succeed in time. */
export function untilJudged(
  socket: TLSSocket,
  dial: Pick<Dial, 'host' | 'port' | 'judge' | 'timeoutMilliseconds'>,
): Promise<Connected> {
  const where = `${dial.host}:${dial.port}`
  return new Promise((resolve, reject) => {
    const settle = (outcome: () => void) => {
      clearTimeout(timer)
      socket.off('error', failed)
      socket.off('close', closed)
      outcome()
    }
    const fail = (error: Error) =>
      settle(() => {
        // A late error of the dying socket has nobody else to hear it.
        socket.on('error', () => undefined)
        socket.destroy()
        reject(error)
      })
    const failed = (error: Error) => fail(connectionError(error, where))
    const closed = () => fail(connectionError(new Error('the connection ended during the handshake'), where))
    const timer = setTimeout(() => {
      fail(new DoorwardError('connection_timeout', 'the server did not complete the TLS handshake in time', { where }))
    }, dial.timeoutMilliseconds ?? DEFAULT_TIMEOUT)
    socket.once('error', failed)
    socket.once('close', closed)
    socket.once('secureConnect', () => {
      judged(socket, dial, where).then((server) => settle(() => resolve({ socket, server })), fail)
    })
  })
}

async function judged(socket: TLSSocket, dial: Pick<Dial, 'judge'>, where: string): Promise<PeerCertificate> {
  if (socket.isSessionReused() || socket.getProtocol() !== 'TLSv1.3') {
    throw new DoorwardError('server_untrusted', 'only fresh TLS 1.3 sessions are used', {
      where,
      got: String(socket.getProtocol()),
    })
  }
  const raw = socket.getPeerX509Certificate()?.raw
  const server = raw === undefined ? null : readCertificate(new Uint8Array(raw), { sha256 })
  if (server === null || 'problem' in server) {
    throw new DoorwardError('server_profile', 'the server presented no certificate that parses', { where })
  }
  const problem = await dial.judge(server)
  if (problem !== null)
    throw new DoorwardError(problem.code, 'the server is not the one that was asked for', {
      where,
      got: problem.message,
    })
  return server
}
