/** A deployment whose store was put back from a copy, as its operator meets it: told with what to do, and mended by that. */

import { equal, match, ok } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { stateFolders } from '../../packages/server/src/config/settings.ts'
import { repository, TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { startError } from '../fixtures/state-copies.ts'

const documents = join(repository, 'examples', 'first-call', 'documents')
const yaml = `servers:
  files:
    command: [mcp-server-filesystem, ${documents}]
    effects: { read: [read_*, list_*] }
roles:
  reader: ["read:files/*"]
bindings:
  - { role: reader, workloads: ["spiffe://test.example/agent/*"] }
${wideLimits}`

let system: TestDeployment

before(async () => {
  system = await TestDeployment.start({ yaml })
  ;(await system.identity('agent/one')).close()
})
after(() => system.remove())

const call = () => system.run(['call', 'files', 'list_directory', `path=${documents}`, '--as', 'agent/one'])

test('RV-7: up says that the store was put back and what to do, and that brings gateway and agents back', async () => {
  equal((await call()).code, 0)
  await system.interrupt()
  const { stateDir } = await system.deployment()
  const store = join(stateFolders(stateDir).authority, 'authority.db')
  const copy = join(system.folder, 'authority.db.copy')
  await cp(store, copy)
  await system.up()
  equal((await call()).code, 0)
  equal((await system.run(['workload', 'add', 'agent/two', '--out', join(system.folder, 'two.join')])).code, 0)
  await system.interrupt()
  for (const suffix of ['', '-wal', '-shm']) await rm(`${store}${suffix}`, { force: true })
  await cp(copy, store)

  const error = await startError(system)
  equal(error.code, 'store_restored')
  match(error.next ?? '', /authority run --after-restore/)
  match(error.expected ?? '', /trust state \(\d+, \d+\)/)

  const { command, args, env } = system.launch(['authority', 'run', '--after-restore'])
  const child = spawn(command, args, { cwd: system.folder, env, stdio: ['ignore', 'ignore', 'pipe'] })
  const events: string[] = []
  await new Promise<void>((resolve, reject) => {
    child.once('close', () => reject(new Error(events.join('\n'))))
    createInterface({ input: child.stderr }).on('line', (line) => {
      events.push(line)
      if (line.includes('"event":"ready"')) resolve()
    })
  })
  ok(
    events.some(
      (line) => line.includes('store_mended') && line.includes('registration of spiffe://test.example/agent/two'),
    ),
  )
  child.kill('SIGTERM')
  await once(child, 'close')

  await system.up()
  const again = await call()
  equal(again.code, 0, again.stderr)
  const list = await system.run(['workload', 'list'])
  match(list.stdout, /agent\/two/)
})
