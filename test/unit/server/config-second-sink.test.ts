import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { loadConfiguration } from '../../../packages/server/src/config/load.ts'
import { ConfigurationError } from '../../../packages/server/src/config/problem.ts'
import { secondSink } from '../../../packages/server/src/config/second-sink.ts'
import { deploymentOf } from '../../../packages/server/src/config/settings.ts'

const folder = await mkdtemp(join(tmpdir(), 'doorward-config-sink-'))
after(() => rm(folder, { recursive: true, force: true }))

async function sinkOf(text: string): Promise<string | null> {
  const file = join(folder, 'doorward.yaml')
  await writeFile(file, `trust_domain: acme.example\naudit:\n${text}`)
  return secondSink(deploymentOf(await loadConfiguration(file)))
}

test('a second sink lies where the configuration says, or nowhere', async () => {
  assert.equal(await sinkOf('  exports: []\n'), null)
  assert.equal(await sinkOf('  second_sink: { dir: sink }\n'), join(folder, 'sink'))
  assert.equal(await sinkOf('  second_sink: { dir: /mnt/audit }\n'), '/mnt/audit')
})

test('a second sink within the state, around it, or behind a link into it is a mistake', async () => {
  await mkdir(join(folder, '.doorward', 'gateway', 'record'), { recursive: true })
  await symlink(join(folder, '.doorward', 'gateway'), join(folder, 'link'))
  for (const dir of ['.doorward/sink', '.doorward/gateway/record/sink', '.doorward', '.', 'link/record']) {
    await assert.rejects(sinkOf(`  second_sink: { dir: ${dir} }\n`), (error) => {
      assert.ok(error instanceof ConfigurationError)
      const [problem] = error.problems
      assert.deepEqual([problem?.path, problem?.line, problem?.got], ['audit.second_sink.dir', 3, dir])
      return true
    })
  }
  for (const wrong of ['second_sink: {}', 'second_sink: { dir: "" }', 'second_sink: sink', 'second_sink: { dirs: a }'])
    await assert.rejects(sinkOf(`  ${wrong}\n`), ConfigurationError)
})
