/** Certificates of the front by ACME: without one the front refuses, nothing else of the authority waits, and none is dropped that is good. */

import { deepEqual, equal, match, notEqual, ok, rejects } from 'node:assert/strict'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { Secret } from '@doorward/core'
import { aesGcmSealer, randomBytes } from '@doorward/sdk'
import { AcmeFront, frontName, publicUrl } from '../fixtures/acme-front.ts'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { call, joined, ownToken } from '../fixtures/authority/workload.ts'
import { AcmeStore } from '../../packages/server/src/apps/acme-store.ts'

let front: AcmeFront
beforeEach(async () => {
  front = await AcmeFront.open()
})
afterEach(() => front.close())

const minutes = (count: number) => count * 60_000

describe('the certificate of the front', () => {
  test('while the order is refused the front refuses handshakes, says so, and the rest of the authority serves', async () => {
    front.acme.lies.refuses = { type: 'serverInternal' }
    const authority = await front.start()
    for (const protocol of ['http/1.1', 'acme-tls/1']) await rejects(front.connect([protocol]), protocol)
    ok(authority.events.some((one) => one.type === 'warning' && one.code === 'front_certificate'))
    deepEqual((await front.events('front.certificate.failed'))[0], {
      event: 'front.certificate.failed',
      directory: front.acme.directory,
      reason: 'acme_refused',
      type: 'serverInternal',
      failures: 1,
    })
    const { detector, severity, detail } = await front.finding()
    deepEqual([detector, severity], ['renewal_late', 'critical'])
    match(typeof detail === 'string' ? detail : '', /the front has no certificate.*serverInternal/)
    // Enrolment, a certificate and a token: main, enrol and admin serve.
    const operator = await joined(authority, 'spiffe://test.example/doorward/operator/eve', ['admin'])
    const remaining = async () => {
      const client = await RawClient.open(authority.running.addresses.admin, operator)
      const { text } = await call(client, await ownToken(authority, operator), 'GET /metrics')
      client.close()
      return Number(/^doorward_front_certificate_remaining_seconds\{listener="front"\} (\d+)$/m.exec(text)?.[1])
    }
    equal(await remaining(), 0)
    await rejects(front.connect())

    front.acme.lies.refuses = null
    authority.advance(minutes(6))
    const [got] = await front.events('front.certificate')
    equal(got?.['fingerprint'], await front.shown())
    deepEqual(front.acme.proofs, [`acme-tls/1 DNS:${frontName}`])
    const answer = await front.metadata()
    deepEqual([answer.status, (JSON.parse(answer.body) as { issuer: string }).issuer], [200, publicUrl])
    await front.finding(true)
    ok((await remaining()) > 80 * 86_400)
  })

  test('it is there after a start without asking anybody, and nothing in the state folder is in the clear', async () => {
    await front.start()
    await front.events('front.certificate')
    const shown = await front.shown()
    await front.stop()
    const asked = front.acme.asked.length
    await front.start()
    equal(await front.shown(), shown)
    equal(front.acme.asked.length, asked)
    const files = await readdir(join(front.folders.stateDir, 'acme'))
    deepEqual(files.toSorted(), ['attempts.sealed', 'certificate.sealed'])
    for (const file of files) {
      const path = join(front.folders.stateDir, 'acme', file)
      equal((await stat(path)).mode & 0o777, 0o600)
      ok(!(await readFile(path)).includes('directory'), file)
    }
    const keys = await readdir(join(front.folders.stateDir, 'keys'))
    equal(keys.filter((key) => key.startsWith('acme-account-')).length, 1)
  })

  test('it is replaced by the same account when a third of its life is left, and connections of before go on', async () => {
    front.acme.lies.until = 1200
    const authority = await front.start()
    await front.events('front.certificate')
    const before = await front.connect()
    const first = before.getPeerX509Certificate()?.fingerprint256
    delete front.acme.lies.until
    authority.advance(minutes(14))
    const [, second] = await front.events('front.certificate', 2)
    notEqual(second?.['fingerprint'], first)
    equal(await front.shown(), second?.['fingerprint'])
    equal(front.acme.accounts, 1)
    ok(!before.destroyed)
    before.destroy()
  })

  test('while the authority of certificates is away the one before is shown, and the rest of the authority serves', async () => {
    await front.start()
    await front.events('front.certificate')
    const shown = await front.shown()
    await front.stop()
    const other = `${front.acme.directory}?other`
    await front.acme.close()
    // Another authority is configured, so that it is asked at once; nobody is there.
    const authority = await front.start(other)
    const [failed] = await front.events('front.certificate.failed')
    equal(failed?.['reason'], 'document_unavailable')
    equal(await front.shown(), shown)
    equal((await front.metadata()).status, 200)
    await joined(authority, 'spiffe://test.example/doorward/operator/eve', ['admin'])
    equal((await front.events('front.certificate')).length, 1)
  })

  test('what a gateway has sealed for its edge is not taken for the front, nor the other way round', async () => {
    const sealer = aesGcmSealer(new Secret(randomBytes(32)), randomBytes)
    const { stateDir } = front.folders
    for (const [own, other] of [
      ['edge', 'front'],
      ['front', 'edge'],
    ] as const) {
      await new AcmeStore({ stateDir, sealer, listener: own }).keepAttempts({ failures: 3, notBefore: 1 })
      equal((await new AcmeStore({ stateDir, sealer, listener: own }).attempts()).failures, 3)
      await rejects(new AcmeStore({ stateDir, sealer, listener: other }).attempts(), { code: 'seal_broken' })
    }
  })
})
