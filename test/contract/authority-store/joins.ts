/** Join tokens, one-time proofs, and instances with their join states. */

import assert from 'node:assert/strict'
import { a, at, b, binding, deniedValues, issue, jwkOf, registration, token } from './values.ts'
import type { Rule } from './values.ts'

export function joinRules(rule: Rule): void {
  rule('BS-3: among concurrent callers a join token admits one, and binds the key of that one', async (store) => {
    await store.registrations.add(registration(a), 10)
    assert.equal(await store.joins.addToken(token('h', a), 10), 'added')
    const letters = '0123456789abcdefghij'.split('')
    const outcomes = await Promise.all(
      letters.map((letter) => store.joins.redeem({ hash: 'h', binding: binding(`i${letter}`, letter) })),
    )
    const winners = outcomes.flatMap((outcome, index) => (outcome.outcome === 'redeemed' ? [letters[index]] : []))
    assert.equal(winners.length, 1)
    assert.equal(outcomes.filter(({ outcome }) => outcome === 'used').length, letters.length - 1)
    const held = await store.instances.list(a)
    assert.deepEqual(
      held.map(({ instance, machineKey }) => [instance, machineKey]),
      [[`i${winners[0]}`, jwkOf(winners[0] ?? '')]],
    )
    assert.equal((await store.joins.findToken('h'))?.usedAt, at(50))
  })

  rule('a join token ends at its expiry and needs a registration and room', async ({ registrations, joins }) => {
    assert.equal(await joins.addToken(token('h', a), 10), 'unregistered')
    await registrations.add(registration(a), 10)
    assert.equal(await joins.addToken(token('h', a), 1), 'added')
    assert.equal(await joins.addToken(token('i', a), 1), 'full')
    const late = binding('i', 'M', { now: at(100) })
    assert.deepEqual(await joins.redeem({ hash: 'h', binding: late }), { outcome: 'expired' })
    assert.deepEqual(await joins.redeem({ hash: 'none', binding: late }), { outcome: 'unknown' })
    assert.deepEqual(await joins.pending(a, at(99)), [token('h', a)])
    assert.deepEqual(await joins.pending(a, at(100)), [])
    assert.equal(await joins.addToken(token('i', a, { createdAt: at(100), expiresAt: at(200) }), 1), 'added')
  })

  rule('a token is not spent on a key that another workload has', async ({ registrations, joins, instances }) => {
    for (const id of [a, b]) await registrations.add(registration(id), 10)
    await instances.bind(b, binding('i', 'M'))
    await joins.addToken(token('h', a), 10)
    assert.deepEqual(await joins.redeem({ hash: 'h', binding: binding('j', 'M') }), { outcome: 'bound_elsewhere' })
    assert.equal((await joins.redeem({ hash: 'h', binding: binding('j', 'N') })).outcome, 'redeemed')
  })

  rule('RP-2: a proof admits once among concurrent callers, and is forgotten only when it has ended', async (store) => {
    await store.registrations.add(registration(a), 10)
    const admit = (hash: string, letter: string, now = 50, limit = 2) => {
      const proof = { hash, expiresAt: at(100) }
      return store.joins.admit(a, { proof, binding: binding(`i${letter}`, letter, { now: at(now) }) }, limit)
    }
    const outcomes = await Promise.all('12345678'.split('').map((letter) => admit('p', letter)))
    assert.equal(outcomes.filter(({ outcome }) => outcome === 'admitted').length, 1)
    assert.equal(outcomes.filter(({ outcome }) => outcome === 'used').length, 7)
    assert.equal((await admit('q', '9')).outcome, 'admitted')
    assert.equal((await admit('r', 'a')).outcome, 'full')
    assert.equal((await admit('p', 'b')).outcome, 'used')
    assert.equal((await admit('r', 'c', 100)).outcome, 'admitted')
  })

  rule('a proof is not spent where nothing can be bound', async ({ registrations, instances, joins }) => {
    const proof = { hash: 'p', expiresAt: at(100) }
    assert.deepEqual(await joins.admit(a, { proof, binding: binding('i', 'M') }, 9), { outcome: 'unregistered' })
    for (const id of [a, b]) await registrations.add(registration(id), 10)
    await instances.bind(b, binding('i', 'M'))
    assert.deepEqual(await joins.admit(a, { proof, binding: binding('j', 'M') }, 9), { outcome: 'bound_elsewhere' })
    assert.equal((await joins.admit(a, { proof, binding: binding('j', 'N') }, 9)).outcome, 'admitted')
  })

  rule('a machine key belongs to one instance of one identity', async ({ registrations, instances }) => {
    for (const id of [a, b]) await registrations.add(registration(id), 10)
    assert.deepEqual(await instances.bind(a, binding('i', 'M')), { id: a, instance: 'i', replaced: [] })
    assert.deepEqual(await instances.bind(a, binding('j', 'M')), { id: a, instance: 'i', replaced: [] })
    assert.equal(await instances.bind(b, binding('k', 'M')), 'bound_elsewhere')
    assert.equal(await instances.bind('spiffe://t/none', binding('k', 'N')), null)
    assert.equal((await instances.findByKey(a, jwkOf('M')))?.instance, 'i')
    assert.equal(await instances.findByKey(b, jwkOf('M')), null)
    await instances.lock('i', 'test', at(60))
    assert.equal(await instances.bind(a, binding('j', 'M')), 'bound_elsewhere')
  })

  rule('the instance unseen for longest makes room, a locked one first', async (store) => {
    const { registrations, instances } = store
    await registrations.add(registration(a), 10)
    for (const [index, letter] of ['1', '2', '3'].entries())
      await instances.bind(a, binding(letter, letter, { now: at(50 + index), limit: 3 }))
    await issue(store, '01', a, { instance: '1' })
    const fourth = await instances.bind(a, binding('4', '4', { now: at(60), limit: 3 }))
    assert.deepEqual(fourth, { id: a, instance: '4', replaced: ['1'] })
    assert.deepEqual(await deniedValues(store), ['01'])
    await instances.lock('3', 'test', at(61))
    assert.deepEqual(await instances.bind(a, binding('5', '5', { now: at(62), limit: 3 })), {
      id: a,
      instance: '5',
      replaced: [],
    })
    assert.deepEqual(
      (await instances.list(a)).map(({ instance }) => instance),
      ['2', '4', '5'],
    )
  })

  rule('a new instance of an identity with a single one locks the earlier one', async (store) => {
    await store.registrations.add(registration(a, { singleInstance: true }), 10)
    await store.instances.bind(a, binding('1', '1'))
    await issue(store, '01', a, { instance: '1' })
    const second = await store.instances.bind(a, binding('2', '2', { now: at(60) }))
    assert.deepEqual(second, { id: a, instance: '2', replaced: ['1'] })
    assert.deepEqual((await store.instances.find('1'))?.locked, { at: at(60), reason: 'replaced' })
    assert.deepEqual(await deniedValues(store), ['01'])
  })

  rule('BS-2: a join state is confirmed once, and one from the past is a regression', async (store) => {
    const { registrations, instances } = store
    await registrations.add(registration(a), 10)
    await instances.bind(a, binding('i', 'M'))
    assert.equal(await instances.present('i', null, at(51)), 'current')
    assert.equal(await instances.present('i', 'guess', at(51)), 'regressed')
    assert.equal(await instances.offer('i', { hash: 's1', serial: '01' }, at(52)), 1)
    assert.equal(await instances.present('i', null, at(53)), 'current')
    assert.equal(await instances.present('i', 's1', at(53)), 'confirmed')
    assert.equal(await instances.present('i', 's1', at(54)), 'current')
    assert.equal(await instances.present('i', null, at(54)), 'regressed')
    assert.equal(await instances.offer('i', { hash: 's2', serial: '02' }, at(55)), 2)
    assert.equal(await instances.present('i', 's2', at(56)), 'confirmed')
    assert.equal(await instances.present('i', 's1', at(57)), 'regressed')
    const held = await instances.find('i')
    assert.deepEqual([held?.sequence, held?.current, held?.offered, held?.seenAt], [2, 's2', null, at(56)])
    assert.equal(await instances.present('none', null, at(57)), 'unknown')
  })

  rule('BS-2: of two that show one offered state at once, one confirms it', async ({ registrations, instances }) => {
    await registrations.add(registration(a), 10)
    await instances.bind(a, binding('i', 'M'))
    await instances.offer('i', { hash: 's1', serial: '01' }, at(52))
    const shown = await Promise.all([instances.present('i', 's1', at(53)), instances.present('i', 's1', at(53))])
    assert.deepEqual(shown.toSorted(), ['confirmed', 'current'])
    assert.equal((await instances.find('i'))?.sequence, 1)
  })

  rule('an offer that was not confirmed is withdrawn by the next: its serial is denied', async (store) => {
    const { instances } = store
    await store.registrations.add(registration(a), 10)
    await instances.bind(a, binding('i', 'M'))
    await issue(store, '01', a, { instance: 'i' })
    assert.equal(await instances.offer('i', { hash: 's1', serial: '01' }, at(62)), 1)
    assert.equal(await instances.offer('i', { hash: 's2', serial: '02' }, at(63)), 2)
    assert.deepEqual(await deniedValues(store), ['01'])
    assert.equal(await instances.present('i', 's1', at(64)), 'regressed')
    assert.equal(await instances.present('i', 's2', at(64)), 'confirmed')
  })

  rule('OP-10: locking ends one instance with its live certificates, and no other', async (store) => {
    const { instances } = store
    await store.registrations.add(registration(a), 10)
    for (const letter of ['1', '2']) await instances.bind(a, binding(letter, letter))
    for (const letter of ['1', '2']) await issue(store, `0${letter}`, a, { instance: letter })
    assert.equal(await instances.lock('1', 'copied', at(65)), true)
    assert.equal(await instances.lock('1', 'again', at(66)), false)
    assert.equal(await instances.present('1', null, at(66)), 'locked')
    assert.equal(await instances.offer('1', { hash: 's', serial: '03' }, at(66)), null)
    assert.equal(await instances.present('2', null, at(66)), 'current')
    assert.deepEqual(await deniedValues(store), ['01'])
    assert.equal(await instances.remove('2', 'gone', at(67)), true)
    assert.equal(await instances.remove('2', 'gone', at(67)), false)
    assert.deepEqual(await deniedValues(store), ['01', '02'])
  })
}
