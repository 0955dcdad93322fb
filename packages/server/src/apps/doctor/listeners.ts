/** Listeners, dialled from here: whether something answers, who it is, and that it speaks nothing older than TLS 1.3. */

import { connect } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { readCertificate, toSeconds } from '@doorward/core'
import type { PeerCertificate, SpiffeId } from '@doorward/core'
import type { TrustSource } from '@doorward/enforcement'
import { importP256, serverProblem, sha256 } from '@doorward/sdk'
import type { Address } from '../../config/settings.ts'
import { showAddress } from '../../config/settings.ts'
import { failure, fine } from './finding.ts'
import type { Finding } from './finding.ts'
import { askedInOlderTls } from './older-tls.ts'

export interface ListenerPlace {
  readonly name: string
  readonly address: Address
  /** Who must answer. */
  readonly id: SpiffeId
  /** `skip` of the authority: it brings the mirror, so that its newest certificate may be missing there. */
  readonly mirror: 'require' | 'skip'
}

/** By which it is judged who answers. Null: nothing that answers can be told from somebody else. */
export type ListenerTrust = Pick<TrustSource, 'current' | 'now'> | null

const dialMilliseconds = 5000
const everywhere: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }

/** No certificate is shown: the handshake of TLS 1.3 has told who answers before the client is asked for one. */
export async function listenerFindings(place: ListenerPlace, trust: ListenerTrust): Promise<readonly Finding[]> {
  const where = `${place.name} ${showAddress(place.address)}`
  const { host, port } = place.address
  const dialled = { host: everywhere[host] ?? host, port }
  const answered = await dial(dialled)
  if (answered.kind === 'failed')
    return [
      failure('listener', {
        where,
        message: 'nothing answers here',
        got: answered.why,
        next: 'see that the part runs and that no firewall is between; from another machine, ask at its public address',
      }),
    ]
  const stranger = strangerFinding(answered.certificate, place, trust)
  if (stranger !== null) return [{ ...stranger, where }]
  const older = await askedInOlderTls(dialled, dialMilliseconds)
  switch (older.kind) {
    case 'refused':
      return [fine('listener', `answers as ${place.id.uri}, by TLS 1.3 alone`, { where })]
    case 'spoken':
      return [
        failure('listener', {
          where,
          message: 'TLS 1.2 is spoken here',
          expected: 'TLS 1.3 alone',
          next: 'something stands between that ends TLS: callers must reach the listener itself',
        }),
      ]
    case 'unclear':
    default:
      return [
        {
          check: 'listener',
          verdict: 'unknown',
          where,
          message: 'whether TLS 1.2 is spoken here could not be seen',
          expected: 'the alert protocol_version',
          got: older.got,
          next: 'run this again; if it stays, see what stands between that judges connections',
        },
      ]
  }
}

/** Null when the certificate is of who must answer: by its chain, times, denials and the issuance mirror. */
function strangerFinding(
  certificate: PeerCertificate | null,
  { id, mirror }: ListenerPlace,
  trust: ListenerTrust,
): Finding | null {
  const view = trust?.current() ?? null
  if (trust === null || view === null)
    return {
      check: 'listener',
      verdict: 'unknown',
      message: 'somebody answers here, and without a current trust state nobody can say who',
      expected: id.uri,
      next: 'check that the authority runs, and that the operator has joined: doorward join',
    }
  const problem =
    certificate === null
      ? { code: 'server_profile', message: 'no certificate that parses' }
      : serverProblem(certificate, { expected: id, trust: view, now: toSeconds(trust.now()), importP256, mirror })
  if (problem === null) return null
  return failure('listener', {
    message: standsNoMore.has(problem.code)
      ? 'the certificate that is shown here does not hold'
      : 'somebody else answers here',
    expected: id.uri,
    got: `${problem.code}: ${problem.message}`,
    next: standsNoMore.has(problem.code)
      ? 'see why it is not replaced: the log of the part that answers here'
      : 'see who has taken the port, or what stands between that ends TLS',
  })
}

/** It may be who it says: others refuse it all the same. */
const standsNoMore: ReadonlySet<string> = new Set(['server_expired', 'server_revoked', 'server_not_issued'])

type Answered =
  | { readonly kind: 'answered'; readonly certificate: PeerCertificate | null }
  | { readonly kind: 'failed'; readonly why: string }

function dial({ host, port }: { readonly host: string; readonly port: number }): Promise<Answered> {
  return new Promise((resolve) => {
    const socket: TLSSocket = connect({
      host,
      port,
      // Who answers is judged by its certificate, not by the roots of this machine; nothing is sent.
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      maxVersion: 'TLSv1.3',
      ALPNProtocols: ['http/1.1'],
    })
    const end = (answer: Answered) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(answer)
    }
    const timer = setTimeout(() => end({ kind: 'failed', why: 'silence' }), dialMilliseconds)
    socket.once('secureConnect', () => end({ kind: 'answered', certificate: certificateOf(socket) }))
    socket.once('error', (error: NodeJS.ErrnoException) => end({ kind: 'failed', why: error.code ?? error.message }))
    socket.once('close', () => end({ kind: 'failed', why: 'closed' }))
  })
}

function certificateOf(socket: TLSSocket): PeerCertificate | null {
  const raw = socket.getPeerX509Certificate()?.raw
  const read = raw === undefined ? null : readCertificate(new Uint8Array(raw), { sha256 })
  return read === null || 'problem' in read ? null : read
}
