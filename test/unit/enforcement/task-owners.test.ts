/** Which names of tasks are forgotten when there are too many: never those of whoever has few. */

import { equal } from 'node:assert/strict'
import { test } from 'node:test'
import { TaskOwners } from '@doorward/enforcement'

test('callers with thousands of tasks push out their own, not the task of one who has a single one', () => {
  const owners = new TaskOwners()
  owners.note('task', 'only', 'alice')
  for (let i = 0; i < 3000; i++)
    for (let caller = 0; caller < 9; caller++) owners.note('task', `${caller}-${i}`, `${caller}`)
  equal(owners.ownerOf('task', 'only'), 'alice')
  for (let caller = 0; caller < 9; caller++) {
    equal(owners.ownerOf('task', `${caller}-2999`), `${caller}`)
    equal(owners.ownerOf('task', `${caller}-0`), null)
  }
})

test('among callers with one task each the longest known is forgotten, and there are never more than 16,384', () => {
  const owners = new TaskOwners()
  for (let i = 0; i < 17_000; i++) owners.note('task', `${i}`, `caller ${i}`)
  const known = Array.from({ length: 17_000 }, (_, i) => owners.ownerOf('task', `${i}`) !== null)
  equal(known.filter(Boolean).length, 16_384)
  equal(known.indexOf(true), 17_000 - 16_384)
})

test('a name that goes from one caller to another counts for the other alone', () => {
  const owners = new TaskOwners()
  for (let i = 0; i < 2048; i++) owners.note('task', `${i}`, 'alice')
  owners.note('task', '7', 'bob')
  owners.note('task', 'new', 'alice')
  equal(owners.ownerOf('task', '0'), 'alice')
  equal(owners.ownerOf('task', '7'), 'bob')
  owners.note('task', 'newer', 'alice')
  equal(owners.ownerOf('task', '0'), null)
})
