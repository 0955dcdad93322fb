/** Domain and registrations. */

import assert from 'node:assert/strict'
import { a, at, b, binding, c, domain, identityDenial, intent, registration, roomy, token } from './values.ts'
import type { Rule } from './values.ts'

export function registrationRules(rule: Rule): void {
  rule('a domain is founded once', async ({ domain: domains }) => {
    assert.equal(await domains.read(), null)
    const founded = await Promise.all([domains.found(domain), domains.found({ ...domain, epoch: 2 })])
    assert.deepEqual(founded.toSorted(), [false, true])
    assert.equal((await domains.read())?.trustDomain, domain.trustDomain)
    assert.equal(await domains.found(domain), false)
  })

  rule('a registration is added once, found as it was given, and listed by the bytes of its id', async (store) => {
    const { registrations } = store
    const whole = registration(b, {
      dnsNames: ['b.example'],
      ipAddresses: ['127.0.0.1'],
      attestation: [{ kind: 'bound_key', thumbprint: 'T' }],
      singleInstance: true,
      canary: true,
      audiences: ['https://b.example'],
    })
    assert.equal(await registrations.add(whole, 3), 'added')
    assert.equal(await registrations.add(registration(b, { roles: [] }), 3), 'exists')
    assert.deepEqual(await registrations.find(b), whole)
    assert.equal(await registrations.find(a), null)
    for (const id of ['spiffe://t/a-b', 'spiffe://t/B'])
      assert.equal(await registrations.add(registration(id), 3), 'added')
    assert.equal(await registrations.add(registration(c), 3), 'full')
    assert.deepEqual(
      (await registrations.list()).map(({ id }) => id),
      ['spiffe://t/B', 'spiffe://t/a-b', b],
    )
  })

  rule('of concurrent additions of one id one succeeds', async ({ registrations }) => {
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => registrations.add(registration(a), 10)))
    assert.deepEqual(outcomes.toSorted(), ['added', ...Array.from({ length: 7 }, () => 'exists')])
  })

  rule('a registration is changed by whoever has seen it last', async ({ registrations, joins }) => {
    const first = registration(a, { dnsNames: ['a.example'] })
    await registrations.add(first, 10)
    await joins.addToken(token('h', a), 10)
    const changed = { ...first, roles: ['admin'], dnsNames: ['b.example'], updatedAt: at(9) }
    assert.equal(await registrations.update(changed, 1), 'updated')
    assert.equal(await registrations.update(changed, 1), 'changed')
    assert.deepEqual(await registrations.find(a), { ...changed, revision: 2 })
    assert.deepEqual(await registrations.holder(registration(b, { dnsNames: ['a.example', 'b.example'] })), {
      id: a,
      name: 'b.example',
    })
    assert.equal((await joins.pending(a, at(2))).length, 1)
    const bound = { ...changed, attestation: [{ kind: 'bound_key', thumbprint: 'T' }] } as const
    assert.equal(await registrations.update(bound, 2), 'updated')
    assert.equal((await joins.pending(a, at(2))).length, 0)
    assert.equal(await registrations.update(registration(c), 1), 'unknown')
  })

  rule('a DNS name belongs to one identity, or to those that all share it', async ({ registrations }) => {
    const named = (id: string, sharedNames: boolean) => registration(id, { dnsNames: ['x.example'], sharedNames })
    assert.equal(await registrations.add(named(a, false), 10), 'added')
    assert.equal(await registrations.add(named(b, true), 10), 'name_taken')
    assert.equal(await registrations.update(named(a, true), 1), 'updated')
    assert.equal(await registrations.add(named(b, true), 10), 'added')
    assert.equal(await registrations.update(named(a, false), 2), 'name_taken')
    const holder = (id: string, dnsNames: readonly string[], sharedNames: boolean) =>
      registrations.holder(registration(id, { dnsNames, sharedNames }))
    assert.deepEqual(await holder(a, ['none.example', 'x.example'], false), { id: b, name: 'x.example' })
    assert.equal(await holder(a, ['x.example'], true), null)
    assert.equal(await registrations.add(registration(c, { dnsNames: ['y.example'] }), 10), 'added')
    assert.deepEqual(await holder(a, ['x.example', 'y.example'], true), { id: c, name: 'y.example' })
    assert.equal(await holder(a, [], false), null)
  })

  rule('an audience belongs to one identity, until it lets go or is removed', async (store) => {
    const { registrations, trust } = store
    await store.domain.found(domain)
    const [orders, stock] = ['https://orders.example:9443/api', 'https://stock.example']
    const called = (id: string, audiences: readonly string[]) => registration(id, { audiences })
    assert.equal(await registrations.add(called(a, [orders, stock]), 10), 'added')
    assert.deepEqual((await registrations.find(a))?.audiences, [orders, stock])
    assert.equal(await registrations.add(called(b, [orders]), 10), 'audience_taken')
    assert.equal(await registrations.find(b), null)
    assert.equal(await registrations.add(called(b, []), 10), 'added')
    assert.equal(await registrations.update(called(b, [stock]), 1), 'audience_taken')
    assert.deepEqual(
      await Promise.all([orders, stock, `${orders}/x`].map((one) => registrations.audienceHolder(one))),
      [a, a, null],
    )
    assert.equal(await registrations.update(called(a, [orders]), 1), 'updated')
    assert.equal(await registrations.update(called(b, [stock]), 1), 'updated')
    assert.equal(await registrations.audienceHolder(stock), b)
    const { workloads } = await trust.material(at(60))
    assert.deepEqual(workloads, [
      { id: a, roles: ['reader', 'doorward:callee'] },
      { id: b, roles: ['reader', 'doorward:callee'] },
    ])
    await registrations.remove(b, identityDenial(b, 60))
    assert.equal(await registrations.audienceHolder(stock), null)
  })

  rule('a registration becomes one for a single instance only when it has no more', async (store) => {
    await store.registrations.add(registration(a), 10)
    for (const letter of ['1', '2']) await store.instances.bind(a, binding(letter, letter))
    const single = registration(a, { singleInstance: true })
    assert.equal(await store.registrations.update(single, 1), 'several_instances')
    await store.instances.lock('1', 'test', at(60))
    assert.equal(await store.registrations.update(single, 1), 'updated')
  })

  rule(
    'canaries, and identities whose certificates live longer than something, are found',
    async ({ registrations }) => {
      await registrations.add(registration(b, { canary: true, ttlSeconds: 7200 }), 10)
      await registrations.add(registration(a, { canary: true }), 10)
      await registrations.add(registration(c, { ttlSeconds: 7201 }), 10)
      assert.deepEqual(await registrations.canaries(), [a, b])
      assert.deepEqual(await registrations.longerThan(3600, 10), [
        { id: b, ttlSeconds: 7200 },
        { id: c, ttlSeconds: 7201 },
      ])
      assert.deepEqual(await registrations.longerThan(3600, 1), [{ id: b, ttlSeconds: 7200 }])
      assert.deepEqual(await registrations.longerThan(7201, 10), [])
    },
  )

  rule('a part of the list goes by whole segments and goes on where it stopped', async ({ registrations }) => {
    const ids = ['spiffe://t/a', 'spiffe://t/a-b', 'spiffe://t/a/x', 'spiffe://t/a/y', 'spiffe://t/b']
    for (const id of ids) await registrations.add(registration(id), 10)
    const range = async (under: string | null, after: string | null, limit: number) =>
      (await registrations.range({ under, after, limit })).map(({ id }) => id.slice('spiffe://t/'.length))
    assert.deepEqual(await range('spiffe://t/a', null, 10), ['a', 'a/x', 'a/y'])
    assert.deepEqual(await range('spiffe://t/a', 'spiffe://t/a/x', 10), ['a/y'])
    assert.deepEqual(await range(null, null, 2), ['a', 'a-b'])
    assert.deepEqual(await range(null, 'spiffe://t/a-b', 10), ['a/x', 'a/y', 'b'])
  })

  rule(
    'removing a registration denies the identity, takes its tokens and instances with it, and ends its open serials',
    async (store) => {
      await store.registrations.add(registration(a), 10)
      for (const hash of ['used', 'unused']) await store.joins.addToken(token(hash, a), 10)
      await store.joins.redeem({ hash: 'used', binding: binding('i', 'M') })
      for (const serial of ['01', '02']) await store.issuance.intend(intent(serial, a), roomy)
      await store.issuance.commit('02', 'fingerprint')
      assert.equal(await store.registrations.remove(a, identityDenial(a, 50), 2), false)
      assert.equal(await store.registrations.remove(a, identityDenial(a, 50), 1), true)
      assert.equal(await store.registrations.remove(a, identityDenial(a, 60)), false)
      assert.deepEqual(await store.denials.list(at(60)), [identityDenial(a, 50)])
      assert.equal(await store.instances.find('i'), null)
      assert.deepEqual(await store.joins.redeem({ hash: 'unused', binding: binding('j', 'N') }), {
        outcome: 'unknown',
      })
      assert.equal(await store.issuance.commit('01', 'other'), false)
      assert.equal(await store.issuance.release('02'), false)
    },
  )

  rule('DT-5: canaries are listed, and lifetimes beyond a bound (DT-8)', async ({ registrations }) => {
    for (const [id, more] of [
      [b, { canary: true, ttlSeconds: 900 }],
      [a, { canary: true, ttlSeconds: 7200 }],
      ['spiffe://t/c', { ttlSeconds: 7201 }],
    ] as const)
      await registrations.add(registration(id, more), 10)
    assert.deepEqual(await registrations.canaries(), [a, b])
    assert.deepEqual(await registrations.longerThan(7200, 10), [{ id: 'spiffe://t/c', ttlSeconds: 7201 }])
    assert.deepEqual(
      (await registrations.longerThan(900, 1)).map(({ id }) => id),
      [a],
    )
  })

  rule('after a restore no join token is left, and of every instance the next join state counts', async (store) => {
    const { joins, instances, registrations } = store
    await registrations.add(registration(a), 10)
    for (const name of ['i', 'j']) await instances.bind(a, binding(name, name))
    for (const hash of ['used', 'unused']) await joins.addToken(token(hash, a), 10)
    await joins.redeem({ hash: 'used', binding: binding('k', 'K') })
    const first = await instances.offer('i', { hash: 'one', serial: '01' }, at(60))
    await instances.present('i', 'one', at(61))
    await instances.lock('j', 'test', at(61))
    await joins.withdrawAll()
    await instances.forgetStates()
    assert.equal((await joins.redeem({ hash: 'unused', binding: binding('l', 'L') })).outcome, 'unknown')
    assert.equal((await joins.redeem({ hash: 'used', binding: binding('l', 'L') })).outcome, 'used')
    assert.equal(await instances.present('j', 'any', at(62)), 'locked')
    assert.equal(await instances.present('i', 'later', at(62)), 'current')
    const next = await instances.offer('i', { hash: 'two', serial: '02' }, at(63))
    assert.ok((next ?? 0) > (first ?? 0) + 1000)
    assert.equal(await instances.present('i', 'two', at(64)), 'confirmed')
    assert.equal(await instances.present('i', 'later', at(65)), 'regressed')
  })

  rule('SID-8: an id that was removed comes back only when that is meant', async ({ registrations }) => {
    await registrations.add(registration(a), 10)
    await registrations.remove(a, identityDenial(a, 50))
    assert.equal(await registrations.removedAt(a), at(50))
    assert.equal(await registrations.add(registration(a), 10), 'removed')
    assert.equal(await registrations.add(registration(a), 10, true), 'added')
    assert.equal(await registrations.removedAt(a), null)
  })
}
