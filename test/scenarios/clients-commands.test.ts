/** `tools`, `call` and `connect --install` as a person calls them, against official servers. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { startOfficialServers } from '../fixtures/official-servers.ts'
import type { OfficialServers } from '../fixtures/official-servers.ts'

const opened = new AsyncDisposableStack()
let servers: OfficialServers
before(async () => {
  servers = await startOfficialServers({ agents: ['reader'] })
  opened.defer(() => servers.close())
})
after(() => opened.disposeAsync())

const run = (words: readonly string[]) => servers.system.run(words)

test('commands list and call as the identity that they name, and say what would have allowed a denied call', async () => {
  const listed = await run(['tools', 'files', '--as', 'agent/reader', '--json'])
  assert.equal(listed.code, 0)
  const { identity, tools } = JSON.parse(listed.stdout) as { identity: string; tools: { name: string }[] }
  assert.equal(identity, 'spiffe://test.example/agent/reader')
  assert.ok(tools.some((tool) => tool.name === 'read_text_file'))
  const path = join(servers.documents, 'notes.md')
  const read = await run(['call', 'files', 'read_text_file', `path=${path}`, 'head=1', '--as', 'agent/reader'])
  assert.equal(read.code, 0)
  assert.match(read.stdout, /the door is shut/)
  assert.match(read.stderr, /decision test\.example\/gateway\/main#\d+/)
  const write = await run(['call', 'files', 'write_file', `path=${path}`, 'content=x', '--as', 'agent/reader'])
  assert.equal(write.code, 1)
  assert.match(write.stderr, /policy_denied/)
  assert.match(write.stderr, /decision test\.example\/gateway\/main#\d+/)
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
    const { code: exit, stdout } = await run([...words, '--json'])
    assert.equal(exit, 2, words.join(' '))
    assert.equal((JSON.parse(stdout) as { error: { code: string } }).error.code, code)
  }
})

test('a host is told once, with absolute paths and only after confirmation', async () => {
  const file = join(servers.system.folder, 'host.json')
  const words = ['connect', 'files', '--install', 'cursor', '--config-file', file, '--as', 'agent/reader']
  const asked = await run(words)
  assert.equal(asked.code, 2)
  assert.match(asked.stderr, /confirmation_needed/)
  assert.equal((await run([...words, '--dry-run'])).code, 0)
  const written = await run([...words, '--yes', '--json'])
  assert.equal((JSON.parse(written.stdout) as { written: boolean }).written, true)
  const again = await run([...words, '--yes', '--json'])
  assert.equal((JSON.parse(again.stdout) as { changed: boolean }).changed, false)
})
