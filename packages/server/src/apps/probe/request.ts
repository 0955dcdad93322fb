/** The request that would be let in, and what an attempt changes of it. */

import type { Scene } from './scene.ts'

export type Lines = readonly (readonly [name: string, value: string])[]

export interface Changes {
  readonly method?: string
  readonly target?: string
  readonly version?: string
  /** Null for none at all. */
  readonly token?: string | null
  /** On top of, or instead of, the right ones of that name; null leaves one out. */
  readonly headers?: Readonly<Record<string, string | null>>
  /** As they are, after all others. */
  readonly more?: Lines
  readonly body?: string | Uint8Array
  /** Instead of the length of the body; null for none. */
  readonly length?: string | null
  /** Whether the connection is to stay open: for what more there may be in the bytes. False by default. */
  readonly keep?: boolean
}

/** Opening a session is allowed wherever anything is. */
export const greeting = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'doorward-probe', version: '1' } },
})

export function requestOf(scene: Scene, token: string, changes: Changes = {}): Uint8Array {
  const body = Buffer.from(changes.body ?? greeting)
  const shown = changes.token === undefined ? `Bearer ${token}` : changes.token
  const right: Record<string, string | null> = {
    Host: scene.host,
    Authorization: shown,
    'Content-Type': 'application/json',
    Accept: 'application/json, text/event-stream',
    Connection: changes.keep === true ? null : 'close',
    'Content-Length': changes.length === undefined ? String(body.length) : changes.length,
    ...changes.headers,
  }
  const lines = [
    ...Object.entries(right).flatMap(([name, value]) => (value === null ? [] : [`${name}: ${value}`])),
    ...(changes.more ?? []).map(([name, value]) => `${name}: ${value}`),
  ]
  const first = `${changes.method ?? 'POST'} ${changes.target ?? scene.path} HTTP/${changes.version ?? '1.1'}`
  return Buffer.concat([Buffer.from(`${[first, ...lines].join('\r\n')}\r\n\r\n`, 'latin1'), body])
}
