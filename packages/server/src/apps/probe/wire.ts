/** One connection and the bytes that an attempt says, whatever they are: no client would send most of them. */

import { X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { connect } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'

export interface WirePlace {
  readonly host: string
  readonly port: number
}

/** What is shown in the handshake. */
export interface WireMaterial {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[]
  readonly privateKey: KeyObject
}

export interface WireAnswer {
  readonly status: number
  /** Names in lowercase; lines of one name joined by a comma. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

export interface WireOutcome {
  /** In order; several where several requests were in the bytes. */
  readonly answers: readonly WireAnswer[]
  /** How the connection ended, in few words; null while it was open when all was answered. */
  readonly ended: string | null
}

/** Longer than any answer of an error takes, and than the body timeout of a listener by default. */
const patienceMilliseconds = 15_000
/** After the first answer, for another one that should not come. */
const quietMilliseconds = 250
const maxBytes = 256 * 1024

export type WireOptions = Pick<ConnectionOptions, 'minVersion' | 'maxVersion' | 'ciphers' | 'ecdhCurve' | 'session'>

/** What is sent once the handshake is over: bytes, nothing, or piece by piece. */
export type WireBytes = string | Uint8Array | null | ((socket: TLSSocket) => void)

/** The handshake alone, or with bytes after it. Never rejects. */
export async function say(
  place: WirePlace,
  material: WireMaterial | null,
  bytes: WireBytes,
  options: WireOptions = {},
): Promise<WireOutcome> {
  let socket: TLSSocket
  try {
    socket = connect({ ...dialled(place, material), ...options })
  } catch (error) {
    // What this OpenSSL cannot even say is not refused by anybody.
    return { answers: [], ended: `not_sent: ${error instanceof Error ? error.message : String(error)}` }
  }
  return new Promise((resolve) => listen(socket, bytes, resolve))
}

export function dialled({ host, port }: WirePlace, material: WireMaterial | null): ConnectionOptions {
  return {
    host,
    port,
    // Whom we reach is looked at once, before anything is tried: `ProbeOptions.reached`.
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
    ALPNProtocols: ['http/1.1'],
    ...(material === null
      ? {}
      : {
          cert: material.chain.map((der) => new X509Certificate(der).toString()).join(''),
          key: material.privateKey.export({ type: 'pkcs8', format: 'pem' }),
        }),
  }
}

function listen(socket: TLSSocket, bytes: WireBytes, resolve: (outcome: WireOutcome) => void): void {
  let held = Buffer.alloc(0)
  let quiet: NodeJS.Timeout | undefined
  let ended: string | null = null
  const finish = () => {
    clearTimeout(timer)
    clearTimeout(quiet)
    socket.destroy()
    resolve({ answers: answersIn(held.toString('latin1')), ended })
  }
  const timer = setTimeout(() => {
    ended = 'silent'
    finish()
  }, patienceMilliseconds)
  socket.on('data', (part: Buffer) => {
    held = Buffer.concat([held, part]).subarray(0, maxBytes)
    if (answersIn(held.toString('latin1')).length === 0) return
    clearTimeout(quiet)
    quiet = setTimeout(finish, quietMilliseconds)
  })
  socket.on('error', (error: NodeJS.ErrnoException) => (ended ??= endOf(error)))
  socket.on('close', () => {
    ended ??= 'closed'
    finish()
  })
  socket.on('secureConnect', () => {
    if (typeof bytes === 'function') bytes(socket)
    else if (bytes !== null) socket.write(bytes)
  })
}

/** Answers that are there in full. */
export function answersIn(text: string): readonly WireAnswer[] {
  const answers: WireAnswer[] = []
  for (let rest = text; ;) {
    const read = answerIn(rest)
    if (read === null) return answers
    answers.push(read.answer)
    rest = read.rest
  }
}

function answerIn(text: string): { readonly answer: WireAnswer; readonly rest: string } | null {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return null
  const [first = '', ...lines] = text.slice(0, end).split('\r\n')
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1])
  const headers = new Map<string, string>()
  for (const line of lines) {
    const name = line.slice(0, line.indexOf(':')).toLowerCase()
    const value = line.slice(line.indexOf(':') + 1).trim()
    const before = headers.get(name)
    headers.set(name, before === undefined ? value : `${before}, ${value}`)
  }
  const read = bodyIn(text.slice(end + 4), headers)
  return read === null ? null : { answer: { status, headers, body: read.body }, rest: read.rest }
}

function bodyIn(text: string, headers: ReadonlyMap<string, string>) {
  if (headers.get('transfer-encoding') !== 'chunked') {
    const length = Number(headers.get('content-length') ?? '0')
    return text.length < length ? null : { body: text.slice(0, length), rest: text.slice(length) }
  }
  let body = ''
  for (let at = 0; ;) {
    const line = text.indexOf('\r\n', at)
    if (line < 0) return null
    const size = Number.parseInt(text.slice(at, line), 16)
    if (Number.isNaN(size) || text.length < line + 2 + size + 2) return null
    body += text.slice(line + 2, line + 2 + size)
    at = line + 2 + size + 2
    if (size === 0) return { body, rest: text.slice(at) }
  }
}

/** What OpenSSL and the system call it: `alert_unknown_ca`, `connection_refused`. */
export function endOf(error: NodeJS.ErrnoException): string {
  const code = error.code ?? ''
  const alert = /^ERR_SSL_(?:TLSV1|SSLV3|TLSV13|SSL\/TLS)_ALERT_([A-Z_]+)$/.exec(code)?.[1]
  if (alert !== undefined) return `alert_${alert.toLowerCase()}`
  const known: Readonly<Record<string, string>> = {
    ECONNREFUSED: 'connection_refused',
    ECONNRESET: 'closed',
    EPIPE: 'closed',
  }
  return known[code] ?? code
}
