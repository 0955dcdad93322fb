/** The server behind a drill's gateways. */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export interface EchoServer {
  readonly port: number
  /** Calls of its tool so far. */
  calls(): Promise<number>
  close(): void
}

const file = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './echo-process.ts' : './echo-process.js', import.meta.url),
)

export async function startEchoServer(): Promise<EchoServer> {
  const child = fork(file, [], { execArgv: process.execArgv, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const [{ port }] = (await once(child, 'message')) as [{ readonly port: number }]
  return {
    port,
    calls: async () => {
      child.send({})
      const [answer] = (await once(child, 'message')) as [{ readonly calls: number }]
      return answer.calls
    },
    close: () => {
      if (child.connected) child.disconnect()
      child.kill()
    },
  }
}
