/** Each control is seen by the probe when it is disabled, or there is a reason why nobody outside sees it. */

import { deepEqual, ok } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { controls } from '../controls/controls.ts'
import { probedControls, unseenControls } from '../controls/probed-controls.ts'

const covers = (unseen: string, name: string) => name === unseen || name.startsWith(`${unseen}.`)
const unseen = unseenControls.flatMap((one) => one.controls)
const names = controls.map(({ name }) => name)

test('every control is either seen by attempts of the probe, or has a reason why none sees it', () => {
  const seen = new Set(probedControls.map(({ name }) => name))
  const problems = names.flatMap((name) => {
    const reasons = unseen.filter((one) => covers(one, name)).length
    if (seen.has(name) && unseen.includes(name)) return [`${name}: seen, and a reason why not`]
    return seen.has(name) || reasons === 1 ? [] : [`${name}: ${reasons} reasons`]
  })
  deepEqual(problems, [])
})

test('each edit stands where it says, exactly once', () => {
  const texts = new Map<string, string>()
  const textOf = (file: string) => {
    const text = texts.get(file) ?? readFileSync(join(import.meta.dirname, '..', '..', file), 'utf8')
    texts.set(file, text)
    return text
  }
  const wrong = probedControls.flatMap(({ name, edits }) =>
    edits.filter(({ file, from }) => textOf(file).split(from).length !== 2).map(({ file }) => `${name}: ${file}`),
  )
  deepEqual(wrong, [])
})

test('what is seen has its edits and attempts, and no reason is of a control that is not there', () => {
  for (const { name, edits, attempts } of probedControls) ok(edits.length > 0 && attempts.length > 0, name)
  deepEqual(
    unseen.filter((one) => !names.some((name) => covers(one, name))),
    [],
  )
  deepEqual(
    probedControls.map(({ name }) => name).filter((name, index, all) => all.indexOf(name) !== index),
    [],
  )
})
