/** Processes killed while calls run: the supervisor brings them back, and no acknowledged decision is lost. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openMcpClient, systemRuntime } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { serverEndpoint } from '../../packages/server/src/apps/bridge.ts'
import { TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { json, scriptedServer } from '../fixtures/scripted-server.ts'
import type { ScriptedServer } from '../fixtures/scripted-server.ts'
import { isRunning } from '../fixtures/state-copies.ts'

describe('kill -9', () => {
  let system: TestDeployment
  let server: ScriptedServer
  let agent: Identity
  before(async () => {
    server = await scriptedServer(({ body }, response) => {
      const { id } = JSON.parse(body === '' ? '{}' : body) as { id?: number }
      json(response, JSON.stringify({ jsonrpc: '2.0', id, result: { content: [] } }))
    })
    system = await TestDeployment.start({
      yaml: `servers: { notes: { url: "${server.url}", insecure_upstream: true } }
roles: { all: ["*"] }
bindings: [{ role: all, workloads: ["spiffe://test.example/agent/*"] }]
${wideLimits}`,
    })
    agent = await system.identity('agent/a')
  })
  after(async () => {
    agent.close()
    await server.close()
    await system.remove()
  })

  const pidOf = (part: string) =>
    Number(system.events.findLast((event) => event['event'] === 'started' && event['part'] === part)?.['pid'])
  const seen = async (what: () => boolean, name: string) => {
    const deadline = performance.now() + 60_000
    while (!what()) {
      ok(performance.now() < deadline, `not seen: ${name} ${JSON.stringify(system.events.slice(-5))}`)
      await sleep(25)
    }
  }
  const session = async () =>
    openMcpClient({
      fetch: agent,
      endpoint: serverEndpoint(await system.deployment(), 'notes'),
      runtime: systemRuntime,
      client: { name: 'test', version: '1' },
    })
  /** Calls, one after the other and with sessions as they come, until told to stop. Entries that were acknowledged. */
  const caller = (stop: AbortSignal) => {
    const acknowledged: string[] = []
    let failures = 0
    const work = async () => {
      while (!stop.aborted) {
        try {
          const client = await session()
          while (!stop.aborted) {
            const answer = await client.request('tools/call', { name: 'x', arguments: {} })
            if (!answer.ok) break
            if (answer.decision?.decision != null) acknowledged.push(answer.decision.decision)
          }
          await client.close()
        } catch {
          failures++
          await sleep(50)
        }
      }
    }
    return { acknowledged, failures: () => failures, done: Promise.all([work(), work()]) }
  }
  const works = async () => {
    const client = await session()
    const answer = await client.request('tools/call', { name: 'x', arguments: {} })
    await client.close()
    return answer.ok
  }

  const indexOf = (name: string) => Number(name.split('#')[1])
  /** The record, once its signed checkpoint covers the index. */
  const recordTo = async (index: number) => {
    for (let tries = 0; ; tries++) {
      const record = await system.record()
      if (record.length > index || tries > 200) return record
      await sleep(50)
    }
  }

  for (const part of ['gateway', 'authority'] as const) {
    test(`of the ${part} while calls run: it comes back, calls work again, every acknowledged decision is in the record`, async () => {
      const stop = new AbortController()
      const calls = caller(stop.signal)
      await seen(() => calls.acknowledged.length > 20, 'calls')
      const pid = pidOf(part)
      process.kill(pid, 'SIGKILL')
      const before = calls.acknowledged.length
      await seen(() => pidOf(part) !== pid, 'a new process')
      await seen(() => calls.acknowledged.length > before + 20, 'calls again')
      stop.abort()
      await calls.done
      if (part === 'authority') equal(calls.failures(), 0, 'the gateway needs no authority during calls')
      const record = await recordTo(Math.max(...calls.acknowledged.map(indexOf)))
      for (const name of calls.acknowledged) {
        const { entry } = record[indexOf(name)] ?? {}
        deepEqual([entry?.kind, entry?.body['code']], ['decision', 'allowed'], name)
      }
      equal((await system.run(['audit', 'verify'])).code, 0)
      ok(system.events.some((event) => event['event'] === 'died' && event['part'] === part))
    })
  }

  test('the authority that came back registers and enrols', async () => {
    const fresh = await system.identity('agent/b')
    ok((await fresh.token(serverEndpoint(await system.deployment(), 'notes').audience)) !== null)
    fresh.close()
  })

  test('of the supervisor: both children end by themselves, and a new start takes up the state', async () => {
    const children = [pidOf('gateway'), pidOf('authority')]
    process.kill(system.pid, 'SIGKILL')
    await seen(() => children.every((pid) => !isRunning(pid)), 'the end of the children')
    await system.up()
    ok(await works())
    equal((await system.run(['audit', 'verify'])).code, 0)
  })
})
