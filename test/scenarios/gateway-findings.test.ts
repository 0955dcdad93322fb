/** Each detector of a gateway raised by the real thing, and over again: on record both times, and told. */

import assert from 'node:assert/strict'
import { mkdir, rename, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { epochMillis, Secret } from '@doorward/core'
import { openMcpClient, systemRuntime } from '@doorward/sdk'
import type { Identity, McpClient } from '@doorward/sdk'
import { startTestAuthority, testSecurity } from '../fixtures/authority/running.ts'
import type { TestAuthority } from '../fixtures/authority/running.ts'
import { clientTls, httpsReceiver, testPki } from '../fixtures/export-receivers.ts'
import type { HttpReceiver } from '../fixtures/export-receivers.ts'
import { over, raised, raisedBy, recordedFindings, thresholds, until } from '../fixtures/findings.ts'
import type { Wanted } from '../fixtures/findings.ts'
import { startSystem } from '../fixtures/running-system.ts'
import type { RunningSystem } from '../fixtures/running-system.ts'
import { openTap } from '../fixtures/tap.ts'
import type { Tap } from '../fixtures/tap.ts'
import type { Alert } from '../../packages/server/src/audit/alert/alert.ts'
import { signatureOf } from '../../packages/server/src/audit/export/webhook-sink.ts'
import { noEffects } from '@doorward/enforcement'

const source = { detector: 'authentication_failures', subject: '127.0.0.1' }
const gatewayId = 'spiffe://test.example/doorward/gateway/main'
const rate = { count: 6, seconds: 1 }

let system: RunningSystem
let upstream: Tap
let wire: Wire
let stateDir: string
let agent: Identity
let client: McpClient
const offset = { gateway: 0 }
const told: string[] = []
let policyIsWrong = false
let receiver: HttpReceiver
const pki = testPki()
const canary = 'canary-of-the-webhook-secret'

/** What the webhook received, signed as it should be. */
function received(): readonly Alert[] {
  return receiver.receipts.map(({ body, headers }) => {
    const signature = String(headers['doorward-signature'])
    assert.equal(signature, signatureOf(body, new Secret(canary), Number(/^t=(\d+),/.exec(signature)?.[1])))
    return JSON.parse(body) as Alert
  })
}

/** Raised and over, both on record and at the webhook. */
async function toldAll(wanted: readonly Wanted[]): Promise<void> {
  for (const one of wanted) {
    const { body, entry } = await over(stateDir, one)
    const about =
      (phase: string) =>
      ({ detector, subject, phase: heard }: Alert) =>
        heard === phase && detector === one.detector && subject === one.subject
    const ended = await until(
      () => received().find((alert) => about('ended')(alert) && alert.entry === entry),
      'the end',
    )
    assert.equal(ended.started, body['since'])
    assert.ok(
      received().some((alert) => about('begun')(alert) && alert.id === ended.id),
      JSON.stringify(one),
    )
  }
}

/** The way to the server behind the gateway, which can be cut. */
interface Wire {
  readonly url: string
  cut: boolean
  close(): Promise<void>
}

async function wireTo(tap: Tap): Promise<Wire> {
  const open = new Set<Socket>()
  const server: Server = createServer((socket) => {
    if (wired.cut) return void socket.destroy()
    const onward = connect(Number(new URL(tap.url).port), '127.0.0.1')
    for (const one of [socket, onward]) open.add(one.on('error', () => undefined))
    socket.pipe(onward).pipe(socket)
    socket.on('close', () => onward.destroy())
    onward.on('close', () => socket.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  let isCut = false
  const wired: Wire = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`,
    get cut() {
      return isCut
    },
    set cut(now) {
      isCut = now
      if (now) for (const socket of open) socket.destroy()
    },
    close: () => {
      for (const socket of open) socket.destroy()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
  return wired
}

before(async () => {
  upstream = await openTap()
  wire = await wireTo(upstream)
  receiver = await httpsReceiver({ pki }, '')
  system = await startSystem({
    gatewayClock: () => epochMillis(Date.now() + offset.gateway),
    gateway: {
      servers: {
        files: { kind: 'http', url: wire.url, insecureUpstream: true, effects: { ...noEffects, read: ['read_*'] } },
      },
      staleness: { fullSeconds: 7, reducedSeconds: 8 },
      security: {
        ...testSecurity,
        cipherSuites: ['TLS_AES_256_GCM_SHA384'],
        quotas: [{ action: 'tools/call', rate: { count: 3, periodSeconds: 1 } }],
      },
      alerts: [
        {
          name: 'ops',
          kind: 'webhook',
          spoolBytes: 2 ** 28,
          minimum: 'low',
          kinds: null,
          url: `https://localhost:${receiver.port}/alerts`,
          tls: clientTls(pki),
          timeoutMilliseconds: 2000,
          secret: async () => new Secret(canary),
        },
      ],
      detections: thresholds({
        authentication_failures: rate,
        limit_exhausted: rate,
        denied_rate: { least: 4, most: 8, seconds: 1 },
        denied_rate_all: { enabled: false },
        renewal_late: { percent: 17 },
        record_lag: { seconds: 1 },
        trust_state_stale: { percent: 85 },
        clock_step: { seconds: 5 },
        upstream_failing: { seconds: 2 },
      }),
    },
    gatewayOptions: {
      lookMilliseconds: 100,
      report: (event) => void (event.type === 'warning' && told.push(`${event.code} ${event.text}`)),
      rereadPolicy: () => Promise.reject(new Error(policyIsWrong ? 'a mistake' : 'nothing to read')),
    },
  })
  stateDir = join(system.folders.root, 'state', 'gateway')
  agent = await system.open(await system.join('agent/caller'))
  client = await openMcpClient({
    fetch: agent,
    endpoint: system.endpoint,
    runtime: systemRuntime,
    client: { name: 'test', version: '1' },
  })
})
after(async () => {
  await client.close().catch(() => undefined)
  await system.stop()
  await wire.close()
  await upstream.close()
  await receiver.close()
})

