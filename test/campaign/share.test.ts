import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { controls } from '../controls/controls.ts'
import { gathered, isInShare, namesDone, readShare, shareAsked } from './share.ts'
import type { SharedRun } from './share.ts'

const run = (index: number, of: number, more: Partial<SharedRun> = {}): SharedRun => ({
  part: 'controls',
  share: { index, of },
  revision: '35e250a',
  begun: new Date(0),
  seconds: 9,
  done: 2,
  wanted: 2,
  names: ['a', 'b'],
  findings: [],
  ...more,
})

test('a share is said as its place and their number, and everything else is refused', () => {
  deepEqual(readShare('3/8'), { index: 3, of: 8 })
  for (const text of ['0/8', '9/8', '3', '3/', '/8', '3/101', '-1/8', '1.5/8', '']) equal(readShare(text), null, text)
})

test('every control has a name of its own, and is in exactly one share', () => {
  equal(new Set(controls.map(({ name }) => name)).size, controls.length)
  for (const { name } of controls) {
    const shares = Array.from({ length: 8 }, (_, at) => isInShare(name, { index: at + 1, of: 8 }))
    equal(shares.filter(Boolean).length, 1, name)
  }
})

test('shares gather in one report, each with its own revision, and those never run are named', () => {
  const first = gathered('', run(3, 3, { revision: 'aaaaaaa', findings: ['x: no test noticed'] }), 'r')
  const both = gathered(first, run(1, 3, { done: 1 }), 'r')
  match(both, /run: 2 of 3; never run: 2\n- findings: 1\n/)
  match(both, /## 1\/3\n\n1 of 2 at 35e250a[^]*1 were not looked at[^]*## 3\/3\n\n2 of 2 at aaaaaaa/)
  equal(gathered(both, run(1, 3, { done: 1 }), 'r'), both)
})

test('a share that is run again replaces itself, and those of another division go', () => {
  const first = gathered('', run(1, 2, { findings: ['x'] }), 'r')
  const again = gathered(first, run(1, 2), 'r')
  ok(!again.includes('finding**') && again.includes('findings: 0'))
  ok(!gathered(again, run(1, 4), 'r').includes('1/2'))
})

test('the report of another part has its own title and command, and takes no shares of this one', () => {
  const controlled = gathered('', run(1, 2, { findings: ['x'] }), 'r')
  const probed = gathered(controlled, run(2, 2, { part: 'probe' }), 'r')
  match(probed, /^# Probe, in 2 shares\n\nWritten by `npm run campaign -- --only probe --part N\/M/)
  match(probed, /run: 1 of 2; never run: 1\n- findings: 0\n/)
})

test('what somebody has written above the shares and beside them stays, once', () => {
  const written =
    '# Probe\n\nOne share was still running.\n\n| control | attempts |\n|---|---|\n\n## Looked at\n\nNothing.\n'
  const first = gathered(written, run(1, 2, { part: 'probe' }), 'r')
  const both = gathered(first, run(2, 2, { part: 'probe' }), 'r')
  match(
    both,
    /findings: 0\n\nOne share was still running\.\n\n\| control[^]*## 1\/2[^]*## 2\/2[^]*## Looked at\n\nNothing\.\n$/,
  )
  equal(both.split('still running').length, 2)
  equal(gathered(both, run(2, 2, { part: 'probe' }), 'r'), both)
})

test('a share is of one part that has names, and is run whole', () => {
  const named = [{ names: ['a'] }]
  const told = (...asked: Parameters<typeof shareAsked>) => JSON.stringify(shareAsked(...asked))
  equal(shareAsked({}, []), null)
  deepEqual(shareAsked({ part: '3/8' }, named), { index: 3, of: 8 })
  for (const chosen of [[], [{}], [...named, ...named]]) match(told({ part: '3/8' }, chosen), /as 3\/8/)
  match(told({ part: '9/8' }, named), /as 3\/8/)
  match(told({ part: '3/8', count: '5' }, named), /no --count/)
})

test('a share that ended early names what was done, in whatever order that was', () => {
  const part = { names: ['a', 'b', 'c'] }
  const whole = { index: 1, of: 1 }
  deepEqual(namesDone(part, { done: 2 }, whole), ['a', 'b'])
  deepEqual(namesDone(part, { done: 2, names: ['c', 'a'] }, whole), ['c', 'a'])
  const facts = { noticed: 'a (x)', controls: 'a' }
  match(gathered('', run(1, 1, { facts }), 'r'), /- controls: a, b\n- noticed: a \(x\)\n$/)
})
