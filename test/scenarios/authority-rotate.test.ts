/** Keys that are replaced by command while callers call without pause: nothing fails, counted from outside. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openMcpClient, systemRuntime } from '@doorward/sdk'
import type { McpClient } from '@doorward/sdk'
import { slotPurposes } from '../../packages/server/src/authority/key-slots.ts'
import { Stage } from '../refusals/stage.ts'
import type { Caller } from '../refusals/stage.ts'

const WORKERS = 4

let stage: Stage
let caller: Caller
const stopping = new AbortController()
let running: Promise<void>

before(async () => {
  stage = await Stage.open()
  caller = await stage.caller('agent/planner')
  running = caller.identity.run(stopping.signal)
})
after(async () => {
  stopping.abort()
  await running
  await stage.close()
})

interface Load {
  readonly done: () => number
  readonly failures: unknown[]
  readonly stop: () => Promise<void>
}

/** Calls without pause; nothing is tried again. */
async function load(): Promise<Load> {
  const { gateway } = stage.deployment
  const client: McpClient = await openMcpClient({
    fetch: caller.identity,
    endpoint: { url: stage.audience(), audience: stage.audience(), expectedId: gateway.id },
    runtime: systemRuntime,
    client: { name: 'test', version: '1' },
  })
  let done = 0
  const stopped = new AbortController()
  const failures: unknown[] = []
  const worker = async () => {
    while (!stopped.signal.aborted) {
      await client.request('tools/call', { name: 'read_note', arguments: {} }).then(
        (answer) => (answer.ok ? done++ : failures.push(answer.message)),
        (error: unknown) => failures.push(error),
      )
    }
  }
  const workers = Promise.all(Array.from({ length: WORKERS }, worker))
  return {
    done: () => done,
    failures,
    stop: async () => {
      stopped.abort()
      await workers
      await client.close()
    },
  }
}

async function activeKeys(): Promise<readonly string[]> {
  const status = await stage.admin.status()
  const slots = status['slots'] as readonly { readonly state: string; readonly key_id: string }[]
  return slots.filter(({ state }) => state === 'active').map(({ key_id }) => key_id)
}

/** Decisions of the gateway that were not allowed, and refusals of strangers. */
async function refusals(from: number): Promise<readonly unknown[]> {
  const entries = (await stage.entries('gateway')).slice(from).map(({ entry }) => entry)
  return entries.filter(
    ({ kind, body }) => kind === 'refusals' || (kind === 'decision' && body['decision'] !== 'allow'),
  )
}

test('OP-3: no call fails while anchors and token keys are replaced again and again', async () => {
  const calls = await load()
  const from = (await stage.entries('gateway')).length
  const byte = stage.tap.bytes
  const first = calls.done()
  const seen = new Set(await activeKeys())
  const fingerprint = caller.identity.credentials.current().fingerprint
  const rounds = [['rotate'], ['rotate', '--reissue'], ['rotate', '--reason', 'once more']]
  for (const words of rounds) {
    const { code, stdout, stderr } = await stage.system.run(['authority', ...words, '--json'])
    assert.equal(code, 0, stdout + stderr)
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    const stages = events.flatMap(({ stage: name }) => (typeof name === 'string' ? [name] : []))
    const reissued = words.includes('--reissue') ? ['reissue'] : []
    assert.deepEqual(stages, ['prepare', 'publish', 'activate', ...reissued, 'settle'])
    for (const event of events.filter((one) => one['event'] === 'stage')) assert.equal(event['straggling'], 0)
    for (const key of await activeKeys()) seen.add(key)
  }
  await calls.stop()
  assert.deepEqual(calls.failures, [])
  assert.deepEqual(await refusals(from), [])
  assert.equal(seen.size, slotPurposes.length * (rounds.length + 1))
  assert.notEqual(caller.identity.credentials.current().fingerprint, fingerprint)
  const reached = stage.tap.since(byte).split('"tools/call"').length - 1
  // Workers that were calling when the counting began are in both, or in one of the two counts.
  assert.ok(Math.abs(reached - (calls.done() - first)) <= WORKERS, `${reached} of ${calls.done() - first}`)
})

test('with --retire the old anchors leave the bundle once everybody has moved, and no call fails by that', async () => {
  const calls = await load()
  const from = (await stage.entries('gateway')).length
  const { code, stdout, stderr } = await stage.system.run(['authority', 'rotate', '--retire', '--json'])
  assert.equal(code, 0, stdout + stderr)
  await calls.stop()
  assert.deepEqual(calls.failures, [])
  assert.deepEqual(await refusals(from), [])
})
