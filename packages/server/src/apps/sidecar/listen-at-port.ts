/** Listens at a port of 127.0.0.1. */

import type { Server } from 'node:net'
import { DoorwardError } from '@doorward/core'

/** `key` is where the configuration names it. Throws `port_in_use`. */
export function listenAtPort(server: Server, port: number, key: string): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const failed = (error: Error) =>
      reject(
        new DoorwardError('port_in_use', 'the port of a sidecar cannot be listened at', {
          where: `127.0.0.1:${port}`,
          got: error.message,
          next: `name another one as ${key}`,
        }),
      )
    server.once('error', failed)
    server.listen({ host: '127.0.0.1', port }, () => {
      server.off('error', failed)
      resolve()
    })
  })
}
