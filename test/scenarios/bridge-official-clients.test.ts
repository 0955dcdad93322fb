/** The official clients behind a stdio bridge, against official servers behind a real gateway and authority. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { openV1, openV2 } from './bridge-official-peers.ts'
import type { Peer, Result } from './bridge-official-peers.ts'
import { BridgeSystem } from './bridge-system.ts'

let system: BridgeSystem
before(async () => {
  system = await BridgeSystem.start()
  await system.join('agent/trusted', [])
  await system.join('agent/reader', [])
})
after(() => system.stop())

const text = (result: Result) => JSON.stringify(result['content'])

const clients: readonly (readonly [string, (server: string, as: string) => Promise<Peer>])[] = [
  ['client 2.4', (server, as) => openV2(system.launch(server, as), 'legacy')],
  ['client 2.4, probing for the newest protocol first', (server, as) => openV2(system.launch(server, as), 'auto')],
  ['sdk 1.32', (server, as) => openV1(system.launch(server, as))],
]

for (const [name, open] of clients) {
  test(`${name} works against server-everything`, async (t) => {
    const peer = await open('everything', 'agent/trusted')
    t.after(() => peer.close())
    await t.test('initialize and list', async () => {
      assert.match(peer.serverName() ?? '', /everything/)
      const names = (await peer.listTools()).tools.map((tool) => tool.name)
      for (const wanted of ['echo', 'get-sum', 'trigger-sampling-request']) assert.ok(names.includes(wanted), wanted)
    })
    await t.test('call', async () => {
      assert.match(
        text(await peer.callTool({ name: 'echo', arguments: { message: 'through two doors' } })),
        /through two doors/,
      )
      assert.match(text(await peer.callTool({ name: 'get-sum', arguments: { a: 2, b: 40 } })), /42/)
    })
    await t.test('resources', async () => {
      const { resources } = await peer.listResources()
      const [first] = resources
      assert.ok(first)
      assert.equal((await peer.readResource({ uri: first.uri })).contents.length, 1)
      assert.equal((await peer.readResource({ uri: 'demo://resource/dynamic/text/1' })).contents.length, 1)
    })
    await t.test('prompts', async () => {
      const names = (await peer.listPrompts()).prompts.map((prompt) => prompt.name)
      assert.ok(names.includes('args-prompt'))
      const { messages } = await peer.getPrompt({ name: 'args-prompt', arguments: { city: 'Utrecht' } })
      assert.match(JSON.stringify(messages), /Utrecht/)
    })
    await t.test('progress', async () => {
      const seen: number[] = []
      const call = { name: 'trigger-long-running-operation', arguments: { duration: 0.3, steps: 3 } }
      assert.match(text(await peer.callTool(call, { onprogress: ({ progress }) => seen.push(progress) })), /completed/i)
      // The clients drop a notification that arrives together with the answer, with or without a bridge.
      assert.deepEqual(seen.slice(0, 2), [1, 2])
    })
    await t.test('cancellation, after which the session goes on', async () => {
      const stop = new AbortController()
      const call = { name: 'trigger-long-running-operation', arguments: { duration: 30, steps: 60 } }
      const running = peer.callTool(call, { signal: stop.signal, onprogress: () => stop.abort() })
      await assert.rejects(running)
      assert.match(text(await peer.callTool({ name: 'echo', arguments: { message: 'still here' } })), /still here/)
    })
    await t.test('requests of the server: sampling, elicitation, roots', async () => {
      assert.match(
        text(await peer.callTool({ name: 'trigger-sampling-request', arguments: { prompt: 'p', maxTokens: 5 } })),
        /sampled here/,
      )
      assert.match(text(await peer.callTool({ name: 'trigger-elicitation-request', arguments: {} })), /declin/i)
      assert.match(text(await peer.callTool({ name: 'get-roots-list', arguments: {} })), /srv\/example/)
    })
  })

  test(`${name} reads files and is denied what its role does not allow`, async (t) => {
    const peer = await open('files', 'agent/reader')
    t.after(() => peer.close())
    const names = (await peer.listTools()).tools.map((tool) => tool.name)
    assert.ok(names.includes('read_text_file'))
    assert.ok(!names.includes('write_file'))
    const path = join(system.documents, 'notes.md')
    assert.match(text(await peer.callTool({ name: 'read_text_file', arguments: { path } })), /the door is shut/)
    const denied = await peer.callTool({ name: 'write_file', arguments: { path, content: 'opened' } })
    assert.equal(denied['isError'], true)
    assert.equal((denied['_meta'] as Result)['doorward/code'], 'policy_denied')
  })
}

test('commands list and call as the identity that they name, and say what would have allowed a denied call', async () => {
  const listed = await system.run(['tools', 'files', '--as', 'agent/reader', '--json'])
  assert.equal(listed.code, 0)
  const { identity, tools } = JSON.parse(listed.stdout) as { identity: string; tools: { name: string }[] }
  assert.equal(identity, 'spiffe://bridge.example/agent/reader')
  assert.ok(tools.some((tool) => tool.name === 'read_text_file'))
  const path = join(system.documents, 'notes.md')
  const read = await system.run(['call', 'files', 'read_text_file', `path=${path}`, 'head=1', '--as', 'agent/reader'])
  assert.equal(read.code, 0)
  assert.match(read.stdout, /the door is shut/)
  assert.match(read.stderr, /decision bridge\.example\/gateway\/main#\d+/)
  const write = await system.run(['call', 'files', 'write_file', `path=${path}`, 'content=x', '--as', 'agent/reader'])
  assert.equal(write.code, 1)
  assert.match(write.stderr, /policy_denied/)
  assert.match(write.stderr, /decision bridge\.example\/gateway\/main#\d+/)
  assert.match(write.stderr, /tools\/call:files\/write_file/)
})

test('commands refuse a server, a host and an identity that are not there', async () => {
  const cases: readonly (readonly [string[], string])[] = [
    [['tools', 'nowhere', '--as', 'agent/reader'], 'server_unknown'],
    [['tools', 'files', '--as', 'agent/nobody'], 'identity_missing'],
    [['connect', 'files', '--install', 'emacs'], 'host_unknown'],
    [['call', 'files', 'read_text_file', 'nonsense', '--as', 'agent/reader'], 'argument_invalid'],
  ]
  for (const [words, code] of cases) {
    const { code: exit, stdout } = await system.run([...words, '--json'])
    assert.equal(exit, 2, words.join(' '))
    assert.equal((JSON.parse(stdout) as { error: { code: string } }).error.code, code)
  }
})

test('a host is told once, with absolute paths and only after confirmation', async () => {
  const file = join(system.folder, 'host.json')
  const words = ['connect', 'files', '--install', 'cursor', '--config-file', file, '--as', 'agent/reader']
  const asked = await system.run(words)
  assert.equal(asked.code, 2)
  assert.match(asked.stderr, /confirmation_needed/)
  assert.equal((await system.run([...words, '--dry-run'])).code, 0)
  const written = await system.run([...words, '--yes', '--json'])
  assert.equal((JSON.parse(written.stdout) as { written: boolean }).written, true)
  const again = await system.run([...words, '--yes', '--json'])
  assert.equal((JSON.parse(again.stdout) as { changed: boolean }).changed, false)
})
