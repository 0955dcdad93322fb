/** Files in step with an identity: what is written when, and when nothing may be there any more. */

import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto'
import { afterEach, describe, test } from 'node:test'
import { DoorwardError, epochSeconds, fromBase64url, parseTrustBundle, parseTrustDomain, utf8 } from '@doorward/core'
import { sha256 } from '@doorward/sdk'
import { generationNames } from '../../../packages/server/src/apps/credential-generation.ts'
import { newAnchor, now } from '../../fixtures/trust-fixture.ts'
import type { IssueOptions } from '../../fixtures/trust-fixture.ts'
import { CredentialStage, refusedBy } from './credential-stage.ts'

const request = { audience: 'https://gateway.example/mcp/files', file: 'files.token' }
const stages: CredentialStage[] = []
afterEach(async () => {
  for (const stage of stages.splice(0)) await stage.remove()
})
const stageOf = async (options?: IssueOptions) => {
  const stage = await CredentialStage.create(options)
  stages.push(stage)
  return stage
}
const refusedWith = (code: string) => (error: unknown) => error instanceof DoorwardError && error.code === code
const unreachable = new DoorwardError('server_unreachable', 'nobody answers')

function bindingOf(token: string | null): string {
  const { cnf } = JSON.parse(Buffer.from(fromBase64url((token ?? '').split('.')[1] ?? '') ?? []).toString()) as {
    cnf: Record<string, string>
  }
  return cnf['x5t#S256'] ?? ''
}

describe('a generation', () => {
  test('holds certificate, key, bundle and tokens that belong together', async () => {
    const stage = await stageOf()
    const files = await stage.files([request])
    await files.update()
    const certificate = new X509Certificate((await stage.read('svid.pem')) ?? '')
    const key = createPrivateKey((await stage.read('svid.key')) ?? '')
    assert.ok(certificate.checkPrivateKey(key))
    assert.deepEqual(certificate.raw, Buffer.from(stage.svid.chain[0] ?? []))
    assert.equal(await stage.read('svid_and_key.pem'), `${await stage.read('svid.pem')}${await stage.read('svid.key')}`)
    const anchor = new X509Certificate((await stage.read('bundle.pem')) ?? '')
    assert.ok(certificate.verify(createPublicKey({ key: anchor.publicKey.export({ type: 'spki', format: 'pem' }) })))
    assert.equal(bindingOf(await stage.read('files.token')), stage.svid.fingerprint)
  })

  test('TB-1, X5-8: its bundle holds the anchors of its own trust domain that count, under the sequence of the trust state', async () => {
    const stage = await stageOf()
    const denied = await newAnchor(stage.trust.trustDomain)
    const foreign = await newAnchor(parseTrustDomain('foreign.example'))
    const more = [denied, foreign].map(
      ({ keyId, der }) => ({ keyId, state: 'active', certificate: der, epoch: 1, reissue: false }) as const,
    )
    stage.seen = (state) => ({
      ...state,
      sequence: 41,
      anchors: [...state.anchors, ...more],
      denied: { ...state.denied, authorities: [denied.keyId] },
    })
    const files = await stage.files()
    await files.update()
    const bundle = parseTrustBundle(utf8((await stage.read('bundle.spiffe.json')) ?? ''), { sha256 })
    assert.equal(bundle?.sequence, 41n)
    assert.equal(bundle.refreshHintSeconds, 60)
    assert.deepEqual(
      bundle.x509.map(({ der }) => Buffer.from(der)),
      stage.trust.anchorsDer.map((der) => Buffer.from(der)),
    )
    assert.deepEqual(bundle.jwt, [])
  })

  test('RV-6: an anchor of an earlier epoch is not in the bundle', async () => {
    const stage = await stageOf()
    const past = await newAnchor(stage.trust.trustDomain)
    stage.seen = (state) => ({
      ...state,
      epoch: 2,
      anchors: [
        ...state.anchors.map((anchor) => ({ ...anchor, epoch: 2, reissue: false })),
        { keyId: past.keyId, state: 'retired', certificate: past.der, epoch: 1, reissue: false },
      ],
    })
    await (await stage.files()).update()
    assert.equal((await stage.read('bundle.pem'))?.match(/BEGIN CERTIFICATE/g)?.length, 1)
  })

  test('has a status that says what it is and holds no secret', async () => {
    const stage = await stageOf()
    await (await stage.files([request])).update()
    const { id, serial, not_after, state, tokens, written_at } = await stage.status()
    assert.deepEqual(
      [id, serial, not_after, state],
      [stage.svid.id.uri, stage.svid.certificate.serial, stage.svid.certificate.notAfter, 'current'],
    )
    assert.ok(Math.abs(Number(written_at) - now()) < 60)
    assert.deepEqual(
      (tokens as readonly object[]).map((token) => Object.keys(token)),
      [['file', 'audience', 'expires_at']],
    )
  })

  test('has token files under plain names of their own', () => {
    for (const file of ['', '.hidden', '../up', 'a/b', 'lock', 'svid.key', 'status.json', 'x'.repeat(65)])
      assert.throws(() => generationNames([{ ...request, file }]), refusedWith('token_file_invalid'), file)
    assert.throws(() => generationNames([request, request]), refusedWith('token_file_invalid'))
    const many = Array.from({ length: 17 }, (_, i) => ({ ...request, file: `t${i}` }))
    assert.throws(() => generationNames(many), refusedWith('token_file_invalid'))
    assert.ok(generationNames(many.slice(1)).includes('t1'))
  })
})

