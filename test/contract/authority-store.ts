/** What every store of the authority must do, whatever it is made of. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochSeconds } from '@doorward/core'
import type { EpochSeconds, P256Jwk } from '@doorward/core'
import type {
  AuthorityStore,
  Denial,
  IssuanceIntent,
  KeySlot,
  Registration,
} from '../../packages/server/src/authority/ports.ts'

export interface StoreUnderTest {
  readonly store: AuthorityStore
  close(): Promise<void>
}

const at = epochSeconds
const jwk: P256Jwk = { kty: 'EC', crv: 'P-256', x: 'A'.repeat(43), y: 'B'.repeat(43) }
const otherJwk: P256Jwk = { ...jwk, x: 'C'.repeat(43) }
const roomy = { perIdentity: 100, total: 1000 }

function registration(id: string, more: Partial<Registration> = {}): Registration {
  return { id, roles: ['reader'], ttlSeconds: 3600, dnsNames: [], ipAddresses: [], createdAt: at(1), ...more }
}

function identityDenial(id: string, issuedBefore: number): Denial {
  return {
    kind: 'identity',
    value: id,
    issuedBefore: at(issuedBefore),
    lapsesAt: at(issuedBefore + 100),
    reason: 'test',
  }
}

function intent(serial: string, id: string, more: Partial<IssuanceIntent> = {}): IssuanceIntent {
  const times = { notBefore: at(0), notAfter: at(3600), intendedAt: at(60) }
  return { serial, id, anchorKeyId: 'anchor', authority: 'one', publicKeyHash: 'hash', ...times, ...more }
}

function slot(keyId: string, more: Partial<KeySlot> = {}): KeySlot {
  const moments = { notAfter: at(1000), preparedAt: at(1), publishedAt: null, activatedAt: null, retiredAt: null }
  return {
    purpose: 'token',
    keyId,
    keyName: `name-${keyId}`,
    authority: 'one',
    state: 'prepared',
    jwk,
    certificate: null,
    ...moments,
    ...more,
  }
}

function bySerial(a: IssuanceIntent, b: IssuanceIntent): number {
  return a.serial < b.serial ? -1 : 1
}

const domain = { trustDomain: 'test.example', root: jwk, epoch: 1, foundedAt: at(5) }

export function authorityStoreContract(name: string, open: () => Promise<StoreUnderTest>): void {
  const rule = (sentence: string, run: (store: AuthorityStore) => Promise<void>) =>
    void test(`${name}: ${sentence}`, async () => {
      const opened = await open()
      try {
        await run(opened.store)
      } finally {
        await opened.close()
      }
    })

  rule('a domain is founded once', async ({ domain: domains }) => {
    assert.equal(await domains.read(), null)
    const founded = await Promise.all([domains.found(domain), domains.found({ ...domain, epoch: 2 })])
    assert.deepEqual(founded.toSorted(), [false, true])
    assert.deepEqual(await domains.read(), domain)
  })

  rule('a registration is added once, found, listed in order and updated', async ({ registrations }) => {
    const b = registration('spiffe://t/b', { dnsNames: ['b.example'], ipAddresses: ['127.0.0.1'] })
    assert.equal(await registrations.add(b, 2), 'added')
    assert.equal(await registrations.add(registration('spiffe://t/b', { roles: [] }), 2), 'exists')
    assert.deepEqual(await registrations.find(b.id), b)
    assert.equal(await registrations.add(registration('spiffe://t/a'), 2), 'added')
    assert.equal(await registrations.add(registration('spiffe://t/c'), 2), 'full')
    assert.deepEqual(
      (await registrations.list()).map(({ id }) => id),
      ['spiffe://t/a', 'spiffe://t/b'],
    )
    assert.equal(await registrations.update({ ...b, roles: ['admin'] }), true)
    assert.deepEqual((await registrations.find(b.id))?.roles, ['admin'])
    assert.equal(await registrations.update(registration('spiffe://t/none')), false)
  })

  rule(
    'removing a registration denies the identity and takes its tokens, machine key and open serials with it',
    async (store) => {
      const id = 'spiffe://t/a'
      await store.registrations.add(registration(id), 10)
      await store.joins.addToken({ hash: 'used', id, createdAt: at(1), expiresAt: at(100) }, 10)
      await store.joins.addToken({ hash: 'unused', id, createdAt: at(1), expiresAt: at(100) }, 10)
      await store.joins.redeem({ hash: 'used', machineKey: jwk, now: at(2) })
      await store.issuance.intend(intent('01', id), roomy)
      await store.issuance.intend(intent('02', id), roomy)
      await store.issuance.commit('02', 'fingerprint')
      assert.equal(await store.registrations.remove(id, identityDenial(id, 50)), true)
      assert.equal(await store.registrations.remove(id, identityDenial(id, 60)), false)
      assert.deepEqual(await store.denials.list(at(60)), [identityDenial(id, 50)])
      assert.equal(await store.joins.findMachineKey(id), null)
      assert.deepEqual(await store.joins.redeem({ hash: 'unused', machineKey: jwk, now: at(3) }), {
        outcome: 'unknown',
      })
      assert.equal(await store.issuance.commit('01', 'other'), false)
      assert.equal(await store.issuance.release('02'), false)
    },
  )

  rule(
    'a join token is redeemed once among concurrent callers and binds the machine key of the winner',
    async ({ registrations, joins }) => {
      const id = 'spiffe://t/a'
      await registrations.add(registration(id), 10)
      assert.equal(await joins.addToken({ hash: 'h', id, createdAt: at(1), expiresAt: at(100) }, 10), 'added')
      const keys = [jwk, otherJwk]
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, (_, i) => joins.redeem({ hash: 'h', machineKey: keys[i % 2]!, now: at(50) })),
      )
      const winners = outcomes.flatMap((outcome, i) =>
        outcome.outcome === 'redeemed' ? [{ ...outcome, jwk: keys[i % 2] }] : [],
      )
      assert.equal(winners.length, 1)
      assert.equal(outcomes.filter(({ outcome }) => outcome === 'used').length, 19)
      assert.deepEqual(await joins.findMachineKey(id), { id, jwk: winners[0]?.jwk, boundAt: at(50) })
      assert.equal((await joins.findToken('h'))?.usedAt, at(50))
    },
  )

  rule('a join token ends at its expiry and needs a registration and room', async ({ registrations, joins }) => {
    const token = { hash: 'h', id: 'spiffe://t/a', createdAt: at(1), expiresAt: at(100) }
    assert.equal(await joins.addToken(token, 10), 'unregistered')
    await registrations.add(registration(token.id), 10)
    assert.equal(await joins.addToken(token, 1), 'added')
    assert.equal(await joins.addToken({ ...token, hash: 'i' }, 1), 'full')
    assert.deepEqual(await joins.redeem({ hash: 'h', machineKey: jwk, now: at(100) }), { outcome: 'expired' })
    assert.deepEqual(await joins.redeem({ hash: 'none', machineKey: jwk, now: at(50) }), { outcome: 'unknown' })
    assert.equal(await joins.findMachineKey(token.id), null)
    assert.equal(await joins.addToken({ ...token, hash: 'i', createdAt: at(100), expiresAt: at(200) }, 1), 'added')
  })

  rule('a serial goes from intent to release in order, once, and only then enters the mirror', async (store) => {
    const { issuance, trust } = store
    const id = 'spiffe://t/a'
    await store.domain.found(domain)
    assert.equal(await issuance.intend(intent('01', id), roomy), 'unregistered')
    await store.registrations.add(registration(id), 10)
    assert.equal(await issuance.release('01'), false)
    assert.equal(await issuance.intend(intent('01', id), roomy), 'intended')
    assert.equal(await issuance.intend(intent('01', id), roomy), 'serial_taken')
    assert.equal(await issuance.release('01'), false)
    assert.equal(await issuance.commit('01', 'fingerprint'), true)
    assert.equal(await issuance.commit('01', 'fingerprint'), false)
    assert.deepEqual((await trust.material(at(60))).issued, [])
    assert.equal(await issuance.release('01'), true)
    assert.equal(await issuance.release('01'), false)
    assert.equal(await issuance.void('01', at(61)), false)
    assert.deepEqual((await trust.material(at(60))).issued, [{ fingerprint: 'fingerprint', id, notAfter: at(3600) }])
    assert.deepEqual((await trust.material(at(3600))).issued, [])
  })

  rule('voiding denies a serial for as long as its certificate could live', async (store) => {
    const id = 'spiffe://t/a'
    await store.registrations.add(registration(id), 10)
    await store.issuance.intend(intent('01', id), roomy)
    assert.equal(await store.issuance.void('01', at(70)), true)
    assert.equal(await store.issuance.void('01', at(71)), false)
    assert.equal(await store.issuance.commit('01', 'fingerprint'), false)
    assert.deepEqual(
      (await store.denials.list(at(3599))).map(({ kind, value }) => [kind, value]),
      [['serial', '01']],
    )
    assert.deepEqual(await store.denials.list(at(3600)), [])
  })

  rule('what is open of an authority is what it neither released nor voided', async (store) => {
    const id = 'spiffe://t/a'
    await store.registrations.add(registration(id), 10)
    for (const serial of ['01', '02', '03', '05']) await store.issuance.intend(intent(serial, id), roomy)
    await store.issuance.intend(intent('04', id, { authority: 'two' }), roomy)
    await store.issuance.commit('02', 'f2')
    await store.issuance.commit('03', 'f3')
    await store.issuance.release('03')
    await store.issuance.void('05', at(65))
    assert.deepEqual((await store.issuance.open('one')).toSorted(bySerial), [intent('01', id), intent('02', id)])
    assert.deepEqual(
      (await store.issuance.open('two')).map(({ serial }) => serial),
      ['04'],
    )
    for (const serial of ['01', '02']) assert.equal(await store.issuance.void(serial, at(70)), true)
    assert.deepEqual(await store.issuance.open('one'), [])
    const denied = (await store.denials.list(at(72))).map(({ value }) => value)
    assert.deepEqual(denied, ['01', '02', '05'])
  })

  rule('live certificates are bounded per identity and in all', async (store) => {
    const [a, b] = ['spiffe://t/a', 'spiffe://t/b']
    await store.registrations.add(registration(a), 10)
    await store.registrations.add(registration(b), 10)
    const limits = { perIdentity: 2, total: 3 }
    const issue = async (serial: string, id: string, more: Partial<IssuanceIntent> = {}) => {
      const outcome = await store.issuance.intend(intent(serial, id, more), limits)
      await store.issuance.commit(serial, `f${serial}`)
      await store.issuance.release(serial)
      return outcome
    }
    assert.deepEqual(
      [await issue('01', a), await issue('02', a), await issue('03', a)],
      ['intended', 'intended', 'full'],
    )
    assert.deepEqual([await issue('04', b), await issue('05', b)], ['intended', 'full'])
    assert.equal(await issue('06', a, { intendedAt: at(3600), notAfter: at(7200) }), 'intended')
  })

  rule('slots advance one state at a time and one per purpose and authority is active', async ({ slots }) => {
    assert.equal(await slots.prepare(slot('a')), true)
    assert.equal(await slots.prepare(slot('a', { keyName: 'other' })), false)
    assert.equal(await slots.activate('a', at(2)), false)
    assert.equal(await slots.publish('a', at(2)), true)
    assert.equal(await slots.publish('a', at(3)), false)
    assert.equal(await slots.activate('a', at(3)), true)
    await slots.prepare(slot('b', { preparedAt: at(4), certificate: Uint8Array.of(1, 2) }))
    await slots.prepare(slot('c', { preparedAt: at(5), authority: 'two' }))
    for (const keyId of ['b', 'c']) {
      await slots.publish(keyId, at(5))
      assert.equal(await slots.activate(keyId, at(6)), true)
    }
    const listed = await slots.list()
    assert.deepEqual(
      listed.map(({ keyId, state }) => [keyId, state]),
      [
        ['a', 'retired'],
        ['b', 'active'],
        ['c', 'active'],
      ],
    )
    assert.deepEqual([listed[0]?.retiredAt, listed[1]?.activatedAt, listed[1]?.publishedAt], [at(6), at(6), at(5)])
    assert.deepEqual([...listed[1]!.certificate!], [1, 2])
    assert.equal(await slots.remove('b'), false)
    assert.equal(await slots.remove('a'), true)
  })

  rule('a denial is never shortened', async ({ denials }) => {
    const id = 'spiffe://t/a'
    await denials.deny(identityDenial(id, 50))
    await denials.deny(identityDenial(id, 40))
    assert.deepEqual(await denials.list(at(60)), [identityDenial(id, 50)])
    await denials.deny(identityDenial(id, 70))
    assert.deepEqual(await denials.list(at(160)), [identityDenial(id, 70)])
  })

  rule('trust states are appended by compare-and-swap: of concurrent writers one wins', async ({ trust }) => {
    assert.equal(await trust.newest(), null)
    const state = (sequence: number) => ({ delegation: 1, sequence, message: `state ${sequence}` })
    const first = await Promise.all(Array.from({ length: 8 }, () => trust.append(state(1), 0)))
    assert.equal(first.filter(Boolean).length, 1)
    assert.equal(await trust.append(state(3), 2), false)
    assert.equal(await trust.append(state(1), 1), false)
    for (let sequence = 2; sequence <= 20; sequence++)
      assert.equal(await trust.append(state(sequence), sequence - 1), true)
    assert.deepEqual(await trust.newest(), state(20))
  })

  rule('delegations rise by one, and one of two concurrent ones wins', async ({ trust }) => {
    const delegation = (version: number, keyName: string) => ({
      version,
      keyName,
      expiresAt: at(100),
      message: `{"k":"${keyName}"}`,
    })
    assert.equal(await trust.delegate(delegation(2, 'x')), false)
    const both = await Promise.all([trust.delegate(delegation(1, 'a')), trust.delegate(delegation(1, 'b'))])
    assert.deepEqual(both.toSorted(), [false, true])
    assert.equal(await trust.delegate(delegation(2, 'c')), true)
    assert.deepEqual(await trust.newestDelegation(), delegation(2, 'c'))
  })

  rule('the material of a trust state is one consistent picture', async (store) => {
    await store.domain.found(domain)
    const id = 'spiffe://t/a'
    await store.registrations.add(registration(id), 10)
    await store.slots.prepare(slot('k'))
    await store.denials.deny(identityDenial('spiffe://t/z', 10))
    const material = await store.trust.material(at(20))
    assert.deepEqual(material.workloads, [{ id, roles: ['reader'] }])
    assert.equal(material.epoch, 1)
    assert.deepEqual(
      material.slots.map(({ keyId }) => keyId),
      ['k'],
    )
    assert.deepEqual(
      material.denials.map(({ value }) => value),
      ['spiffe://t/z'],
    )
    assert.deepEqual((await store.trust.material(at(110) satisfies EpochSeconds)).denials, [])
  })
}
