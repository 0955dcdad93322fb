/** A small document of a service or agent, over the way by which it is called: bounded, without redirects. */

import type { Dispatcher } from 'undici'
import { DoorwardError } from '@doorward/core'
import { GrowingBytes } from '@doorward/enforcement'

export interface DocumentPlace {
  readonly origin: string
  /** Absolute. */
  readonly path: string
}

const MOST_BYTES = 256 * 1024
const MILLISECONDS = 5000

/** The body of a 200 answer. Throws `document_unavailable`. */
export async function documentFrom(pool: Dispatcher, { origin, path }: DocumentPlace): Promise<Uint8Array> {
  try {
    const signal = AbortSignal.timeout(MILLISECONDS)
    const headers = { accept: 'application/json', 'accept-encoding': 'identity' }
    const { statusCode, headers: answered, body } = await pool.request({ origin, path, method: 'GET', headers, signal })
    const problem = headProblem(statusCode, answered['content-encoding'])
    if (problem !== null) {
      body.destroy()
      throw new Error(problem)
    }
    const bytes = new GrowingBytes()
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      if (bytes.length + chunk.length > MOST_BYTES) throw new Error(`expected at most ${MOST_BYTES} bytes`)
      bytes.append(chunk)
    }
    return bytes.view().slice()
  } catch (error) {
    throw new DoorwardError('document_unavailable', 'a document cannot be fetched', {
      where: `${origin}${path}`,
      got: error instanceof Error ? error.message : String(error),
    })
  }
}

function headProblem(status: number, coding: string | string[] | undefined): string | null {
  if (status !== 200) return `expected status 200, got ${status}`
  return coding === undefined || coding === 'identity' ? null : 'an encoding that nobody asked for'
}
