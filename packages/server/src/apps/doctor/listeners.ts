/** Listeners, dialled from here: whether something answers, who it is, and that it speaks nothing older than TLS 1.3. */

import { connect } from 'node:tls'
import type { PeerCertificate, SecureVersion, TLSSocket } from 'node:tls'
import type { Address } from '../../config/settings.ts'
import { showAddress } from '../../config/settings.ts'
import { failure, fine } from './finding.ts'
import type { Finding } from './finding.ts'

export interface ListenerPlace {
  readonly name: string
  readonly address: Address
  /** SPIFFE ID that must answer. */
  readonly id: string
}

const dialMilliseconds = 5000
const everywhere: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }

/** No certificate is shown: the handshake of TLS 1.3 has told who answers before the client is asked for one. */
export async function listenerFindings({ name, address, id }: ListenerPlace): Promise<readonly Finding[]> {
  const where = `${name} ${showAddress(address)}`
  const answered = await dial(address, 'TLSv1.3')
  if (answered.kind === 'failed')
    return [
      failure('listener', {
        where,
        message: 'nothing answers here',
        got: answered.why,
        next: 'see that the part runs and that no firewall is between; from another machine, ask at its public address',
      }),
    ]
  if (answered.id !== id)
    return [
      failure('listener', {
        where,
        message: 'somebody else answers here',
        expected: id,
        got: answered.id === '' ? 'a certificate without a SPIFFE ID' : answered.id,
        next: 'see who has taken the port',
      }),
    ]
  const older = await dial(address, 'TLSv1.2')
  if (older.kind === 'answered')
    return [
      failure('listener', {
        where,
        message: 'TLS 1.2 is spoken here',
        expected: 'TLS 1.3 alone',
        next: 'something stands between that ends TLS: callers must reach the listener itself',
      }),
    ]
  return [fine('listener', `answers as ${answered.id}, by TLS 1.3 alone`, { where })]
}

type Answered = { readonly kind: 'answered'; readonly id: string } | { readonly kind: 'failed'; readonly why: string }

function dial({ host, port }: Address, version: SecureVersion): Promise<Answered> {
  return new Promise((resolve) => {
    const socket: TLSSocket = connect({
      host: everywhere[host] ?? host,
      port,
      // Who answers is what is looked at here, and nothing is sent.
      rejectUnauthorized: false,
      minVersion: version,
      maxVersion: version,
      ALPNProtocols: ['http/1.1'],
    })
    const end = (answer: Answered) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(answer)
    }
    const timer = setTimeout(() => end({ kind: 'failed', why: 'silence' }), dialMilliseconds)
    socket.once('secureConnect', () => end({ kind: 'answered', id: uriOf(socket.getPeerCertificate()) }))
    socket.once('error', (error: NodeJS.ErrnoException) => end({ kind: 'failed', why: error.code ?? error.message }))
    socket.once('close', () => end({ kind: 'failed', why: 'closed' }))
  })
}

function uriOf(certificate: PeerCertificate): string {
  const names = (certificate.subjectaltname ?? '').split(', ')
  return names.find((name) => name.startsWith('URI:'))?.slice('URI:'.length) ?? ''
}
