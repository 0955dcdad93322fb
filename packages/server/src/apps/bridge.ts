/** `connect`: a local MCP client becomes a caller with certificate and token. Puts identity and relay together. */

import type { Readable, Writable } from 'node:stream'
import { DoorwardError, isDoorwardError } from '@doorward/core'
import { systemRuntime } from '@doorward/sdk'
import type { Identity, McpEndpoint } from '@doorward/sdk'
import { serverAudience } from '../config/settings.ts'
import type { Deployment } from '../config/settings.ts'
import { openListenBridge } from './bridge-listen.ts'
import type { ListenBridge } from './bridge-listen.ts'
import { runStdioBridge } from './bridge-stdio.ts'

export interface BridgeOptions {
  readonly identity: Identity
  readonly endpoint: McpEndpoint
  readonly notice: (text: string) => void
  readonly signal: AbortSignal
}

/** Where one server behind the gateway is. Throws `server_unknown` when the configuration does not name it. */
export function serverEndpoint(deployment: Deployment, server: string): McpEndpoint {
  const names = Object.keys(deployment.configuration.servers)
  if (!names.includes(server)) {
    throw new DoorwardError('server_unknown', `the configuration names no server ${server}`, {
      where: deployment.file,
      expected: names.length === 0 ? 'a server under servers:' : names.join(', '),
    })
  }
  const url = serverAudience(deployment, server)
  return { url, audience: url, expectedId: deployment.gateway.id }
}

/** Relays standard input and output until the host closes them. Throws what `Identity.prepare` throws. */
export async function bridgeStdio(
  options: BridgeOptions & { readonly input: Readable; readonly output: Writable },
): Promise<void> {
  const { identity, endpoint, notice, signal, input, output } = options
  await withIdentity(identity, signal, () =>
    runStdioBridge({ fetch: identity, endpoint, runtime: systemRuntime, input, output, notice, signal }),
  )
}

/** Listens on 127.0.0.1 until the signal aborts. Throws what `Identity.prepare` throws, `port_in_use` and `address_unavailable`. */
export async function bridgeLoopback(
  options: BridgeOptions & { readonly port: number; readonly onOpen: (bridge: Pick<ListenBridge, 'url'>) => void },
): Promise<void> {
  const { identity, endpoint, notice, signal, port } = options
  await withIdentity(identity, signal, async () => {
    const bridge = await openListenBridge({ fetch: identity, endpoint, port, notice })
    options.onOpen(bridge)
    if (!signal.aborted)
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    await bridge.close()
  })
}

/** Keeps the identity fresh while `work` runs, and closes it afterwards. */
async function withIdentity(identity: Identity, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  const over = new AbortController()
  try {
    await identity.prepare(signal)
    const running = identity.run(AbortSignal.any([signal, over.signal]))
    await work()
    over.abort()
    await running
  } finally {
    over.abort()
    identity.close()
  }
}

/** Tells survived problems to the host's log, each kind at most once per minute. */
export function problemNotice(notice: (text: string) => void, monotonic: () => number): (error: unknown) => void {
  const told = new Map<string, number>()
  return (error) => {
    const code = isDoorwardError(error) ? error.code : 'internal'
    const now = monotonic()
    if (now - (told.get(code) ?? Number.NEGATIVE_INFINITY) < 60_000) return
    told.set(code, now)
    notice(error instanceof Error ? error.message : String(error))
  }
}
