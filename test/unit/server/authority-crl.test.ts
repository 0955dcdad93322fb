/** Revocation lists: what they name, when they are signed anew, and when they are gone. */

import assert from 'node:assert/strict'
import { after, beforeEach, test } from 'node:test'
import { checkCrl, epochSeconds, readCertificate, readCrl, toSeconds } from '@doorward/core'
import type { PeerCertificate, RevocationList } from '@doorward/core'
import { generateP256, importP256, sha256 } from '@doorward/sdk'
import { isListDue, nextList, revokedUnder } from '../../../packages/server/src/authority/crl.ts'
import { CrlPublisher } from '../../../packages/server/src/authority/crl-publisher.ts'
import { issueCertificate } from '../../../packages/server/src/authority/issue.ts'
import type { IssuedCertificate } from '../../../packages/server/src/authority/issue.ts'
import type { StoredCrl } from '../../../packages/server/src/authority/ports.ts'
import { sharedGround } from '../../fixtures/authority/one-store.ts'
import type { SharedAuthority, SharedGround } from '../../fixtures/authority/one-store.ts'

const MINUTE = 60_000
const lifetimeSeconds = 3600
const grounds: SharedGround[] = []
let ground: SharedGround

beforeEach(async () => {
  ground = await sharedGround()
  grounds.push(ground)
})
after(() => Promise.all(grounds.map((one) => one.remove())))

const publisherOf = ({ context }: SharedAuthority) => new CrlPublisher({ context, lifetimeSeconds })

/** The list of the anchor, verified with it as an outsider would. */
function verified(lists: readonly StoredCrl[], anchor: PeerCertificate): RevocationList {
  const stored = lists.find(({ keyId }) => keyId === anchor.subjectKeyId)
  assert.ok(stored !== undefined)
  const list = readCrl(stored.der)
  assert.ok(!('code' in list))
  assert.equal(checkCrl(list, anchor, toSeconds(ground.now()), importP256), null)
  assert.equal(Number(list.number), stored.number)
  return list
}

function anchorsOf({ trust }: SharedAuthority): readonly PeerCertificate[] {
  return trust.authority.trustState().state.anchors.map(({ certificate }) => {
    const read = readCertificate(certificate, { sha256 })
    assert.ok(!('problem' in read))
    return read
  })
}

async function issued({ context, trust }: SharedAuthority, id: string): Promise<IssuedCertificate> {
  await trust.authority.ensureRegistration({ id, roles: [] }, 'test')
  const { slots, publisher } = trust
  const dependencies = { context, slots, publish: () => publisher.publish(), deniedBefore: () => 0 }
  const { spki: publicKey } = await generateP256()
  const request = { id, publicKey, occasion: 'join', instance: null, predecessor: null }
  const result = await issueCertificate(dependencies, request)
  assert.ok(!('refused' in result))
  return result
}

const by = { name: 'operator', id: 'spiffe://test.example/doorward/operator/eve', serial: '01' }
const deny = async (
  { trust }: SharedAuthority,
  subject: Parameters<typeof trust.authority.revocations.revoke>[0]['subject'],
) => {
  const result = await trust.authority.revocations.revoke({ subject, reason: 'test', by })
  assert.ok(!('refused' in result), JSON.stringify(result))
}

test('RV-7: each anchor of the bundle has a list of its own, and names there what is denied of its certificates', async () => {
  const a = await ground.open('a')
  const b = await ground.open('b')
  const [single, whole, other] = [
    await issued(a, 'spiffe://test.example/agent/single'),
    await issued(a, 'spiffe://test.example/agent/whole'),
    await issued(b, 'spiffe://test.example/agent/other'),
  ]
  await deny(a, { kind: 'serial', serial: single.serial, unseen: false })
  await deny(a, { kind: 'workload', id: whole.id, issuedBefore: null })
  await deny(b, { kind: 'serial', serial: other.serial, unseen: false })
  await deny(b, { kind: 'serial', serial: 'abcdef', unseen: true })
  await a.turn()
  const lists = { a: publisherOf(a), b: publisherOf(b) }
  await lists.a.refresh()
  await lists.b.refresh()
  await lists.a.refresh()
  const anchors = anchorsOf(a)
  assert.equal(anchors.length, 2)
  const named = anchors.map((anchor) => [...verified(lists.a.current(), anchor).revoked.keys()].toSorted())
  const ofA = [single.serial, whole.serial, 'abcdef'].toSorted()
  const ofB = [other.serial, 'abcdef'].toSorted()
  assert.deepEqual(new Set(named.map(String)), new Set([ofA, ofB].map(String)))
  assert.deepEqual(lists.b.current(), lists.a.current())
})

test('RV-7: a list is signed anew by its own authority when half of its time is over, and when what it names changes', async () => {
  const a = await ground.open('a')
  const lists = publisherOf(a)
  const numberNow = async () => {
    await lists.refresh()
    return lists.current()[0]?.number ?? 0
  }
  const first = await numberNow()
  assert.equal(await numberNow(), first)
  ground.advance(29 * MINUTE)
  await a.turn()
  assert.equal(await numberNow(), first)
  ground.advance(2 * MINUTE)
  await a.turn()
  const second = await numberNow()
  assert.ok(second > first)
  await deny(a, { kind: 'serial', serial: 'abcdef', unseen: true })
  const third = await numberNow()
  assert.ok(third > second)
  assert.equal(await numberNow(), third)
})

