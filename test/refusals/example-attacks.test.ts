/** The attackers of examples/agents, one by one: refused, on the record, with nothing reached behind the doors. */

import { deepEqual, equal, notEqual, ok, rejects } from 'node:assert/strict'
import { cp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { attacks } from '../../examples/agents/attacks/attacks.ts'
import { besiege, standingOf, stillHeard } from '../../examples/agents/attacks/siege.ts'
import type { Standing } from '../../examples/agents/attacks/siege.ts'
import { isDoorwardError } from '@doorward/sdk'
import { placeOf } from '../../examples/agents/programs/shop.ts'
import { programPlace } from '../../packages/server/src/apps/log-places.ts'
import { verifyPlace } from '../../packages/server/src/apps/verify-log.ts'
import { openExampleStage } from '../fixtures/example-stage.ts'
import type { ExampleStage } from '../fixtures/example-stage.ts'

let stage: ExampleStage
before(async () => {
  stage = await openExampleStage()
})
after(() => stage?.[Symbol.asyncDispose]())

async function attacked(name: string): Promise<Standing> {
  const attack = attacks.find((one) => one.name === name)
  ok(attack, name)
  const attempt = await besiege(attack, stage.loot, stage.reached)
  equal(attempt.result.letThrough, false, `${name} was let through: ${attempt.result.code}`)
  equal(attempt.reached, 0, `${name} has reached something`)
  ok(await stillHeard(stage.loot, stage.reached))
  for (let tries = 0; ; tries++) {
    const standing = standingOf(attempt, await stage.entries())
    if (standing.refused || tries === 200) return standing
    await sleep(25)
  }
}

async function refused(name: string, code: string): Promise<void> {
  const { recorded, refused: wholly } = await attacked(name)
  equal(recorded, code)
  ok(wholly)
}

test('a stolen token is refused on a connection of somebody else', () => refused('stolen token', 'token_binding'))

test('a stolen certificate is refused without its key', () => refused('stolen certificate', 'certificate_untrusted'))

test('a join string that has been used is refused', () => refused('replay', 'join_refused'))

test('who was taken over gets no further than its roles', () => refused('lateral move', 'policy_denied'))

test('a delegation is not widened by whom it was given to', () => refused('widened delegation', 'scope_widened'))

test('a caller writes no header by which a program takes it for somebody else', () =>
  refused('forged header', 'HTTP 403'))

test('a compromised gateway calls nobody with the tokens of its callers', () =>
  refused('compromised gateway: token', 'token_binding'))

test('a compromised gateway exchanges no token of its callers', () =>
  refused('compromised gateway: exchange', 'exchange_audience'))

test('a compromised gateway says of nobody that he calls', () =>
  refused('compromised gateway: assertion', 'policy_denied'))

test('the log of a program is verified by its folders alone, and a changed one is found', async () => {
  const { folder, checkpoints } = placeOf(stage.loot.shop, 'service/stock').record
  ok(await stillHeard(stage.loot, stage.reached))
  const place = await programPlace(folder, checkpoints)
  while ((await verifyPlace(place, '')).unsigned > 0) await sleep(25)
  deepEqual((await verifyPlace(place, '')).problems, [])
  const copy = join(stage.loot.den, 'record')
  await cp(folder, copy, { recursive: true })
  const [segment = ''] = await readdir(join(copy, 'log', 'segments'))
  const bytes = await readFile(join(copy, 'log', 'segments', segment))
  const at = bytes.indexOf('agent/planner')
  ok(at > 0)
  bytes.write('agent/plannes', at)
  await writeFile(join(copy, 'log', 'segments', segment), bytes)
  const changed = await programPlace(copy, checkpoints)
  await verifyPlace(changed, '').then(
    ({ problems }) => notEqual(problems.length, 0),
    (error) => ok(isDoorwardError(error, 'record_corrupt'), String(error)),
  )
  await rejects(verifyPlace({ ...place, copyDir: copy }, ''), { code: 'log_key_missing' })
  await rejects(programPlace(stage.loot.den, checkpoints), { code: 'log_not_found' })
})

test('every attack of the example has a test here', () => equal(attacks.length, 9))
