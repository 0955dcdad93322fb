/** What an official client must be able to do at `server-everything`, whatever lies between. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { TestDeployment } from '../fixtures/deployment.ts'
import type { OpenPeer, Result } from '../fixtures/official-peers.ts'

/** A test that waits for a notification that never comes must not wait for ever. */
const limit = { timeout: 30_000 }
const textUri = 'demo://resource/dynamic/text/1'

export function textOf(result: Result): string {
  return JSON.stringify(result['content'])
}

/** Names the tests after the client and the way it comes. */
export function everythingWorks(name: string, open: () => Promise<OpenPeer>): void {
  test(`${name} works against server-everything`, limit, async (t) => {
    const peer = await open()
    const { client } = peer
    t.after(() => peer.close())
    await t.test('initialize and ping', async () => {
      assert.match(peer.serverName ?? '', /everything/)
      await client.ping()
    })
    await t.test('tools', async () => {
      const names = (await client.listTools()).tools.map((tool) => tool.name)
      for (const wanted of ['echo', 'get-sum', 'trigger-sampling-request']) assert.ok(names.includes(wanted), wanted)
      assert.match(textOf(await peer.call('echo', { message: 'through two doors' })), /through two doors/)
      assert.match(textOf(await peer.call('get-sum', { a: 2, b: 40 })), /42/)
    })
    await t.test('resources and their templates', async () => {
      const [first] = (await client.listResources()).resources
      assert.ok(first)
      assert.equal((await client.readResource({ uri: first.uri })).contents.length, 1)
      const templates = (await client.listResourceTemplates()).resourceTemplates.map((one) => one.uriTemplate)
      assert.ok(templates.includes('demo://resource/dynamic/text/{resourceId}'))
      assert.equal((await client.readResource({ uri: textUri })).contents.length, 1)
    })
    await t.test('prompts', async () => {
      const names = (await client.listPrompts()).prompts.map((prompt) => prompt.name)
      assert.ok(names.includes('args-prompt'))
      const { messages } = await client.getPrompt({ name: 'args-prompt', arguments: { city: 'Utrecht' } })
      assert.match(JSON.stringify(messages), /Utrecht/)
    })
    await t.test('completion of a prompt and of a resource template', async () => {
      const prompt = { type: 'ref/prompt', name: 'completable-prompt' } as const
      const department = await client.complete({ ref: prompt, argument: { name: 'department', value: 'E' } })
      assert.deepEqual(department.completion.values, ['Engineering'])
      const template = { type: 'ref/resource', uri: 'demo://resource/dynamic/text/{resourceId}' } as const
      const resource = await client.complete({ ref: template, argument: { name: 'resourceId', value: '7' } })
      assert.deepEqual(resource.completion.values, ['7'])
    })
    await notificationsWork(t, peer)
    await requestsOfTheServerWork(t, peer)
  })
}

async function notificationsWork(t: TestContext, peer: OpenPeer): Promise<void> {
  const { client } = peer
  await t.test('progress', async () => {
    const seen: number[] = []
    const call = { duration: 0.3, steps: 3 }
    const onprogress = ({ progress }: { progress: number }) => void seen.push(progress)
    assert.match(textOf(await peer.call('trigger-long-running-operation', call, { onprogress })), /completed/i)
    // The clients drop a notification that arrives together with the answer, with or without a bridge.
    assert.deepEqual(seen.slice(0, 2), [1, 2])
  })
  await t.test('cancellation, after which the session goes on', async () => {
    const stop = new AbortController()
    const call = { duration: 30, steps: 60 }
    const options = { signal: stop.signal, onprogress: () => stop.abort() }
    await assert.rejects(peer.call('trigger-long-running-operation', call, options))
    assert.match(textOf(await peer.call('echo', { message: 'still here' })), /still here/)
  })
  await t.test('logging', async () => {
    await client.setLoggingLevel('debug')
    await peer.call('toggle-simulated-logging')
    assert.equal(typeof (await peer.heard('notifications/message')).params?.['data'], 'string')
    await peer.call('toggle-simulated-logging')
  })
  await t.test('updates of a resource that the client subscribes to', async () => {
    await client.subscribeResource({ uri: textUri })
    await peer.call('toggle-subscriber-updates')
    assert.equal((await peer.heard('notifications/resources/updated')).params?.['uri'], textUri)
    await peer.call('toggle-subscriber-updates')
    await client.unsubscribeResource({ uri: textUri })
  })
}

async function requestsOfTheServerWork(t: TestContext, peer: OpenPeer): Promise<void> {
  await t.test('sampling', async () => {
    const result = await peer.call('trigger-sampling-request', { prompt: 'p', maxTokens: 5 })
    assert.match(textOf(result), /sampled here/)
  })
  await t.test('elicitation', async () => {
    assert.match(textOf(await peer.call('trigger-elicitation-request')), /Ada/)
  })
  await t.test('roots, and their change', async () => {
    assert.match(textOf(await peer.call('get-roots-list')), /srv\/example/)
    peer.roots = [{ uri: 'file:///srv/other', name: 'other' }]
    await peer.client.sendRootsListChanged()
    while (!/srv\/other/.test(textOf(await peer.call('get-roots-list'))))
      await new Promise((resolve) => setTimeout(resolve, 20))
  })
}

/** Every suite cancels one call; the record says so, and holds one outcome for each call that it allowed. */
export async function recordTellsOfCancelled(system: TestDeployment, suites: number): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const record = await system.record()
    const entries = record.map(({ entry }) => entry)
    const allowed = record.filter(({ entry }) => entry.body['decision'] === 'allow')
    const outcomes = entries.filter(({ kind }) => kind === 'outcome')
    if (outcomes.length < allowed.length && attempt < 50) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      continue
    }
    assert.equal(outcomes.length, allowed.length)
    const actionOf = new Map(allowed.map(({ index, entry }) => [index, entry.body['action']]))
    const cancelled = outcomes.filter(
      ({ body }) => body['status'] === 'cancelled' && actionOf.get(Number(body['of'])) === 'tools/call',
    )
    assert.equal(cancelled.length, suites)
    assert.equal([...actionOf.values()].filter((action) => action === 'notifications/cancelled').length, suites)
    return
  }
}
