/** Callers of a program: kept connections with one call under way on each, and as little else as they can do. */

import { once } from 'node:events'
import { connect as connectPlain } from 'node:net'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'node:tls'
import { MessageReader } from '../framing.ts'
import type { Message } from '../framing.ts'

/** Where the calls go. */
export type Place =
  | { readonly socketPath: string }
  | { readonly port: number; readonly key: string; readonly cert: string; readonly ca: string }

export interface Callers {
  /** Calls until `more` says no; milliseconds of each call. Rejects for an answer other than 200. */
  call(more: (begun: number) => boolean): Promise<readonly number[]>
  close(): void
}

export async function openCallers(place: Place, text: string, connections: number): Promise<Callers> {
  const callers: Caller[] = []
  // One after the other: a listener takes so many handshakes of one address at once and no more. It does not wait long for the
  // first request on each either.
  for (let i = 0; i < connections; i++) {
    callers.push(await openedCaller(place, text))
  }
  return {
    async call(more) {
      const latencies: number[] = []
      let begun = 0
      const loop = async (caller: Caller) => {
        while (more(begun)) {
          begun++
          const at = performance.now()
          await exchanged(caller, text)
          latencies.push(performance.now() - at)
        }
      }
      await Promise.all(callers.map(loop))
      return latencies
    },
    close() {
      for (const { socket } of callers) socket.destroy()
    },
  }
}

const DIALS = 8

/** A busy program closes new connections before their handshake; its callers dial again, as ours do. */
async function openedCaller(place: Place, text: string): Promise<Caller> {
  for (let dial = 1; ; dial++) {
    try {
      const caller = await openCaller(place)
      await exchanged(caller, text)
      return caller
    } catch (error) {
      if (dial === DIALS) throw error
      await delay(dial * 50)
    }
  }
}

interface Caller {
  readonly socket: Socket
  readonly exchange: (text: string) => Promise<Message>
}

async function exchanged({ exchange }: Caller, text: string): Promise<void> {
  const { head } = await exchange(text)
  if (!head.startsWith('HTTP/1.1 200')) throw new Error(`answered ${head}`)
}

async function openCaller(place: Place): Promise<Caller> {
  const socket = await connected(place)
  socket.setNoDelay(true)
  const reader = new MessageReader()
  let waiting: PromiseWithResolvers<Message> | null = null
  socket.on('data', (chunk: Buffer) => {
    for (const message of reader.push(chunk)) waiting?.resolve(message)
  })
  const gone = (error?: Error) => waiting?.reject(error ?? new Error('the connection ended'))
  socket.on('error', gone).on('close', () => gone())
  const exchange = (text: string) => {
    if (socket.destroyed) return Promise.reject(new Error('the connection ended between calls'))
    waiting = Promise.withResolvers<Message>()
    socket.write(text)
    return waiting.promise
  }
  return { socket, exchange }
}

async function connected(place: Place): Promise<Socket> {
  if ('socketPath' in place) {
    const plain = connectPlain(place.socketPath)
    await once(plain, 'connect')
    return plain
  }
  const secure = connect({
    ...place,
    host: '127.0.0.1',
    minVersion: 'TLSv1.3',
    checkServerIdentity: () => undefined,
  })
  await once(secure, 'secureConnect')
  return secure
}
