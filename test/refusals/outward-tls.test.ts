import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { createServer } from 'node:tls'
import type { Server, TLSSocket, TlsOptions } from 'node:tls'
import { inspectHttpServer } from '../../packages/server/src/apps/inspect-http-server.ts'
import { HttpPost } from '../../packages/server/src/audit/export/http-post.ts'
import { poolOf } from '../../packages/server/src/transports/upstream-http.ts'
import { defaultUpstreamLimits } from '../../packages/server/src/transports/upstream.ts'
import { certificatePem, keyPem } from '../fixtures/export-receivers.ts'
import { foreign, foreignKey, serverAuth } from '../fixtures/foreign-certificates.ts'

const root = foreign({ subject: ['outward test'], key: foreignKey('p256'), ca: true })
const shown = foreign(
  { subject: ['localhost'], key: foreignKey('rsa2048'), ca: false, dns: ['localhost'], purposes: [serverAuth] },
  root,
)

/** A server that speaks as it is told: how each handshake ended, and how many bytes came of requests. */
class Elsewhere {
  readonly handshakes: string[] = []
  bytes = 0
  readonly #server: Server

  constructor(options: TlsOptions) {
    this.#server = createServer({ key: keyPem(shown), cert: certificatePem(shown), ...options })
    this.#server.on('tlsClientError', (error) => this.handshakes.push((error as NodeJS.ErrnoException).code ?? ''))
    this.#server.on('secureConnection', (socket: TLSSocket) => this.#serve(socket))
  }

  #serve(socket: TLSSocket): void {
    this.handshakes.push(`${socket.getProtocol() ?? ''} ${socket.getCipher().name}`)
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      this.bytes += chunk.byteLength
      socket.end('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n')
    })
  }

  async open(): Promise<void> {
    await once(this.#server.listen(0, '127.0.0.1'), 'listening')
  }

  get url(): string {
    return `https://localhost:${(this.#server.address() as AddressInfo).port}/`
  }

  close(): void {
    this.#server.close()
  }
}

function exported(url: string): Promise<unknown> {
  const tls = async () => ({ ca: certificatePem(root), own: null })
  return new HttpPost({ url, tls, timeoutMilliseconds: 5000 }).send('{}', {}, new AbortController().signal)
}

/** Each of those who call somebody outside of the trust domain. */
const callers: Readonly<Record<string, (url: string) => Promise<unknown>>> = {
  'an export or an alert': exported,
  'a call to a server': async (url) => {
    const pool = poolOf({ limits: defaultUpstreamLimits, tls: { kind: 'system' } }, new URL(url))
    return pool.request({ path: '/', method: 'POST', body: '{}' }).finally(() => void pool.destroy())
  },
  'an inspection of a server': (url) =>
    inspectHttpServer({ url, tls: { kind: 'system' } }, new AbortController().signal),
}

describe('whoever is outside of the trust domain', () => {
  const staticKeys = new Elsewhere({ maxVersion: 'TLSv1.2', ciphers: 'AES256-GCM-SHA384:AES128-SHA' })
  const blocks = new Elsewhere({ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES256-SHA384' })
  const ancient = new Elsewhere({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' })
  const older = new Elsewhere({ maxVersion: 'TLSv1.2' })
  const all = [staticKeys, blocks, ancient, older]
  before(async () => {
    for (const one of all) await one.open()
  })
  after(() => {
    for (const one of all) one.close()
  })

  test('is sent nothing over a suite without forward secrecy', () =>
    sentNothing(staticKeys, 'ERR_SSL_NO_SHARED_CIPHER'))
  test('is sent nothing over a block cipher', () => sentNothing(blocks, 'ERR_SSL_NO_SHARED_CIPHER'))
  test('is sent nothing over what is older than TLS 1.2', () => sentNothing(ancient, 'ERR_SSL_UNSUPPORTED_PROTOCOL'))

  test('is spoken to over TLS 1.2 with keys of the connection', async () => {
    await exported(older.url)
    assert.match(older.handshakes.join(), /^TLSv1\.2 ECDHE-RSA-/)
    assert.ok(older.bytes > 0)
  })
})

async function sentNothing(server: Elsewhere, refusal: string): Promise<void> {
  for (const [caller, call] of Object.entries(callers)) {
    const from = server.handshakes.length
    await assert.rejects(call(server.url), caller)
    assert.deepEqual(server.handshakes.slice(from), [refusal], caller)
    assert.equal(server.bytes, 0, caller)
  }
}
