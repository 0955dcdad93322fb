/** What the desk for decisions keeps between questions. */

import { equal, notEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { CertificateStanding, deny } from '@doorward/enforcement'
import type { Inbound } from '@doorward/enforcement'
import { DecisionDesk } from '../../../packages/server/src/transports/decisions/decision-desk.ts'
import type { Question } from '../../../packages/server/src/transports/decisions/decision-desk.ts'
import { TrustFixture } from '../../fixtures/trust-fixture.ts'

test('what is known of a certificate is kept for those who were identified, and of strangers nothing', async () => {
  const trust = await TrustFixture.create()
  const [known, stranger] = [await trust.issue('agent/known'), await trust.issue('agent/stranger')]
  let last = new CertificateStanding()
  const enforce = ({ connection }: Inbound) => {
    last = connection.standing
    if (connection.certificate?.fingerprint === known.certificate.fingerprint) last.identified = true
    return Promise.resolve({ refused: true, denial: deny('policy_denied', 'not here'), entry: 'none' })
  }
  const desk = new DecisionDesk({
    pipeline: { enforce } as never,
    rules: () => ({ proxies: new Map(), services: new Map() }),
    monotonic: () => 0,
    assertionFor: () => Promise.reject(new Error('nothing is granted')),
    onDecision: () => undefined,
  })
  const connection = { id: 1, remoteAddress: '192.0.2.1', listener: 'decisions', resumed: false }
  const head = { method: 'GET', path: '/decide/orders', query: '', headers: {} }
  const own = { connection: { ...connection, certificate: null, standing: last }, head, audience: '' }
  const id = 'spiffe://test.example/proxy/edge1'
  const question: Question = {
    own,
    asker: { name: 'edge1', id, certificateFingerprint: '' },
    proxy: { name: 'edge1', kind: 'haproxy', services: new Set(['orders']) },
    name: 'orders',
    service: { audience: 'a', methods: new Set(['GET']), host: 'api.test.example', prefix: '' },
  }
  const standingOf = async (certificate: Uint8Array | undefined) => {
    const said = { method: 'GET', target: '/v1', host: 'api.test.example', address: '198.51.100.7' }
    await desk.decide(question, { ...said, certificate: certificate ?? null, authorization: undefined })
    return last
  }
  equal(await standingOf(known.chain[0]), await standingOf(known.chain[0]))
  notEqual(await standingOf(stranger.chain[0]), await standingOf(stranger.chain[0]))
  notEqual(await standingOf(undefined), await standingOf(undefined))
})
