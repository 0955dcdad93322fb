/** Keys as evidence at a running authority: certificates of others, and machine keys that are registered; each next to what is not right about it. */

import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fromBase64url, hex, jwkThumbprint } from '@doorward/core'
import { generateP256, sha256 } from '@doorward/sdk'
import type { AttestationRule } from '../../packages/server/src/authority/attest/rule.ts'
import {
  attestationStage,
  certificateEvidence,
  deviceAuthority,
  githubKey,
  githubRule,
  otherAuthority,
  platformEvidence,
} from '../fixtures/authority/attestation-stage.ts'
import type { AttestationStage } from '../fixtures/authority/attestation-stage.ts'
import { recordOf } from '../fixtures/authority/running.ts'
import { joinToken, tryEnrol } from '../fixtures/authority/workload.ts'
import { foreign, foreignKey } from '../fixtures/foreign-certificates.ts'
import type { Foreign, ForeignParts } from '../fixtures/foreign-certificates.ts'
import { githubClaims, minted } from '../fixtures/platform-issuer.ts'

let stage: AttestationStage
before(async () => {
  stage = await attestationStage()
})
after(() => stage.close())

const deviceKey = foreignKey('p256')
const device = (parts: Partial<ForeignParts> = {}, issuer: Foreign = deviceAuthority) =>
  foreign(
    {
      subject: ['device-7'],
      key: deviceKey,
      ca: false,
      dns: ['device-7.acme.example'],
      uris: ['urn:acme:device:7'],
      ...parts,
    },
    issuer,
  )
const byDns: AttestationRule = {
  kind: 'x509_pop',
  anchors: 'devices',
  certificate: { dns: 'device-7.acme.example' },
}
const fingerprintOf = ({ read }: Foreign) => hex(fromBase64url(read.fingerprint)!)

test('the holder of a certificate joins by fingerprint, DNS name, URI or common name, by P-256 and by RSA', async () => {
  const mine = device()
  const certificates = [
    { fingerprint: fingerprintOf(mine) },
    { dns: 'device-7.acme.example' },
    { uri: 'urn:acme:device:7' },
    { commonName: 'device-7' },
  ] as const
  for (const certificate of certificates) {
    const rule = { kind: 'x509_pop', anchors: 'devices', certificate } as const
    const id = await stage.register(`by-${Object.keys(certificate)[0]}`, rule)
    await stage.admitted({ id, ...certificateEvidence({ chain: [mine] }) })
  }
  const id = await stage.register('by-rsa', byDns)
  for (const kind of ['rsa2048', 'rsa4096'] as const)
    await stage.admitted({ id, ...certificateEvidence({ chain: [device({ key: foreignKey(kind) })] }) })
})

test('a chain through an issuer joins, with and without the anchor', async () => {
  const id = await stage.register('below', byDns)
  const issuer = foreign({ subject: ['Plant'], key: foreignKey('p384'), ca: true }, deviceAuthority)
  const mine = device({}, issuer)
  await stage.admitted({ id, ...certificateEvidence({ chain: [mine, issuer] }) })
  await stage.admitted({ id, ...certificateEvidence({ chain: [mine, issuer, deviceAuthority] }) })
})

test('a certificate that is expired, foreign, for another purpose or of another name is refused', async () => {
  const id = await stage.register('strict', byDns)
  const twin = foreign({ subject: ['Devices'], key: foreignKey('p256'), ca: true })
  const bad: Readonly<Record<string, readonly Foreign[]>> = {
    expired: [device({ until: -60 })],
    'not yet valid': [device({ from: 60 })],
    'of another authority': [device({}, otherAuthority)],
    'of an authority of the same name': [device({}, twin)],
    'of itself': [foreign({ subject: ['device-7'], key: deviceKey, ca: false, dns: ['device-7.acme.example'] })],
    'of another device': [device({ dns: ['device-8.acme.example'] })],
    'with a name that only contains it': [device({ dns: ['device-7.acme.example.evil.example'] })],
    'with a wildcard': [device({ dns: ['*.acme.example'] })],
    'with the name in another place': [
      device({ dns: [], uris: ['dns:device-7.acme.example'], subject: ['device-7.acme.example'] }),
    ],
    'for servers alone': [device({ purposes: ['1.3.6.1.5.5.7.3.1'] })],
    'of an authority itself': [deviceAuthority],
    'without its issuer': [
      device({}, foreign({ subject: ['Plant'], key: foreignKey('p256'), ca: true }, deviceAuthority)),
    ],
    'by a weak key': [device({ key: foreignKey('rsa1024') })],
    'by a key that cannot prove': [device({ key: foreignKey('p384') })],
  }
  for (const [what, chain] of Object.entries(bad))
    assert.equal(await stage.refused(id, { id, ...certificateEvidence({ chain }) }), 'join_refused', what)
  await stage.admitted({ id, ...certificateEvidence({ chain: [device()] }) })
})

test('a common name counts alone, whole and in its place', async () => {
  const id = await stage.register('named', {
    kind: 'x509_pop',
    anchors: 'devices',
    certificate: { commonName: 'device-7' },
  })
  for (const subject of [
    ['device-7', 'other'],
    ['other', 'device-7'],
    ['CN=device-7'],
    ['device-7 '],
    ['Device-7'],
    [],
  ])
    assert.equal(
      await stage.refused(id, { id, ...certificateEvidence({ chain: [device({ subject })] }) }),
      'join_refused',
      subject.join(),
    )
  await stage.admitted({ id, ...certificateEvidence({ chain: [device()] }) })
})

