/** Which change of roles has an answer decided again, and with which roles. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DecisionRequest } from '@doorward/core'
import { rolesNow } from '@doorward/enforcement'
import { id, viewOf } from './call-fixture.ts'
import { allow, newPipeline, permitOf, version } from './pipeline-fixture.ts'
import type { PipelineStage } from './pipeline-fixture.ts'

const withRoles = (generation: number, ...roles: readonly string[]) =>
  viewOf({ workloads: [{ id: id.uri, roles }] }, generation)

/** An answer under way to a caller with the roles `a` and `b`, and the roles by which it is decided again. */
async function openCall(made: PipelineStage) {
  made.trust.view = withRoles(1, 'a', 'b')
  const { authorized } = (await permitOf(made)).use()
  const asked: (readonly string[])[] = []
  made.answers.decide = async ({ principal }: DecisionRequest) => {
    asked.push(principal.roles)
    return allow
  }
  const end = () => assert.fail('it is allowed')
  return { authorized, asked, withdraw: end, forbid: end }
}

/** Lets go on whatever waits for nothing. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
}

test('RV-4: one role for another, one more and one less: an answer is decided again by what there is', async () => {
  const made = newPipeline()
  const one = await openCall(made)
  made.pipeline.track(one)
  const changes = [['a', 'c'], ['c', 'a'], ['a', 'c', 'b'], ['a'], ['b'], []]
  for (const [n, roles] of changes.entries()) {
    for (const generation of [2 * n + 2, 2 * n + 3]) {
      made.trust.view = withRoles(generation, ...roles)
      await made.pipeline.review()
    }
    assert.deepEqual(one.asked.splice(0), [roles], 'once')
  }
})

test('an answer that begins under another state is decided again only where its roles are others', async () => {
  const made = newPipeline()
  const one = await openCall(made)
  for (const [view, asked] of [
    [withRoles(1, 'a', 'b'), []],
    [withRoles(2, 'a', 'b'), []],
    [withRoles(3, 'a', 'c'), [['a', 'c']]],
  ] as const) {
    made.trust.view = view
    made.pipeline.track(one)
    await settled()
    assert.deepEqual(one.asked, asked)
  }
})

test('an answer that has ended meanwhile is not decided again', async () => {
  const made = newPipeline()
  const [one, other] = [await openCall(made), await openCall(made)]
  for (const each of [one, other]) made.pipeline.track(each)
  const done = made.pipeline.policyChanged({ ...version, sequence: version.sequence + 1 })
  made.pipeline.open.remove(one)
  await done
  assert.equal(other.asked.length, 1)
})

test('roles are those of the newest view, with everything else of the caller as it was', async () => {
  const { identified } = (await openCall(newPipeline())).authorized.classified
  for (const view of [null, withRoles(1, 'c'), withRoles(2, 'a', 'b')])
    assert.equal(rolesNow(identified, view), identified)
  for (const roles of [['a', 'c'], ['b', 'a'], ['a'], ['a', 'b', 'c'], []])
    assert.deepEqual(rolesNow(identified, withRoles(2, ...roles)), {
      ...identified,
      principal: { ...identified.principal, roles },
    })
  assert.deepEqual(rolesNow(identified, viewOf({ workloads: [] }, 2)).principal.roles, [])
})
