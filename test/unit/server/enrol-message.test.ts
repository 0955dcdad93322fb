/** The second message of an enrolment: whatever comes, it is a message or a denial. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { JsonObject } from '@doorward/core'
import { isDenial } from '@doorward/enforcement'
import { generateP256 } from '@doorward/sdk'
import { readEnrolMessage } from '../../../packages/server/src/transports/enrol-message.ts'

const { jwk } = await generateP256()
const good: JsonObject = { machine_key: { ...jwk }, machine_proof: 'AAAA', id: 'spiffe://t.example/a' }
const names = ['machine_key', 'machine_proof', 'id', 'join_state', 'evidence', 'token']

test('a return, and a join by each kind of evidence, are read', () => {
  const kinds: readonly (JsonObject | undefined)[] = [
    undefined,
    { kind: 'join_token', token: 'A'.repeat(43) },
    { kind: 'bound_key' },
    { kind: 'x509_pop', chain: ['AAAA'], proof: 'AAAA' },
    { kind: 'oidc', token: 'a.b.c' },
  ]
  for (const evidence of kinds) {
    const read = readEnrolMessage(evidence === undefined ? good : { ...good, evidence })
    assert.ok(!isDenial(read) && (read.evidence?.kind ?? null) === (evidence?.['kind'] ?? null))
  }
})

test('a join token says by itself for whom it is; every other evidence needs an id', () => {
  const { id, ...nameless } = good
  assert.equal(id, 'spiffe://t.example/a')
  assert.ok(!isDenial(readEnrolMessage({ ...nameless, evidence: { kind: 'join_token', token: 'x' } })))
  for (const evidence of [{ kind: 'bound_key' }, { kind: 'oidc', token: 'x' }])
    assert.ok(isDenial(readEnrolMessage({ ...nameless, evidence })))
  assert.ok(isDenial(readEnrolMessage(nameless)))
})

test('whatever else a message has, it is refused as a value and never throws', () => {
  const member = fc.tuple(fc.constantFrom(...names), fc.jsonValue({ maxDepth: 4 }))
  fc.assert(
    fc.property(fc.array(member, { maxLength: 4 }), (changes) => {
      const message = { ...good, ...Object.fromEntries(changes) } as JsonObject
      const read = readEnrolMessage(message)
      if (isDenial(read)) assert.equal(read.code, 'request_invalid')
      else assert.ok(changes.every(([name]) => name !== 'token'))
    }),
    { numRuns: 500 },
  )
})

test('the old form, with the token beside the key, is no message any more', () => {
  assert.ok(isDenial(readEnrolMessage({ ...good, token: 'A'.repeat(43) })))
})
