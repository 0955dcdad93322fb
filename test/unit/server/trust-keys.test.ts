/** A trust-state key that is forgotten while somebody else looks through the keys is simply not there. */

import { deepEqual, equal, notEqual, ok, rejects } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { DoorwardError, signDelegation } from '@doorward/core'
import type { AuthorityContext } from '../../../packages/server/src/authority/context.ts'
import {
  candidateKey,
  forgetTrustKeys,
  holdDelegation,
  namedAuthorities,
  newTrustKey,
  storeDelegation,
} from '../../../packages/server/src/authority/delegation.ts'
import { delegationRequest } from '../../../packages/server/src/authority/delegation-request.ts'
import type { AuthorityEntry } from '../../../packages/server/src/authority/ports.ts'
import { sharedGround } from '../../fixtures/authority/one-store.ts'
import type { SharedAuthority, SharedGround } from '../../fixtures/authority/one-store.ts'

let ground: SharedGround
let a: SharedAuthority
before(async () => {
  ground = await sharedGround()
  a = await ground.open('a')
})
after(() => ground.remove())

/** As it is when another turn forgets a key between the names and the key. */
function forgetting(gone: readonly string[], code = 'key_missing'): AuthorityContext {
  const { context } = a
  return {
    ...context,
    custody: {
      ...context.custody,
      names: async () => [...(await context.custody.names()), ...gone],
      need: async (name) => {
        if (gone.includes(name)) throw new DoorwardError(code, 'gone')
        return context.custody.need(name)
      },
    },
  }
}

const before1970 = 'trust-state-000000000000000-00000000'
const newest = 'trust-state-999999999999999-00000000'

test('the delegation in force is held with the key that is left', async () => {
  const held = await holdDelegation(forgetting([before1970, newest]), null)
  notEqual(held.key, null)
  deepEqual(held.key?.jwk, (await holdDelegation(a.context, null)).key?.jwk)
})

test('the next delegation names the newest key that is left', async () => {
  deepEqual((await candidateKey(forgetting([newest]))).jwk, (await candidateKey(a.context)).jwk)
})

test('the others are looked through all the same', async () => {
  const held = await holdDelegation(a.context, null)
  await forgetTrustKeys(forgetting([before1970, newest]), held.delegation)
  equal(a.keys().filter((name) => name.startsWith('trust-state-')).length, 1)
})

test('OP-6: whoever holds a key that a delegation names is named, whichever of its keys it uses', async () => {
  const b = await ground.open('b')
  const next = await newTrustKey(b.context)
  const named = async () => [...(await namedAuthorities(a.context, { keys: [next.jwk] })).names]
  deepEqual(await named(), ['a'])
  await b.turn()
  deepEqual(await named(), ['a', 'b'])
  await newTrustKey(b.context)
  await b.turn()
  deepEqual(await named(), ['a', 'b'])
})

test('OP-6: before an authority that starts signs anything, the others know of its keys', async () => {
  const later: string[][] = []
  const known = async () => {
    const entry = (await ground.store.leases.list(ground.now())).find(({ name }) => name === 'c')
    return (entry?.trustKeys ?? []).map(({ x }) => x)
  }
  const first = await ground.open('c')
  const made = await newTrustKey(first.context)
  first.close()
  const again = await ground.open('c', {
    at: async (moment) => {
      if (moment === 'before trust.append') later.push(await known())
    },
  })
  ok(later.length > 0)
  for (const keys of later) ok(keys.includes(made.jwk.x), JSON.stringify(later))
  again.close()
})

test('OP-6: of the keys that an authority holds, the one that is delegated to stays named', async () => {
  const { context } = a
  const own = (await holdDelegation(context, null)).key?.jwk
  ok(own !== undefined)
  const [older, newer] = [await newTrustKey(context), await newTrustKey(context)]
  const asked = async (entry: Partial<AuthorityEntry>) => {
    const entries = await context.store.leases.list(ground.now())
    const list = async () => entries.map((one) => (one.name === 'a' ? { ...one, ...entry } : one))
    const request = await delegationRequest({
      ...context,
      store: { ...context.store, leases: { ...context.store.leases, list } },
    })
    return 'statement' in request
      ? request.candidates.filter(({ name }) => name === 'a').map(({ key }) => key)
      : request
  }
  deepEqual(await asked({ trustKey: older.jwk, trustKeys: [own, newer.jwk] }), [own])
  deepEqual(await asked({ trustKey: older.jwk, trustKeys: [own], live: false }), [own])
  deepEqual(await asked({ trustKey: older.jwk, trustKeys: [newer.jwk] }), [older.jwk])
  deepEqual(await asked({ trustKey: older.jwk, trustKeys: [newer.jwk], live: false }), [])
})

test('OP-6: a key that an authority makes under the root is known to the others before anything names it', async () => {
  const d = await ground.open('d')
  const { store } = d.context
  const { key, jwk } = ground.root
  const left = await holdDelegation(a.context, null)
  // A recovery has left it out.
  const statement = { ...left.delegation, version: left.delegation.version + 1 }
  const ours = (await d.trust.delegateAgain()).key?.jwk
  const others = statement.keys.filter((one) => one.x !== ours?.x)
  await storeDelegation(a.context, await signDelegation({ ...statement, keys: others }, key, jwk))
  const told: { readonly named: boolean; readonly keys: number }[] = []
  const tellKeys = async () => {
    const newest = await store.trust.newestDelegation()
    const names = d.keys().filter((name) => name.startsWith('trust-state-'))
    told.push({ named: newest?.version !== statement.version, keys: names.length })
  }
  const held = await holdDelegation(d.context, { jwk, key, tellKeys })
  notEqual(held.key, null)
  deepEqual(told, [{ named: false, keys: 2 }])
  d.close()
})

test('what else keeps a key from being had is told', async () => {
  await rejects(holdDelegation(forgetting([before1970], 'key_unreadable'), null), { code: 'key_unreadable' })
})
