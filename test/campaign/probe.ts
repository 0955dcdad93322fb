/** Disables every control that a probe from outside can see, one by one, in one deployment that runs: the probe must fail, by its attempts. */

import { join } from 'node:path'
import { DisabledBuild } from '../controls/disabled-build.ts'
import type { Edit } from '../controls/disabled-build.ts'
import { probedControls } from '../controls/probed-controls.ts'
import type { ProbedControl, ProbeSetting } from '../controls/probed-controls.ts'
import { ProbeStage, probeYaml, wideRates } from '../fixtures/probe-stage.ts'
import type { StageOptions } from '../fixtures/probe-stage.ts'
import { Findings } from './part.ts'
import type { Assignment, Part, PartReport } from './part.ts'
import { isInShare } from './share.ts'

const narrow = 300
const yamls: Readonly<Record<ProbeSetting, string>> = {
  plain: probeYaml().replace('1000000/min, connections', '6000/min, connections'),
  per_ip: probeYaml({ ...wideRates, perIp: narrow }),
  per_user: probeYaml({ ...wideRates, perUser: narrow }),
  global: probeYaml({ ...wideRates, global: narrow }),
  brief: probeYaml(wideRates),
  away: `${probeYaml(wideRates)}trust: { full_seconds: 6, reduced_seconds: 14 }\n`,
}

/** What has to be waited for ends soon, in the build and nowhere else. */
const brief: readonly Edit[] = [
  {
    file: 'packages/server/src/authority/issue.ts',
    from: 'now + registration.ttlSeconds',
    to: 'now + (registration.ttlSeconds === 300 ? 30 : registration.ttlSeconds)',
  },
  { file: 'packages/core/src/token/claims.ts', from: '  lifetimeSeconds: 300,', to: '  lifetimeSeconds: 25,' },
]

const away = (stage: ProbeStage) => {
  const pid = Number(stage.system.events.findLast(({ part }) => part === 'authority')?.['pid'])
  return { down: `kill -STOP ${pid}`, up: `kill -CONT ${pid}`, staleness: { fullSeconds: 6, reducedSeconds: 14 } }
}

/** One build and, for each setting, one deployment that is started again and again. */
export class ProbeBuilds {
  readonly #build: DisabledBuild
  #stage: ProbeStage | null = null
  #setting: ProbeSetting | null = null

  private constructor(build: DisabledBuild) {
    this.#build = build
  }

  static async open(): Promise<ProbeBuilds> {
    return new ProbeBuilds(await DisabledBuild.make())
  }

  /** What the probe says of a deployment with the edits: ids of what failed, and of what was tried. */
  probe(setting: ProbeSetting, edits: readonly Edit[], only: readonly string[]): Promise<ProbeTold> {
    const all = setting === 'brief' ? [...brief, ...edits] : edits
    return this.#build.disabledAll(all, () => this.#probed(setting, only))
  }

  async close(): Promise<void> {
    await this.#stage?.remove()
    await this.#build.remove()
  }

  async #probed(setting: ProbeSetting, only: readonly string[]): Promise<ProbeTold> {
    if (this.#setting !== setting) {
      await this.#stage?.remove()
      this.#stage = await ProbeStage.prepare(this.#options(setting))
      this.#setting = setting
    }
    const stage = this.#stage!
    try {
      await stage.system.up()
      const patient = setting === 'brief'
      const { attempts } = await stage.probe({ only, patient, authorityAway: setting === 'away' ? away(stage) : null })
      const of = (verdict: string) => attempts.filter((one) => one.verdict === verdict).map(({ id }) => id)
      return { failed: of('failed'), notRun: of('not_run'), tried: attempts.length, problem: null }
    } catch (error) {
      return { failed: [], notRun: [], tried: 0, problem: error instanceof Error ? error.message : String(error) }
    } finally {
      await stage.system.interrupt()
    }
  }

  #options(setting: ProbeSetting): StageOptions {
    return { yaml: yamls[setting], program: join(this.#build.folder, 'packages', 'server', 'bin', 'doorward.cjs') }
  }
}

export interface ProbeTold {
  readonly failed: readonly string[]
  readonly notRun: readonly string[]
  readonly tried: number
  /** Why nothing could be tried. */
  readonly problem: string | null
}

async function run({ count, goOn, share }: Assignment): Promise<PartReport> {
  const findings = new Findings()
  const builds = await ProbeBuilds.open()
  const noticed: string[] = []
  const names: string[] = []
  const chosen = probedControls.filter(({ name }) => share === null || isInShare(name, share)).slice(0, count)
  try {
    for (const setting of Object.keys(yamls) as ProbeSetting[]) {
      const controls = chosen.filter((one) => one.setting === setting)
      if (controls.length === 0 || !goOn(names.length)) continue
      const whole = await builds.probe(setting, [], controls.flatMap(triedFor))
      if (whole.problem !== null || whole.failed.length + whole.notRun.length > 0)
        findings.add(`${setting}, nothing disabled: ${shownOf(whole)}`)
      for (const control of controls) {
        if (!goOn(names.length)) break
        const told = await builds.probe(setting, control.edits, triedFor(control))
        const finding = judge(control, told)
        if (finding === null) noticed.push(`${control.name} (${told.failed.join(' ')})`)
        else findings.add(finding)
        names.push(control.name)
      }
    }
  } finally {
    await builds.close()
  }
  const facts = { 'disabled, and the attempts that failed': noticed.join(', ') }
  return { done: names.length, findings: findings.list, facts, names }
}

const triedFor = ({ attempts, beside = [] }: ProbedControl) => [...attempts, ...beside]

/** Null when every attempt of the control failed. */
export function judge({ name, attempts }: ProbedControl, told: ProbeTold): string | null {
  if (told.problem !== null) return `${name}: disabled, and nothing could be tried: ${told.problem}`
  const silent = attempts.filter((id) => !told.failed.includes(id))
  return silent.length === 0 ? null : `${name}: disabled, and ${silent.join(', ')} did not notice`
}

function shownOf({ failed, notRun, problem }: ProbeTold): string {
  return problem ?? `failed ${failed.join(' ') || 'nothing'}; not tried ${notRun.join(' ') || 'nothing'}`
}

export const probedBuilds: Part = {
  name: 'probe',
  rule: 'a deployment passes the probe, and in a build in which one control is disabled the attempts at that control fail',
  count: probedControls.length,
  names: probedControls.map(({ name }) => name),
  maximumSeconds: 3600,
  run,
}
