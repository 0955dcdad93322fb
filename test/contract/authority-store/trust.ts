/** Key slots, trust states and delegations. */

import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import { a, at, domain, identityDenial, issue, jwkOf, registration, slot } from './values.ts'
import type { Rule } from './values.ts'

export function trustRules(rule: Rule): void {
  rule('CA-2: slots advance one state at a time and one per purpose and authority is active', async ({ slots }) => {
    assert.equal(await slots.prepare(slot('a')), true)
    assert.equal(await slots.prepare(slot('a', { keyName: 'other' })), false)
    assert.equal(await slots.activate('a', at(2)), false)
    assert.equal(await slots.publish('a', at(2)), true)
    assert.equal(await slots.publish('a', at(3)), false)
    assert.equal(await slots.activate('a', at(3)), true)
    await slots.prepare(slot('b', { preparedAt: at(4), certificate: Uint8Array.of(1, 2), epoch: 2, ceremony: 'c' }))
    await slots.prepare(slot('c', { preparedAt: at(5), authority: 'two' }))
    for (const keyId of ['b', 'c']) {
      await slots.publish(keyId, at(5))
      assert.equal(await slots.activate(keyId, at(6)), true)
    }
    const times = { publishedAt: at(5), activatedAt: at(6) }
    const second = { preparedAt: at(4), certificate: Uint8Array.of(1, 2), epoch: 2, ceremony: 'c' }
    assert.deepEqual(await slots.list(), [
      slot('a', { state: 'retired', publishedAt: at(2), activatedAt: at(3), retiredAt: at(6) }),
      slot('b', { state: 'active', ...second, ...times }),
      slot('c', { state: 'active', preparedAt: at(5), authority: 'two', ...times }),
    ])
    assert.equal(await slots.remove('b'), false)
    assert.equal(await slots.remove('a'), true)
  })

  rule('what keys have signed is marked for replacement together', async ({ slots }) => {
    for (const keyId of ['a', 'b', 'c']) await slots.prepare(slot(keyId))
    await slots.reissue(['a', 'c', 'none'])
    await slots.reissue([])
    assert.deepEqual(
      (await slots.list()).map(({ reissue }) => reissue),
      [true, false, true],
    )
  })

  rule('trust states are appended by compare-and-swap: of concurrent writers one wins', async ({ trust }) => {
    assert.equal(await trust.newest(), null)
    assert.equal(await trust.newestVersion(), null)
    const first = await Promise.all(Array.from({ length: 8 }, () => trust.append(state(1), 0)))
    assert.equal(first.filter(Boolean).length, 1)
    assert.equal(await trust.append(state(3), 2), false)
    assert.equal(await trust.append(state(1), 1), false)
    for (let sequence = 2; sequence <= 20; sequence++)
      assert.equal(await trust.append(state(sequence), sequence - 1), true)
    assert.deepEqual(await trust.newest(), state(20))
    assert.deepEqual(await trust.newestVersion(), { delegation: 1, sequence: 20 })
    const several = await Promise.all([21, 22, 23, 24].map((sequence) => trust.append(state(sequence), 20)))
    assert.equal(several.filter(Boolean).length, 1)
  })

  rule('two authorities that publish in turn by compare-and-swap miss and repeat no sequence', async (_, under) => {
    const stores = [under.store, await under.another()]
    const appended = await Promise.all(
      stores.map(async ({ trust }) => {
        const own: number[] = []
        while (own.length < 20) {
          const after = (await trust.newestVersion())?.sequence ?? 0
          if (await trust.append(state(after + 1), after)) own.push(after + 1)
        }
        return own
      }),
    )
    const all = appended.flat().toSorted((one, other) => one - other)
    assert.deepEqual(
      all,
      Array.from({ length: 40 }, (_, index) => index + 1),
    )
  })

  rule('delegations rise by one, and one of two concurrent ones wins', async ({ trust }) => {
    const delegation = (version: number, message: string) => ({ version, expiresAt: at(100), message })
    assert.equal(await trust.newestDelegation(), null)
    assert.equal(await trust.delegate(delegation(2, 'x')), false)
    const both = await Promise.all([trust.delegate(delegation(1, 'a')), trust.delegate(delegation(1, 'b'))])
    assert.deepEqual(both.toSorted(), [false, true])
    assert.equal(await trust.delegate(delegation(2, 'c')), true)
    assert.deepEqual(await trust.newestDelegation(), delegation(2, 'c'))
  })

  rule('the material of a trust state is one consistent picture', async (store, under) => {
    await store.domain.found(domain)
    await store.registrations.add(registration(a), 10)
    await store.slots.prepare(slot('k'))
    await store.denials.deny(identityDenial('spiffe://t/z', 10))
    const place = { name: 'main', main: 'main:1', enrol: 'enrol:1' }
    const now = under.now()
    await store.leases.take({ instance: 'i', name: 'main', home: 'h', holder: 'p', program: '1', now })
    await store.leases.renew(now, { place, trustKey: jwkOf('T'), trustKeys: [jwkOf('T')], log: null })
    const seconds = at(now / 1000)
    await store.denials.deny(identityDenial('spiffe://t/y', seconds))
    const material = await store.trust.material(seconds)
    assert.deepEqual(material.workloads, [{ id: a, roles: ['reader'] }])
    assert.equal(material.epoch, 1)
    assert.deepEqual(material.authorities, [place])
    assert.deepEqual(
      material.slots.map(({ keyId }) => keyId),
      ['k'],
    )
    assert.deepEqual(
      material.denials.map(({ value }) => value),
      ['spiffe://t/y'],
    )
  })

  followRules(rule)
}

