/** What an epoch ends: certificates and tokens of earlier ones, on new and open connections. */

import { deepEqual, equal } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { epochClaim } from '@doorward/core'
import { CertificateStanding, trustViewOf, withdrawal } from '@doorward/enforcement'
import type { Connection, ShownCredentials, TrustView } from '@doorward/enforcement'
import { importP256, sha256 } from '@doorward/sdk'
import { audienceOf, GatewayFixture } from '../fixtures/gateway-fixture.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import { openTap } from '../fixtures/tap.ts'
import type { Tap } from '../fixtures/tap.ts'
import { TrustFixture } from '../fixtures/trust-fixture.ts'
import type { TestSvid } from '../fixtures/trust-fixture.ts'

let tap: Tap
let gateway: GatewayFixture
let caller: TestSvid

const call = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_note","arguments":{}}}'

before(async () => {
  tap = await openTap()
  gateway = await GatewayFixture.open({ servers: { files: { url: tap.url } }, roles: { all: ['*'] } })
  caller = await gateway.trust.issue('agent/old', { roles: ['all'] })
})
after(async () => {
  await gateway.close()
  await tap.close()
})

test('RV-6: what was issued in an earlier epoch is refused on the next request of an open connection, and on new ones', async () => {
  const session = await gateway.initialize(caller, 'files')
  const token = await gateway.trust.token(caller, audienceOf('files'))
  const request = await gateway.request(caller, 'files', { session, body: call, token })
  const kept = await dial(gateway.connection(caller))
  equal(parseAnswer(await talk(kept, request)).headers['doorward-code'], 'allowed')
  const { bytes } = tap
  gateway.trust.anchorEpoch = gateway.trust.epoch++
  gateway.trust.apply()
  const codes = [
    parseAnswer(await talk(kept, request.replace('"id":1', '"id":2'))).headers['doorward-code'],
    (await gateway.raw(caller, request)).headers['doorward-code'],
  ]
  deepEqual(codes, ['certificate_epoch', 'certificate_epoch'])
  equal(tap.bytes, bytes)
  const denied = (await gateway.entries()).filter(({ body }) => body['code'] === 'certificate_epoch')
  equal(denied.length, 2)
  kept.destroy()
})

test('RV-6: a token of an earlier epoch is refused, whatever certificate it comes with', async () => {
  gateway.trust.anchorEpoch = null
  const fresh = await gateway.trust.issue('agent/new', { roles: ['all'] })
  const old = await gateway.trust.token(fresh, audienceOf('files'), { [epochClaim]: gateway.trust.epoch - 1 })
  const answer = await gateway.rpc(fresh, 'files', { body: call, token: old })
  equal(answer.headers['doorward-code'], 'token_epoch')
})

test('RV-4, RV-6: an answer under way is ended by its serial, identity, authority, token, token key and epoch, and by nothing else', async () => {
  const trust = await TrustFixture.create('test.example')
  const svid = await trust.issue('agent/open')
  const viewWith = (change: () => void, undo: () => void): TrustView => {
    change()
    const view = trustViewOf(trust.state(), 2, { sha256, importP256 })
    undo()
    return view
  }
  const { serial, authorityKeyId } = svid.certificate
  const shown = shownBy(svid)
  const { denied } = trust
  const views: readonly (readonly [string | null, () => void, () => void])[] = [
    [null, () => undefined, () => undefined],
    [null, () => denied.serials.push('00'), () => denied.serials.pop()],
    ['certificate_denied', () => denied.serials.push(serial), () => denied.serials.pop()],
    ['certificate_denied', () => denied.authorities.push(authorityKeyId ?? ''), () => denied.authorities.pop()],
    [
      'identity_denied',
      () => denied.identities.push({ id: svid.id.uri, issuedBefore: svid.certificate.notAfter }),
      () => denied.identities.pop(),
    ],
    [
      null,
      () => denied.identities.push({ id: svid.id.uri, issuedBefore: svid.certificate.notBefore }),
      () => denied.identities.pop(),
    ],
    ['token_denied', () => denied.tokens.push('jti-1'), () => denied.tokens.pop()],
    ['token_denied', () => denied.authorities.push('token-1'), () => denied.authorities.pop()],
    ['token_epoch', () => trust.epoch++, () => trust.epoch--],
  ]
  const got = views.map(([, change, undo]) => withdrawal(shown, viewWith(change, undo))?.code ?? null)
  deepEqual(
    got,
    views.map(([code]) => code),
  )
})

function shownBy({ id, certificate }: TestSvid): ShownCredentials {
  const connection: Connection = {
    id: 1,
    remoteAddress: '127.0.0.1',
    listener: 'main',
    certificate,
    resumed: false,
    standing: new CertificateStanding(),
  }
  const principal = {
    subject: { kind: 'workload', id },
    presenter: id,
    act: [],
    roles: [],
    epoch: 1,
    strength: 'mtls-bound-token',
    certificateFingerprint: certificate.fingerprint,
    certificateSerial: certificate.serial,
    tokenId: 'jti-1',
    expires: certificate.notAfter,
  } as const
  return { inbound: { connection }, principal, token: { id: 'jti-1', keyId: 'token-1', epoch: 1 } }
}
