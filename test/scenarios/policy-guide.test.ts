/** The guide to policy, from its sentence to a tested policy: its own files, its own commands. */

import { equal, match, ok } from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { repository, TestDeployment } from '../fixtures/deployment.ts'
import { fences, readGuide } from '../fixtures/guide.ts'

describe('docs/policy.md', () => {
  let system: TestDeployment
  let markdown: string
  const guide = () => readGuide(markdown)
  const fence = (kind: string) => fences(markdown).find((one) => one.kind === kind)?.text ?? ''
  const fileOf = (machine: string, file: string) =>
    guide().files.find((one) => one.machine === machine && one.name === file)?.text ?? ''

  before(async () => {
    markdown = await readFile(join(repository, 'docs', 'policy.md'), 'utf8')
    system = await TestDeployment.prepare({ yaml: fileOf('here', 'doorward.yaml'), trustDomain: 'acme.example' })
    for (const folder of ['tools', 'policies']) await mkdir(join(system.folder, folder))
    await writeFile(join(system.folder, 'tools', 'github.json'), fence('json'))
    await writeFile(join(system.folder, 'policies', 'issues.cedar'), fence('cedar'))
    await writeFile(join(system.folder, 'expectations.yaml'), fileOf('here', 'expectations.yaml'))
  })
  after(() => system.remove())

  test('its commands do what it says', async () => {
    const commands = guide().commands.filter(({ machine }) => machine === 'here')
    equal(commands.length, 4)
    for (const { words, exit, line } of commands) {
      const [program, ...rest] = words
      equal(program, 'doorward', line)
      const { code, stdout, stderr } = await system.run(rest)
      equal(code, exit, `${line}\n${stdout}${stderr}`)
    }
  })

  test('a mistyped argument is a mistake with a suggestion', async () => {
    await writeFile(join(system.folder, 'typo.cedar'), fence('cedar').replace('args.repo', 'args.rpeo'))
    const { code, stdout } = await system.run(['policy', 'check', '--candidate', 'typo.cedar'])
    equal(code, 1)
    match(stdout, /typo\.cedar:\d+:\d+.*args\.rpeo[^]*did you mean `repo`/)
  })

  test('a policy without one of its conditions fails an expectation', async () => {
    const policy = fence('cedar')
    const conditions = policy.split('\n').filter((line) => line.startsWith('when'))
    equal(conditions.length, 3)
    for (const condition of conditions) {
      const end = condition.endsWith(';') ? ';' : ''
      await writeFile(join(system.folder, 'policies', 'issues.cedar'), policy.replace(condition, end))
      const { code, stdout } = await system.run(['policy', 'test', 'expectations.yaml'])
      equal(code, 1, `${condition}\n${stdout}`)
    }
  })

  test('its roles and bindings are taken as they are written', async () => {
    const servers = 'servers: { files: { command: ["true"] }, github: { command: ["true"] } }\n'
    await system.configure(`${servers}${fileOf('example', 'doorward.yaml')}`, { trustDomain: 'acme.example' })
    const { code, stderr } = await system.run(['config', 'check'])
    ok(code === 0, stderr)
  })
})
