/** Leases: who may act as which authority. */

import assert from 'node:assert/strict'
import { epochMillis, leaseMilliseconds, placesMilliseconds } from '@doorward/core'
import type { AuthorityStore, LeaseRequest } from '../../../packages/server/src/authority/ports.ts'
import { a, at, domain, jwkOf, registration } from './values.ts'
import type { Rule, StoreUnderTest } from './values.ts'

const entry = {
  place: { name: 'main', main: 'main:1', enrol: 'enrol:1' },
  trustKey: jwkOf('T'),
  trustKeys: [jwkOf('T'), jwkOf('U')],
  log: null,
}

function request(under: StoreUnderTest, more: Partial<LeaseRequest> = {}): LeaseRequest {
  return { instance: 'i', name: 'main', home: 'here', holder: 'one', program: '1.0', now: under.now(), ...more }
}

/** One of each kind of verb: all must be refused alike. */
const writes: readonly ((store: AuthorityStore) => Promise<unknown>)[] = [
  ({ registrations }) => registrations.add(registration(a), 10),
  ({ issuance }) => issuance.release('01'),
  ({ instances }) => instances.present('none', null, at(1)),
  ({ trust }) =>
    trust.append({ delegation: 1, sequence: 1, message: '', anchors: '', callers: { sequence: 1, message: '' } }, 0),
  ({ acks }) =>
    acks.put([
      { id: a, instance: '', scope: 'full', delegation: 1, sequence: 1, at: epochMillis(1), authority: 'main' },
    ]),
  ({ domain: domains }) => domains.found(domain),
]

export function leaseRules(rule: Rule): void {
  rule('a lease is held against other homes until it ends, and its fence only rises', async (store, under) => {
    const other = await under.another()
    const first = await store.leases.take(request(under))
    assert.equal(first.outcome === 'taken' && first.fence, 1)
    const refused = await other.leases.take(request(under, { home: 'there', holder: 'two' }))
    assert.equal(refused.outcome, 'held')
    assert.ok(refused.outcome === 'held' && refused.remainingMilliseconds <= leaseMilliseconds)
    await under.elapse(leaseMilliseconds + 1)
    const second = await other.leases.take(request(under, { home: 'there', holder: 'two' }))
    assert.equal(second.outcome === 'taken' && second.fence, 2)
  })

  rule('renewing keeps a lease, and tells the others where its holder is', async (store, under) => {
    const other = await under.another()
    await store.leases.take(request(under))
    await under.elapse(leaseMilliseconds - 2000)
    const renewed = await store.leases.renew(under.now(), entry)
    assert.ok(renewed !== null)
    await under.elapse(leaseMilliseconds - 2000)
    assert.equal((await other.leases.take(request(under, { home: 'there', holder: 'two' }))).outcome, 'held')
    const [listed] = await other.leases.list(under.now())
    const known = { instance: 'i', name: 'main', fence: 1, program: '1.0', live: true }
    assert.deepEqual({ ...listed, startedAt: 0, seenAt: 0 }, { ...known, ...entry, startedAt: 0, seenAt: 0 })
  })

  rule('a process of the same home takes over at once, and a name has one authority', async (store, under) => {
    const other = await under.another()
    await store.leases.take(request(under))
    const next = await other.leases.take(request(under, { holder: 'two' }))
    assert.equal(next.outcome === 'taken' && next.fence, 2)
    const third = await under.another()
    assert.equal((await third.leases.take(request(under, { instance: 'j', home: 'there' }))).outcome, 'name_taken')
    assert.equal((await third.leases.take(request(under, { instance: 'j', name: 'second' }))).outcome, 'taken')
  })

  rule('of processes that take one lease at once, one holds it', async (_, under) => {
    const stores = await Promise.all(['a', 'b', 'c', 'd'].map(() => under.another()))
    const outcomes = await Promise.all(
      stores.map(({ leases }, index) => leases.take(request(under, { home: `home ${index}` }))),
    )
    assert.deepEqual(outcomes.map(({ outcome }) => outcome).toSorted(), ['held', 'held', 'held', 'taken'])
  })

  rule('who has lost the lease writes nothing more, whatever the verb, and reads on', async (store, under) => {
    const other = await under.another()
    await store.leases.take(request(under))
    for (const write of writes) await write(store)
    await under.elapse(leaseMilliseconds + 1)
    await other.leases.take(request(under, { home: 'there', holder: 'two' }))
    for (const write of writes) await assert.rejects(write(store), { code: 'lease_lost' })
    assert.equal(await store.leases.renew(under.now(), entry), null)
    assert.equal((await store.registrations.list()).length, 1)
    for (const write of writes) await write(other)
    assert.notEqual(await other.leases.renew(under.now(), entry), null)
  })

  rule('a lease that is given up is free, and its former holder writes nothing', async (store, under) => {
    const other = await under.another()
    await store.leases.take(request(under))
    await store.leases.release()
    assert.equal((await other.leases.take(request(under, { home: 'there', holder: 'two' }))).outcome, 'taken')
    await assert.rejects(store.registrations.add(registration(a), 10), { code: 'lease_lost' })
  })

  rule('an authority that does not come back is forgotten, a live one is not', async (store, under) => {
    await store.leases.take(request(under))
    await store.leases.renew(under.now(), entry)
    const other = await under.another()
    assert.equal(await other.leases.forget('main', under.now()), false)
    await under.elapse(leaseMilliseconds + 1)
    assert.equal((await other.leases.list(under.now()))[0]?.live, false)
    assert.equal(await other.leases.forget('main', under.now()), true)
    assert.deepEqual(await other.leases.list(under.now()), [])
  })

  rule('an authority that does not say where it is has no place', async (store, under) => {
    await store.domain.found(domain)
    await store.leases.take(request(under))
    await store.leases.renew(under.now(), { place: null, trustKey: null, trustKeys: [], log: null })
    assert.deepEqual((await store.trust.material(at(under.now() / 1000))).authorities, [])
    const [listed] = await store.leases.list(under.now())
    assert.deepEqual([listed?.place, listed?.trustKey, listed?.log], [null, null, null])
  })

  rule('the place of an authority is told for a while after it was last seen', async (store, under) => {
    await store.domain.found(domain)
    await store.leases.take(request(under))
    await store.leases.renew(under.now(), entry)
    const places = async () => (await store.trust.material(at(under.now() / 1000))).authorities
    await under.elapse(placesMilliseconds - 5000)
    assert.deepEqual(await places(), [entry.place])
    await under.elapse(10_000)
    assert.deepEqual(await places(), [])
  })
}
