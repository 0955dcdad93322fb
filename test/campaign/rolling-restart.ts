/** Gateways that are restarted in turn while callers go on. */

import { RollingGateways } from '../load/rolling-gateways.ts'
import { Findings } from './part.ts'
import type { Part } from './part.ts'

/** Answered calls between one restart and the next. */
const BETWEEN = 250
const GRACE_MILLISECONDS = 10_000

export const rollingRestart: Part = {
  name: 'rolling-restart',
  rule: 'that many calls while two gateways are stopped and started again in turn: none lost, none carried out twice, and each stop within 10 s',
  count: 10_000,
  maximumSeconds: 900,
  async run({ count, goOn }) {
    const rolling = await RollingGateways.open()
    const findings = new Findings()
    let restarts = 0
    let longest = 0
    try {
      const calling = rolling.calling()
      while (goOn(calling.done) && calling.done < count && calling.lost.length === 0) {
        const one = restarts++ % 2 === 0 ? rolling.east : rolling.west
        await calling.further(BETWEEN)
        const began = performance.now()
        await one.stop()
        longest = Math.max(longest, performance.now() - began)
        await calling.further(BETWEEN)
        await one.restart()
      }
      await calling.finish()
      const { done, lost } = calling
      for (const error of lost) findings.add(`a call that neither gateway answered: ${String(error)}`)
      if (rolling.executed !== done) findings.add(`${done} calls answered, ${rolling.executed} carried out`)
      if (longest > GRACE_MILLISECONDS) findings.add(`a gateway needed ${Math.round(longest)} ms to stop`)
      const facts = { restarts, 'longest stop, ms': Math.round(longest) }
      return { done: Math.min(done, count), findings: findings.list, facts }
    } finally {
      await rolling.close()
    }
  },
}
