/** A renewal's way: what is shown when it is intended, and what is handed out with it. Also many of them at once. */

import assert from 'node:assert/strict'
import type { AuthorityStore, IssuanceIntent } from '../../../packages/server/src/authority/ports.ts'
import { a, at, b, binding, deniedValues, intent, issue, registration, roomy, serialDenial } from './values.ts'
import type { Rule } from './values.ts'

/** An instance `i` of the identity `a`, with a signed certificate for each serial. */
async function signed(store: AuthorityStore, ...serials: readonly string[]): Promise<void> {
  await store.registrations.add(registration(a), 10)
  await store.instances.bind(a, binding('i', 'M'))
  for (const serial of serials) {
    await store.issuance.intend(intent(serial, a, { instance: 'i' }), roomy)
    await store.issuance.commit(serial, `f${serial}`)
  }
}

function next(hash: string) {
  return { instance: 'i', hash }
}

export function handOutRules(rule: Rule): void {
  rule('BS-2: a certificate is released with the next join state, and numbered', async (store) => {
    const { issuance, instances } = store
    await signed(store, '01', '02')
    assert.equal(await issuance.handOut('01', next('s1'), at(61)), 1)
    assert.equal((await issuance.findBySerial('01'))?.state, 'released')
    assert.deepEqual((await instances.find('i'))?.offered, { hash: 's1', serial: '01' })
    assert.equal(await issuance.handOut('01', next('s2'), at(62)), 'void')
    assert.equal(await instances.present('i', 's1', at(63)), 'confirmed')
    assert.equal(await issuance.handOut('02', next('s2'), at(64)), 2)
    assert.deepEqual(await deniedValues(store), [])
  })

  rule('what is handed out in the place of an unconfirmed certificate denies that one', async (store) => {
    await signed(store, '01', '02', '03')
    assert.equal(await store.issuance.handOut('01', next('s1'), at(61)), 1)
    assert.equal(await store.issuance.handOut('02', next('s2'), at(62)), 2)
    assert.deepEqual(await deniedValues(store), ['01'])
    assert.equal(await store.issuance.release('03'), true)
    assert.equal(await store.instances.present('i', 's1', at(63)), 'regressed')
    assert.equal(await store.instances.present('i', 's2', at(63)), 'confirmed')
  })

  rule('nothing is handed out to an instance that is locked, or of a serial that is denied', async (store) => {
    const { issuance, instances, denials } = store
    await signed(store, '01', '02')
    await denials.deny(serialDenial('01', 60))
    assert.equal(await issuance.handOut('01', next('s1'), at(61)), 'void')
    assert.equal((await instances.find('i'))?.offered, null)
    await instances.lock('i', 'test', at(62))
    assert.equal(await issuance.handOut('02', next('s1'), at(63)), 'locked')
    assert.equal((await issuance.findBySerial('02'))?.state, 'signed')
    assert.equal(await issuance.handOut('02', { instance: 'none', hash: 's' }, at(63)), 'locked')
  })

  rule('of certificates handed out to one instance at once each has its number, and one stays good', async (store) => {
    const serials = ['01', '02', '03', '04', '05']
    await signed(store, ...serials)
    const numbers = await Promise.all(
      serials.map((serial) => store.issuance.handOut(serial, next(`s${serial}`), at(61))),
    )
    assert.deepEqual(new Set(numbers), new Set([1, 2, 3, 4, 5]))
    const denied = await deniedValues(store)
    assert.equal(denied.length, 4)
    const offered = (await store.instances.find('i'))?.offered?.serial
    assert.ok(offered !== undefined && !denied.includes(offered))
  })

  rule('BS-2: what an instance shows is judged before anything is intended', async (store) => {
    const { issuance, instances } = store
    await signed(store, '01')
    await issuance.handOut('01', next('s1'), at(61))
    const renewal = (serial: string, hash: string | null, instance = 'i') =>
      issuance.intend(intent(serial, a, { instance }), roomy, { hash })
    assert.equal(await renewal('02', 'guess'), 'regressed')
    assert.equal(await renewal('02', 's1'), 'intended')
    assert.deepEqual((await instances.find('i'))?.current, 's1')
    assert.equal(await renewal('03', 's1'), 'intended')
    assert.equal(await renewal('04', null), 'regressed')
    assert.equal(await renewal('04', null, 'none'), 'unknown')
    await instances.lock('i', 'test', at(62))
    assert.equal(await renewal('04', 's1'), 'locked')
    assert.equal(await issuance.findBySerial('04'), null)
  })

  rule(
    'of two that show one offered state to intend at once, both go on from it and none confirms it twice',
    async (store) => {
      await signed(store, '01')
      await store.issuance.handOut('01', next('s1'), at(61))
      const both = await Promise.all(
        ['02', '03'].map((serial) =>
          store.issuance.intend(intent(serial, a, { instance: 'i' }), roomy, { hash: 's1' }),
        ),
      )
      assert.deepEqual(both, ['intended', 'intended'])
      assert.equal((await store.instances.find('i'))?.sequence, 1)
    },
  )

  rule('many that are asked for at once are judged each by itself, and limits hold among them', async (store) => {
    const { issuance } = store
    for (const id of [a, b]) await store.registrations.add(registration(id), 10)
    await store.denials.deny(serialDenial('bad', 60))
    const limits = { perIdentity: 5, total: 1000 }
    const ask = (serial: string, id: string, more: Partial<IssuanceIntent> = {}) =>
      issuance.intend(intent(serial, id, more), limits)
    const [crowd, twins, rest] = await Promise.all([
      Promise.all(Array.from({ length: 12 }, (_, index) => ask(`a${index}`, a))),
      Promise.all([ask('b0', b), ask('b0', b)]),
      Promise.all([ask('b1', b, { predecessor: 'bad' }), ask('b2', 'spiffe://t/none'), ask('b3', b)]),
    ])
    assert.equal(crowd.filter((outcome) => outcome === 'intended').length, 5)
    assert.equal(crowd.filter((outcome) => outcome === 'full').length, 7)
    assert.deepEqual(twins.toSorted(), ['intended', 'serial_taken'])
    assert.deepEqual(rest, ['denied', 'unregistered', 'intended'])
  })

  rule('many that are signed and released at once get each its own answer', async (store) => {
    const { issuance } = store
    await store.registrations.add(registration(a), 10)
    const serials = Array.from({ length: 8 }, (_, index) => `0${index}`)
    await Promise.all(serials.slice(1).map((serial) => issuance.intend(intent(serial, a), roomy)))
    await store.denials.deny(serialDenial('07', 60))
    const committed = await Promise.all([...serials, '01'].map((serial, index) => issuance.commit(serial, `f${index}`)))
    assert.deepEqual(committed.slice(2, 8), [true, true, true, true, true, false])
    assert.deepEqual([committed[0], [committed[1], committed[8]].filter(Boolean).length], [false, 1])
    const released = await Promise.all([...serials, '02'].map((serial) => issuance.release(serial)))
    assert.deepEqual(released.slice(3, 8), [true, true, true, true, false])
    assert.deepEqual([released[0], released[1], [released[2], released[8]].filter(Boolean).length], [false, true, 1])
  })

  rule('of many that are signed at once, one that cannot be undoes only itself', async (store) => {
    const { issuance } = store
    await store.registrations.add(registration(a), 10)
    for (const serial of ['01', '02', '03']) await issuance.intend(intent(serial, a), roomy)
    assert.equal(await issuance.commit('01', 'same'), true)
    const both = Promise.allSettled([issuance.commit('02', 'same'), issuance.commit('03', 'other')])
    const [clash, other] = await both
    assert.equal(clash.status, 'rejected')
    assert.deepEqual(other, { status: 'fulfilled', value: true })
    assert.equal((await issuance.findBySerial('02'))?.state, 'intended')
  })

  rule(
    'BS-2: a join state that admits is confirmed, also when nothing is intended for another reason',
    async (store) => {
      await signed(store, '01')
      await store.issuance.handOut('01', next('s1'), at(61))
      const limits = { ...roomy, perIdentity: 1 }
      assert.equal(await store.issuance.intend(intent('02', a, { instance: 'i' }), limits, { hash: 's1' }), 'full')
      assert.equal((await store.instances.find('i'))?.current, 's1')
    },
  )

  rule('a certificate that is late is past three quarters of its life and without a successor', async (store) => {
    for (const id of [a, b]) await store.registrations.add(registration(id), 10)
    await store.instances.bind(a, binding('i', 'M'))
    await issue(store, '01', a)
    await issue(store, '02', a, { instance: 'i' })
    await issue(store, '03', b)
    await issue(store, '04', b, { intendedAt: at(61), notBefore: at(1800), notAfter: at(5400) })
    const serials = async (now: number, limit: number) =>
      (await store.issuance.late(at(now), limit)).map(({ serial }) => serial)
    assert.deepEqual(await serials(2700, 10), [])
    assert.deepEqual(await serials(2701, 10), ['01', '02'])
    assert.deepEqual(await serials(2701, 1), ['01'])
    assert.deepEqual(await serials(3600, 10), [])
  })
}
