/** A build in which controls are disabled fails the probe, by the attempts at these and by no other. `npm run campaign -- --only probe` does all of them, one by one. */

import { deepEqual, equal } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ProbeBuilds } from '../campaign/probe.ts'
import { probedControls } from '../controls/probed-controls.ts'

/** Of several layers, and none of them in the way of another. */
const chosen = ['auth.methods.bearer', 'rbac.default_policy', 'host', 'json.duplicates']
const kept = ['transport-origin', 'token-place-none', 'message-batch']

let builds: ProbeBuilds

before(async () => {
  builds = await ProbeBuilds.open()
})
after(() => builds.close())

test('each control that is disabled fails the attempts at it, and those at the others pass', async () => {
  const controls = probedControls.filter(({ name }) => chosen.includes(name))
  equal(controls.length, chosen.length)
  const attempts = controls.flatMap((control) => control.attempts)
  const edits = controls.flatMap((control) => control.edits)
  const { failed, notRun, problem } = await builds.probe('plain', edits, [...attempts, ...kept])
  equal(problem, null)
  deepEqual(notRun, [])
  // What is let in although it must not be is seen on the record as well.
  deepEqual(failed.filter((id) => id !== 'record-let-in').toSorted(), attempts.toSorted())
})
