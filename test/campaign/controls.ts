/** Disables every control in a copy of the sources, one by one: its test must turn red, and be green before. */

import { controls } from '../controls/controls.ts'
import type { Control } from '../controls/controls.ts'
import { DisabledBuild } from '../controls/disabled-build.ts'
import { Findings } from './part.ts'
import type { Assignment, Part, PartReport } from './part.ts'
import { isInShare } from './share.ts'

export const disabledControls: Part = {
  name: 'controls',
  rule: 'the test of a control is green, and red in a build in which that one control is disabled',
  count: controls.length,
  maximumSeconds: 1800,
  names: controls.map(({ name }) => name),
  run,
}

async function run({ count, goOn, share }: Assignment): Promise<PartReport> {
  const findings = new Findings()
  const build = await DisabledBuild.make()
  const chosen = controls.filter(({ name }) => share === null || isInShare(name, share)).slice(0, count)
  let done = 0
  try {
    for (const control of chosen) {
      if (!goOn(done)) break
      const finding = await judge(build, control)
      if (finding !== null) findings.add(finding)
      done++
    }
  } finally {
    await build.remove()
  }
  return {
    done,
    findings: findings.list,
    facts: {
      controls: chosen
        .slice(0, done)
        .map(({ name }) => name)
        .join(', '),
    },
  }
}

async function judge(build: DisabledBuild, { name, edits, test }: Control): Promise<string | null> {
  const before = await build.run(test.file, [test.name])
  if (!before.passed || !before.output.includes(test.name)) return `${name}: its test is not green to begin with`
  const after = await build.disabledAll(edits, () => build.run(test.file, [test.name]))
  if (after.passed) return `${name}: disabled, and no test noticed`
  return after.failed.some((failed) => failed.endsWith(test.name))
    ? null
    : `${name}: the build broke instead of the test`
}
