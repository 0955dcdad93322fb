/** Malformed request heads on a real listener, with a valid certificate, token and session: none gets anywhere. */

import { HeadsStage } from '../fixtures/heads-stage.ts'
import { seeded } from '../fuzz/chance.ts'
import { malformedHead } from '../fuzz/malformed-heads.ts'
import { Findings, Tally } from './part.ts'
import type { Assignment, Part, PartReport } from './part.ts'

const TOGETHER = 8
const CANARY_EVERY = 500

async function run(assignment: Assignment): Promise<PartReport> {
  const stage = await HeadsStage.open()
  try {
    return await attack(stage, assignment)
  } finally {
    await stage.close()
  }
}

async function attack(stage: HeadsStage, { seed, goOn }: Assignment): Promise<PartReport> {
  const [chance, findings, statuses] = [seeded(seed), new Findings(), new Tally()]
  let [done, canaries, good] = [0, 0, '']
  while (goOn(done) && !findings.any) {
    if (done % CANARY_EVERY === 0) {
      good = await stage.rightRequest()
      if ((await stage.answerTo(good)) === 200) canaries++
      else findings.add(`after ${done} heads the right request was refused`)
      stage.forget()
    }
    const heads = Array.from({ length: TOGETHER }, () => malformedHead(good, chance))
    const answers = await Promise.all(heads.map(({ text }) => stage.answerTo(text)))
    for (const [i, status] of answers.entries()) {
      statuses.add(status === 0 ? 'closed without answer' : String(status))
      if (status >= 200 && status < 300) findings.add(`${status} for ${heads[i]?.faults.join(', ')}: ${heads[i]?.text}`)
    }
    if (stage.reached > 0) findings.add(`bytes at the server from one of ${JSON.stringify(heads)}`)
    done += TOGETHER
  }
  return { done, findings: findings.list, facts: { 'canaries served': canaries, answers: String(statuses) } }
}

export const requestHeads: Part = {
  name: 'request-heads',
  rule: 'no malformed head is answered with a success or reaches a server, and right requests are served all the while',
  count: 20_000,
  maximumSeconds: 600,
  run,
}
