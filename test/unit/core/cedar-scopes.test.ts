/** Scopes of policies, indexed and not: every combination of what a scope can say, asked of every kind of call. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Constraint, Policy } from '../../../packages/core/src/policy/cedar/expression.ts'
import { PolicySet } from '../../../packages/core/src/policy/cedar/policy-set.ts'
import { meets } from '../../../packages/core/src/policy/cedar/scope.ts'
import { EntityUid } from '../../../packages/core/src/policy/cedar/value.ts'
import type { Entity, World } from '../../../packages/core/src/policy/cedar/world.ts'

const uid = (type: string, id: string) => new EntityUid(type, id)
const none = new Map()

/** An entity of no attributes below these. */
const below = (...above: readonly EntityUid[]): Entity => ({
  attributes: none,
  tags: none,
  ancestors: new Set(above.map(({ key }) => key)),
})

/** Every form of a constraint over three entities, the third of which is of another type. */
function constraints([one, two, other]: readonly [EntityUid, EntityUid, EntityUid]): readonly Constraint[] {
  return [
    { kind: 'any' },
    { kind: 'equal', uid: one },
    { kind: 'equal', uid: two },
    { kind: 'in', uids: [two] },
    { kind: 'in', uids: [other] },
    { kind: 'in', uids: [one, two] },
    { kind: 'in', uids: [] },
    { kind: 'is', type: one.type, within: null },
    { kind: 'is', type: other.type, within: null },
    { kind: 'is', type: one.type, within: other },
    { kind: 'is', type: other.type, within: two },
  ]
}

const [ann, ben, role] = [uid('User', 'ann'), uid('User', 'ben'), uid('Role', 'r')]
const [read, write, group] = [uid('Action', 'read'), uid('Action', 'write'), uid('Group', 'g')]
const [file, folder, server] = [uid('File', 'x'), uid('File', 'y'), uid('Server', 's')]

const policies: readonly Policy[] = constraints([ann, ben, role]).flatMap((principal, p) =>
  constraints([read, write, group]).flatMap((action, a) =>
    constraints([file, folder, server]).map((resource, r): Policy => ({
      id: `${p} ${a} ${r}`,
      effect: 'permit',
      principal,
      action,
      resource,
      conditions: [],
      annotations: new Map(),
    })),
  ),
)

const known: ReadonlyMap<string, Entity> = new Map([
  [ann.key, below(role)],
  [ben.key, below(ann)],
  [read.key, below(group)],
  [file.key, below(server)],
  // What nobody should say, but an entity may: that it is below itself.
  [folder.key, below(folder, file, server)],
])

function* worlds(entity: World['entity']): Generator<World> {
  for (const principal of [ann, ben, role, uid('User', 'none'), uid('Role', 'ann')])
    for (const action of [read, write, group, uid('Group', 'write'), uid('Action', 'g')])
      for (const resource of [file, folder, server, uid('Server', 'x')])
        yield { principal, action, resource, context: none, entity }
}

function reached(world: World): readonly string[] {
  return policies
    .filter(
      ({ principal, action, resource }) =>
        meets(principal, world.principal, world) &&
        meets(action, world.action, world) &&
        meets(resource, world.resource, world),
    )
    .map(({ id }) => id)
}

for (const [name, actions] of [
  ['no', []],
  ['some', [read, group]],
] as const) {
  test(`a policy is asked exactly where its scope fits, with ${name} actions known beforehand`, () => {
    const set = new PolicySet(policies, new Set(actions))
    // Twice: what was found for an action before is asked again.
    for (const _ of [1, 2])
      for (const world of worlds(({ key }) => known.get(key) ?? null))
        assert.deepEqual(set.authorize(world).reasons, reached(world))
  })
}

test('an action that is not known beforehand is looked up in every world', () => {
  const set = new PolicySet(policies, new Set([write]))
  const [inside, outside] = [below(group), below()]
  for (const entity of [inside, outside, null, inside])
    for (const world of worlds(({ key }) => (key === read.key ? entity : (known.get(key) ?? null))))
      assert.deepEqual(set.authorize(world).reasons, reached(world))
})
