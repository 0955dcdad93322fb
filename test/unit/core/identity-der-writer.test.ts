import assert from 'node:assert/strict'
import { createPublicKey, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { test } from 'node:test'
import { buildCertificate, epochSeconds, newSerial, parseSpiffeId, readCertificate, svidTemplate } from '@doorward/core'
import { generateP256, randomBytes, sha256 } from '@doorward/sdk'
import fc from 'fast-check'
import { derInteger, derOid, derTime } from '../../../packages/core/src/identity/der-writer.ts'
import { readDer } from '../../../packages/core/src/identity/der.ts'
import { ipOctets } from '../../../packages/core/src/identity/ip-octets.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const signer = await generateP256()
const subject = await generateP256()

test('what is written reads back with the strict reader and with OpenSSL, whatever it says', async () => {
  const addresses = fc.array(fc.oneof(fc.ipV4(), fc.ipV6()), { maxLength: 4 })
  const moments = fc.tuple(fc.integer({ min: 0, max: 4_000_000_000 }), fc.integer({ min: 1, max: 90_000 }))
  const property = fc.asyncProperty(
    addresses,
    moments,
    fc.integer({ min: 1, max: 900 }),
    async (ips, [from, life], n) => {
      const spiffeId = parseSpiffeId(`spiffe://test.example/${'a'.repeat(n)}`)
      const serial = newSerial(randomBytes)
      const notBefore = epochSeconds(from)
      const notAfter = epochSeconds(from + life)
      const issuer = { name: 'issuer', keyId: 'ab'.repeat(20) }
      const dnsNames = ['one.test.example']
      const names = { dnsNames, ipAddresses: ips }
      const contents = { spiffeId, publicKey: subject.spki, serial, notBefore, notAfter, issuer, ...names }
      const der = await buildCertificate(svidTemplate(contents), signer.signKey)
      const ours = readCertificate(der, { sha256 })
      assert.ok(!('problem' in ours))
      assert.deepEqual(
        [ours.spiffeId?.uri, ours.serial, ours.notBefore, ours.notAfter, ours.dnsNames],
        [spiffeId.uri, serial, notBefore, notAfter, dnsNames],
      )
      const theirs = new X509Certificate(der)
      assert.equal(theirs.serialNumber.toLowerCase(), serial)
      assert.equal(theirs.validToDate.getTime() / 1000, notAfter)
      assert.ok(ips.every((address) => theirs.checkIP(address) !== undefined))
      assert.ok(theirs.verify(createPublicKey({ key: Buffer.from(signer.spki), format: 'der', type: 'spki' })))
    },
  )
  await fc.assert(property, { numRuns: 200 })
})

test('an address has octets exactly when the platform reads it as one', () => {
  const texts = fc.oneof(fc.ipV4(), fc.ipV6(), fc.string(), fc.stringMatching(/^[0-9a-f:.]{1,40}$/))
  const property = fc.property(texts, (text) => {
    // A zone is no part of an address in a certificate.
    if (!text.includes('%')) assert.equal(ipOctets(text) !== null, isIP(text) !== 0, text)
  })
  fc.assert(property, { numRuns: 20_000 })
  assert.equal(hex(ipOctets('::ffff:192.0.2.1')!), '00000000000000000000ffffc0000201')
  assert.equal(hex(ipOctets('2001:db8::1')!), '20010db8000000000000000000000001')
})

test('integers are in their shortest form, with a sign octet where the highest bit is set', () => {
  const property = fc.property(fc.uint8Array({ minLength: 1, maxLength: 20 }), (magnitude) => {
    const node = readDer(derInteger(magnitude))
    assert.equal(BigInt(`0x${hex(node.content)}`), BigInt(`0x${hex(magnitude)}`))
    assert.ok((node.content[0]! & 0x80) === 0)
  })
  fc.assert(property)
})

test('identifiers and times are as RFC 5280 writes them', () => {
  assert.equal(hex(derOid('1.2.840.10045.4.3.2')), '06082a8648ce3d040302')
  assert.equal(hex(derOid('2.5.29.17')), '0603551d11')
  assert.equal(hex(derTime(epochSeconds(2_524_607_999))), `170d${Buffer.from('491231235959Z').toString('hex')}`)
  assert.equal(hex(derTime(epochSeconds(2_524_608_000))), `180f${Buffer.from('20500101000000Z').toString('hex')}`)
})
