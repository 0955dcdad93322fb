/** `security.tls`: who and what gets no connection, or one that is worth nothing. */

import { equal } from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { after, before, test } from 'node:test'
import { createServer } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import type { AddressInfo } from 'node:net'
import { buildCertificate, epochSeconds, newSerial, selfSignedForKey } from '@doorward/core'
import { generateP256, randomBytes } from '@doorward/sdk'
import { closed, dial } from '../fixtures/raw-http.ts'
import { stealKeys } from '../fixtures/stolen-keys.ts'
import type { LeafOptions, StolenKeys } from '../fixtures/stolen-keys.ts'
import { newAnchor, newLeaf, now, pemOf } from '../fixtures/trust-fixture.ts'
import { Stage } from './stage.ts'
import type { Caller } from './stage.ts'

let stage: Stage
let agent: Caller
let keys: StolenKeys

before(async () => {
  stage = await Stage.open()
  agent = await stage.caller('agent/planner')
  keys = await stealKeys(stage.system)
})
after(() => stage.close())

/** The right request passes; over a connection with the change it does not. */
const contrast = async (connect: ConnectionOptions, code: string): Promise<void> => {
  await stage.contrast({ caller: agent }, { connect }, code)
}

/** A certificate of the caller's own name, signed by the stolen anchor, that no issuance log knows. */
const forged = async (options: LeafOptions = {}, id = agent.id) => (await keys.leaf(id, options)).pem

test('a caller without a certificate is refused in the handshake', () =>
  contrast({ cert: '', key: '' }, 'certificate_missing'))

test('a certificate of a foreign authority with the same names is refused in the handshake', async () => {
  const { id } = agent.identity
  await contrast((await newLeaf(await newAnchor(keys.trustDomain), id)).pem, 'certificate_untrusted')
})

test('a self-signed certificate, which opens enrolment, opens nothing else', async () => {
  const key = await generateP256()
  const template = selfSignedForKey({
    publicKey: key.spki,
    serial: newSerial(randomBytes),
    notBefore: epochSeconds(now() - 60),
    notAfter: epochSeconds(now() + 600),
  })
  const cert = pemOf(await buildCertificate(template, key.signKey))
  await contrast({ cert, key: key.privateKey.export({ type: 'pkcs8', format: 'pem' }) }, 'certificate_untrusted')
})

test('an expired certificate is refused in the handshake', async () =>
  contrast(await forged({ startsIn: -600, secondsLeft: -1 }), 'certificate_expired'))

test('a certificate that is not valid yet is refused in the handshake', async () =>
  contrast(await forged({ startsIn: 300 }), 'certificate_not_yet_valid'))

test('CA-5: a certificate that the anchor signed but that is not in the issuance mirror is refused', async () => {
  await contrast(await forged(), 'certificate_not_issued')
})

test('a certificate of another trust domain is refused, though the anchor signed it', async () =>
  contrast(await forged({}, 'spiffe://other.example/agent/planner'), 'certificate_profile'))

test('a certificate that names nobody by URI is refused, though the anchor signed it', async () =>
  contrast(
    await forged({
      change: (template) => ({
        ...template,
        subject: agent.id,
        extensions: template.extensions.filter(({ oid }) => oid !== '2.5.29.17'),
      }),
    }),
    'certificate_profile',
  ))

test('a certificate without key usage is refused, though the anchor signed it', async () =>
  contrast(
    await forged({
      change: (template) => ({
        ...template,
        extensions: template.extensions.filter(({ oid }) => oid !== '2.5.29.15'),
      }),
    }),
    'certificate_profile',
  ))

test('the gateway is not its callers: a caller with the name of the gateway is refused', async () =>
  contrast(await forged({}, stage.deployment.gateway.id.uri), 'certificate_not_issued'))

test('TLS 1.2 is refused, and so is everything older', async () => {
  await contrast({ minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }, 'tls_version')
  await contrast({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.2', ciphers: 'DEFAULT@SECLEVEL=0' }, 'tls_version')
})

test('both configured suites are spoken, and no other', async () => {
  for (const ciphers of ['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256']) {
    await stage.passes({ caller: agent, connect: { ciphers } })
    const socket = await dial({ ...agent.tls, ciphers })
    equal(socket.getCipher().name, ciphers)
    equal(socket.getProtocol(), 'TLSv1.3')
    socket.destroy()
  }
  for (const ciphers of ['TLS_AES_128_GCM_SHA256', 'TLS_AES_128_CCM_SHA256']) {
    await contrast({ ciphers }, 'tls_cipher')
  }
})

test('TR-9: keys are exchanged in the named groups only, the hybrid one first and none of finite fields', async () => {
  for (const ecdhCurve of ['X25519MLKEM768', 'X25519', 'P-256', 'P-384'])
    await stage.passes({ caller: agent, connect: { ecdhCurve } })
  for (const ecdhCurve of ['ffdhe2048', 'ffdhe3072', 'P-521']) await contrast({ ecdhCurve }, 'tls_group')
})

test('another application protocol is refused', () => contrast({ ALPNProtocols: ['h2'] }, 'tls_protocol'))

test('plain HTTP gets no HTTP answer', async () => {
  const { host, port } = stage.deployment.gateway.listeners.main
  await stage.passes({ caller: agent })
  const byte = stage.tap.bytes
  const socket = connectTcp(port, host)
  let got = ''
  socket.on('data', (chunk: Buffer) => (got += chunk.toString('latin1'))).on('error', () => undefined)
  socket.write(await stage.text({ caller: agent }))
  await closed(socket)
  equal(got.includes('HTTP/'), false)
  equal(stage.tap.bytes, byte)
  stage.count('gateway', 'tls_plaintext')
})

/** Talks once, so that tickets would have come; then offers the session of that connection to a new one. */
async function resume(options: ConnectionOptions, talkTo: (socket: TLSSocket) => Promise<void>) {
  let ticket: Buffer | undefined
  const first = await dial(options)
  first.on('session', (session: Buffer) => (ticket = session))
  await talkTo(first)
  const session = ticket ?? first.getSession()!
  first.destroy()
  return { session, second: await dial({ ...options, session }) }
}

test('a session is not resumed: none that the gateway named, and none that is forced on it', async () => {
  const usual = createServer({ ...(await forged()), minVersion: 'TLSv1.3' }, (socket) => {
    socket.on('error', () => undefined).on('data', () => socket.write('hello'))
  })
  usual.listen(0, '127.0.0.1')
  await once(usual, 'listening')
  const { port } = usual.address() as AddressInfo
  const elsewhere = await resume({ host: '127.0.0.1', port, rejectUnauthorized: false }, async (socket) => {
    socket.write('hello')
    await once(socket, 'data')
  })
  // The same steps resume where tickets are given: the test would see it.
  equal(elsewhere.second.isSessionReused(), true)
  elsewhere.second.destroy()
  usual.close()

  const here = await resume(agent.tls, async (on) => void (await stage.passes({ caller: agent, on })))
  equal(here.second.isSessionReused(), false)
  await stage.passes({ caller: agent, on: here.second })
  here.second.destroy()

  const forced = await dial({ ...agent.tls, session: elsewhere.session })
  equal(forced.isSessionReused(), false)
  await stage.passes({ caller: agent, on: forced })
  forced.destroy()
})

test('the record counts each of these refusals by its reason, and no others', () => stage.settle())
