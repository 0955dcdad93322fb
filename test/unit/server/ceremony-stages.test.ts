/** When a stage of a ceremony is over, whoever lives and whatever was seen. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { epochMillis } from '@doorward/core'
import fc from 'fast-check'
import { acknowledged } from '../../../packages/server/src/authority/ceremony-audience.ts'
import { ceremonyTimes, judgeStage } from '../../../packages/server/src/authority/ceremony-stages.ts'
import type { AuthoritySight, Sight } from '../../../packages/server/src/authority/ceremony-stages.ts'
import { hasReached, nothingSeen, stagesOf } from '../../../packages/server/src/authority/ceremony.ts'
import type { Ceremony, CeremonyShape, CeremonyStage } from '../../../packages/server/src/authority/ceremony.ts'

const start = 1_800_000_000_000

function ceremonyAt(stage: CeremonyStage, shape: Partial<CeremonyShape> = {}): Ceremony {
  return {
    id: 'c',
    kind: 'recover',
    emergency: false,
    reissue: true,
    retire: false,
    ...shape,
    stage,
    reason: 'test',
    by: 'test',
    only: null,
    excluded: [],
    authorities: [],
    replaces: [],
    epoch: 2,
    startedAt: epochMillis(start),
    stages: [{ ...nothingSeen, stage, at: epochMillis(start) }],
    canary: null,
    report: null,
  }
}

const finished: AuthoritySight = {
  instance: 'one',
  name: 'one',
  live: true,
  slots: 'active',
  contributed: true,
  delegated: true,
  certified: true,
}

function sightAt(milliseconds: number, more: Partial<Sight> = {}): Sight {
  const now = epochMillis(start + milliseconds)
  return {
    now,
    authorities: [finished],
    delegatedSince: now,
    shownSince: epochMillis(start),
    audience: { followers: [], stragglers: [], each: [] },
    reissued: [],
    reissuedSince: null,
    remaining: 0,
    ...more,
  }
}

const going: readonly CeremonyStage[] = ['prepare', 'delegate', 'publish', 'activate', 'reissue', 'deny', 'settle']

describe('stages of a ceremony', () => {
  test('follow one another as they are listed, for every kind of ceremony', () => {
    fc.assert(
      fc.property(
        fc.record({
          kind: fc.constantFrom('rotate' as const, 'recover' as const),
          emergency: fc.boolean(),
          reissue: fc.boolean(),
          retire: fc.boolean(),
        }),
        (shape) => {
          const stages = stagesOf(shape)
          assert.deepEqual([stages[0], stages.at(-1)], ['prepare', 'done'])
          assert.equal(new Set(stages).size, stages.length)
          for (const [index, stage] of stages.slice(0, -1).entries()) {
            const ceremony = { ...ceremonyAt(stage, shape), report: 'a report' }
            const verdict = judgeStage(ceremony, sightAt(10_000_000), ceremonyTimes)
            assert.deepEqual(verdict.verdict === 'next' ? verdict.stage : verdict, stages[index + 1])
            for (const other of stages) assert.equal(hasReached(ceremony, other), stages.indexOf(other) <= index)
          }
        },
      ),
    )
  })

  test('never go on while no authority that lives has done its part', () => {
    const idle = fc.record({
      instance: fc.constant('one'),
      name: fc.constant('one'),
      live: fc.boolean(),
      slots: fc.constantFrom('missing' as const, 'prepared' as const),
      contributed: fc.constant(false),
      delegated: fc.constant(false),
      certified: fc.constant(false),
    })
    fc.assert(
      fc.property(fc.array(idle, { maxLength: 4 }), fc.integer({ min: 0, max: 10_000_000 }), (authorities, time) => {
        for (const stage of ['prepare', 'delegate', 'publish', 'activate'] as const) {
          const { verdict } = judgeStage(ceremonyAt(stage), sightAt(time, { authorities }), ceremonyTimes)
          assert.notEqual(verdict, 'next', stage)
        }
      }),
    )
  })

  test('a dead authority is not waited for, one that lives and is late is named', () => {
    const late = { ...finished, instance: 'two', name: 'two', slots: 'published' } as const
    const authorities = [finished, late]
    assert.equal(judgeStage(ceremonyAt('activate'), sightAt(0, { authorities }), ceremonyTimes).verdict, 'wait')
    const dead = judgeStage(
      ceremonyAt('activate'),
      sightAt(0, { authorities: [finished, { ...late, live: false }] }),
      ceremonyTimes,
    )
    assert.ok(dead.verdict === 'next' && dead.sight.straggling === 0)
    const named = judgeStage(ceremonyAt('activate'), sightAt(ceremonyTimes.answer, { authorities }), ceremonyTimes)
    assert.ok(named.verdict === 'next')
    assert.deepEqual(named.sight.stragglers, ['authority two'])
  })

  test('more authorities than a delegation can name end a recovery before anything has changed', () => {
    const authorities = Array.from({ length: 9 }, (_, index) => ({ ...finished, instance: `${index}` }))
    assert.equal(judgeStage(ceremonyAt('prepare'), sightAt(0, { authorities }), ceremonyTimes).verdict, 'fail')
  })

  test('nothing goes on before the newest state shows it', () => {
    for (const stage of ['publish', 'reissue', 'deny', 'settle'] as const) {
      const sight = sightAt(10_000_000, { shownSince: null })
      assert.equal(judgeStage({ ...ceremonyAt(stage), report: 'x' }, sight, ceremonyTimes).verdict, 'wait', stage)
    }
  })

  test('a clock that was set back makes no stage longer than it is', () => {
    for (const stage of going) {
      const forth = judgeStage(ceremonyAt(stage), sightAt(10_000_000), ceremonyTimes)
      const back = judgeStage(ceremonyAt(stage), sightAt(-10_000_000), ceremonyTimes)
      // What lasts since a moment of this process waits by that; nothing waits longer by the row.
      if (stage !== 'settle') assert.equal(back.verdict, forth.verdict, stage)
    }
  })

  test('connections move before their keys go, and in a planned rotation slow calls end as well', () => {
    const { move, moveCalm } = ceremonyTimes
    const after = (kind: Ceremony['kind'], milliseconds: number) =>
      judgeStage(
        ceremonyAt('reissue', { kind, retire: true }),
        sightAt(milliseconds, { reissuedSince: epochMillis(start) }),
        ceremonyTimes,
      ).verdict
    assert.deepEqual([after('recover', move - 1), after('recover', move)], ['wait', 'next'])
    assert.deepEqual([after('rotate', move + moveCalm - 1), after('rotate', move + moveCalm)], ['wait', 'next'])
  })

  test('names of stragglers are bounded, their number is told', () => {
    const stragglers = Array.from({ length: 5000 }, (_, index) => `spiffe://test.example/agent/${index}`)
    const audience = { followers: stragglers, stragglers, each: [] }
    const verdict = judgeStage(ceremonyAt('publish'), sightAt(60_000, { audience }), ceremonyTimes)
    assert.ok(verdict.verdict === 'next')
    assert.deepEqual([verdict.sight.stragglers.length, verdict.sight.straggling], [100, 5000])
  })
})

describe('who has acknowledged', () => {
  const marks = { full: { delegation: 2, sequence: 10 }, callers: { delegation: 2, sequence: 8 } }
  const at = epochMillis(start)
  const ack = (id: string, scope: 'full' | 'callers', delegation: number, sequence: number) => ({
    id,
    instance: '',
    scope,
    delegation,
    sequence,
    at,
    authority: 'a',
  })

  test('RV-2: each scope by its own state, a later delegation before any sequence', () => {
    const acks = [
      ack('behind', 'full', 2, 9),
      ack('there', 'callers', 2, 8),
      ack('ahead', 'full', 3, 1),
      ack('old delegation', 'callers', 1, 99),
    ]
    const { followers, stragglers } = acknowledged(acks, [], { marks, since: at })
    assert.deepEqual(followers, ['ahead', 'behind', 'old delegation', 'there'])
    assert.deepEqual(stragglers, ['behind', 'old delegation'])
  })

  test('RV-2: of two instances the one that has heard does not speak for the other', () => {
    const there = { ...ack('agent', 'callers', 2, 8), instance: '01' }
    const behind = { ...ack('agent', 'callers', 2, 7), instance: '02' }
    const both = acknowledged([there, behind], [], { marks, since: at })
    assert.deepEqual([both.followers, both.stragglers, both.each.length], [['agent'], ['agent'], 2])
    const silent = { id: 'agent', instance: '03', scope: 'callers' } as const
    assert.deepEqual(acknowledged([there], [silent], { marks, since: at }).stragglers, ['agent'])
    assert.deepEqual(acknowledged([there, { ...behind, sequence: 9 }], [], { marks, since: at }).stragglers, [])
  })

  test('whoever is connected and has never answered is a straggler; whoever was not heard of is nobody', () => {
    const acks = [{ ...ack('gone', 'callers', 1, 1), at: epochMillis(start - 1) }]
    const connected = [{ id: 'new', instance: '', scope: 'full' } as const]
    assert.deepEqual(acknowledged(acks, connected, { marks, since: at }), {
      followers: ['new'],
      stragglers: ['new'],
      each: connected,
    })
  })

  test('fail when the new keys are gone: nothing that waits for them would ever end', () => {
    for (const slots of ['missing', 'retired'] as const) {
      const sight = sightAt(10, {
        authorities: [
          { ...finished, slots },
          { ...finished, live: false },
        ],
      })
      for (const stage of ['publish', 'activate', 'deny'] as const) {
        const verdict = judgeStage(ceremonyAt(stage), sight, ceremonyTimes)
        assert.deepEqual(verdict, { verdict: 'fail', note: 'the new keys are gone: they were revoked' })
      }
      // Somebody else goes on with its own; a rotation that nobody waits for any more comes to its end.
      const other = { ...sight, authorities: [...sight.authorities, finished] }
      assert.notEqual(judgeStage(ceremonyAt('deny'), other, ceremonyTimes).verdict, 'fail')
      assert.notEqual(judgeStage(ceremonyAt('deny', { kind: 'rotate' }), sight, ceremonyTimes).verdict, 'fail')
    }
  })
})
