/**
 * `npm run example`: the whole shop, one task of a person through it, and who called whom for whom by which rule.
 * `npm run example -- attack`: then attackers. Exit 1 when one of them is let through, or anything is not on record.
 * `--keep`: everything goes on running until Ctrl-C.
 */

import { parseArgs } from 'node:util'
import { attacks } from './attacks/attacks.ts'
import type { Loot } from './attacks/attack.ts'
import { attackRow, besiege, standingOf, stillHeard } from './attacks/siege.ts'
import type { Attempt } from './attacks/siege.ts'
import { callRow, isCall, Records } from './system/record.ts'
import type { Entry } from './system/record.ts'
import { programs, startShop } from './system/start.ts'
import type { RunningShop } from './system/start.ts'
import { table } from './system/table.ts'

const { values, positionals } = parseArgs({
  options: { keep: { type: 'boolean', default: false } },
  allowPositionals: true,
})
/** Alice calls the planner; that the notes, the buyer and the writer; and these the stock: twice, and once. */
const callsOfTask = 7
const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupted.abort())

try {
  process.exitCode = await example()
} catch (error) {
  console.error(interrupted.signal.aborted ? 'interrupted' : error)
  process.exitCode = 1
}

async function example(): Promise<number> {
  await using running = await startShop((name) => {
    interrupted.signal.throwIfAborted()
    console.log(`starting ${name}`)
  })
  console.log('signing alice in, and giving the planner her task: lamps')
  console.log(await running.task())
  const records = new Records(running.deployment, programs)
  const calls = (await records.entries((entries) => entries.filter(isCall).length === callsOfTask)).filter(isCall)
  if (calls.length !== callsOfTask || running.reached() !== callsOfTask) throw new Error('not every call is on record')
  console.log(table(['WHO CALLED, FOR WHOM', 'WHAT', 'BY WHICH RULES', 'ENTRY'], calls.map(callRow)))
  const refused = !positionals.includes('attack') || (await attacked(running, records))
  console.log(`\n${await records.verified()}`)
  if (values.keep) await kept(running)
  return refused ? 0 : 1
}

async function attacked(running: RunningShop, records: Records): Promise<boolean> {
  console.log('\nnow the attackers')
  const attempts: Attempt[] = []
  await using loot: Loot & AsyncDisposable = await running.loot()
  for (const attack of attacks) {
    interrupted.signal.throwIfAborted()
    attempts.push(await besiege(attack, loot, running.reached))
  }
  if (!(await stillHeard(loot, running.reached))) throw new Error('the stock does not tell of its calls any more')
  const judged = (entries: readonly Entry[]) => attempts.map((attempt) => standingOf(attempt, entries))
  const entries = await records.entries((found) => judged(found).every(({ recorded }) => recorded !== null))
  const standings = judged(entries)
  console.log(table(['ATTACK', 'HOLDS', 'TRIES', 'REFUSED WITH', 'REACHED', 'ENTRY'], standings.map(attackRow)))
  return standings.every(({ refused }) => refused)
}

async function kept({ deployment }: RunningShop): Promise<void> {
  console.log(`\neverything goes on running until Ctrl-C, in ${deployment.home}`)
  await new Promise((resolve) => interrupted.signal.addEventListener('abort', resolve, { once: true }))
}
