/** What is taken away is taken away from who is here already: open connections, open streams, tokens in hand. */

import { deepEqual, equal } from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { requestToken } from '../fixtures/authority/workload.ts'
import { dial } from '../fixtures/raw-http.ts'
import { callOf, headOnly, Stage } from './stage.ts'
import type { Attempt, Caller } from './stage.ts'

let stage: Stage
/** From the change to its effect. */
const EFFECTIVE = 5000

before(async () => {
  stage = await Stage.open()
})
after(() => stage.close())

async function setRoles({ id }: Caller, roles: readonly string[]): Promise<void> {
  const { document, revision } = await stage.admin.workload(id)
  await stage.admin.updateWorkload({ ...document, roles }, revision)
}

test('a workload that is removed is refused on its open connection, its open stream ends, and it gets no other', async () => {
  const victim = await stage.caller('agent/victim')
  const bystander = await stage.caller('agent/bystander')
  const right: Attempt = { caller: victim, token: await stage.token(victim) }
  const kept = await dial(victim.tls)
  const stream = await dial(victim.tls)
  await stage.passes({ ...right, on: kept })
  await stage.passes({ ...right, on: stream, method: 'GET', until: headOnly })
  const { code, stderr } = await stage.system.run(['workload', 'remove', 'agent/victim'])
  equal(code, 0, stderr)

  await stage.poll(async () => (kept.destroyed && stream.destroyed) || undefined, 'the end of both', EFFECTIVE)
  const byte = stage.tap.bytes
  equal(await stage.send({ ...right, on: kept }), null)
  equal(stage.tap.bytes, byte)
  await stage.refuses(right, 'identity_denied')
  await stage.refuses({ ...right, method: 'GET' }, 'identity_denied')
  await stage.passes({ caller: bystander })

  const { chain, privateKey } = victim.identity.credentials.current()
  const { main } = stage.deployment.authority.listeners
  const client = await RawClient.open(main, { certificate: chain[0]!, privateKey })
  const answer = await requestToken(client, stage.audience())
  equal(answer.headers['doorward-code'], 'identity_denied')
  client.close()
})

test('registered again under the same name, it must join again: what it held before stays refused', async () => {
  const victim = await stage.caller('agent/again')
  const right: Attempt = { caller: victim, token: await stage.token(victim) }
  await stage.passes(right)
  await stage.admin.removeWorkload(victim.id)
  await stage.admin.addWorkload(victim.id, ['admin'], { again: true })
  await stage.poll(async () => {
    const answer = await stage.send(right)
    return answer?.headers['doorward-code'] === 'identity_denied' || undefined
  }, 'the refusal')
  await stage.refuses(right, 'identity_denied')
})

test('a role that is taken away bites on the open connection, with the token in hand and within its session', async () => {
  const caller = await stage.caller('agent/demoted', ['writer'])
  const on = await dial(caller.tls)
  const write: Attempt = { caller, on, token: await stage.token(caller), body: callOf('write_note') }
  await stage.passes(write)
  await setRoles(caller, [])
  await stage.poll(
    async () => {
      const answer = await stage.send(write)
      return answer?.headers['doorward-code'] === 'policy_denied' || undefined
    },
    'the denial',
    EFFECTIVE,
  )
  await stage.quiet()
  await stage.refuses({ ...write, status: 200 }, 'policy_denied')
  await stage.passes({ ...write, body: callOf('read_note') })
  on.destroy()
})

test('a role that is given counts from the next request on the open connection', async () => {
  const caller = await stage.caller('agent/promoted')
  const on = await dial(caller.tls)
  const write: Attempt = { caller, on, token: await stage.token(caller), body: callOf('write_note') }
  await stage.refuses({ ...write, status: 200 }, 'policy_denied')
  await setRoles(caller, ['writer'])
  await stage.poll(async () => (await stage.send(write))?.headers['doorward-code'] === 'allowed' || undefined, 'it')
  await stage.passes(write)
  on.destroy()
})

test('each removal and each refusal names its caller in the record', async () => {
  const denied = (await stage.entries('gateway')).filter(
    ({ entry }) => entry.kind === 'decision' && entry.body['code'] === 'identity_denied',
  )
  deepEqual(
    [...new Set(denied.map(({ entry }) => entry.body['caller']))],
    ['spiffe://test.example/agent/victim', 'spiffe://test.example/agent/again'],
  )
  const changes = (await stage.entries('authority')).filter(({ entry }) => entry.body['change'] === 'workload.remove')
  deepEqual(
    changes.map(({ entry }) => entry.body['id']),
    ['spiffe://test.example/agent/victim', 'spiffe://test.example/agent/again'],
  )
})

test('the record counts no refusal of these callers as a stranger', () => stage.settle())
