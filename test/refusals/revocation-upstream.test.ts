/** Connections of a gateway to servers of its own trust domain: what is denied there ends here too. */

import { rejects } from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { parseSpiffeId } from '@doorward/core'
import type { Identity } from '@doorward/sdk'
import { ownUpstream } from '../../packages/server/src/apps/own-upstream.ts'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { testPolicy } from '../fixtures/authority/running.ts'
import { call, joined, tokenFor } from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'
import { startSystem } from '../fixtures/running-system.ts'
import type { RunningSystem } from '../fixtures/running-system.ts'

/** From the change to its effect. */
const EFFECTIVE = 5000

let system: RunningSystem
let operator: Workload
let caller: Identity

before(async () => {
  system = await startSystem({ authority: { policy: testPolicy() } })
  operator = await joined(system.authority, 'spiffe://test.example/doorward/operator/eve', ['admin'])
  caller = await system.open(await system.join('agent/front'))
})
after(() => system.stop())

test('RV-4: a connection to a server ends when its identity is denied, and none to it begins', async () => {
  const { gateway, authority } = system
  const { host, port } = gateway.addresses.main
  const { tls, close } = ownUpstream(caller, parseSpiffeId(gateway.id))
  if (tls.kind !== 'connector') throw new TypeError('expected a connector')
  const socket = await tls.connect(host, port)
  const closed = once(socket, 'close', { signal: AbortSignal.timeout(EFFECTIVE) })
  const { main, admin } = authority.running.addresses
  const subject = { subject: 'workload', id: gateway.id }
  const [forToken, client] = [await RawClient.open(main, operator), await RawClient.open(admin, operator)]
  const token = await tokenFor(forToken, `https://${main.host}:${main.port}`)
  const { status, text } = await call(client, token, 'POST /v1/revocations', subject)
  if (status !== 201) throw new Error(text)
  for (const one of [forToken, client]) one.close()
  await closed
  await rejects(tls.connect(host, port), { code: 'server_revoked' })
  close()
})
