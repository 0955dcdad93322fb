/**
 * The loads of `npm run campaign -- --only load`, small: every live call is answered with its own answer, the record has as
 * many decisions as clients saw, and nothing denied reaches the server. How fast is for the campaign to say.
 */

import { deepEqual, ok } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { LoadStage } from '../load/load-stage.ts'
import { collidingIds, handshakeFlood, idleConnections, slowClients } from '../load/loads.ts'

let load: LoadStage

before(async () => {
  load = await LoadStage.open(3)
})
after(() => load.close())

const small = (count: number) => {
  const until = performance.now() + 30_000
  return { load, count, goOn: () => performance.now() < until, timed: false, measureMilliseconds: 300 }
}

test('twenty clients with colliding ids make two thousand calls, and none is crossed', async () => {
  const { done, findings } = await collidingIds({ ...small(2000), clients: 20 })
  deepEqual(findings, [])
  ok(done >= 2000)
})

test('idle connections disturb nobody', async () => deepEqual((await idleConnections(small(60))).findings, []))

test('a flood of handshakes disturbs nobody', async () => deepEqual((await handshakeFlood(small(1))).findings, []))

test('clients that send byte by byte disturb nobody', async () =>
  deepEqual((await slowClients(small(30))).findings, []))
