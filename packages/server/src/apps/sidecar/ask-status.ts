/** Asks a running sidecar how it is, over its own socket. */

import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { DoorwardError } from '@doorward/core'
import type { SidecarStatus } from './sidecar-numbers.ts'

const PATIENCE_MILLISECONDS = 5000

/** Whoever may enter the folder of the socket may ask. Throws `sidecar_unreachable`. */
export async function askStatus(socketPath: string): Promise<SidecarStatus> {
  const unreachable = (got: string) =>
    new DoorwardError('sidecar_unreachable', 'the sidecar does not say how it is', {
      where: socketPath,
      got,
      next: 'look whether it runs: doorward sidecar run',
    })
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const asked = request({ socketPath, path: '/status', signal: AbortSignal.timeout(PATIENCE_MILLISECONDS) })
  asked.once('error', (error) => reject(unreachable(error.message)))
  asked.once('response', (answer) => {
    if (answer.statusCode === 200) text(answer).then(resolve, (error: unknown) => reject(unreachable(String(error))))
    else reject(unreachable(`status ${answer.statusCode ?? 'unknown'}`))
  })
  asked.end()
  return JSON.parse(await promise) as SidecarStatus
}
