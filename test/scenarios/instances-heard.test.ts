/** Two copies of one workload, each at an authority of its own: what one has heard is not said of the other. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Identity } from '@doorward/sdk'
import { AuthorityPair, poll } from '../fixtures/authority/pair.ts'

const stopping = new AbortController()
const loops: Promise<void>[] = []
let pair: AuthorityPair
let copies: readonly Identity[]

before(async () => {
  pair = await AuthorityPair.start()
  copies = [
    await pair.joined('agent/twin', { folder: 'twin-1' }),
    await pair.joined('agent/twin', { at: 'west', folder: 'twin-2' }),
  ]
  for (const copy of copies) loops.push(copy.run(stopping.signal))
})
after(async () => {
  stopping.abort()
  await Promise.all(loops)
  await pair.remove()
})

/** What each has acknowledged last, by its instance. */
async function heard(): Promise<ReadonlyMap<string, number>> {
  const id = copies[0]?.id.uri
  const acks = (await pair.store.acks.list()).filter((ack) => ack.id === id && ack.sequence > 0)
  return new Map(acks.map(({ instance, sequence }) => [instance, sequence]))
}

test('RV-2: authorities tell each other how far each copy has come, under the name of its machine key', async () => {
  const bound = await pair.store.instances.list(copies[0]?.id.uri ?? '')
  const known = bound.map(({ instance }) => instance).toSorted()
  assert.equal(new Set(known).size, 2)
  const both = await poll(async () => ((await heard()).size === 2 ? await heard() : undefined), 'both copies')
  assert.deepEqual([...both.keys()].toSorted(), known)
})

test('RV-2: a copy with a new certificate is the one it was, and a denial reaches both', async () => {
  await copies[0]?.renew()
  const { mark } = await pair.adminAt('main').revoke({ subject: 'token', token: 'A'.repeat(22) }, 'test')
  const reached = async () => [...(await heard()).values()].every((sequence) => sequence >= mark.callers) || undefined
  await poll(reached, 'the denial at both copies')
  assert.equal((await heard()).size, 2)
  const { stragglers } = await pair.adminAt('main').receivers(mark, 5)
  assert.deepEqual(stragglers, [])
})
