/** `config check` judges everything that the policy is made of, without starting anything. */

import { deepEqual, equal, match } from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { TestDeployment } from '../fixtures/deployment.ts'

let system: TestDeployment
before(async () => {
  const tools = `servers:
  files: { command: [x], tools: tools.json }
  search: { command: [x] }
roles: { reader: ["read:files/*"] }
bindings: [{ role: reader, issuer: "https://id.example", groups: [research] }]
policy: { files: [rules] }
`
  system = await TestDeployment.prepare({ yaml: tools })
  await mkdir(join(system.folder, 'rules'))
  const inputSchema = { type: 'object', properties: { path: { type: 'string' } } }
  await writeFile(join(system.folder, 'tools.json'), JSON.stringify({ tools: [{ name: 'read', inputSchema }] }))
})
after(() => system.remove())

const check = async (rules: string, ...words: readonly string[]) => {
  await writeFile(join(system.folder, 'rules', 'own.cedar'), rules)
  return system.run(['config', 'check', ...words])
}

const forbid = (server: string, condition: string) =>
  `forbid (principal, action == Action::"tools/call", resource in Server::"${server}")\nwhen { ${condition} };\n`

test('a sound policy is counted, and what is doubtful is told', async () => {
  const { code, stdout } = await check(forbid('files', 'context.args has path && context.args.path == "x"'))
  equal(code, 0, stdout)
  match(stdout, /policies {6}\d+ with those of roles, files 1\n/)
  match(stdout, /bindings of users and groups of https:\/\/id\.example: no such issuer is configured/)
  const open = await check(forbid('search', 'context.args has q && context.args.q == "x"'), '--json')
  equal(open.code, 0)
  const { policy } = JSON.parse(open.stdout) as { policy: { warnings: readonly { file: string; line: number }[] } }
  deepEqual(
    policy.warnings.map(({ file, line }) => [file, line]),
    [['rules/own.cedar', 1]],
  )
})

test('every mistake is told with file, line and column, and the command ends with 2', async () => {
  const wrong = forbid('files', 'context.args.pth == "x"') + forbid('files', 'context.args.path + 1 == 2')
  const { code, stderr, stdout } = await check(wrong)
  equal(code, 2)
  match(stdout + stderr, /rules\/own\.cedar:2:\d+: .*pth/)
  const asJson = await check(wrong, '--json')
  const { error } = JSON.parse(asJson.stdout) as {
    error: { code: string; problems: readonly { file: string; line: number; column: number }[] }
  }
  equal(error.code, 'configuration_invalid')
  deepEqual([...new Set(error.problems.map(({ file, line }) => `${file}:${line}`))].toSorted(), [
    'rules/own.cedar:2',
    'rules/own.cedar:4',
  ])
})

const shadowed = (text: string) =>
  writeFile(
    system.configFile,
    text.replace('policy: { files: [rules] }', 'policy: { files: [rules], shadow: later/next.yaml }'),
  )

test('the candidate is judged as the policy is, and what is wrong with it is told with its own place', async () => {
  const configured = await readFile(system.configFile, 'utf8')
  const sound = forbid('files', 'context.args has path && context.args.path == "x"')
  const write = (name: string, text: string) => writeFile(join(system.folder, 'later', name), text)
  await mkdir(join(system.folder, 'later'))
  await shadowed(configured)
  const missing = await check(sound)
  equal(missing.code, 2)
  match(missing.stderr, /doorward\.yaml:\d+ policy\.shadow: .*; expected/)

  await write(
    'next.yaml',
    configured.replace('tools: tools.json', 'tools: ../tools.json').replace('[rules]', '[own.cedar]'),
  )
  await write('own.cedar', sound.replace('path &&', 'pth &&'))
  const { code, stdout } = await check(sound)
  equal(code, 0, stdout)
  match(stdout, /candidate {5}later\/next\.yaml: \d+ policies/)
  match(stdout, /later\/own\.cedar:2:25: no tool .* "pth" \(did you mean "path"\?\)/)

  const wrong = 'permit (principal in Role::"raeder", action, resource in Server::"fils");\npermit (principal,'
  for (const [text, expected] of [
    [wrong.slice(0, wrong.indexOf('\n')), /own\.cedar:1:22: .*Role::"reader"[^]*own\.cedar:1:58: .*Server::"files"/],
    [wrong, /own\.cedar:2:\d+: /],
    [forbid('files', 'context.args.path + 1 == 2'), /own\.cedar:2:\d+: /],
  ] as const) {
    await write('own.cedar', text)
    const told = await check(sound)
    equal(told.code, 2)
    match(told.stderr, expected)
    match(told.stderr, /later\/own\.cedar/)
  }
  await write('next.yaml', configured.replaceAll('test.example', 'other.example').replace('[rules]', '[]'))
  match((await check(sound)).stderr, /later\/next\.yaml:1 trust_domain: a candidate is of the same trust domain/)
  await writeFile(system.configFile, configured)
})

test('text that could harm its reader is a mistake like others', async () => {
  for (const condition of [`${'('.repeat(1000)}true${')'.repeat(1000)}`, `${'!'.repeat(20_000)}true`]) {
    const { code, stdout } = await check(forbid('files', condition), '--json')
    equal(code, 2)
    match((JSON.parse(stdout) as { error: { code: string } }).error.code, /^(configuration_invalid|policy_hostile)$/)
  }
})
