/** Certificates of the edge by ACME: none is shown that hosts would not accept, none is dropped that is good, and nothing else waits. */

import { deepEqual, equal, notEqual, ok, rejects } from 'node:assert/strict'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { epochMillis } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { AcmeEdge, name } from '../fixtures/acme-edge.ts'
import type { AcmeLies } from '../fixtures/acme-server.ts'
import { EdgeStage } from '../fixtures/edge-stage.ts'
import { foreignKey } from '../fixtures/foreign-certificates.ts'
import { modern } from '../fixtures/modern-server.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import { answered } from '../fixtures/gateway-fixture.ts'
import { listenerCertificateLook } from '../../packages/server/src/apps/detection-looks.ts'
import type { EdgeCertificates } from '../../packages/server/src/apps/edge-certificate-source.ts'

let acme: AcmeEdge
let opened: AsyncDisposableStack
beforeEach(async () => {
  opened = new AsyncDisposableStack()
  acme = await AcmeEdge.open()
  opened.defer(() => acme.close())
})
afterEach(() => opened.disposeAsync())

/** The edge as it begins; `run` lets it ask the authority. */
async function edgeWith(certificates: EdgeCertificates) {
  const stage = await EdgeStage.open({ certificates })
  opened.defer(() => stage.close())
  acme.authority.proofPort = stage.port
  return {
    stage,
    run: () => running((signal) => stage.edge.run(signal)),
    /** As a host does that trusts the authority alone. */
    connect: (more: { readonly servername?: string; readonly ALPNProtocols?: string[] } = {}) =>
      dial({ host: '127.0.0.1', port: stage.port, ca: acme.authority.ca, servername: name, ...more }),
  }
}

/** Stops what was begun when the test is over. */
function running(run: (signal: AbortSignal) => Promise<void>): () => Promise<void> {
  const stopping = new AbortController()
  const ended = run(stopping.signal)
  const stop = async () => {
    stopping.abort()
    await ended
  }
  opened.defer(stop)
  return stop
}