test('a certificate is worth nothing without its key, on this connection and for this machine key', async () => {
  const id = await stage.register('proof', byDns)
  const chain = [device()]
  const seen: { exported: Uint8Array; thumbprint: string } = { exported: new Uint8Array(), thumbprint: '' }
  const watched = certificateEvidence({ chain })
  await stage.admitted({
    id,
    evidence: (over) => {
      seen.exported = over.exported
      seen.thumbprint = jwkThumbprint(over.machineKey.jwk, sha256)
      return watched.evidence?.(over)
    },
  })
  const bad = {
    'another key': { chain, key: foreignKey('p256') },
    'the proof of another connection': { chain, exported: seen.exported },
    'the proof of another connection for its machine key': { chain, ...seen },
    'a proof for another machine key': { chain, thumbprint: seen.thumbprint },
  }
  for (const [what, possession] of Object.entries(bad))
    assert.equal(await stage.refused(id, { id, ...certificateEvidence(possession) }), 'join_refused', what)
})

test('BS-2: a registered machine key joins without any secret, and no other key does', async () => {
  const machineKey = await generateP256()
  const thumbprint = jwkThumbprint(machineKey.jwk, sha256)
  const id = await stage.register('bound', { kind: 'bound_key', thumbprint })
  const other = await stage.register('unbound', { kind: 'bound_key', thumbprint: 'A'.repeat(43) })
  const evidence = () => ({ kind: 'bound_key' })
  assert.equal(await stage.refused(id, { id, evidence }), 'join_refused')
  assert.equal(await stage.refused(other, { id: other, evidence, machineKey }), 'join_refused')
  assert.equal(await stage.refused(id, { id, evidence, machineKey, proofKey: await generateP256() }), 'join_refused')
  await stage.admitted({ id, evidence, machineKey })
})

test('BS-2: a registered key that has joined cannot join anew without its join state: that would be its copy', async () => {
  const machineKey = await generateP256()
  const id = await stage.register('rejoins', { kind: 'bound_key', thumbprint: jwkThumbprint(machineKey.jwk, sha256) })
  const evidence = () => ({ kind: 'bound_key' })
  const first = await stage.admitted({ id, evidence, machineKey })
  const joinState = String(first.answer.json()['join_state'])
  await stage.admitted({ id, evidence, machineKey, joinState })
  const { answer } = await tryEnrol(stage.authority, { id, evidence, machineKey })
  assert.equal(answer.headers['doorward-code'], 'instance_locked')
})

test('BS-3: an identity is reached only by what its registration lists, whatever else is valid', async () => {
  const token = async () => platformEvidence(await minted(githubKey, githubClaims()))
  const possession = certificateEvidence({ chain: [device()] })
  const machineKey = await generateP256()
  const bound = { evidence: () => ({ kind: 'bound_key' }), machineKey }
  const rules: readonly AttestationRule[] = [
    githubRule,
    byDns,
    { kind: 'bound_key', thumbprint: jwkThumbprint(machineKey.jwk, sha256) },
  ]
  for (const [listed, rule] of rules.entries()) {
    const id = await stage.register(`only-${rule.kind}`, rule)
    for (const [shown, attempt] of [await token(), possession, bound].entries()) {
      if (shown === listed) continue
      assert.equal(await stage.refused(id, { id, ...attempt }), 'join_refused', `${rule.kind} ${shown}`)
    }
    await stage.admitted({ id, ...[await token(), possession, bound][listed] })
  }
})

test('BS-3: a join token dies when its registration lists join tokens no more, and none is made then', async () => {
  const id = await stage.register('retracted', { kind: 'join_token' }, byDns)
  const token = await joinToken(stage.authority, id)
  await stage.authority.running.registerWorkload({ id, roles: [], attestation: [byDns] }, 'test')
  assert.equal(await stage.refused(id, { token }), 'join_refused')
  const { joinString, expiresAt } = await stage.authority.running.createJoinString(id, 'test')
  assert.equal(expiresAt, null)
  assert.doesNotMatch(Buffer.from(joinString.reveal().split('.')[1] ?? '', 'base64url').toString(), /token/)
})

test('RP-5: where no more used proofs can be remembered, one that has to be is refused, and none is forgotten', async () => {
  const own = await attestationStage()
  const id = await own.register('full', githubRule)
  const database = new DatabaseSync(join(own.authority.folders.stateDir, 'authority.db'))
  const until = Math.floor(Date.now() / 1000) + 3600
  database.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
    INSERT INTO used_proofs (hash, expires_at) SELECT 'proof-' || i, ${until} FROM n`)
  const token = await minted(githubKey, githubClaims())
  assert.equal(await own.refused(id, { id, ...platformEvidence(token) }), 'authority_unready')
  database.exec(`UPDATE used_proofs SET expires_at = 1 WHERE hash = 'proof-7'`)
  await own.admitted({ id, ...platformEvidence(token) })
  assert.equal(await own.refused(id, { id, ...platformEvidence(token) }), 'join_refused')
  database.close()
  await own.authority.stop()
  const failed = (await recordOf(own.authority.folders)).filter(({ body }) => body['code'] === 'authority_unready')
  assert.equal(failed.length, 1)
  await own.close()
})
