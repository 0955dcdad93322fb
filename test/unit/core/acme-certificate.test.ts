/** What a certificate authority is shown by ACME, as OpenSSL reads it. */

import { equal, match, ok } from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { acmeChallengeTemplate, buildCertificate, certificationRequest, epochSeconds, newSerial } from '@doorward/core'
import { randomBytes } from '@doorward/sdk'
import { hasTool, runTool } from '../../fixtures/outside-tools.ts'
import { generatePrivateKey, signingKeyOf } from '../../../packages/server/src/secrets/signing-key.ts'

const key = signingKeyOf('p256', generatePrivateKey('p256'))
const name = 'mcp.acme.example'
let folder: string
before(async () => (folder = await mkdtemp(join(tmpdir(), 'doorward-csr-'))))
after(() => rm(folder, { recursive: true, force: true }))

test('a request (RFC 2986) is signed by its key and asks for the name alone', async (t) => {
  if (!hasTool(t, 'openssl')) return
  await writeFile(join(folder, 'request.der'), await certificationRequest({ name, publicKey: key.publicKey }, key))
  const words = ['req', '-in', 'request.der', '-inform', 'DER', '-verify', '-noout', '-text']
  const { code, stdout, stderr } = runTool('openssl', words, folder)
  equal(code, 0, stderr)
  match(stdout + stderr, /verify OK/)
  match(stdout, /Version: 1 \(0x0\)\s+Subject: ?\n/)
  match(stdout, /X509v3 Subject Alternative Name: ?\n\s+DNS:mcp\.acme\.example\n/)
})

test('the certificate of a challenge (RFC 8737 §3) has the digest in a critical extension, and its own signature', async () => {
  const digest = createHash('sha256').update('token.thumbprint').digest()
  const template = acmeChallengeTemplate({
    name,
    digest,
    publicKey: key.publicKey,
    serial: newSerial(randomBytes),
    notBefore: epochSeconds(1_700_000_000),
    notAfter: epochSeconds(1_700_003_600),
  })
  const certificate = new X509Certificate(await buildCertificate(template, key))
  ok(certificate.verify(certificate.publicKey))
  equal(certificate.subjectAltName, `DNS:${name}`)
  equal(certificate.ca, false)
  // OID 1.3.6.1.5.5.7.1.31, TRUE, and an octet string in an octet string (RFC 8737 §3, §6.1).
  const extension = Buffer.concat([Buffer.from('06082b0601050507011f0101ff04220420', 'hex'), digest])
  ok(certificate.raw.includes(extension))
})
