/** Acknowledgements, ceremonies, alarms and revocation lists. */

import assert from 'node:assert/strict'
import { epochMillis } from '@doorward/core'
import type { Ceremony } from '../../../packages/server/src/authority/ceremony.ts'
import type { StoredAck } from '../../../packages/server/src/authority/ports.ts'
import { a, at, b, jwkOf } from './values.ts'
import type { Rule } from './values.ts'

function ack(id: string, sequence: number, more: Partial<StoredAck> = {}): StoredAck {
  return { id, instance: '', scope: 'full', delegation: 1, sequence, at: epochMillis(1000), authority: 'main', ...more }
}

function ceremony(id: string, startedAt: number): Ceremony {
  return {
    id,
    kind: 'rotate',
    stage: 'prepare',
    emergency: false,
    reissue: false,
    retire: false,
    reason: 'test',
    by: 'spiffe://t/operator',
    only: null,
    excluded: [],
    authorities: [{ instance: 'i', name: 'main' }],
    replaces: ['k'],
    epoch: 1,
    startedAt: epochMillis(startedAt),
    stages: [],
    canary: null,
    report: null,
  }
}

export function reportRules(rule: Rule): void {
  rule('of two acknowledgements of one receiver and scope the later version counts', async ({ acks }) => {
    await acks.put([ack(b, 1), ack(a, 5), ack(a, 3), ack(a, 2, { scope: 'callers' })])
    await acks.put([ack(a, 4), ack(b, 1, { delegation: 2, authority: 'second' })])
    await acks.put([])
    assert.deepEqual(await acks.list(), [
      ack(a, 2, { scope: 'callers' }),
      ack(a, 5),
      ack(b, 1, { delegation: 2, authority: 'second' }),
    ])
    await acks.put([ack(a, 6, { at: epochMillis(2000) })])
    await acks.prune(epochMillis(2000))
    assert.deepEqual(await acks.list(), [ack(a, 6, { at: epochMillis(2000) })])
    await acks.put([ack(a, 5, { at: epochMillis(3000), authority: 'second' }), ack(a, 7, { at: epochMillis(1000) })])
    assert.deepEqual(await acks.list(), [ack(a, 7, { at: epochMillis(3000), authority: 'second' })])
  })

  rule('each instance of a receiver is heard of by itself', async ({ acks }) => {
    await acks.put([ack(a, 5, { instance: '01' }), ack(a, 3, { instance: '02' }), ack(a, 4)])
    await acks.put([ack(a, 6, { instance: '02', at: epochMillis(2000) }), ack(a, 2, { instance: '01' })])
    assert.deepEqual(await acks.list(), [
      ack(a, 4),
      ack(a, 5, { instance: '01' }),
      ack(a, 6, { instance: '02', at: epochMillis(2000) }),
    ])
    await acks.prune(epochMillis(2000))
    assert.deepEqual(await acks.list(), [ack(a, 6, { instance: '02', at: epochMillis(2000) })])
  })

  rule('whoever follows is heard of last, whatever version comes with that', async ({ acks }) => {
    const at = (moment: number) => ({ at: epochMillis(moment) })
    await acks.put([ack(a, 5, at(1000)), ack(b, 0, { delegation: 0, ...at(1000) })])
    await acks.put([ack(a, 0, { delegation: 0, authority: 'second', ...at(3000) })])
    assert.deepEqual(await acks.list(), [
      ack(a, 5, { authority: 'second', ...at(3000) }),
      ack(b, 0, { delegation: 0, ...at(1000) }),
    ])
    await acks.put([ack(a, 7, at(2000)), ack(b, 7, at(2000))])
    assert.deepEqual(await acks.list(), [ack(a, 7, { authority: 'second', ...at(3000) }), ack(b, 7, at(2000))])
  })

  rule('two authorities that tell of the same receivers in another order both succeed', async (_, under) => {
    const stores = [under.store, await under.another()]
    const ids = Array.from({ length: 40 }, (__, index) => `spiffe://t/${index}`)
    await Promise.all(
      [1, 2, 3, 4].flatMap((sequence) =>
        stores.map(({ acks }, index) =>
          acks.put((index === 0 ? ids : ids.toReversed()).map((id) => ack(id, sequence, { authority: `${index}` }))),
        ),
      ),
    )
    const listed = await under.store.acks.list()
    assert.equal(listed.length, ids.length)
    assert.ok(listed.every(({ sequence }) => sequence === 4))
  })

  rule('one ceremony is open at a time, and is moved on by whoever sees its stage', async ({ ceremonies }) => {
    assert.equal(await ceremonies.newest(), null)
    const opened = await Promise.all([ceremonies.open(ceremony('x', 1)), ceremonies.open(ceremony('y', 2))])
    assert.deepEqual(opened.toSorted(), [false, true])
    const first = (await ceremonies.newest())!
    const next: Ceremony = { ...first, stage: 'publish' }
    const moved = await Promise.all([1, 2, 3].map(() => ceremonies.advance(first.id, 'prepare', next)))
    assert.equal(moved.filter(Boolean).length, 1)
    assert.deepEqual(await ceremonies.newest(), next)
    assert.equal(await ceremonies.advance(first.id, 'publish', { ...next, stage: 'done' }), true)
    assert.equal(await ceremonies.open(ceremony('z', 3)), true)
    assert.equal((await ceremonies.newest())?.id, 'z')
  })

  rule('an authority contributes to a ceremony once', async ({ ceremonies }) => {
    await ceremonies.open(ceremony('x', 1))
    await ceremonies.contribute('x', 'two', jwkOf('2'))
    await ceremonies.contribute('x', 'one', jwkOf('1'))
    await ceremonies.contribute('x', 'one', jwkOf('9'))
    assert.deepEqual(await ceremonies.contributions('x'), [
      { authority: 'one', trustKey: jwkOf('1') },
      { authority: 'two', trustKey: jwkOf('2') },
    ])
    assert.deepEqual(await ceremonies.contributions('none'), [])
  })

  rule('an alarm is new once, counted after that, and the oldest makes room', async ({ alarms }) => {
    const raise = (subject: string, time: number) =>
      alarms.raise({ detector: 'DT-1', subject, detail: `at ${time}`, lastAt: epochMillis(time), source: 'main' }, 2)
    assert.equal(await raise('x', 1), true)
    assert.equal(await raise('y', 2), true)
    assert.equal(await raise('x', 3), false)
    assert.deepEqual((await alarms.list())[0], {
      detector: 'DT-1',
      subject: 'x',
      detail: 'at 3',
      source: 'main',
      firstAt: epochMillis(1),
      lastAt: epochMillis(3),
      count: 2,
    })
    assert.equal(await raise('z', 4), true)
    assert.deepEqual(
      (await alarms.list()).map(({ subject }) => subject),
      ['z', 'x'],
    )
  })

  rule('a revocation list is replaced by one of a higher number alone', async ({ crls }) => {
    const crl = (number: number, byte: number) => ({
      keyId: 'k',
      number,
      thisUpdate: at(1),
      nextUpdate: at(2),
      der: Uint8Array.of(byte, 0, 255),
    })
    assert.equal(await crls.put(crl(2, 1)), true)
    assert.equal(await crls.put(crl(2, 9)), false)
    assert.equal(await crls.put(crl(1, 9)), false)
    assert.equal(await crls.put(crl(3, 3)), true)
    assert.deepEqual(await crls.list(), [crl(3, 3)])
    await crls.remove('k')
    assert.deepEqual(await crls.list(), [])
  })
}
