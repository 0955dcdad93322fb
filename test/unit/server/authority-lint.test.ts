/** The key of an anchor signs X.509-SVIDs of our trust domain and nothing else. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  anchorTemplate,
  buildCertificate,
  epochSeconds,
  keyIdOf,
  parseSpiffeId,
  parseTrustDomain,
  selfSignedForKey,
  svidTemplate,
} from '@doorward/core'
import type { SignKey } from '@doorward/core'
import { generateP256, sha256 } from '@doorward/sdk'
import { lintingKey } from '../../../packages/server/src/authority/lint.ts'

const trustDomain = parseTrustDomain('test.example')
const { jwk, spki, signKey } = await generateP256()
const contents = { publicKey: spki, serial: '4142', notBefore: epochSeconds(1000), notAfter: epochSeconds(5000) }
const issuer = { name: 'test', keyId: keyIdOf(jwk, sha256) }

function counting(): { readonly key: SignKey; readonly signatures: () => number } {
  let count = 0
  const sign = (data: Uint8Array) => {
    count++
    return signKey.sign(data)
  }
  return { key: lintingKey({ sign }, { trustDomain, sha256 }), signatures: () => count }
}

test('a leaf of our trust domain is signed', async () => {
  const { key, signatures } = counting()
  await buildCertificate(
    svidTemplate({ ...contents, issuer, spiffeId: parseSpiffeId('spiffe://test.example/agent/a') }),
    key,
  )
  assert.equal(signatures(), 1)
})

test('an anchor, a certificate without a name, and a leaf of another trust domain are not signed', async () => {
  const { key, signatures } = counting()
  const templates = [
    anchorTemplate({ ...contents, trustDomain, keyId: issuer.keyId }),
    selfSignedForKey(contents),
    svidTemplate({ ...contents, issuer, spiffeId: parseSpiffeId('spiffe://other.example/agent/a') }),
  ]
  for (const template of templates) await assert.rejects(buildCertificate(template, key), { code: 'certificate_unfit' })
  await assert.rejects(key.sign(new Uint8Array(300)), { code: 'certificate_unfit' })
  assert.equal(signatures(), 0)
})
