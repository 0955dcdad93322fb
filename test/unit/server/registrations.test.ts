/** What may be registered, changed and removed, by the authority's rules over a store in memory. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { epochSeconds, workloadLimits } from '@doorward/core'
import type { P256Jwk } from '@doorward/core'
import { longestTtlSeconds } from '../../../packages/server/src/authority/registration-check.ts'
import { contentOf, documentOf } from '../../../packages/server/src/authority/registration-document.ts'
import { lockInstance, removeInstance } from '../../../packages/server/src/authority/registration-instances.ts'
import { findRegistrations, showRegistration } from '../../../packages/server/src/authority/registration-search.ts'
import { isAuthorityRefusal } from '../../../packages/server/src/authority/refusal.ts'
import { ensureRegistration, removeRegistration } from '../../../packages/server/src/authority/registrations.ts'
import type { RegistrationContext } from '../../../packages/server/src/authority/registrations.ts'
import { documentFor, refusalOf, withDesk } from '../../fixtures/authority/registration-desk.ts'
import type { Desk } from '../../fixtures/authority/registration-desk.ts'
import { anyWorkload, trustDomain } from '../core/workload-arbitraries.ts'

const id = `spiffe://${trustDomain}/agent/a`
const jwk = (x: string): P256Jwk => ({ kty: 'EC', crv: 'P-256', x: x.repeat(43), y: 'B'.repeat(43) })

function bound({ store }: RegistrationContext, instance: string, key: string): Promise<unknown> {
  const now = epochSeconds(1_700_000_000)
  const binding = { instance, machineKey: jwk(key), attestedBy: 'join_token', now, limit: 10, reason: 'test' }
  return store.instances.bind(id, binding)
}

test('a document and its registration are the same in both directions', () => {
  fc.assert(fc.property(anyWorkload(), (workload) => assert.deepEqual(documentOf(contentOf(workload)), workload)))
})

test('CA-7: a certificate lives at most a day and at most a sixth of its anchor', () => {
  assert.equal(longestTtlSeconds(7 * 86_400), 86_400)
  assert.equal(longestTtlSeconds(3 * 86_400), 43_200)
})

test('every change is on record before it is published, with who made it and what it changes', () =>
  withDesk(async ({ registrar, entries, published }) => {
    const { document, revision } = await registrar.addWorkload(id, ['reader'])
    await registrar.updateWorkload({ ...document, roles: ['reader', 'writer'] }, revision)
    await registrar.removeWorkload(id)
    assert.deepEqual(
      entries.map(({ kind, body }) => [kind, body['change'], body['id'], body['by']]),
      ['add', 'update', 'remove'].map((verb) => [
        'admin',
        `workload.${verb}`,
        id,
        `spiffe://${trustDomain}/operator/eve`,
      ]),
    )
    assert.deepEqual(entries[1]?.body['changes'], [{ field: 'roles', before: ['reader'], after: ['reader', 'writer'] }])
    assert.equal(published(), 3)
  }))

test('what is so already is not changed, recorded or published again', () =>
  withDesk(async ({ registrar, entries, published }) => {
    const { document, revision } = await registrar.addWorkload(id, ['b', 'a'])
    const same = await registrar.updateWorkload({ ...document, roles: ['b', 'a'] }, revision)
    assert.deepEqual([same.revision, entries.length, published()], [1, 1, 1])
  }))

test('OP-7: two operators do not overwrite each other: the second is told what is there', () =>
  withDesk(async ({ registrar, workloads }) => {
    const { document, revision } = await registrar.addWorkload(id, [])
    const both = await Promise.all(
      ['one', 'two'].map((role) => refusalOf(registrar.updateWorkload({ ...document, roles: [role] }, revision))),
    )
    assert.deepEqual(both, [null, ['conflict', 'changed']])
    const [held] = await workloads()
    assert.deepEqual([held?.document.roles, held?.revision], [['one'], 2])
    assert.deepEqual(await refusalOf(registrar.removeWorkload(id, 1)), ['conflict', 'changed'])
    assert.equal(await refusalOf(registrar.removeWorkload(id, 2)), null)
  }))

test('SID-8: an id that was removed comes back only when the operator says that it is the same workload', () =>
  withDesk(async ({ registrar, context }) => {
    await registrar.addWorkload(id, ['reader'])
    await bound(context, '01', 'A')
    await context.store.joins.addToken(
      { hash: 'h', id, createdAt: epochSeconds(1_700_000_000), expiresAt: epochSeconds(1_700_000_600) },
      10,
    )
    assert.deepEqual(await registrar.removeWorkload(id), { id, instances: 1, certificates: 0, joinTokens: 1 })
    assert.deepEqual(await refusalOf(registrar.addWorkload(id, ['reader'])), ['conflict', 'removed'])
    await registrar.addWorkload(id, ['reader'], { again: true })
    const detail = await showRegistration(context, id)
    assert.ok(!isAuthorityRefusal(detail))
    assert.deepEqual([detail.instances, detail.joinTokens], [[], []])
    const denied = await context.store.denials.list(epochSeconds(1_700_000_000))
    assert.deepEqual(
      denied.filter(({ kind }) => kind === 'identity').map(({ value }) => value),
      [id],
    )
  }))

test('DNS names belong to one workload, unless all that have them share them', () =>
  withDesk(async ({ registrar }) => {
    const b = `spiffe://${trustDomain}/agent/b`
    await registrar.addWorkload(id, [], { dns_names: ['a.example'], shared_names: true })
    assert.deepEqual(await refusalOf(registrar.addWorkload(b, [], { dns_names: ['a.example'] })), [
      'conflict',
      'name_taken',
    ])
    const { document, revision } = await registrar.addWorkload(b, [], { dns_names: ['a.example'], shared_names: true })
    assert.deepEqual(await refusalOf(registrar.updateWorkload({ ...document, shared_names: false }, revision)), [
      'conflict',
      'name_taken',
    ])
    const alone = await registrar.updateWorkload(
      { ...document, dns_names: ['b.example'], shared_names: false },
      revision,
    )
    assert.equal(alone.revision, 2)
  }))

test('IP addresses are those of a machine, which many workloads share', () =>
  withDesk(async ({ registrar }) => {
    for (const path of ['a', 'b'])
      await registrar.addWorkload(`spiffe://${trustDomain}/agent/${path}`, [], { ip_addresses: ['127.0.0.1'] })
  }))

test('a workload with several instances cannot become one with a single instance', () =>
  withDesk(async ({ registrar, context }) => {
    const { document, revision } = await registrar.addWorkload(id, [])
    await bound(context, '01', 'A')
    await bound(context, '02', 'C')
    const single = () => registrar.updateWorkload({ ...document, single_instance: true }, revision)
    assert.deepEqual(await refusalOf(single()), ['conflict', 'several_instances'])
    await context.store.instances.remove('01', 'test', epochSeconds(1_700_000_000))
    assert.equal((await single()).revision, 2)
  }))

test('where no join token suffices any more, unused ones are withdrawn', () =>
  withDesk(async ({ registrar, context }) => {
    const { document, revision } = await registrar.addWorkload(id, [])
    const token = { hash: 'h', id, createdAt: epochSeconds(1_700_000_000), expiresAt: epochSeconds(1_700_000_600) }
    await context.store.joins.addToken(token, 10)
    await registrar.updateWorkload({ ...document, attest: [] }, revision)
    assert.equal(await context.store.joins.findToken('h'), null)
  }))

const reserved: readonly (readonly [string, ReturnType<typeof documentFor>])[] = [
  ['a gateway', documentFor('doorward/gateway/eu', { roles: ['gateway'] })],
  ['the authority', documentFor('doorward/authority')],
  ['the role of gateways', documentFor('agent/b', { roles: ['gateway'] })],
]
for (const [what, document] of reserved)
  test(`no operator registers ${what}`, () =>
    withDesk(async ({ registrar }) => {
      const { id: given, roles = [] } = document
      const refused = await refusalOf(registrar.addWorkload(given, roles as readonly string[]))
      assert.equal(refused?.[0], 'request_invalid')
    }))

test('no operator changes a part of Doorward, and the authority does not remove itself', () =>
  withDesk(async ({ registrar, context, change }) => {
    const gateway = `spiffe://${trustDomain}/doorward/gateway/eu`
    const held = await ensureRegistration(context, { id: gateway, roles: ['gateway'] }, change)
    assert.ok(!isAuthorityRefusal(held))
    const document = { ...documentOf(held), roles: [] }
    assert.equal((await refusalOf(registrar.updateWorkload(document, 1)))?.[0], 'request_invalid')
    const own = await removeRegistration(context, { id: context.id.uri, revision: null }, change)
    assert.ok(isAuthorityRefusal(own) && own.code === 'conflict')
    assert.equal(await refusalOf(registrar.removeWorkload(gateway)), null)
  }))

test('what configuration defines is brought in line once, and comes back after a removal', () =>
  withDesk(async ({ context, change, entries, registrar }) => {
    const own = { id: `spiffe://${trustDomain}/doorward/gateway/main`, roles: ['gateway'], dnsNames: ['z', 'a'] }
    for (let start = 0; start < 3; start++) await ensureRegistration(context, own, change)
    assert.equal(entries.length, 1)
    await registrar.removeWorkload(own.id)
    assert.ok(!isAuthorityRefusal(await ensureRegistration(context, own, change)))
  }))

test('two authorities that bring one registration in line at once both succeed', () =>
  withDesk(async ({ context, change }) => {
    const own = { id: `spiffe://${trustDomain}/doorward/authority`, roles: [] }
    await ensureRegistration(context, own, change)
    const both = await Promise.all(
      ['a', 'b', 'c'].map((name) => ensureRegistration(context, { ...own, dnsNames: [name] }, change)),
    )
    assert.ok(both.every((result) => !isAuthorityRefusal(result)))
  }))

test('where others may have put names into a registration, those stay, whoever brings it in line at once', () =>
  withDesk(async ({ context, change }) => {
    const own = { id: `spiffe://${trustDomain}/doorward/authority`, roles: [], sharedNames: true, keepsNames: true }
    const ensured = (...dnsNames: readonly string[]) => ensureRegistration(context, { ...own, dnsNames }, change)
    await Promise.all(['a', 'b', 'c'].map((name) => ensured(name)))
    const held = await ensured('b')
    assert.ok(!isAuthorityRefusal(held))
    assert.deepEqual(held.dnsNames, ['a', 'b', 'c'])
    const alone = await ensureRegistration(context, { ...own, dnsNames: ['b'], keepsNames: false }, change)
    assert.ok(!isAuthorityRefusal(alone))
    assert.deepEqual(alone.dnsNames, ['b'])
  }))

test('SID-8: what may not be added is brought in line where it is there, and does not come back after a removal', () =>
  withDesk(async ({ context, change, registrar, workloads }) => {
    const own = { id: `spiffe://${trustDomain}/doorward/gateway/main`, roles: ['gateway'] }
    const aligned = () => ensureRegistration(context, { ...own, dnsNames: ['new'], mayAdd: false }, change)
    const refused = async () => {
      const result = await aligned()
      assert.ok(isAuthorityRefusal(result))
      assert.deepEqual([result.code, await workloads()], ['resource_unknown', []])
    }
    await refused()
    await ensureRegistration(context, { ...own, dnsNames: ['old'] }, change)
    const held = await aligned()
    assert.ok(!isAuthorityRefusal(held))
    assert.deepEqual(held.dnsNames, ['new'])
    await registrar.removeWorkload(own.id)
    await refused()
  }))

test('one that has no room for the names of others has all of its own', () =>
  withDesk(async ({ context, change }) => {
    const own = { id: `spiffe://${trustDomain}/doorward/authority`, roles: [], keepsNames: true }
    const names = (letter: string) => Array.from({ length: 12 }, (_, index) => `${letter}${index + 10}`)
    await ensureRegistration(context, { ...own, dnsNames: names('a') }, change)
    const held = await ensureRegistration(context, { ...own, dnsNames: names('z') }, change)
    assert.ok(!isAuthorityRefusal(held))
    assert.deepEqual([held.dnsNames.length, held.dnsNames.slice(-12)], [workloadLimits.names, names('z')])
  }))

test('OP-10: locking and forgetting hit one instance, and only of the workload that is named', () =>
  withDesk(async ({ registrar, context, change }) => {
    await registrar.addWorkload(id, [])
    await bound(context, '01', 'A')
    await bound(context, '02', 'C')
    const target = { id, instance: '01', reason: 'stolen' }
    const foreign = await lockInstance(context, { ...target, id: `${id}x` }, change)
    assert.ok(isAuthorityRefusal(foreign) && foreign.code === 'resource_unknown')
    assert.ok(!isAuthorityRefusal(await lockInstance(context, target, change)))
    const again = await lockInstance(context, target, change)
    assert.ok(isAuthorityRefusal(again) && again.code === 'conflict')
    const locks = (await context.store.instances.list(id)).map(({ instance, locked }) => [instance, locked?.reason])
    assert.deepEqual(locks, [
      ['01', 'stolen'],
      ['02', undefined],
    ])
    assert.ok(!isAuthorityRefusal(await removeInstance(context, target, change)))
    const gone = await removeInstance(context, target, change)
    assert.ok(isAuthorityRefusal(gone) && gone.code === 'resource_unknown')
  }))

const query = { under: null, role: null, attestation: null, after: null, limit: 2 } as const

async function allPages(
  desk: Desk,
  more: Partial<Parameters<typeof findRegistrations>[1]>,
): Promise<readonly string[]> {
  const found: string[] = []
  for (let after: string | null = null, turns = 0; turns === 0 || after !== null; turns++) {
    assert.ok(turns < 50)
    const page = await findRegistrations(desk.context, { ...query, ...more, after })
    assert.ok(page.registrations.length <= 2)
    found.push(...page.registrations.map((one) => one.id.replace(`spiffe://${trustDomain}/`, '')))
    after = page.next
  }
  return found
}

test('SID-8: a search below a path goes by whole segments, and pages miss nothing', () =>
  withDesk(async (desk) => {
    for (const path of ['agent', 'agent/a', 'agent/b/c', 'agent-x', 'agent.x', 'agent0', 'zebra'])
      await desk.registrar.addWorkload(`spiffe://${trustDomain}/${path}`, path.length > 6 ? ['long'] : ['short'])
    const under = `spiffe://${trustDomain}/agent`
    assert.deepEqual(await allPages(desk, { under }), ['agent', 'agent/a', 'agent/b/c'])
    assert.deepEqual(await allPages(desk, { under, role: 'long' }), ['agent/a', 'agent/b/c'])
    assert.deepEqual(await allPages(desk, { role: 'short' }), ['agent', 'agent0', 'zebra'])
    assert.deepEqual((await allPages(desk, {})).length, 7)
    assert.deepEqual(await allPages(desk, { attestation: 'oidc' }), [])
  }))
