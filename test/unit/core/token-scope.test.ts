/** Scopes of tokens: what they cover, and that what is within another never covers more, by chance and by hand. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  actionTable,
  parsePermission,
  readTokenScope,
  scopeCovers,
  scopeMayCover,
  widerPermission,
} from '@doorward/core'
import type { Action, Permission, Resource } from '@doorward/core'
import { seeded } from '../../fuzz/chance.ts'
import type { Chance } from '../../fuzz/chance.ts'

const read = (name: string): [Action, Resource] => [
  { name: 'tools/call', group: 'read' },
  { server: 'files', kind: 'tool', name },
]
const list: [Action, Resource] = [
  { name: 'tools/list', group: 'session' },
  { server: 'files', kind: 'server', name: '' },
]

const isWithin = (inner: string, outer: string) =>
  widerPermission([parsePermission(inner)], [parsePermission(outer)]) === null

test('DX-4: a permission is within another when that covers all of it, and not when nobody can tell', () => {
  const within = [
    ['read:files/a', 'read:files/a'],
    ['read:files/a', 'read:files/*'],
    ['read:files/a*c', 'read:files/a*'],
    ['read:files/a*b*c', 'read:files/a*c'],
    ['read:files/*', 'read'],
    ['read', '*'],
    ['tools/call:files/get_*', '*:files/*'],
    ['prompts/get:files/*', 'read:files/*'],
    ['admin:gateway/*', 'admin'],
    ['GET:authority/*', '*'],
    ['GET', 'GET'],
  ] as const
  const wider = [
    ['read:files/*', 'read:files/a'],
    ['read:files/*', 'read:files/a*'],
    ['read:files/a*', 'read:files/*a'],
    ['read:files/a*c', 'read:files/a*b*c'],
    ['read', 'read:files/*'],
    ['read:orders/a', 'read:files/*'],
    ['write:files/a', 'read:files/*'],
    ['*', 'admin'],
    ['*:files/a', 'read:files/a'],
    ['read:files/a', 'prompts/get:files/a'],
    // Of some groups, by what the tool does or where the route is.
    ['tools/call:files/a', 'read:files/a'],
    ['tools/call:files/a', 'write:files/a'],
    ['GET:orders/v1', 'read:orders/v1'],
    ['tools/list:files/a', 'read:files/a'],
    // Of our own API, which only `admin` and `*` are about without naming it.
    ['read:gateway/*', 'read'],
    ['write:authority/*', 'write'],
    ['GET:gateway/audit', 'GET'],
  ] as const
  for (const [inner, outer] of within) assert.ok(isWithin(inner, outer), `${inner} within ${outer}`)
  for (const [inner, outer] of wider) assert.ok(!isWithin(inner, outer), `${inner} not within ${outer}`)
})

test('a scope covers what its permissions name, lists and sessions of their servers, and nothing when it cannot be read', () => {
  assert.ok(scopeCovers(['read:files/a*'], ...read('ab')))
  assert.ok(!scopeCovers(['read:files/a*'], ...read('b')))
  assert.ok(scopeCovers(['write:files/x'], ...list))
  assert.ok(scopeCovers(['admin'], ...list))
  assert.ok(!scopeCovers(['read:orders/*'], ...list))
  assert.ok(!scopeCovers(['*', 'all'], ...read('a')))
  assert.ok(!scopeCovers([], ...list))
  const call = { action: read('a')[0], server: 'files' }
  assert.ok(scopeMayCover(['read:files/a'], call))
  assert.ok(!scopeMayCover(['write:files/a'], call))
  assert.ok(!scopeMayCover(['read:orders/*'], call))
  assert.ok(scopeMayCover(['write:files/a'], { action: list[0], server: 'files' }))
})

test('a permission that names no server covers our own API only where it is admin or *, as permissions of roles do', () => {
  const asked = (server: string, group: Action['group']): [Action, Resource] => [
    { name: 'GET', group },
    { server, kind: 'route', name: 'audit/logs' },
  ]
  for (const own of ['gateway', 'authority']) {
    for (const scope of ['read', 'write', 'GET']) {
      assert.ok(!scopeCovers([scope], ...asked(own, 'read')), scope)
      assert.ok(!scopeCovers([scope], ...asked(own, 'write')), scope)
      assert.ok(!scopeMayCover([scope], { action: asked(own, 'read')[0], server: own }), scope)
      assert.ok(!scopeCovers([scope], list[0], { ...list[1], server: own }), scope)
    }
    for (const scope of ['*', `read:${own}/*`, `GET:${own}/audit/*`]) {
      assert.ok(scopeCovers([scope], ...asked(own, 'read')), scope)
      assert.ok(scopeMayCover([scope], { action: asked(own, 'read')[0], server: own }), scope)
    }
    assert.ok(scopeCovers(['admin'], ...asked(own, 'admin')))
  }
  assert.ok(scopeCovers(['read'], ...asked('orders', 'read')))
  assert.ok(scopeCovers(['GET'], ...asked('orders', 'read')))
})

const words = ['', 'a', 'b', 'ab', '*', 'a*', '*b', 'a*b', '*a*', 'a*a*', 'b*a*b']
const verbs = ['read', 'write', 'admin', '*', 'tools/call', 'prompts/get', 'GET', 'tools/list', 'subscriptions/listen']

function permission(chance: Chance): string {
  const name = chance.of(words)
  const verb = chance.of(verbs)
  return name === '' ? verb : `${verb}:${chance.of(['files', 'gateway'])}/${name}`
}

function request(chance: Chance): [Action, Resource] {
  const row = actionTable.get(chance.of([...actionTable.keys()]))!
  const use = chance.of(row.uses)
  const name = Array.from({ length: chance.below(5) }, () => chance.of(['a', 'b'])).join('')
  return [
    { name: row.name, group: use.group },
    { server: chance.of(['files', 'gateway']), kind: chance.of(use.kinds), name },
  ]
}

const scopeOf = (chance: Chance) => [...new Set(Array.from({ length: chance.below(3) + 1 }, () => permission(chance)))]

test('DX-4: attenuation never widens: what is covered at a hop was covered at every hop before, also by name alone', () => {
  const chance = seeded(20_261_123)
  let [hops, covered] = [0, 0]
  for (let round = 0; round < 4000; round++) {
    const scopes = [scopeOf(chance)]
    for (let tries = 0; tries < 6; tries++) {
      const next = scopeOf(chance)
      if (widerPermission(readAll(next), readAll(scopes.at(-1)!)) === null) scopes.push(next)
    }
    hops += scopes.length - 1
    for (let n = 0; n < 8; n++) {
      const [action, resource] = request(chance)
      const verdicts = scopes.map((scope) => scopeCovers(scope, action, resource))
      covered += verdicts.filter(Boolean).length
      assert.ok(
        verdicts.every((verdict, i) => !verdict || verdicts.slice(0, i).every(Boolean)),
        JSON.stringify([scopes, action, resource]),
      )
      for (const scope of scopes)
        if (scopeCovers(scope, action, resource)) assert.ok(scopeMayCover(scope, { action, server: resource.server }))
    }
  }
  assert.ok(hops > 500 && covered > 3000, `${hops} ${covered}`)
})

function readAll(scope: readonly string[]): readonly Permission[] {
  const permissions = readTokenScope(scope)
  assert.ok(!('problem' in permissions))
  return permissions
}
