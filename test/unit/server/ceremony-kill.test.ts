/** An authority that dies anywhere in a ceremony: the ceremony ends as if nothing had happened. The campaign kills at every effect. */

import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { killDuring } from '../../fixtures/authority/ceremony-kill.ts'
import type { KillPlan } from '../../fixtures/authority/ceremony-kill.ts'

type Wanted = KillPlan['wanted']

const plans: readonly { readonly name: string; readonly wanted: Wanted; readonly points: readonly string[] }[] = [
  {
    name: 'a rotation',
    wanted: { kind: 'rotate', reissue: true },
    points: [
      'before slots.prepare',
      'after slots.publish',
      'after ceremonies.advance',
      'before slots.activate',
      'after slots.activate',
      'after slots.reissue',
    ],
  },
  {
    name: 'a recovery',
    wanted: { kind: 'recover' },
    points: [
      'after slots.prepare',
      'after custody.create',
      'after ceremonies.contribute',
      'before trust.append',
      'after slots.activate',
      'before denials.denyInEpoch',
      'after denials.denyInEpoch',
      'before slots.remove',
      'after custody.destroy',
    ],
  },
]

for (const { name, wanted, points } of plans) {
  describe(`CA-2: ${name} with a kill in it`, () => {
    const moments: Record<'first' | 'last', readonly string[]> = { first: [], last: [] }
    before(async () => {
      for (const turn of ['first', 'last'] as const)
        moments[turn] = (await killDuring({ wanted, at: null, last: turn === 'last', alone: 0 })).moments
    })

    for (const [index, point] of points.entries()) {
      test(`${point}: resumes, with the same result, two active slots never and a key that signs always`, async () => {
        // Some effects only the one has that takes its turns first, or last.
        const turn = moments.first.includes(point) && index % 2 === 0 ? 'first' : 'last'
        const at = index % 3 === 0 ? moments[turn].indexOf(point) : moments[turn].lastIndexOf(point)
        assert.ok(at >= 0, `no ${point} in ${moments[turn].join(', ')}`)
        const killed = await killDuring({ wanted, at, last: turn === 'last', alone: index % 3 })
        assert.equal(killed.moment, point)
      })
    }
  })
}
