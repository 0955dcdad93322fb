/** A local MCP server on standard input and output that is in truth a server behind the gateway: one line in, one POST out. */

import type { Readable, Writable } from 'node:stream'
import { isDoorwardError } from '@doorward/core'
import { McpSession, oneLine, readLines, readOutgoing } from '@doorward/sdk'
import type { McpEndpoint, Runtime, SignedFetch } from '@doorward/sdk'

export interface StdioBridgeOptions {
  readonly fetch: SignedFetch
  readonly endpoint: McpEndpoint
  readonly runtime: Runtime
  readonly input: Readable
  readonly output: Writable
  /** One line for the host's log. */
  readonly notice: (text: string) => void
  readonly signal: AbortSignal
}

const MAX_LINE = 16 * 1024 * 1024
/** How long open requests may go on after the host has closed its end. */
const DRAIN = 10_000
/** What is only accepted, not answered, holds back the next line until it was; but not for longer than this. */
const ACCEPTANCE = 10_000

/**
 * Runs until the host closes standard input or the signal aborts; ends the session then. Resolves in either case.
 *
 * Requests overlap. `initialize` is answered before anything else is sent, because its answer names the session;
 * notifications and responses are accepted before the next line is sent, because their order matters to the server.
 */
export async function runStdioBridge(options: StdioBridgeOptions): Promise<void> {
  const ended = new AbortController()
  const signal = AbortSignal.any([options.signal, ended.signal])
  const session = new McpSession({ ...options, deliver: writer(options.output, ended), onNotice: options.notice })
  const stop = () => options.input.destroy()
  options.signal.addEventListener('abort', stop, { once: true })
  const open = new Set<Promise<void>>()
  try {
    await relayLines(options, { session, open, signal })
    const drained = Promise.all(open)
    await Promise.race([drained, options.runtime.sleep(DRAIN, signal)])
  } finally {
    options.signal.removeEventListener('abort', stop)
    ended.abort()
    await session.end()
  }
}

interface Relay {
  readonly session: McpSession
  readonly open: Set<Promise<void>>
  readonly signal: AbortSignal
}

async function relayLines(options: StdioBridgeOptions, relay: Relay): Promise<void> {
  let listening: Promise<void> | null = null
  try {
    for await (const line of readLines(options.input as AsyncIterable<Uint8Array>, MAX_LINE)) {
      if (line.trim() === '') continue
      const message = readOutgoing(line)
      const sent = relay.session.send(oneLine(line), relay.signal)
      if (message.kind === 'request' && message.method !== 'initialize') {
        relay.open.add(sent)
        void sent.finally(() => relay.open.delete(sent))
      } else if (message.kind === 'request') await Promise.race([sent, aborted(relay.signal)])
      else await Promise.race([sent, options.runtime.sleep(ACCEPTANCE, relay.signal)])
      const initialized = message.kind === 'notification' && message.method === 'notifications/initialized'
      if (initialized && relay.session.initialized) listening ??= relay.session.listen(relay.signal)
      if (relay.signal.aborted) return
    }
  } catch (error) {
    // Destroyed by the signal, or broken by the host: either way nothing more will come.
    if (!relay.signal.aborted)
      options.notice(isDoorwardError(error) ? error.message : 'the host closed its end unexpectedly')
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** Writes whole lines and waits while the host does not read. A host that is gone ends the bridge. */
function writer(output: Writable, ended: AbortController): (text: string) => Promise<void> {
  output.on('error', () => ended.abort())
  return (text) =>
    new Promise((resolve) => {
      output.write(`${text}\n`, () => resolve())
    })
}
