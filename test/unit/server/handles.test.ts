import { equal, match, notEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { epochMillis } from '@doorward/core'
import type { HandleUse } from '@doorward/enforcement'
import { Handles } from '@doorward/enforcement'

let now = 1_800_000_000_000
const handles = new Handles({ key: new Uint8Array(32).fill(7), now: () => epochMillis(now) })
const state: HandleUse = { kind: 'state', server: 'files', owner: 'a', method: 'tools/call', name: 'x' }
const task: HandleUse = { kind: 'task', server: 'files', owner: 'a' }

test('a name is good for its use with its prefix, whatever it is', () => {
  for (const name of ['s', '', 'dw1.x.y.z', '.', '"\\\u0000é', 'x'.repeat(100_000)]) {
    const prefix = handles.prefix(state, name)
    match(prefix, /^[\w.-]+$/)
    equal(handles.prefixOf(state, prefix + name), prefix)
  }
})

test('no other use, name, expiry or key makes the same proof', () => {
  const prefix = handles.prefix(state, 's')
  const given = `${prefix}s`
  const others: readonly HandleUse[] = [
    { ...state, owner: 'b' },
    { ...state, server: 'other' },
    { ...state, method: 'prompts/get' },
    { ...state, name: 'y' },
    // Fields do not run into each other.
    { ...state, server: 'files","a', owner: '' },
    task,
  ]
  for (const use of others) equal(handles.prefixOf(use, given), null)
  const [, expiry = '', mac = ''] = prefix.split('.')
  const later = (Number.parseInt(expiry, 36) + 1).toString(36)
  for (const text of [
    `${prefix}t`,
    prefix,
    's',
    '',
    `dw1.${later}.${mac}.s`,
    `dw1.${expiry}.${mac.slice(1)}.s`,
    `dw1.${expiry}.${'A'.repeat(43)}.s`,
    ` ${given}`,
    `dw1.zzzzzzzzz.${mac}.s`,
  ])
    equal(handles.prefixOf(state, text), null, text)
  const another = new Handles({ key: new Uint8Array(32).fill(8), now: () => epochMillis(now) })
  equal(another.prefixOf(state, given), null)
  notEqual(another.prefix(state, 's'), prefix)
})

test('a state is good for a day, a task for thirty', () => {
  const [ofState, ofTask] = [`${handles.prefix(state, 's')}s`, `${handles.prefix(task, 't')}t`]
  now += 86_399_000
  notEqual(handles.prefixOf(state, ofState), null)
  now += 2000
  equal(handles.prefixOf(state, ofState), null)
  notEqual(handles.prefixOf(task, ofTask), null)
  now += 29 * 86_400_000
  equal(handles.prefixOf(task, ofTask), null)
})
