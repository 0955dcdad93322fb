/**
 * One raw connection for showing that something is refused: TLS 1.3 with the certificate to be tried, whatever the server's
 * own is like, and one bare request at a time. Nothing is sent again, and no secret is ever on it but the token to be tried.
 */

import { X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { connect } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { isDenialCode } from '@doorward/enforcement'

export interface ProbePlace {
  readonly host: string
  readonly port: number
}

export interface ProbeMaterial {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[]
  readonly privateKey: KeyObject
}

export interface ProbeRequest {
  readonly method: string
  readonly path: string
  readonly host: string
  readonly token: string | null
}

/** `refused`: by its code, or how the connection ended. `answered`: let in. */
export type ProbeAnswer =
  | { readonly kind: 'refused'; readonly code: string }
  | { readonly kind: 'answered'; readonly status: number; readonly code: string }
  | { readonly kind: 'unreachable'; readonly code: string }

const answerMilliseconds = 5000
const MAX_HEAD = 16_384

export class ProbeConnection {
  readonly #socket: TLSSocket
  #tickets: Buffer[] = []
  #text = ''
  #ended: string | null = null
  #wake: () => void = () => undefined

  private constructor(socket: TLSSocket) {
    this.#socket = socket
    socket.on('session', (ticket) => this.#tickets.push(ticket))
    socket.on('data', (part: Buffer) => {
      this.#text = (this.#text + part.toString('latin1')).slice(0, MAX_HEAD)
      this.#wake()
    })
    socket.on('error', (error: Error) => this.#end(endOf(error)))
    socket.on('close', () => this.#end('closed'))
  }

  /** The client's side of a TLS 1.3 handshake is over before the server has judged the certificate: only an answer tells. */
  static open(
    place: ProbePlace,
    { chain, privateKey }: ProbeMaterial,
    ticket?: Buffer,
  ): Promise<ProbeConnection | ProbeAnswer> {
    const socket = connect({
      host: place.host,
      port: place.port,
      // What is tried is how the server judges us, and it may not trust us in turn.
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['http/1.1'],
      cert: chain.map((der) => new X509Certificate(der).toString()).join(''),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
      ...(ticket === undefined ? {} : { session: ticket }),
    })
    const connection = new ProbeConnection(socket)
    return new Promise((resolve) => {
      const timer = setTimeout(() => socket.destroy(), answerMilliseconds)
      socket.once('secureConnect', () => {
        clearTimeout(timer)
        resolve(connection)
      })
      socket.once('close', () => {
        clearTimeout(timer)
        const code = connection.#ended ?? 'closed'
        resolve({ kind: code === 'connection_refused' ? 'unreachable' : 'refused', code })
      })
    })
  }

  /** Session tickets that the server has offered: there should be none. */
  get tickets(): readonly Buffer[] {
    return this.#tickets
  }

  get resumed(): boolean {
    return this.#socket.isSessionReused()
  }

  /** Sends a request and reads the head of its answer. */
  async ask({ method, path, host, token }: ProbeRequest): Promise<ProbeAnswer> {
    this.#text = ''
    const authorization = token === null ? '' : `Authorization: Bearer ${token}\r\n`
    const length = method === 'POST' ? 'Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}' : '\r\n'
    const accept = 'Accept: application/json, text/event-stream'
    this.#socket.write(`${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n${accept}\r\n${authorization}${length}`)
    const timer = setTimeout(() => this.#end('silent'), answerMilliseconds)
    try {
      while (!this.#text.includes('\r\n\r\n')) {
        if (this.#ended !== null) return { kind: 'refused', code: this.#ended }
        await new Promise<void>((resolve) => (this.#wake = resolve))
      }
    } finally {
      clearTimeout(timer)
    }
    return answerOf(this.#text)
  }

  close(): void {
    this.#socket.destroy()
  }

  #end(how: string): void {
    this.#ended ??= how
    this.#wake()
  }
}

function answerOf(text: string): ProbeAnswer {
  const [head = ''] = text.split('\r\n\r\n')
  const [first = '', ...lines] = head.split('\r\n')
  const status = Number(first.split(' ')[1])
  const header = lines.find((line) => line.toLowerCase().startsWith('doorward-code:'))
  const said = header?.slice(header.indexOf(':') + 1).trim() ?? ''
  const code = isDenialCode(said) ? said : said === 'allowed' ? said : `status_${Number.isInteger(status) ? status : 0}`
  return status === 401 ? { kind: 'refused', code } : { kind: 'answered', status, code }
}

/** What OpenSSL and the system call it, in few words: `alert_unknown_ca`, `connection_refused`. */
function endOf(error: Error): string {
  const code = 'code' in error ? String(error.code) : ''
  const alert = /^ERR_SSL_(?:TLSV1|SSLV3|TLSV13)_ALERT_([A-Z_]+)$/.exec(code)?.[1]
  if (alert !== undefined) return `alert_${alert.toLowerCase()}`
  return { ECONNREFUSED: 'connection_refused', ECONNRESET: 'closed', EPIPE: 'closed' }[code] ?? 'failed'
}
