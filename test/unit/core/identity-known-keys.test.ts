import assert from 'node:assert/strict'
import { test } from 'node:test'
import { importingOnce, utf8 } from '@doorward/core'
import { generateP256 } from '@doorward/sdk'
import { countedKeys } from '../../fixtures/counted-keys.ts'

test('a key is imported once, another one by itself', async () => {
  const counted = countedKeys()
  const importP256 = importingOnce(counted.importP256)
  const [one, other] = [await generateP256(), await generateP256()]
  const signature = await one.signKey.sign(utf8('x'))
  for (let round = 0; round < 3; round++) {
    assert.equal(importP256({ ...one.jwk })?.verify(utf8('x'), signature), true)
    assert.equal(importP256({ ...other.jwk })?.verify(utf8('x'), signature), false)
  }
  assert.equal(counted.imports, 2)
})

test('what is no key is none, however often it is asked for, and beside a known key that it resembles', async () => {
  const counted = countedKeys()
  const importP256 = importingOnce(counted.importP256)
  const { jwk } = await generateP256()
  assert.notEqual(importP256(jwk), null)
  for (let round = 0; round < 2; round++) assert.equal(importP256({ ...jwk, y: jwk.x }), null)
  assert.equal(counted.imports, 3)
})

test('no more than 128 keys are remembered: those used last', () => {
  let imports = 0
  const importP256 = importingOnce(() => (imports++, { verify: () => false }))
  const key = (x: number) => importP256({ kty: 'EC', crv: 'P-256', x: String(x), y: '' })
  for (let x = 0; x < 128; x++) key(x)
  key(0)
  key(128)
  assert.equal(imports, 129)
  key(0)
  assert.equal(imports, 129)
  key(1)
  assert.equal(imports, 130)
})
