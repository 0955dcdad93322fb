/** HAProxy with mutual TLS on both sides: what a proxy that decides nothing costs on the same machine. */

import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const startAttempts = 100
const attemptIntervalMs = 50

export interface HaproxyOptions {
  /** Loopback port that HAProxy listens on. */
  readonly port: number
  /** Loopback port of the server behind it, which must demand a client certificate. */
  readonly upstreamPort: number
  /** Path of a PEM file with certificate chain and key, shown to clients. */
  readonly serverPem: string
  /** Path of a PEM file with certificate chain and key, shown to the server behind. */
  readonly clientPem: string
  /** Path of a PEM file with the anchors of both sides. */
  readonly anchorsPem: string
}

export interface Haproxy {
  readonly pid: number
  close(): Promise<void>
}

/**
 * Starts HAProxy with two threads, TLS 1.3 and kept connections on both sides. Null where it is not installed, so that
 * the caller says NOT MEASURED; an error where it does not start.
 */
export async function startHaproxy(options: HaproxyOptions): Promise<Haproxy | null> {
  const folder = await mkdtemp(join(tmpdir(), 'doorward-haproxy-'))
  const file = join(folder, 'haproxy.cfg')
  await writeFile(file, configuration(options), { mode: 0o600 })
  const child = spawn('haproxy', ['-db', '-f', file], { stdio: ['ignore', 'ignore', 'pipe'] })
  let output = ''
  child.stderr.on('data', (chunk: Buffer) => void (output = `${output}${chunk.toString('utf8')}`.slice(-4000)))
  const ended = new Promise<NodeJS.ErrnoException | null>((resolve) => {
    child.once('error', resolve).once('close', () => resolve(null))
  })
  const close = async (): Promise<void> => {
    child.kill('SIGTERM')
    await ended
    await rm(folder, { recursive: true, force: true })
  }
  const first = await Promise.race([ended.then((error) => ({ error })), listening(options.port)])
  if (first === true && child.pid !== undefined) return { pid: child.pid, close }
  await close()
  const error = typeof first === 'object' ? first.error : null
  if (error?.code === 'ENOENT') return null
  throw new Error(`haproxy does not listen on port ${options.port}: ${error?.message ?? output}`)
}

function configuration(options: HaproxyOptions): string {
  return `global
  nbthread 2
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-server-options ssl-min-ver TLSv1.3
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
  http-reuse safe
frontend callers
  bind 127.0.0.1:${options.port} ssl crt ${options.serverPem} ca-file ${options.anchorsPem} verify required alpn http/1.1
  default_backend servers
backend servers
  server upstream 127.0.0.1:${options.upstreamPort} ssl crt ${options.clientPem} ca-file ${options.anchorsPem} verify required
`
}

/** True once the port accepts; false when it has not after five seconds. */
async function listening(port: number): Promise<boolean> {
  for (let attempt = 0; attempt < startAttempts; attempt++) {
    if (await accepts(port)) return true
    await delay(attemptIntervalMs)
  }
  return false
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
