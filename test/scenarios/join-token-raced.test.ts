/** One join token, four processes, two hundred joins at once, against a deployment as a person starts it. */

import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import type { JoinOrder } from '../fixtures/join-process.ts'

const processes = 4
const perProcess = 50
let system: TestDeployment

before(async () => {
  system = await TestDeployment.start({ yaml: wideLimits })
})
after(() => system.remove())

async function codesOf(order: JoinOrder): Promise<readonly string[]> {
  const script = new URL('../fixtures/join-process.ts', import.meta.url).pathname
  const child = fork(script, { execArgv: ['--conditions=source'] })
  const answered = once(child, 'message')
  child.send(order)
  const [codes] = (await answered) as [readonly string[]]
  return codes
}

test('BS-3: of two hundred concurrent joins with one token over four processes exactly one succeeds', async () => {
  const { stdout, code } = await system.run(['workload', 'add', 'agent/raced', '--json'])
  assert.equal(code, 0)
  const { join_string } = JSON.parse(stdout) as { join_string: string }
  const order = { joinString: join_string, folder: `${system.folder}/raced`, count: perProcess }
  const codes = (await Promise.all(Array.from({ length: processes }, () => codesOf(order)))).flat()
  assert.equal(codes.length, processes * perProcess)
  assert.equal(codes.filter((one) => one === 'joined').length, 1)
  assert.deepEqual([...new Set(codes)].toSorted(), ['join_refused', 'joined'])

  const shown = JSON.parse((await system.run(['workload', 'show', 'agent/raced', '--json'])).stdout) as {
    instances: readonly object[]
  }
  assert.equal(shown.instances.length, 1)
  await system.interrupt()
  assert.equal(await refusalsOnRecord(), processes * perProcess - 1)
})

/** Refused before their decision, explained or counted, and after it, by the store. */
async function refusalsOnRecord(): Promise<number> {
  let refused = 0
  for (const { entry } of await system.record('authority')) {
    const { kind, body } = entry
    if (kind === 'refusals' && body['reason'] === 'join_refused') refused += Number(body['count'])
    else if ((kind === 'decision' || kind === 'outcome') && body['code'] === 'join_refused') refused++
  }
  return refused
}
