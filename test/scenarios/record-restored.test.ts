/** The first disk is lost: what docs/record.md says about the second sink brings every entry back. */

import { deepEqual, equal } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { repository, TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { fences } from '../fixtures/guide.ts'

const yaml = `servers:
  everything: { command: [mcp-server-everything] }
roles:
  caller: ["tools/call:everything/echo"]
bindings:
  - { role: caller, workloads: ["spiffe://acme.example/agent/*"] }
audit:
  second_sink: { dir: sink }
  keep: [{ calls: ["tools/call:everything/echo"], arguments: { hmac: [message] } }]
${wideLimits}`

let system: TestDeployment | null = null
after(() => system?.remove())

test('a lost log is put back from the second sink, entry by entry, and verifies', async () => {
  const deployment = await TestDeployment.prepare({ yaml, trustDomain: 'acme.example' })
  system = deployment
  const run = async (...words: readonly string[]) => {
    const { code, stdout, stderr } = await deployment.run(words)
    equal(code, 0, `${words.join(' ')}\n${stdout}${stderr}`)
    return stdout
  }
  const missing = await deployment.up().then(
    () => '',
    (error: unknown) => String(error),
  )
  equal(/second sink of the record is not there/.test(missing), true, missing)
  await mkdir(join(deployment.folder, 'sink'))
  await deployment.up()
  const told = JSON.stringify(deployment.events)
  equal(told.split('is on the same disk as the log').length, 3, told)
  ;(await deployment.identity('agent/a')).close()
  for (const message of ['one', 'two']) await run('call', 'everything', 'echo', `message=${message}`, '--as', 'agent/a')
  await deployment.interrupt()
  const before = await deployment.record('gateway')

  const guide = await readFile(join(repository, 'docs', 'record.md'), 'utf8')
  const steps = fences(guide).find(({ kind, text }) => kind === 'sh' && text.includes('/mnt/audit'))
  const script = (steps?.text ?? '').replaceAll('/mnt/audit', 'sink')
  const { status, stderr } = spawnSync('/bin/sh', ['-e', '-c', script], { cwd: deployment.folder, encoding: 'utf8' })
  equal(status, 0, stderr)
  await deployment.up()
  const put = await deployment.record('gateway')
  deepEqual(put.slice(0, before.length), before)
  await run('call', 'everything', 'echo', 'message=three', '--as', 'agent/a')
  const { code, stdout } = await deployment.run(['audit', 'hmac', '--log', 'gateway', '--json'], 'three\n')
  equal(code, 0)
  const kept = (await deployment.record('gateway')).flatMap(({ entry: { body } }) => body['kept'] ?? [])
  deepEqual(kept.at(-1), { arguments: { hmac: { message: (JSON.parse(stdout) as { hmac: string }).hmac } } })
  equal((await deployment.run(['audit', 'hmac', '--log', 'authority'], 'three')).code, 2)
  await run('audit', 'verify')
})
