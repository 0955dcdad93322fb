/** Serials, denials and what follows from them. */

import assert from 'node:assert/strict'
import { backdatingSeconds, denialMarginSeconds } from '@doorward/core'
import type { IssuanceIntent } from '../../../packages/server/src/authority/ports.ts'
import {
  a,
  at,
  b,
  binding,
  deniedValues,
  domain,
  identityDenial,
  intent,
  issue,
  registration,
  roomy,
  serialDenial,
  token,
} from './values.ts'
import type { Rule } from './values.ts'

export function issuanceRules(rule: Rule): void {
  rule('a serial goes from intent to release in order, once, and only then enters the mirror', async (store) => {
    const { issuance, trust } = store
    await store.domain.found(domain)
    assert.equal(await issuance.intend(intent('01', a), roomy), 'unregistered')
    await store.registrations.add(registration(a), 10)
    assert.equal(await issuance.release('01'), false)
    assert.equal(await issuance.intend(intent('01', a), roomy), 'intended')
    assert.equal(await issuance.intend(intent('01', a), roomy), 'serial_taken')
    assert.equal(await issuance.release('01'), false)
    assert.equal(await issuance.commit('01', 'fingerprint'), true)
    assert.equal(await issuance.commit('01', 'fingerprint'), false)
    assert.deepEqual((await trust.material(at(60))).issued, [])
    assert.equal(await issuance.release('01'), true)
    assert.equal(await issuance.release('01'), false)
    assert.equal(await issuance.void('01', at(61)), false)
    assert.deepEqual((await trust.material(at(60))).issued, [{ fingerprint: 'fingerprint', id: a, notAfter: at(3600) }])
    assert.deepEqual((await trust.material(at(3600))).issued, [])
  })

  rule(
    'DT-7: certificates that should have been renewed are those without a newer one of the same instance',
    async (store) => {
      const { issuance } = store
      for (const id of [a, b]) await store.registrations.add(registration(id), 10)
      for (const [id, name] of [
        [a, 'i'],
        [a, 'j'],
        [b, 'k'],
      ] as const)
        await store.instances.bind(id, binding(name, name))
      await issue(store, '01', a, { instance: 'i', intendedAt: at(1) })
      await issue(store, '02', a, { instance: 'j', intendedAt: at(2) })
      await issue(store, '03', a, { instance: 'i', intendedAt: at(2000), notBefore: at(1940), notAfter: at(5600) })
      await issue(store, '04', b, { instance: 'k', intendedAt: at(3) })
      const late = async (now: number, limit = 10) => (await issuance.late(at(now), limit)).map(({ serial }) => serial)
      const { notBefore, notAfter } = intent('02', a)
      const threeQuarters = notBefore + ((notAfter - notBefore) * 3) / 4
      assert.deepEqual(await late(threeQuarters), [])
      assert.deepEqual(await late(threeQuarters + 1), ['02', '04'])
      assert.deepEqual(await late(threeQuarters + 1, 1), ['02'])
      assert.deepEqual(await late(5000), ['03'])
      assert.deepEqual(await late(5600), [])
    },
  )

  rule('a certificate is found by serial and fingerprint, and lives from release to expiry', async (store) => {
    const { issuance } = store
    for (const id of [a, b]) await store.registrations.add(registration(id), 10)
    await store.instances.bind(a, binding('i', 'M'))
    await issue(store, '01', a)
    await issue(store, '02', a, { instance: 'i', predecessor: '01', intendedAt: at(61) })
    await issue(store, '03', b, { intendedAt: at(62) })
    await issuance.intend(intent('04', b), roomy)
    const second = { ...intent('02', a, { instance: 'i', predecessor: '01', intendedAt: at(61) }), state: 'released' }
    assert.deepEqual(await issuance.findByFingerprint('f02'), { ...second, fingerprint: 'f02' })
    assert.deepEqual(await issuance.findBySerial('02'), { ...second, fingerprint: 'f02' })
    assert.equal((await issuance.findBySerial('04'))?.state, 'intended')
    assert.equal(await issuance.findBySerial('05'), null)
    const serials = async (now: number, id?: string) => (await issuance.live(at(now), id)).map(({ serial }) => serial)
    assert.deepEqual(await serials(70), ['01', '02', '03'])
    assert.deepEqual(await serials(70, b), ['03'])
    assert.deepEqual(await serials(3600), [])
  })

  rule('voiding denies a serial for longer than its certificate could live', async (store) => {
    await store.registrations.add(registration(a), 10)
    await store.issuance.intend(intent('01', a), roomy)
    assert.equal(await store.issuance.void('01', at(70)), true)
    assert.equal(await store.issuance.void('01', at(71)), false)
    assert.equal(await store.issuance.commit('01', 'fingerprint'), false)
    const lapse = 3600 + denialMarginSeconds
    assert.deepEqual(await deniedValues(store, lapse - 1), ['01'])
    assert.deepEqual(await deniedValues(store, lapse), [])
  })

  rule('what is open of an authority is what it neither released nor voided', async (store) => {
    const { issuance } = store
    await store.registrations.add(registration(a), 10)
    for (const serial of ['01', '02', '03', '05']) await issuance.intend(intent(serial, a), roomy)
    await issuance.intend(intent('04', a, { authority: 'two' }), roomy)
    await issuance.commit('02', 'f2')
    await issuance.commit('03', 'f3')
    await issuance.release('03')
    await issuance.void('05', at(65))
    const open = async (authority: string) => (await issuance.open(authority)).toSorted(bySerial)
    assert.deepEqual(await open('one'), [intent('01', a), intent('02', a)])
    assert.deepEqual(await open('two'), [intent('04', a, { authority: 'two' })])
    for (const serial of ['01', '02']) assert.equal(await issuance.void(serial, at(70)), true)
    assert.deepEqual(await open('one'), [])
    assert.deepEqual(await deniedValues(store), ['01', '02', '05'])
  })

  rule('live certificates are bounded per identity and in all', async (store) => {
    for (const id of [a, b]) await store.registrations.add(registration(id), 10)
    const limits = { perIdentity: 2, total: 3 }
    const next = async (serial: string, id: string, more: Partial<IssuanceIntent> = {}) => {
      const outcome = await store.issuance.intend(intent(serial, id, more), limits)
      await store.issuance.commit(serial, `f${serial}`)
      await store.issuance.release(serial)
      return outcome
    }
    assert.deepEqual([await next('01', a), await next('02', a), await next('03', a)], ['intended', 'intended', 'full'])
    assert.deepEqual([await next('04', b), await next('05', b)], ['intended', 'full'])
    assert.equal(await next('06', a, { intendedAt: at(3600), notAfter: at(7200) }), 'intended')
  })

  rule('RV-5: what is denied is not renewed: serial, instance, identity or anchor', async (store) => {
    const { issuance, denials, instances } = store
    for (const id of [a, b]) await store.registrations.add(registration(id), 10)
    await instances.bind(a, binding('i', 'M'))
    await issue(store, '01', a, { instance: 'i' })
    const renewal = (serial: string, more: Partial<IssuanceIntent> = {}) =>
      issuance.intend(intent(serial, a, { instance: 'i', predecessor: '01', ...more }), roomy)
    assert.equal(await renewal('02'), 'intended')
    await denials.deny(serialDenial('01', 61))
    assert.equal(await renewal('03'), 'denied')
    assert.equal(await renewal('04', { predecessor: null }), 'intended')
    assert.equal(await renewal('05', { predecessor: null, instance: 'other' }), 'denied')
    await instances.lock('i', 'test', at(62))
    assert.equal(await renewal('06', { predecessor: null }), 'denied')
    await denials.deny({ ...serialDenial('anchor', 63), kind: 'authority' })
    assert.equal(await issuance.intend(intent('07', b), roomy), 'denied')
    assert.equal(await issuance.intend(intent('08', b, { anchorKeyId: 'next' }), roomy), 'intended')
  })

  rule('RV-5: an identity that is denied gets what is dated after that, and what renews it', async (store) => {
    const { issuance, denials } = store
    await store.registrations.add(registration(a), 10)
    await issue(store, '01', a, { notBefore: at(0) })
    await denials.deny(identityDenial(a, 100))
    const dated = (serial: string, seconds: number, predecessor: string | null = null) =>
      issuance.intend(intent(serial, a, { notBefore: at(seconds - backdatingSeconds), predecessor }), roomy)
    assert.equal(await dated('02', 99), 'denied')
    assert.equal(await dated('03', 100), 'intended')
    assert.equal(await dated('04', 100, '01'), 'denied')
    assert.equal(await dated('05', 101, '03'), 'intended')
  })

  rule('what was denied between intent and release is not released', async (store) => {
    const { issuance, denials } = store
    for (const id of [a, b]) await store.registrations.add(registration(id), 10)
    for (const serial of ['01', '02', '03']) await issuance.intend(intent(serial, a), roomy)
    for (const serial of ['02', '03']) assert.equal(await issuance.commit(serial, `f${serial}`), true)
    await denials.deny(serialDenial('01', 60))
    await denials.deny(serialDenial('02', 60))
    assert.equal(await issuance.commit('01', 'f01'), false)
    assert.equal(await issuance.release('02'), false)
    await denials.deny(identityDenial(a, 9000))
    assert.equal(await issuance.release('03'), false)
  })

  rule('a denial is never shortened', async ({ denials }) => {
    await denials.deny(identityDenial(a, 50))
    await denials.deny(identityDenial(a, 40))
    assert.deepEqual(await denials.list(at(60)), [identityDenial(a, 50)])
    await denials.deny(identityDenial(a, 70))
    assert.deepEqual(await denials.list(at(160)), [identityDenial(a, 70)])
    assert.deepEqual(await denials.list(at(170)), [])
  })

  rule('RV-6: denials of an epoch come with it, and neither goes back', async (store) => {
    await store.domain.found(domain)
    await store.denials.denyInEpoch([serialDenial('01', 60), identityDenial(a, 60)], 3)
    await store.denials.denyInEpoch([], 2)
    assert.equal((await store.domain.read())?.epoch, 3)
    assert.deepEqual(await deniedValues(store), [a, '01'])
  })

  revocationRules(rule)
}