describe('a new generation is written', () => {
  test('when the certificate is renewed, with tokens bound to the new one', async () => {
    const stage = await stageOf()
    const files = await stage.files([request])
    await files.update()
    await stage.renew()
    await files.update()
    assert.equal(stage.generations, 2)
    assert.equal((await stage.status())['serial'], stage.svid.certificate.serial)
    assert.equal(bindingOf(await stage.read('files.token')), stage.svid.fingerprint)
  })

  test('when an anchor comes or goes, and not when anything else of the trust state changes', async () => {
    const stage = await stageOf()
    const files = await stage.files([request])
    await files.update()
    await stage.trust.issue('agent/other')
    await files.update()
    assert.equal(stage.generations, 1)
    const second = await newAnchor(stage.trust.trustDomain)
    stage.seen = (state) => ({
      ...state,
      anchors: [
        ...state.anchors,
        { keyId: second.keyId, state: 'published', certificate: second.der, epoch: 1, reissue: false },
      ],
    })
    await files.update()
    assert.equal(stage.generations, 2)
    assert.equal((await stage.read('bundle.pem'))?.match(/BEGIN CERTIFICATE/g)?.length, 2)
  })

  test('when three quarters of the life of a token are over, and not before', async () => {
    const stage = await stageOf()
    const files = await stage.files([request])
    await files.update()
    const first = await stage.read('files.token')
    stage.passed += 220_000
    await files.update()
    assert.equal(await stage.read('files.token'), first)
    stage.passed += 6000
    await files.update()
    assert.notEqual(await stage.read('files.token'), first)
    assert.equal(stage.generations, 2)
  })

  test('without a token that the authority comes to refuse; one that it refuses from the start is a mistake', async () => {
    const stage = await stageOf()
    const files = await stage.files([request])
    await files.update()
    stage.refusal = refusedBy('audience_unknown')
    await stage.renew()
    await files.update()
    assert.equal((await stage.status())['serial'], stage.svid.certificate.serial)
    assert.equal(await stage.read('files.token'), null)
    stage.refusal = null
    stage.passed += 61_000
    await files.update()
    assert.equal(bindingOf(await stage.read('files.token')), stage.svid.fingerprint)

    const other = await stageOf()
    other.refusal = refusedBy('audience_unknown')
    await assert.rejects((await other.files([request])).update(), refusedWith('audience_unknown'))
    assert.equal(await other.read('svid.key'), null)
  })

  test('never with a token for somebody else, for another certificate or of an unknown key', async () => {
    for (const claims of [
      { sub: 'spiffe://test.example/agent/other' },
      { aud: 'https://elsewhere.example' },
      { cnf: { 'x5t#S256': 'A'.repeat(43) } },
    ]) {
      const stage = await stageOf()
      stage.claims = claims
      await assert.rejects((await stage.files([request])).update(), refusedWith('token_not_usable'))
      assert.equal(await stage.read('svid.key'), null)
    }
    const stage = await stageOf()
    stage.seen = (state) => ({ ...state, tokenKeys: [] })
    await assert.rejects((await stage.files([request])).update(), refusedWith('token_not_usable'))
  })
})

describe('while the authority is out of reach', () => {
  test('OP-3: files stay untouched as long as their certificate is valid', async () => {
    const stage = await stageOf()
    const files = await stage.files([request])
    await files.update()
    const written = await stage.read('status.json')
    stage.refusal = unreachable
    stage.passed += 3_500_000
    await assert.rejects(files.update(), refusedWith('server_unreachable'))
    assert.equal(await stage.read('status.json'), written)
    assert.notEqual(await stage.read('svid.key'), null)
  })

  test('a renewed certificate waits for its tokens, and the old files end with their own certificate', async () => {
    const stage = await stageOf({ secondsLeft: 600 })
    const files = await stage.files([request])
    await files.update()
    const { serial } = stage.svid.certificate
    await stage.renew()
    stage.refusal = unreachable
    await assert.rejects(files.update(), refusedWith('server_unreachable'))
    assert.equal((await stage.status())['serial'], serial)
    stage.passed += 601_000
    await assert.rejects(files.update(), refusedWith('server_unreachable'))
    assert.equal((await stage.status())['state'], 'withdrawn')
    assert.equal(await stage.read('svid.key'), null)
    stage.refusal = null
    await files.update()
    assert.equal((await stage.status())['serial'], stage.svid.certificate.serial)
  })

  test('a process that starts then keeps what an earlier one has written, while it is valid', async () => {
    const stage = await stageOf()
    await (await stage.files([request])).update()
    stage.release()
    stage.refusal = unreachable
    stage.passed += 300_000
    const files = await stage.files([request])
    await assert.rejects(files.update(), refusedWith('server_unreachable'))
    assert.notEqual(await stage.read('svid.key'), null)
    stage.passed += 3_400_000
    await files.update()
    assert.equal(await stage.read('svid.key'), null)
  })
})

