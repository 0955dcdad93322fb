/** `doorward join --attest`: what goes with which kind. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { joinEvidence } from '../../../packages/server/src/cli/join-evidence.ts'
import { foreign, foreignKey, pemFile } from '../../fixtures/foreign-certificates.ts'

const key = foreignKey('p256')
const certificate = foreign({ subject: ['x'], key, ca: false })
let folder: string
const file = (name: string) => join(folder, name)

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doorward-evidence-'))
  await writeFile(file('cert.pem'), `A comment.\n${pemFile(certificate)}`)
  await writeFile(file('key.pem'), key.export({ type: 'pkcs8', format: 'pem' }))
  await writeFile(file('token'), ' a.b.c\n')
  await writeFile(file('large'), 'x'.repeat(9000))
})
after(() => rm(folder, { recursive: true, force: true }))

test('without a kind the token of the join string is the evidence', async () => {
  assert.equal(await joinEvidence({}), null)
})

test('files go with their kind and are all there', async () => {
  const misused = [
    { tokenFile: 'x' },
    { cert: 'x' },
    { key: 'x' },
    { attest: 'bound-key', tokenFile: 'x' },
    { attest: 'oidc' },
    { attest: 'oidc', tokenFile: 'x', cert: 'x' },
    { attest: 'x509' },
    { attest: 'x509', cert: 'x' },
    { attest: 'x509', key: 'x' },
    { attest: 'x509', cert: 'x', key: 'x', tokenFile: 'x' },
  ] as const
  for (const options of misused) await assert.rejects(joinEvidence(options), { code: 'usage' }, JSON.stringify(options))
})

test('a platform token is read when it is asked for, anew each time and bounded', async () => {
  const evidence = await joinEvidence({ attest: 'oidc', tokenFile: file('token') })
  assert.ok(evidence?.kind === 'oidc')
  assert.equal((await evidence.token()).reveal(), 'a.b.c')
  await writeFile(file('token'), 'd.e.f')
  assert.equal((await evidence.token()).reveal(), 'd.e.f')
  const large = await joinEvidence({ attest: 'oidc', tokenFile: file('large') })
  assert.ok(large?.kind === 'oidc')
  await assert.rejects(large.token(), { code: 'file_unreadable' })
})

test('certificates and key are read from PEM, and nothing else is', async () => {
  const evidence = await joinEvidence({ attest: 'x509', cert: file('cert.pem'), key: file('key.pem') })
  assert.ok(evidence?.kind === 'x509_pop')
  assert.deepEqual(evidence.chain, [certificate.der])
  await assert.rejects(joinEvidence({ attest: 'x509', cert: file('key.pem'), key: file('key.pem') }), {
    code: 'certificates_invalid',
  })
  await assert.rejects(joinEvidence({ attest: 'x509', cert: file('cert.pem'), key: file('cert.pem') }), {
    code: 'key_unreadable',
  })
  await assert.rejects(joinEvidence({ attest: 'x509', cert: file('none'), key: file('key.pem') }), {
    code: 'file_unreadable',
  })
})
