/** Which copy of a workload follows, told by its certificate. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DoorwardError } from '@doorward/core'
import { FollowerInstances } from '../../../packages/server/src/authority/follower-instances.ts'
import type { IssuedCertificateRow } from '../../../packages/server/src/authority/ports.ts'
import { intent } from '../../contract/authority-store/values.ts'

function storeOf(instances: Readonly<Record<string, string | null>>) {
  const asked: string[] = []
  const store = {
    asked,
    away: false,
    findByFingerprint: async (fingerprint: string): Promise<IssuedCertificateRow | null> => {
      asked.push(fingerprint)
      if (store.away) throw new DoorwardError('store_unavailable', 'test')
      const instance = instances[fingerprint]
      if (instance === undefined) return null
      return { ...intent('01', 'spiffe://t/a', { instance }), fingerprint, state: 'released' }
    },
  }
  return store
}

test('the store is asked once for each certificate, and one that belongs to no instance is of none', async () => {
  const store = storeOf({ first: '01', renewed: '01', own: null })
  const instances = new FollowerInstances(store)
  const found = []
  for (const fingerprint of ['first', 'first', 'renewed', 'own', 'own']) found.push(await instances.of(fingerprint))
  assert.deepEqual(
    [found, store.asked],
    [
      ['01', '01', '01', '', ''],
      ['first', 'renewed', 'own'],
    ],
  )
})

test('while the store is away nobody is kept from following, and it is asked again afterwards', async () => {
  const store = storeOf({ first: '01' })
  const instances = new FollowerInstances(store)
  store.away = true
  assert.equal(await instances.of('first'), '')
  store.away = false
  assert.deepEqual([await instances.of('unknown'), await instances.of('first')], ['', '01'])
})

test('no more certificates are remembered than can follow', async () => {
  const store = storeOf(Object.fromEntries(Array.from({ length: 20_001 }, (_, index) => [`${index}`, '01'])))
  const instances = new FollowerInstances(store)
  for (let index = 0; index <= 20_000; index++) await instances.of(`${index}`)
  store.asked.length = 0
  await instances.of('20000')
  await instances.of('0')
  assert.deepEqual(store.asked, ['0'])
})