function followRules(rule: Rule): void {
  rule(
    'whoever goes on from what it has read misses no release, whichever authority released it',
    async (store, under) => {
      const stores = [store, await under.another()]
      await store.domain.found(domain)
      await store.registrations.add(registration(a), 10)
      const first = await store.trust.material(at(60))
      const told = new Set<string>()
      let { mark } = first
      const readOn = async () => {
        const material = await store.trust.material(at(60), mark)
        for (const { fingerprint } of material.issued) told.add(fingerprint)
        mark = material.mark
      }
      const issuing = stores.map(async (each, place) => {
        for (let round = 0; round < 8; round++)
          await Promise.all([1, 2, 3, 4].map((index) => issue(each, `${place}-${round}-${index}`, a)))
      })
      const released = Promise.all(issuing).then(() => true)
      // A store in this process answers within the turn, and writes in the next.
      while (!(await Promise.race([released, setImmediate(false)]))) await readOn()
      await readOn()
      const all = (await store.trust.material(at(60))).issued.map(({ fingerprint }) => fingerprint)
      assert.equal(all.length, 64)
      assert.deepEqual([...told].toSorted(), all.toSorted())
    },
  )

  rule(
    'workloads are told again when one of them was added, changed or removed',
    async ({ domain: domains, trust, registrations }) => {
      await domains.found(domain)
      let { mark } = await trust.material(at(60))
      const told = async () => {
        const material = await trust.material(at(60), mark)
        mark = material.mark
        return material.workloads?.map(({ roles }) => roles)
      }
      assert.equal(await told(), undefined)
      await registrations.add(registration(a), 10)
      assert.deepEqual(await told(), [['reader']])
      assert.equal(await told(), undefined)
      await registrations.update(registration(a, { roles: ['admin'] }), 1)
      assert.deepEqual(await told(), [['admin']])
      await registrations.remove(a, identityDenial(a, 10))
      assert.deepEqual(await told(), [])
      assert.equal(await told(), undefined)
    },
  )
}

function state(sequence: number) {
  const callers = { sequence: Math.ceil(sequence / 2), message: `callers ${sequence}` }
  return { delegation: 1, sequence, message: `state ${sequence}`, anchors: `anchors ${sequence}`, callers }
}
