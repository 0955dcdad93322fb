/** Events to a syslog receiver over TLS (RFC 5425), one connection for each batch. */

import { connect as connectPlain, isIP } from 'node:net'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { connectionFailure, tlsOptions } from './client-tls.ts'
import type { ReadClientTls } from './client-tls.ts'
import { framed, syslogMessage } from './rfc5424.ts'
import { DeliveryError } from './sink.ts'
import type { ExportEvent, ExportSink } from './sink.ts'

export interface SyslogOptions {
  readonly host: string
  readonly port: number
  /** Null speaks plain TCP, to this machine. */
  readonly tls: ReadClientTls | null
  readonly timeoutMilliseconds: number
  /** HOSTNAME of messages. */
  readonly machine: string
  /** How long a connection has to last after the last byte before we close it; default 200. */
  readonly settleMilliseconds?: number
}

const SETTLE_MILLISECONDS = 200

/**
 * Syslog has no acknowledgement. What comes closest: the batch is written, the connection lasts a moment longer, we say
 * that nothing more comes, and the receiver closes its side without an error. By then its process has read everything, or
 * has ended; what it did with it, nobody hears. A receiver that refuses our certificate or goes away closes first or
 * resets, and the batch comes again.
 */
export function syslogSink(options: SyslogOptions): ExportSink {
  const where = `${options.host}:${options.port}`
  return {
    async deliver(batch, signal) {
      const late = AbortSignal.timeout(options.timeoutMilliseconds)
      const either = AbortSignal.any([signal, late])
      const socket = await open(options, either).catch((error: unknown) => {
        throw failure(error, where, late)
      })
      const stop = () => void socket.destroy(new DeliveryError('export_timeout', 'stopped', { where }))
      either.addEventListener('abort', stop, { once: true })
      try {
        if (either.aborted) stop()
        await hand(socket, batch, options)
        return { rejected: 0 }
      } catch (error) {
        throw failure(error, where, late)
      } finally {
        either.removeEventListener('abort', stop)
        socket.destroy()
      }
    },
    close: async () => undefined,
  }
}

function failure(error: unknown, where: string, late: AbortSignal): DeliveryError {
  if (late.aborted) return new DeliveryError('export_timeout', 'the receiver did not take the batch in time', { where })
  return connectionFailure(error, where)
}

/** Connected, and over TLS the receiver is known. */
async function open({ host, port, tls }: SyslogOptions, signal: AbortSignal): Promise<Socket> {
  const files = tls === null ? null : await tls()
  const name = isIP(host) === 0 ? { servername: host } : {}
  const socket =
    files === null ? connectPlain({ host, port }) : connectTls({ host, port, ...name, ...tlsOptions(files) })
  const stop = () => void socket.destroy(new Error('stopped'))
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.once('close', () => reject(new Error('closed while connecting')))
      socket.once(files === null ? 'connect' : 'secureConnect', () => resolve())
      signal.addEventListener('abort', stop, { once: true })
      if (signal.aborted) stop()
    })
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

async function hand(socket: Socket, batch: readonly ExportEvent[], options: SyslogOptions): Promise<void> {
  const { machine, settleMilliseconds = SETTLE_MILLISECONDS } = options
  let ended = false
  const closed = new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.once('close', () => (ended ? resolve() : reject(new Error('the receiver has closed the connection'))))
  })
  closed.catch(() => undefined)
  // Whatever it says, it is read: an unread byte would make closing a reset.
  socket.resume()
  const frames = batch.map((event) => framed(syslogMessage(event, machine))).join('')
  const written = new Promise<void>((resolve, reject) => {
    socket.write(frames, (error) => (error == null ? resolve() : reject(error)))
  })
  await Promise.race([written, closed])
  await Promise.race([sleep(settleMilliseconds), closed])
  ended = true
  socket.end()
  await closed
}
