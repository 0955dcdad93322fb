/** A TLS client that is not ours: curl with the anchors, an SVID of its own, and a revocation list. */

import { deepEqual, equal, match } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { connect, createServer } from 'node:tls'
import { setTimeout as sleep } from 'node:timers/promises'
import { hasTool } from '../fixtures/outside-tools.ts'
import { InteropStage, alertOf, parties } from './interop-stage.ts'
import type { Party } from './interop-stage.ts'

let stage: InteropStage

before(async () => {
  stage = await InteropStage.open()
})
after(() => stage.close())

interface CurlResult {
  /** curl's own exit code: 0, or 60 when it does not trust the server, or 56 when the server ended the connection. */
  readonly code: number | null
  /** HTTP status; 000 without an answer. */
  readonly status: string
}

async function curl(at: string, ...words: readonly string[]): Promise<CurlResult> {
  const common = ['--silent', '--tlsv1.3', '--max-time', '10', '--output', '/dev/null', '--write-out', '%{http_code}']
  const child = spawn('curl', [...common, '--cacert', 'anchors.pem', ...words, `https://127.0.0.1:${at}`], {
    cwd: stage.folder,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let status = ''
  child.stdout.on('data', (chunk: Buffer) => (status += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, status }
}

/** What curl says to a server that presents the party's certificate. */
const dialled = (party: Party, ...words: readonly string[]): Promise<CurlResult> =>
  presenting(party, (port) => curl(`${port}/`, ...words))

/** A server with the party's certificate while the work lasts. */
async function presenting<T>(party: Party, work: (port: number) => Promise<T>): Promise<T> {
  const { cert, key } = stage.parties[party]
  const server = createServer({ cert, key, minVersion: 'TLSv1.3' }, (socket) => {
    socket.on('error', () => undefined)
    socket.end('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n')
  })
  server.on('tlsClientError', () => undefined)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    return await work((server.address() as AddressInfo).port)
  } finally {
    server.close()
  }
}

/** Port and path of an MCP server behind our gateway. */
async function serverAt(): Promise<string> {
  return `${(await stage.system.deployment()).gateway.listeners.main.port}/mcp/files`
}

const as = (party: Party) => ['--cert', `${party}.crt`, '--key', `${party}.key`]

describe('X5-7, X5-10, RV-7: curl as a client', () => {
  test('accepts the valid server, and refuses the expired, the foreign and the revoked', async (t) => {
    if (!hasTool(t, 'curl')) return
    const got: Partial<Record<Party, CurlResult>> = {}
    for (const party of parties) got[party] = await dialled(party, '--crlfile', 'revoked.crl')
    deepEqual(got, {
      valid: { code: 0, status: '204' },
      expired: { code: 60, status: '000' },
      foreign: { code: 60, status: '000' },
      revoked: { code: 60, status: '000' },
    })
    deepEqual(await dialled('revoked', '--crlfile', 'empty.crl'), { code: 0, status: '204' })
  })

  test('accepts our listeners, and by the list too', async (t) => {
    if (!hasTool(t, 'curl')) return
    const { gateway, authority } = await stage.system.deployment()
    for (const { listeners } of [gateway, authority]) {
      deepEqual(await curl(`${listeners.public.port}/livez`), { code: 0, status: '200' })
      deepEqual(await curl(`${listeners.public.port}/livez`, '--crlfile', 'revoked.crl'), { code: 0, status: '200' })
    }
  })
})

describe('X5-7: our listener before curl', () => {
  test('lets the valid certificate through to what asks for its token', async (t) => {
    if (!hasTool(t, 'curl')) return
    deepEqual(await curl(await serverAt(), ...as('valid')), { code: 0, status: '401' })
  })

  test('ends the handshake of nobody, the expired and the foreign, and records why', async (t) => {
    if (!hasTool(t, 'curl')) return
    for (const words of [[], as('expired'), as('foreign')])
      equal((await curl(await serverAt(), ...words)).status, '000')
    const reasons = ['certificate_missing', 'certificate_expired', 'certificate_untrusted']
    for (let waited = 0; waited < 100; waited++) {
      const refused = (await stage.system.record('gateway')).filter(({ entry }) => entry.kind === 'refusals')
      const seen = refused.map(({ entry }) => entry.body['reason'])
      if (reasons.every((reason) => seen.includes(reason))) return
      await sleep(50)
    }
    throw new Error('the refusals are not on record in time')
  })
})

test('X5-8: an authority that the machine trusts is nobody to us', async () => {
  const { gateway, authority } = await stage.system.deployment()
  const trusting = `
    const socket = require('node:tls').connect({ host: '127.0.0.1', port: Number(process.argv[1]) })
    socket.on('secureConnect', () => { console.log('trusted'); socket.destroy() })
    socket.on('error', (error) => console.log(error.code))`
  // The machine does trust it: whoever asks the machine, and not the anchors, accepts its server.
  const said = await presenting('foreign', async (port) => {
    const child = spawn(process.execPath, ['-e', trusting, String(port)], { env: { ...stage.system.env } })
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
    await once(child, 'close')
    return text.trim()
  })
  equal(said, 'trusted')
  for (const { listeners } of [gateway, authority]) {
    for (const address of [listeners.main, listeners.admin]) {
      match(await answerTo('valid', address), /^HTTP\/1\.1 4/)
      equal(await answerTo('foreign', address), '')
    }
  }
})

/** What our listener says to the party. */
async function answerTo(party: Party, address: { readonly host: string; readonly port: number }): Promise<string> {
  const { cert, key } = stage.parties[party]
  const socket = connect({ ...address, cert, key, ca: stage.anchors })
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
  socket.write(`GET / HTTP/1.1\r\nHost: ${address.host}:${address.port}\r\nConnection: close\r\n\r\n`)
  await alertOf(socket)
  return text
}
