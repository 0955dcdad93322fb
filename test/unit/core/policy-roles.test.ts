/** Which roles bindings give. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { matchesSpiffeId, parseSpiffeId, parseSpiffeIdPattern } from '@doorward/core'
import { BindingIndex, boundRoles } from '../../../packages/core/src/policy/binding-index.ts'
import { RolesOf } from '../../../packages/core/src/policy/roles-of.ts'

const bound = (role: string, text: string) => ({ role, pattern: parseSpiffeIdPattern(text) })
const domain = fc.constantFrom('acme.example', 'other.example')
const segment = fc.constantFrom('a', 'b', 'ab')
const anyId = fc
  .tuple(domain, fc.array(segment, { maxLength: 5 }))
  .map(([name, path]) => parseSpiffeId(`spiffe://${[name, ...path].join('/')}`))
const anyPattern = fc
  .tuple(domain, fc.array(fc.oneof(segment, fc.constant('*')), { maxLength: 4 }), fc.boolean())
  .filter(([, path, open]) => open || path.length > 0)
  .map(([name, path, open]) => parseSpiffeIdPattern(`spiffe://${[name, ...path, ...(open ? ['**'] : [])].join('/')}`))

test('the index gives the roles whose pattern matches, and no other', () => {
  const patterns = fc.array(anyPattern, { maxLength: 12 })
  fc.assert(
    fc.property(patterns, fc.array(anyId, { maxLength: 8 }), (some, ids) => {
      const bindings = some.map((pattern, i) => ({ role: `r${i % 5}`, pattern }))
      const index = new BindingIndex(bindings)
      for (const id of ids) {
        const expected = bindings.filter(({ pattern }) => matchesSpiffeId(pattern, id)).map(({ role }) => role)
        assert.deepEqual([...index.rolesOf(id)].toSorted(), [...new Set(expected)].toSorted())
      }
    }),
    { seed: 20_261_122, numRuns: 1500 },
  )
})

test('patterns stand for whole segments, and ** for one at least', () => {
  const index = (text: string) => (id: string) =>
    boundRoles([bound('r', text)], parseSpiffeId(`spiffe://acme.example${id}`)).length === 1
  const open = index('spiffe://acme.example/data/**')
  assert.deepEqual(['/data', '/data/a', '/data/a/b', '/data-secret', '/x'].map(open), [false, true, true, false, false])
  const star = index('spiffe://acme.example/data/*')
  assert.deepEqual(['/data', '/data/a', '/data/a/b', '/dat/a'].map(star), [false, true, false, false])
  const all = index('spiffe://acme.example/**')
  assert.deepEqual(['', '/a', '/a/b'].map(all), [false, true, true])
})

test('many stars cost no more than the patterns that have them', () => {
  const path = Array.from({ length: 200 }, (_, i) => (i % 2 === 0 ? '*' : 'a')).join('/')
  const bindings = Array.from({ length: 200 }, (_, i) => bound(`r${i}`, `spiffe://acme.example/${path}/x${i}`))
  const id = parseSpiffeId(`spiffe://acme.example/${'a/'.repeat(200)}x7`)
  assert.deepEqual(boundRoles(bindings, id), ['r7'])
})

const user = (issuer: string, subject: string, ...groups: readonly string[]) =>
  ({ kind: 'user', issuer, subject, groups }) as const

test('users and groups have roles only of their own issuer, under their own kind', () => {
  const roles = new RolesOf(
    [bound('w', 'spiffe://acme.example/a'), bound('ww', 'spiffe://acme.example/*')],
    [
      { role: 'u', issuer: 'https://one', kind: 'user', name: 'x' },
      { role: 'u2', issuer: 'https://one', kind: 'user', name: 'x' },
      { role: 'g', issuer: 'https://one', kind: 'group', name: 'x' },
      { role: 'h', issuer: 'https://one', kind: 'group', name: 'y' },
      { role: 'o', issuer: 'https://two', kind: 'group', name: 'x' },
    ],
  )
  const of = (...given: Parameters<typeof user>) => [...roles.subject(user(...given))].toSorted()
  assert.deepEqual(of('https://one', 'x'), ['u', 'u2'])
  assert.deepEqual(of('https://one', 'y', 'x', 'y'), ['g', 'h'])
  assert.deepEqual(of('https://one', 'x', 'x'), ['g', 'u', 'u2'])
  assert.deepEqual(of('https://two', 'x', 'x'), ['o'])
  assert.deepEqual(of('https://two', 'x', 'unbound'), [])
  assert.deepEqual(of('https://onex', ''), [])
  assert.deepEqual(of('https://on', 'ex'), [])
  const id = parseSpiffeId('spiffe://acme.example/a')
  assert.deepEqual([...roles.workload(id, [])].toSorted(), ['w', 'ww'])
  assert.deepEqual([...roles.workload(id, ['t', 'w'])].toSorted(), ['t', 'w', 'ww'])
  assert.deepEqual([...roles.subject({ kind: 'workload', id })].toSorted(), ['w', 'ww'])
})

test('names that join to the same text are told apart', () => {
  const roles = new RolesOf([], [{ role: 'r', issuer: 'https://a1', kind: 'user', name: '1b' }])
  for (const [issuer, subject] of [
    ['https://a', '11b'],
    ['https://a11', 'b'],
    ['https://a1', 'b'],
  ] as const)
    assert.equal(roles.subject(user(issuer, subject)).size, 0)
  assert.equal(roles.subject(user('https://a1', '1b')).size, 1)
})
