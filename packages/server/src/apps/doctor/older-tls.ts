/**
 * What a listener answers to somebody who speaks nothing newer than TLS 1.2, by the first record that it sends (RFC 5246
 * §6.2.1, §7.2, §7.4.1.3). A handshake that goes on is TLS 1.2 spoken, however it ends: for want of a certificate it does.
 */

import { connect as connectTcp } from 'node:net'
import { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'

/** `refused`: by the alert that there is for it. `unclear`: it said something else, or nothing. */
export type OlderAnswer = { readonly kind: 'refused' | 'spoken' } | { readonly kind: 'unclear'; readonly got: string }

const alertRecord = 21
const handshakeRecord = 22
const serverHello = 2
const protocolVersionAlert = 70
/** Of the record, and of type and level, or type and length, of what is in it. */
const headerBytes = 5
const enoughBytes = headerBytes + 2

export function askedInOlderTls(
  place: { readonly host: string; readonly port: number },
  patienceMilliseconds: number,
): Promise<OlderAnswer> {
  return new Promise((resolve) => {
    const wire = connectTcp(place)
    // It speaks, and hears nothing: what comes back is looked at here.
    const hello = connectTls({
      socket: new Duplex({
        read: () => undefined,
        write: (part: Buffer, _encoding, done) => void wire.write(part, () => done()),
      }),
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.2',
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: false,
    })
    let held = Buffer.alloc(0)
    const end = (answer: OlderAnswer) => {
      clearTimeout(timer)
      hello.destroy()
      wire.destroy()
      resolve(answer)
    }
    const timer = setTimeout(() => end({ kind: 'unclear', got: 'silence' }), patienceMilliseconds)
    hello.on('error', () => undefined)
    wire.on('data', (part) => {
      held = Buffer.concat([held, part]).subarray(0, enoughBytes)
      if (held.length === enoughBytes) end(answerIn(held))
    })
    wire.on('error', (error: NodeJS.ErrnoException) => end({ kind: 'unclear', got: error.code ?? error.message }))
    wire.on('close', () => end({ kind: 'unclear', got: 'the connection was closed' }))
  })
}

function answerIn(record: Uint8Array): OlderAnswer {
  const [type, , , , , first, second] = record
  if (type === handshakeRecord && first === serverHello) return { kind: 'spoken' }
  if (type !== alertRecord) return { kind: 'unclear', got: `a record of type ${type}` }
  return second === protocolVersionAlert ? { kind: 'refused' } : { kind: 'unclear', got: `alert ${second}` }
}