describe('OP-2: files of an identity that cannot be used are withdrawn', () => {
  const ways: Readonly<Record<string, (stage: CredentialStage) => void>> = {
    'at the end of its certificate': (stage) => (stage.passed += 3_601_000),
    'when its serial is denied': (stage) => stage.trust.denied.serials.push(stage.svid.certificate.serial),
    'when its signing authority is denied': (stage) => stage.trust.denied.authorities.push(stage.trust.anchor.keyId),
    'when its signing authority has left the trust state': (stage) =>
      (stage.seen = (state) => ({ ...state, anchors: [] })),
    'when the authority calls its certificate revoked': (stage) => stage.watch.hear(refusedBy('certificate_denied')),
  }
  for (const [when, happen] of Object.entries(ways)) {
    test(`${when}; a new certificate brings them back`, async () => {
      const stage = await stageOf()
      const files = await stage.files([request])
      await files.update()
      happen(stage)
      assert.equal((await files.update()).kind, 'lapsed')
      assert.deepEqual(
        [await stage.read('svid.key'), await stage.read('svid_and_key.pem'), await stage.read('files.token')],
        [null, null, null],
      )
      assert.equal((await stage.status())['state'], 'withdrawn')
      await files.update()
      assert.equal(stage.events.filter(({ type }) => type === 'withdrawn').length, 1)

      stage.trust.denied.authorities.length = 0
      stage.seen = (state) => state
      stage.passed = 0
      await stage.renew()
      assert.equal((await files.update()).kind, 'usable')
      assert.notEqual(await stage.read('svid.key'), null)
    })
  }

  test('for good when the trust state denies the identity', async () => {
    const stage = await stageOf()
    const files = await stage.files([request])
    await files.update()
    stage.trust.denied.identities.push({ id: stage.svid.id.uri, issuedBefore: epochSeconds(now() + 3600) })
    await assert.rejects(files.update(), refusedWith('identity_dead'))
    assert.equal(await stage.read('svid.key'), null)
  })

  for (const code of ['identity_denied', 'identity_unregistered', 'join_refused']) {
    test(`for good when the authority answers ${code}`, async () => {
      const stage = await stageOf()
      const files = await stage.files([request])
      await files.update()
      stage.refusal = refusedBy(code)
      stage.passed += 240_000
      await assert.rejects(files.update(), refusedWith('identity_dead'))
      assert.equal(await stage.read('svid.key'), null)
      assert.equal((await stage.status())['reason'], code)
    })
  }

  test('also when they were found dead at the start', async () => {
    const stage = await stageOf()
    await (await stage.files([request])).update()
    stage.release()
    stage.watch.hear(refusedBy('identity_unregistered'))
    await assert.rejects((await stage.files([request])).update(), refusedWith('identity_dead'))
    assert.equal(await stage.read('svid.key'), null)
  })

  test('but not because a clock is behind', async () => {
    const stage = await stageOf()
    const files = await stage.files()
    await files.update()
    stage.passed = -3_600_000
    assert.equal((await files.update()).kind, 'usable')
    assert.notEqual(await stage.read('svid.key'), null)
  })
})

test('a folder with the files of another identity is refused and stays as it is', async () => {
  const stage = await stageOf()
  await (await stage.files()).update()
  stage.release()
  const { chain, privateKey } = await stage.trust.issue('agent/other')
  assert.ok(chain.length > 0 && privateKey.type === 'private')
  const written = await stage.read('svid.pem')
  const other = await stageOf()
  Object.assign(other, { path: stage.path })
  other.trust.id = () => stage.trust.id('agent', 'other')
  await assert.rejects(other.files(), refusedWith('credentials_of_another'))
  other.release()
  assert.equal(await stage.read('svid.pem'), written)
})

test('OP-3: running, it follows renewals by itself, and ends with valid files when it is asked to', async () => {
  const stage = await stageOf()
  const files = await stage.files([request])
  const stopping = new AbortController()
  const running = files.run(stopping.signal)
  const reached = async (generations: number) => {
    for (let i = 0; stage.generations < generations; i++) {
      assert.ok(i < 1000, 'no new generation in time')
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  await reached(1)
  for (const generation of [2, 3, 4]) {
    await stage.renew()
    await reached(generation)
  }
  stopping.abort()
  await running
  assert.equal((await stage.status())['serial'], stage.svid.certificate.serial)
  assert.equal(stage.events.filter(({ type }) => type === 'problem').length, 0)
})

test('running, it ends with an error as soon as it hears that the identity is dead', async () => {
  const stage = await stageOf()
  const files = await stage.files()
  const running = files.run(new AbortController().signal)
  running.catch(() => undefined)
  while (stage.generations === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  stage.watch.hear(refusedBy('identity_denied'))
  await assert.rejects(running, refusedWith('identity_dead'))
  assert.equal(await stage.read('svid.key'), null)
})