test('RV-7: numbers rise over restarts, and over a store that was put back', async () => {
  const a = await ground.open('a')
  const lists = publisherOf(a)
  await lists.refresh()
  const { keyId = '', number: first = 0 }: Partial<StoredCrl> = lists.current()[0] ?? {}
  const again = publisherOf(a)
  await deny(a, { kind: 'serial', serial: 'abcdef', unseen: true })
  await again.refresh()
  const second = again.current()[0]?.number ?? 0
  assert.ok(second > first)
  ground.advance(5 * MINUTE)
  await a.turn()
  await ground.store.crls.remove(keyId)
  await again.refresh()
  assert.ok((again.current()[0]?.number ?? 0) > second)
})

test('RV-7: a list that nobody can sign anew is served until its time is over, and then is gone', async () => {
  const a = await ground.open('a')
  const b = await ground.open('b')
  const lists = { a: publisherOf(a), b: publisherOf(b) }
  await lists.a.refresh()
  await lists.b.refresh()
  const [anchorOfA] = anchorsOf(a).filter(({ subjectKeyId }) => subjectKeyId === a.trust.authority.anchorKeyId())
  for (let minutes = 0; minutes < 59; minutes += 10) {
    ground.advance(10 * MINUTE)
    await b.turn()
    await lists.b.refresh()
    if (minutes < 50) assert.equal(lists.b.current().length, 2, `after ${minutes + 10} min`)
  }
  ground.advance(2 * MINUTE)
  await b.turn()
  await lists.b.refresh()
  const served = lists.b.current().map(({ keyId }) => keyId)
  assert.deepEqual(served, [b.trust.authority.anchorKeyId()])
  assert.ok(!served.includes(anchorOfA?.subjectKeyId ?? ''))
})

test('RV-7: an authority that may not sign signs no list', async () => {
  const a = await ground.open('a')
  ground.advance(20_000)
  const lists = publisherOf(a)
  await lists.refresh()
  assert.deepEqual(lists.current(), [])
  await a.turn()
  await lists.refresh()
  assert.equal(lists.current().length, 1)
})

test('CA-2, RV-7: the list of a denied anchor is gone with the anchor and its key; its successor has one at once', async () => {
  const a = await ground.open('a')
  const lists = publisherOf(a)
  await lists.refresh()
  const before = a.trust.authority.anchorKeyId() ?? ''
  const keys = a.keys()
  await deny(a, { kind: 'authority', keyId: before })
  await lists.refresh()
  const now = a.trust.authority.anchorKeyId() ?? ''
  assert.notEqual(now, before)
  assert.deepEqual(
    lists.current().map(({ keyId }) => keyId),
    [now],
  )
  assert.equal(a.keys().filter((name) => name.startsWith('anchor-')).length, 1)
  assert.notDeepEqual(a.keys(), keys)
  assert.deepEqual(
    (await ground.store.crls.list()).map(({ keyId }) => keyId),
    [now],
  )
})

test('OP-12, CA-2: a key that one authority denies of another is dead at all of them, and its own replaces it by itself', async () => {
  const a = await ground.open('a')
  const b = await ground.open('b')
  await a.turn()
  const before = b.trust.authority.anchorKeyId() ?? ''
  await deny(a, { kind: 'authority', keyId: before })
  assert.ok(!anchorsOf(a).some(({ subjectKeyId }) => subjectKeyId === before))
  await b.turn()
  await a.turn()
  const now = b.trust.authority.anchorKeyId() ?? ''
  assert.notEqual(now, before)
  const shown = anchorsOf(a).map(({ subjectKeyId }) => subjectKeyId)
  assert.deepEqual(new Set(shown), new Set([a.trust.authority.anchorKeyId(), now]))
  const own = (await ground.store.issuance.live(toSeconds(ground.now()), b.context.id.uri)).filter(
    ({ authority }) => authority === b.context.instance,
  )
  assert.ok(own.some(({ anchorKeyId }) => anchorKeyId === now))
})

test('a list is due when there is none, at half of its time, after a clock that went back, and when serials differ', () => {
  const at = epochSeconds
  const held = { number: 1, thisUpdate: at(1000), nextUpdate: at(5000), serials: new Set(['aa']) }
  const listed = (...serials: string[]) => serials.map((serial) => ({ serial, revokedAt: at(1000), reason: null }))
  assert.equal(isListDue(null, [], at(2000)), true)
  assert.equal(isListDue(held, listed('aa'), at(2999)), false)
  assert.equal(isListDue(held, listed('aa'), at(3000)), true)
  assert.equal(isListDue(held, listed('aa'), at(999)), true)
  assert.equal(isListDue(held, listed('bb'), at(2000)), true)
  assert.equal(isListDue(held, listed('aa', 'bb'), at(2000)), true)
  assert.equal(isListDue(held, [], at(2000)), true)
})

test('a list ends with its anchor, and names no serial of another', () => {
  const at = epochSeconds
  const issuer = { name: 'test.example 0123456789abcdef', keyId: '0123456789abcdef' }
  const list = nextList({ issuer, notAfter: at(4000) }, { number: 9000 }, [], { now: at(3000), lifetimeSeconds })
  assert.deepEqual([list.thisUpdate, list.nextUpdate, list.number], [2940, 4000, 9001n])
  const denied = [
    { serial: 'aa', anchorKeyId: 'one', deniedAt: at(10) },
    { serial: 'bb', anchorKeyId: 'two', deniedAt: at(10) },
    { serial: 'cc', anchorKeyId: null, deniedAt: at(9999) },
  ]
  assert.deepEqual(revokedUnder('one', denied, at(3000)), [
    { serial: 'aa', revokedAt: 10, reason: null },
    { serial: 'cc', revokedAt: 2940, reason: null },
  ])
})