function revocationRules(rule: Rule): void {
  rule('RV-5: revoking a serial takes every renewal of it, also those under way', async (store) => {
    const { revocations } = store
    await store.registrations.add(registration(a), 10)
    await issue(store, '01', a)
    await issue(store, '02', a, { predecessor: '01' })
    await store.issuance.intend(intent('03', a, { predecessor: '02' }), roomy)
    await issue(store, '04', a)
    const revoked = await revocations.revoke(serialDenial('01', 65), at(65))
    assert.deepEqual(
      revoked.denials.map(({ value, lapsesAt }) => `${value} ${lapsesAt}`).toSorted(),
      ['01', '02', '03'].map((serial) => `${serial} ${3600 + denialMarginSeconds}`),
    )
    assert.equal(await store.issuance.commit('03', 'f03'), false)
    assert.deepEqual(await deniedValues(store), ['01', '02', '03'])
    assert.deepEqual(await revocations.revoke(serialDenial('none', 65), at(65)), {
      denials: [serialDenial('none', 65)],
      locked: [],
    })
    assert.deepEqual((await revocations.revoke(serialDenial('04', 3600), at(3600))).denials, [])
  })

  rule('revoking an identity locks its machine keys and withdraws its tokens, of before', async (store) => {
    const { revocations, instances, joins } = store
    await store.registrations.add(registration(a), 10)
    await instances.bind(a, binding('1', '1', { now: at(50) }))
    await instances.bind(a, binding('2', '2', { now: at(65) }))
    for (const letter of ['1', '2']) await issue(store, `0${letter}`, a, { instance: letter })
    for (const moment of [1, 65]) await joins.addToken(token(`h${moment}`, a, { createdAt: at(moment) }), 10)
    const revoked = await revocations.revoke(identityDenial(a, 65), at(65))
    assert.deepEqual(revoked.locked, ['1'])
    assert.deepEqual(
      revoked.denials.map(({ value }) => value),
      [a, '01'],
    )
    assert.notEqual((await instances.find('1'))?.locked, null)
    assert.equal((await instances.find('2'))?.locked, null)
    assert.deepEqual(
      (await joins.pending(a, at(66))).map(({ hash }) => hash),
      ['h65'],
    )
    assert.equal(await revocations.issuedBefore(a), at(65))
    assert.equal(await revocations.issuedBefore(b), null)
  })

  rule('a revocation list names what lives and is denied, singly or with its identity', async (store) => {
    const { revocations } = store
    for (const id of [a, b]) await store.registrations.add(registration(id), 10)
    await issue(store, '01', a)
    await issue(store, '02', b)
    await issue(store, '03', b, { notBefore: at(900) })
    await revocations.revoke(serialDenial('01', 65), at(65))
    await revocations.revoke(serialDenial('ff', 65), at(65))
    await revocations.revoke({ ...identityDenial(b, 66), lapsesAt: at(9999) }, at(66))
    assert.deepEqual(await revocations.certificates(at(70)), [
      { serial: '01', anchorKeyId: 'anchor', deniedAt: at(65) },
      { serial: '02', anchorKeyId: 'anchor', deniedAt: at(66) },
      { serial: 'ff', anchorKeyId: null, deniedAt: at(65) },
    ])
    assert.deepEqual(
      (await revocations.certificates(at(3600))).map(({ serial }) => serial),
      ['ff'],
    )
  })

  rule('denials that have lapsed are forgotten', async (store) => {
    await store.denials.deny(identityDenial(a, 10))
    await store.denials.deny(identityDenial(b, 20))
    await store.revocations.prune(at(115))
    assert.deepEqual(await deniedValues(store, 1), [b])
  })
}

function bySerial(one: IssuanceIntent, other: IssuanceIntent): number {
  return one.serial < other.serial ? -1 : 1
}