const call = (name: string) => client.request('tools/call', { name, arguments: {} })

test('a detector that is switched off is told loudly at the start', () => {
  assert.ok(
    told.some((one) => one.startsWith('detector_off the detector denied_rate_all is switched off')),
    told[0],
  )
})

/** A handshake without a certificate. */
function stranger(): Promise<void> {
  const { host, port } = system.gateway.addresses.main
  return new Promise((resolve) => {
    const socket = connectTls({ host, port, rejectUnauthorized: false }, () => undefined)
    socket.on('error', () => resolve()).on('close', () => resolve())
    socket.resume()
  })
}

test('authentication_failures: handshakes without a certificate, of one address', async () => {
  const strangers = () => Promise.all(Array.from({ length: rate.count }, stranger))
  const { severity, detail, entry } = await raisedBy(stateDir, source, strangers)
  assert.equal(severity, 'high')
  assert.match(detail, /^\d+ failed to say who they are within 1 s$/)
  assert.match(entry ?? '', /^test\.example\/gateway\/main#\d+$/)
  assert.ok(told.some((one) => one.startsWith('detection authentication_failures: 127.0.0.1')))
})

test('authentication_failures and denied_rate: tokens that are none, of one identity', async () => {
  const { endpoint } = system
  const forge = async () => {
    const answer = await agent.call(new URL(endpoint.url), {
      audience: null,
      expectedId: endpoint.expectedId,
      method: 'POST',
      headers: { authorization: 'Bearer forged.by.somebody', 'content-type': 'application/json' },
      body: '{}',
    })
    answer.body.resume()
    assert.equal(answer.status, 401)
  }
  const nine = () => Promise.all(Array.from({ length: 9 }, forge))
  await raisedBy(stateDir, { detector: 'denied_rate', subject: agent.id.uri }, nine)
  await raised(stateDir, { detector: 'authentication_failures', subject: agent.id.uri })
  const denied = await raised(stateDir, { detector: 'denied_rate', subject: agent.id.uri })
  assert.deepEqual([denied.severity, /^\d+ refusals within 1 s$/.test(denied.detail)], ['high', true])
})

test('limit_exhausted: calls on and on beyond a quota', async () => {
  const codes = new Set<unknown>()
  const calls = async () => {
    const answers = await Promise.all(Array.from({ length: 12 }, () => call('read_note')))
    for (const answer of answers) if (!answer.ok) codes.add(answer.decision?.code)
  }
  const { severity } = await raisedBy(stateDir, { detector: 'limit_exhausted', subject: agent.id.uri }, calls)
  assert.deepEqual([severity, [...codes]], ['medium', ['limit_user']])
})

test('whatever was counted is over as soon as it stops, and the webhook hears of beginning and end', async () => {
  const { uri } = agent.id
  const detectors = ['authentication_failures', 'denied_rate', 'limit_exhausted']
  await toldAll([source, ...detectors.map((detector) => ({ detector, subject: uri }))])
  assert.ok(told.some((one) => one.startsWith('detection_ended authentication_failures: 127.0.0.1')))
})

test('the authority hears of what was found about an identity, and of nothing else', async () => {
  const about = async () => {
    const found = await recordedFindings(system.folders.stateDir)
    return found.map(({ body }) => body).filter(({ source: from }) => from === gatewayId)
  }
  await until(
    async () => ((await about()).filter(({ ended }) => ended === true).length >= 3 ? true : undefined),
    'the ends',
  )
  const heard = await about()
  assert.ok(heard.every(({ subject }) => subject === agent.id.uri))
  const begun = heard.find(({ detector, ended }) => detector === 'authentication_failures' && ended !== true)
  assert.equal(begun?.['severity'], 'high')
  assert.match(String(begun?.['detail']), /^seen by spiffe:.* failed to say who they are within 1 s$/)
})

test('upstream_failing: a server that nobody reaches, until it answers', async () => {
  const server = { detector: 'upstream_failing', subject: 'server files' }
  wire.cut = true
  for (let failed = 0; failed < 5;) {
    const answer = await call('read_note')
    if (!answer.ok && answer.decision?.code !== 'limit_user') failed++
  }
  assert.match((await raised(stateDir, server)).detail, /^5 calls in a row have failed/)
  wire.cut = false
  await until(async () => (await call('read_note')).ok || undefined, 'an answer')
  await toldAll([server])
})

test('policy_refused: a policy that cannot be read', async () => {
  policyIsWrong = true
  await system.gateway.reloadPolicy('test')
  const { severity, detail } = await raised(stateDir, { detector: 'policy_refused', subject: 'policy' })
  assert.deepEqual([severity, detail.endsWith('mistakes: what was read last does not decide')], ['medium', true])
})

test('clock_step: the clock is set by more than five seconds, and set back', async () => {
  const clock = { detector: 'clock_step', subject: 'clock' }
  offset.gateway = 20_000
  assert.match((await raised(stateDir, clock)).detail, /^it was set by 20 s/)
  offset.gateway = 0
  await toldAll([clock])
})

test('renewal_late: a certificate that should have been replaced, until it is', async () => {
  await system.authority.running.registerWorkload({ id: gatewayId, roles: ['gateway'], ttlSeconds: 300 }, 'test')
  await system.gateway.renew()
  const own = { detector: 'renewal_late', subject: gatewayId }
  assert.equal((await raised(stateDir, own)).severity, 'medium')
  await until(async () => {
    await system.gateway.renew()
    const ended = await recordedFindings(stateDir)
    return ended.some(({ body }) => body['detector'] === own.detector && body['ended'] === true) || undefined
  }, 'the renewal')
  await toldAll([own])
})

test('record_lag: a record that takes nothing is told at once, and is on record as soon as it takes entries again', async () => {
  const copy = join(system.folders.keyDir, `${encodeURIComponent('test.example/gateway/main')}.checkpoint`)
  const began = Date.now()
  await rename(copy, `${copy}.aside`)
  await mkdir(copy)
  const record = { detector: 'record_lag', subject: 'record' }
  const isTold = () => told.some((one) => one.startsWith('detection record_lag: record: ')) || undefined
  await call('read_note').catch(() => undefined)
  await until(isTold, 'a word about the record')
  const urgent = await until(
    () => received().find(({ entry, detector }) => entry === null && detector === 'record_lag'),
    'no entry yet',
  )
  assert.deepEqual([urgent.subject, urgent.severity], ['record', 'critical'])
  await rm(copy, { recursive: true })
  await rename(`${copy}.aside`, copy)
  const { body } = await over(stateDir, record)
  assert.equal(body['severity'], 'critical')
  assert.ok(Number(body['since']) >= began && Number(body['since']) <= Number(body['ended_at']))
  await toldAll([record])
  assert.ok(received().filter(({ id }) => id === urgent.id).length >= 3)
})

test('trust_state_stale: an authority that is gone, until it is back', async () => {
  const { authority, folders } = system
  const { addresses } = authority.running
  await authority.stop()
  const stale = { detector: 'trust_state_stale', subject: 'trust state' }
  assert.equal((await raised(stateDir, stale)).severity, 'medium')
  await until(() => told.some((one) => one.includes('at a tenth of their rate')) || undefined, 'reduced')
  await until(() => told.some((one) => one.includes('nobody is let through')) || undefined, 'stale')
  const { main, admin, enrol, public: open } = addresses
  const again: TestAuthority = await startTestAuthority({
    folders,
    settings: {
      publicUrl: `https://127.0.0.1:${main.port}`,
      listeners: { main, admin, enrol, public: open },
      allowedAudience: () => true,
    },
  })
  after(() => again.stop())
  const { body } = await over(stateDir, stale)
  assert.equal(body['severity'], 'critical')
})

test('the secret of a webhook is nowhere', async () => {
  const seen = [...told, JSON.stringify(await recordedFindings(stateDir)), ...receiver.receipts.map(({ body }) => body)]
  assert.ok(seen.length > 20)
  assert.ok(!seen.join('\n').includes(canary))
})
