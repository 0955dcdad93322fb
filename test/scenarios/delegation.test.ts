/** An agent acts for another, from the token that it was called with to the call at a gateway, and until a link is taken away. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDoorwardError } from '@doorward/core'
import { openMcpClient, systemRuntime } from '@doorward/sdk'
import type { Identity, McpAnswer, TokenOptions } from '@doorward/sdk'
import { idOf, ownAudience } from '../fixtures/authority/delegation-stage.ts'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { testPolicy } from '../fixtures/authority/running.ts'
import { call, joined, tokenFor } from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'
import { startSystem } from '../fixtures/running-system.ts'
import type { RunningSystem } from '../fixtures/running-system.ts'

const EFFECTIVE = 5000

let system: RunningSystem
let planner: Identity
let worker: Identity
let operator: Workload

before(async () => {
  const allowedAudience = (audience: string) => audience.endsWith('/mcp/files')
  system = await startSystem({ authority: { allowedAudience, policy: testPolicy() } })
  planner = await system.open(await system.join('agent/planner'))
  worker = await system.open(await system.join('agent/worker', { audiences: [ownAudience('agent/worker')] }))
  operator = await joined(system.authority, idOf('doorward/operator/eve'), ['admin'])
})
after(() => system.stop())

/** The worker calls a tool, with a token as these say. */
async function called(token: TokenOptions, tool = 'read_note'): Promise<McpAnswer> {
  const fetch = {
    call: (url: string | URL, options: Parameters<Identity['call']>[1]) => worker.call(url, { ...options, token }),
  }
  const client = { name: 'delegation', version: '1' }
  const session = await openMcpClient({ fetch, endpoint: system.endpoint, runtime: systemRuntime, client })
  const answer = await session.request('tools/call', { name: tool, arguments: {} })
  await session.close()
  return answer
}

const shownToken = (options: TokenOptions = {}) => planner.token(ownAudience('agent/worker'), options)

test('a worker calls for the planner that has called it, as far as that lets it, until the planner is revoked', async () => {
  const onBehalfOf = await shownToken()
  const before = system.tap.bytes
  ok((await called({ onBehalfOf })).ok)
  ok(system.tap.bytes > before)
  const narrow = await shownToken({ scope: ['write:files/*'] })
  await rejects(
    called({ onBehalfOf: narrow }).then((answer) => {
      if (!answer.ok) throw Object.assign(new Error(), { code: 'scope_insufficient' })
    }),
    (error) => codeIn(error) === 'scope_insufficient',
  )
  const nobody = await shownToken({ mayAct: [] })
  await rejects(called({ onBehalfOf: nobody }), (error) => isDoorwardError(error, 'exchange_actor'))
  await rejects(called({ onBehalfOf, scope: ['everything'] }), (error) => isDoorwardError(error, 'scope_unknown'))
  await rejects(called({ onBehalfOf: await planner.token(system.endpoint.audience) }), (error) =>
    isDoorwardError(error, 'exchange_audience'),
  )

  const admin = await RawClient.open(system.authority.running.addresses.admin, operator)
  const body = { subject: 'workload', id: planner.id.uri, reason: 'drill' }
  const main = await RawClient.open(system.authority.running.addresses.main, operator)
  const answer = await call(admin, await tokenFor(main, planner.authorityUrl), 'POST /v1/revocations', body)
  main.close()
  admin.close()
  equal(answer.status, 201, answer.text)
  const from = performance.now()
  const codes: string[] = []
  while (codes.at(-1) !== 'chain_denied' && performance.now() - from < EFFECTIVE) {
    codes.push(await called({ onBehalfOf }).then(() => 'allowed', codeIn))
    await sleep(50)
  }
  equal(codes.at(-1), 'chain_denied')
  const reached = system.tap.bytes
  equal(await called({ onBehalfOf }).then(() => 'allowed', codeIn), 'chain_denied')
  equal(system.tap.bytes, reached)
  ok((await called({})).ok)
  deepEqual([...new Set(codes)].toSorted(), codes.length === 1 ? ['chain_denied'] : ['allowed', 'chain_denied'])
})

function codeIn(error: unknown): string {
  return isDoorwardError(error) ? error.code : String((error as { readonly code?: unknown }).code)
}
