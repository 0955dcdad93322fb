/** The same way over two HAProxy: plain HTTP at the ends, mutual TLS between them, and nothing decided. */

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { testAuthority } from '@doorward/sdk/testing'
import { runHaproxy } from '../../fixtures/haproxy.ts'
import { pemOf } from '../../fixtures/trust-fixture.ts'
import type { Pair } from './sidecar-pair.ts'

/** As long as it is watched whether it listens, each has a port of its own for that. */
interface Ports {
  readonly between: number
  readonly looked: number
}

const COMMON = `global
  nbthread 2
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-server-options ssl-min-ver TLSv1.3
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
  http-reuse always
`

/** Null where HAProxy is not installed. */
export async function openHaproxyPair(program: string, folder: string, ports: Ports): Promise<Pair | null> {
  const socketPath = join(folder, 'haproxy.sock')
  const [server, client] = [join(folder, 'server.pem'), join(folder, 'client.pem')]
  const anchors = join(folder, 'anchors.pem')
  const authority = await testAuthority()
  for (const [file, name] of [
    [server, 'service/server'],
    [client, 'agent/client'],
  ] as const) {
    const { identity } = await authority.identity(name)
    const { chain, privateKey, anchors: trusted } = identity.material()
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    await writeFile(file, chain.map(pemOf).join('') + key, { mode: 0o600 })
    await writeFile(anchors, trusted.map(pemOf).join(''))
  }
  const callee = await runHaproxy(
    `${COMMON}frontend callers
  bind 127.0.0.1:${ports.between} ssl crt ${server} ca-file ${anchors} verify required alpn http/1.1
  default_backend program
backend program
  server program unix@${program}
`,
    ports.between,
  )
  if (callee === null) return null
  const caller = await runHaproxy(
    `${COMMON}frontend programs
  bind unix@${socketPath}
  bind 127.0.0.1:${ports.looked}
  default_backend callee
backend callee
  server callee 127.0.0.1:${ports.between} ssl crt ${client} ca-file ${anchors} verify required
`,
    ports.looked,
  )
  if (caller === null) return null
  return {
    pids: [callee.pid, caller.pid],
    socketPath,
    close: async () => {
      await caller.close()
      await callee.close()
    },
  }
}
