import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EntityUid } from '../../../packages/core/src/policy/cedar/value.ts'
import { RoleSet, noRoles } from '../../../packages/core/src/policy/role-set.ts'

test('roles are there once, by name and by the key of their entity', () => {
  const roles = RoleSet.of(['b', 'a', 'b'])
  assert.deepEqual([[...roles], roles.size], [['b', 'a'], 2])
  assert.deepEqual(roles.keys, new Set([new EntityUid('Role', 'b').key, new EntityUid('Role', 'a').key]))
  assert.deepEqual([[...noRoles], noRoles.size, noRoles.keys.size], [[], 0, 0])
})

test('roles of two are those of both, and one of the two where the other adds nothing', () => {
  const [both, one, other] = [RoleSet.of(['a', 'b']), RoleSet.of(['a']), RoleSet.of(['b', 'c'])]
  assert.deepEqual([...RoleSet.joined(one, other)], ['a', 'b', 'c'])
  assert.deepEqual([...RoleSet.joined(both, other)], ['a', 'b', 'c'])
  assert.deepEqual([...RoleSet.joined(one, both)], ['a', 'b'])
  assert.deepEqual([[...one], [...both], [...other]], [['a'], ['a', 'b'], ['b', 'c']], 'as they were')
  assert.equal(RoleSet.joined(both, one), both)
  assert.equal(RoleSet.joined(one, RoleSet.of(['a'])), one)
  assert.equal(RoleSet.joined(one, noRoles), one)
  assert.equal(RoleSet.joined(noRoles, one), one)
})