async function until(what: string, so: () => boolean): Promise<void> {
  const end = Date.now() + 20_000
  while (!so()) {
    if (Date.now() > end) throw new Error(`${what} has not come; problems: ${acme.problems.map(String).join('; ')}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** The time has been looked at since, and whatever was due is done. */
async function looked(): Promise<void> {
  const before = acme.waits
  await until('a look at the time', () => acme.waits >= before + 3)
}

function shownTo(socket: TLSSocket) {
  const certificate = socket.getPeerX509Certificate()
  const protocol = socket.alpnProtocol
  socket.destroy()
  return { protocol, name: certificate?.subjectAltName, fingerprint: certificate?.fingerprint256 }
}

/** Runs until there is a certificate, which the authority issues without looking, and ends it. */
async function got(certificates: EdgeCertificates): Promise<string> {
  acme.authority.lies.trusting = true
  const stop = running((signal) => certificates.run(signal, () => undefined))
  await until('a certificate', () => certificates.current() !== null)
  await stop()
  acme.authority.lies.trusting = false
  return certificates.current()?.fingerprint ?? ''
}

const failures = (): readonly JsonObject[] => acme.entries.filter(({ event }) => event === 'edge.certificate.failed')

describe('the first certificate', () => {
  test('until there is one handshakes are refused, and then hosts call', async () => {
    const certificates = await acme.start({ email: 'ops@test.example' })
    const edge = await edgeWith(certificates)
    ok(edge.stage.told.includes('edge_certificate'))
    equal(edge.stage.edge.certificateEnds(), null)
    for (const ALPNProtocols of [[], ['http/1.1'], ['acme-tls/1']]) await rejects(edge.connect({ ALPNProtocols }))
    deepEqual(edge.stage.refused, ['own_certificate_missing', 'own_certificate_missing', 'tls_protocol'])
    edge.run()
    await until('a certificate', () => edge.stage.edge.certificateEnds() !== null)
    deepEqual(acme.authority.proofs, [`acme-tls/1 DNS:${name}`])
    deepEqual(acme.authority.contacts, ['["mailto:ops@test.example"]'])
    const socket = await edge.connect()
    ok(socket.authorized)
    equal(shownTo(socket).name, `DNS:${name}`)
    const calling = await edge.connect()
    const answer = parseAnswer(await talk(calling, await edge.stage.request(modern('tools/list')), answered))
    calling.destroy()
    equal(answer.status, 200, answer.text)
    deepEqual(
      acme.entries.map(({ event, directory, fingerprint }) => [event, directory, fingerprint]),
      [['edge.certificate', acme.authority.directory, certificates.current()?.fingerprint]],
    )
    deepEqual(acme.problems, [])
  })

  test('a name is proven to who offers acme-tls/1 alone and for the name, while it is asked for; nothing follows', async () => {
    const from = await acme.start()
    await got(from)
    const proofs = acme.proofs()
    const certificates: EdgeCertificates = {
      current: () => from.current(),
      problem: () => null,
      prepare: async () => () => undefined,
      proofs,
      run: () => Promise.resolve(),
    }
    const edge = await edgeWith(certificates)
    await rejects(edge.connect({ ALPNProtocols: ['acme-tls/1'] }), {
      code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
    })
    {
      using _asked = await proofs.answer(name, new Uint8Array(32))
      const shown = () =>
        dial({
          host: '127.0.0.1',
          port: edge.stage.port,
          servername: name,
          rejectUnauthorized: false,
          ALPNProtocols: ['acme-tls/1'],
        })
      const socket = await shown()
      const closed = new Promise((resolve) => socket.once('close', resolve))
      socket.resume()
      await closed
      equal(edge.stage.edge.listener.openConnections, 0)
      const proof = shownTo(await shown())
      const host = shownTo(await edge.connect({ ALPNProtocols: ['http/1.1'] }))
      equal(host.fingerprint, certificates.current()?.fingerprint)
      notEqual(proof.fingerprint, host.fingerprint)
      for (const more of [
        { ALPNProtocols: ['acme-tls/1', 'http/1.1'] },
        { ALPNProtocols: ['acme-tls/1'], servername: 'other.test.example' },
      ])
        await rejects(edge.connect(more), { code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' })
    }
    await rejects(edge.connect({ ALPNProtocols: ['acme-tls/1'] }), {
      code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
    })
  })

  test('it is there after a start without asking anybody, and nothing in the state folder is in the clear', async () => {
    const first = await acme.start()
    const fingerprint = await got(first)
    const key = first.current()?.privateKey.export({ type: 'pkcs8', format: 'der' }) ?? Buffer.of()
    const asked = acme.authority.asked.length
    const again = await acme.start()
    equal(again.current()?.fingerprint, fingerprint)
    const stop = running((signal) => again.run(signal, () => undefined))
    acme.passDays(55)
    await new Promise((resolve) => setTimeout(resolve, 100))
    await stop()
    equal(acme.authority.asked.length, asked)
    const files = await readdir(join(acme.folder, 'state'), { recursive: true, withFileTypes: true })
    const paths = files.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name))
    ok(paths.length >= 3, paths.join())
    for (const path of paths) {
      const content = await readFile(path)
      ok(!content.includes(key) && !content.includes(key.toString('base64')) && !content.includes('PRIVATE'), path)
      equal((await stat(path)).mode & 0o777, 0o600, path)
    }
  })
})

describe('replacing it', () => {
  test('when a third of its life is left it is replaced, by the same account, and connections of before go on', async () => {
    const certificates = await acme.start()
    const first = await got(certificates)
    const edge = await edgeWith(certificates)
    const before = await edge.connect()
    opened.defer(() => void before.destroy())
    edge.run()
    acme.passDays(61)
    await until('another certificate', () => certificates.current()?.fingerprint !== first)
    equal(acme.authority.accounts, 1)
    equal(shownTo(await edge.connect()).fingerprint, certificates.current()?.fingerprint)
    ok(!before.destroyed)
    equal(before.getPeerX509Certificate()?.fingerprint256, first)
  })

  test('one that cannot be replaced goes on being shown; it is tried again, later each time, and said', async () => {
    const certificates = await acme.start()
    const first = await got(certificates)
    const edge = await edgeWith(certificates)
    acme.authority.lies.refuses = { type: 'serverInternal', detail: 'broken\u001b[2J' }
    acme.passDays(61)
    edge.run()
    for (const [failed, minutes] of [
      [1, 4],
      [2, 9],
      [3, 19],
    ] as const) {
      await until('a failure', () => failures().length === failed)
      acme.pass(minutes * 60_000)
      await new Promise((resolve) => setTimeout(resolve, 60))
      equal(failures().length, failed)
      acme.pass(120_000)
    }
    equal(shownTo(await edge.connect()).fingerprint, first)
    deepEqual(failures()[0], {
      event: 'edge.certificate.failed',
      directory: acme.authority.directory,
      reason: 'acme_refused',
      type: 'serverInternal',
      failures: 1,
    })
    equal(certificates.problem(), 'acme_refused 429 serverInternal: broken?[2J')
    acme.passDays(10)
    const look = listenerCertificateLook(75, certificates, {
      listener: 'edge',
      now: acme.now,
      monotonic: () => performance.now(),
    })
    deepEqual(
      look().map(({ detector, subject, severity }) => [detector, subject, severity]),
      [['renewal_late', 'edge certificate', 'medium']],
    )
    acme.authority.lies.refuses = null
    await until('another certificate', () => certificates.current()?.fingerprint !== first)
    equal(certificates.problem(), null)
  })

  test('one that cannot go on record is not shown, and no other one is asked for in its place', async () => {
    const certificates = await acme.start()
    acme.authority.lies.trusting = true
    acme.deaf = true
    running((signal) => certificates.run(signal, () => undefined))
    // Of each attempt two: the entry, and that of the failure.
    await until('a failure', () => acme.problems.length === 2)
    acme.pass(4 * 60_000)
    await looked()
    equal(acme.problems.length, 2)
    acme.pass(2 * 60_000)
    await until('another failure', () => acme.problems.length === 4)
    acme.pass(11 * 60_000)
    await until('one more failure', () => acme.problems.length === 6)
    deepEqual([acme.authority.orders, certificates.current()], [1, null])
    acme.deaf = false
    acme.pass(22 * 60_000)
    await until('the certificate', () => certificates.current() !== null)
    deepEqual([acme.authority.orders, acme.entries.length], [1, 1])
    equal(acme.entries[0]?.['fingerprint'], certificates.current()?.fingerprint)
    acme.passDays(61)
    await until('another order', () => acme.authority.orders === 2)
  })

  test('an authority that says when to come again is not asked before, after a start neither', async () => {
    acme.authority.lies.refuses = { type: 'rateLimited', retryAfter: 2 * 86_400 }
    const certificates = await acme.start()
    const stop = running((signal) => certificates.run(signal, () => undefined))
    await until('a failure', () => failures().length === 1)
    await stop()
    acme.authority.lies.refuses = null
    const again = await acme.start()
    const edge = await edgeWith(again)
    edge.run()
    acme.passDays(1.9)
    await looked()
    equal(acme.authority.orders, 0)
    acme.passDays(0.2)
    await until('a certificate', () => again.current() !== null)
  })

  test('a name that does not lead here is not proven, and nothing is shown for it', async () => {
    const certificates = await acme.start()
    const edge = await edgeWith(certificates)
    const elsewhere = await EdgeStage.open()
    opened.defer(() => elsewhere.close())
    acme.authority.proofPort = elsewhere.port
    edge.run()
    await until('a failure', () => failures().length === 1)
    equal(failures()[0]?.['type'], 'unauthorized')
    equal(certificates.current(), null)
    await rejects(edge.connect({ ALPNProtocols: ['acme-tls/1'] }))
    await rejects(edge.connect())
  })

  test('a process that ends while it asks does not ask at once again', async () => {
    acme.authority.lies.processing = 1_000_000
    const first = await acme.start()
    const edge = await edgeWith(first)
    const stop = edge.run()
    await until('an order', () => acme.authority.orders === 1)
    await stop()
    acme.authority.lies.processing = 0
    const again = await acme.start()
    running((signal) => again.run(signal, () => undefined))
    acme.pass(200_000)
    await new Promise((resolve) => setTimeout(resolve, 100))
    equal(acme.authority.orders, 1)
    acme.pass(200_000)
    await until('another order', () => acme.authority.orders === 2)
  })

  test('one of another authority is shown until there is one of the authority that is configured now', async () => {
    const first = await got(await acme.start())
    const lying = acme.authority.directory.replace('/directory', '/directory?other')
    const certificates = await acme.start({ directory: lying })
    equal(certificates.current()?.fingerprint, first)
    running((signal) => certificates.run(signal, () => undefined))
    await until('a failure', () => failures().length === 1)
    equal(certificates.current()?.fingerprint, first)
  })
})

describe('what an authority should not answer: what was shown before is shown', () => {
  const { origin } = new URL('https://localhost:1')
  const lies: readonly (readonly [string, AcmeLies, string])[] = [
    ['a certificate for another key', { key: foreignKey('p256') }, 'edge_certificate'],
    ['a certificate for another name', { name: 'other.test.example' }, 'edge_certificate'],
    ['a certificate that has ended', { from: -7200, until: -3600 }, 'edge_certificate'],
    ['a certificate that has not begun', { from: 3600, until: 7200 }, 'edge_certificate'],
    ['a chain that is none', { chain: (right) => right + right }, 'edge_certificate'],
    [
      'a private key in the chain',
      { chain: (right) => `${right}-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n` },
      'acme_answer',
    ],
    ['a chain without end', { chain: (right) => right.repeat(20) }, 'acme_answer'],
    ['more than anybody reads', { chain: (right) => right.repeat(200) }, 'document_unavailable'],
    ['other ways of proof alone', { challengeType: 'dns-01' }, 'acme_answer'],
    [
      'a token that is none',
      {
        answers: {
          '/authorization/n': {
            challenges: [{ type: 'tls-alpn-01', url: `${origin}/`, token: 'a/../b', status: 'pending' }],
          },
        },
      },
      'acme_answer',
    ],
    [
      'an authorization of another name',
      { answers: { '/authorization/n': { identifier: { type: 'dns', value: 'bank.example' } } } },
      'acme_answer',
    ],
    ['a place without TLS', { answers: { '/directory': { newOrder: 'http://localhost/newOrder' } } }, 'acme_answer'],
    [
      'a place where metadata services are',
      { answers: { '/directory': { newNonce: 'https://169.254.169.254/latest' } } },
      'document_refused',
    ],
    ['a place with credentials', { answers: { '/directory': { newNonce: 'https://a:b@localhost/' } } }, 'acme_answer'],
    [
      'an order with too many names',
      { answers: { '/newOrder': { authorizations: Array.from({ length: 9 }, () => origin) } } },
      'acme_answer',
    ],
    [
      'an order that is invalid',
      {
        answers: { '/order/n': { status: 'invalid', error: { type: 'urn:ietf:params:acme:error:caa', detail: 'no' } } },
      },
      'acme_refused',
    ],
    ['an account that is revoked', { answers: { '/newAccount': { status: 'revoked' } } }, 'acme_answer'],
    ['nothing but unknown nonces', { badNonces: 1000 }, 'acme_refused'],
  ]
  for (const [what, lie, code] of lies) {
    test(`${what} is refused`, async () => {
      const first = await got(await acme.start())
      Object.assign(acme.authority.lies, { trusting: true, ...lie })
      acme.passDays(61)
      const certificates = await acme.start()
      running((signal) => certificates.run(signal, () => undefined))
      await until('a failure', () => failures().length === 1)
      equal(failures()[0]?.['reason'], code, String(acme.problems[0]))
      equal(certificates.current()?.fingerprint, first)
      equal((await acme.start()).current()?.fingerprint, first)
    })
  }

  test('a nonce that is not known any more is replaced by the one that comes with the refusal', async () => {
    acme.authority.lies.badNonces = 2
    await got(await acme.start())
    equal(acme.authority.asked.filter((one) => one === 'HEAD /newNonce').length, 1)
    deepEqual(acme.problems, [])
  })

  test('an authority with another certificate than that of ca_file, or in a private network unasked, gets no request', async () => {
    const certificates = await acme.start({ allowPrivateAddresses: false })
    running((signal) => certificates.run(signal, () => undefined))
    await until('a failure', () => failures().length === 1)
    equal(failures()[0]?.['reason'], 'document_refused')
    deepEqual(acme.authority.asked, [])
  })
})

test('no certificate of the edge is a finding at once when it was refused, and after a while when nothing was heard', () => {
  const state = { problem: null as string | null, at: 0 }
  const certificates = { current: () => null, problem: () => state.problem }
  const look = listenerCertificateLook(75, certificates, {
    listener: 'edge',
    now: () => epochMillis(0),
    monotonic: () => state.at,
  })
  const severities = () => look().map(({ severity }) => severity)
  deepEqual(severities(), [])
  state.problem = 'acme_refused'
  deepEqual(severities(), ['critical'])
  state.problem = null
  state.at = 180_000
  deepEqual(severities(), ['critical'])
  deepEqual(
    listenerCertificateLook(75, null, { listener: 'edge', now: () => epochMillis(0), monotonic: () => 0 })(),
    [],
  )
})
