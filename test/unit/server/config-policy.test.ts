/** Which files the policy of a deployment is made of, and what is wrong with them. */

import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { loadConfiguration, parseConfiguration } from '../../../packages/server/src/config/load.ts'
import { compiledPolicy } from '../../../packages/server/src/config/policy-source.ts'
import { ConfigurationError, problemLine } from '../../../packages/server/src/config/problem.ts'
import { deploymentOf } from '../../../packages/server/src/config/settings.ts'

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doorward-policy-'))
})
after(() => rm(folder, { recursive: true, force: true }))

const write = (name: string, content: string | Uint8Array) => writeFile(join(folder, name), content)
const head = 'trust_domain: acme.example\n'
const servers = (tools: string) => `servers: { files: { command: [x], tools: ${tools} } }\n`

async function compiled(yaml: string) {
  await write('doorward.yaml', `${head}${yaml}`)
  return compiledPolicy(deploymentOf(await loadConfiguration(join(folder, 'doorward.yaml'))))
}

/** Every mistake as it is shown, without the folder. */
async function mistakes(yaml: string): Promise<readonly string[]> {
  try {
    await compiled(yaml)
  } catch (error) {
    ok(error instanceof ConfigurationError, String(error))
    return error.problems.map((problem) => problemLine(error.file, problem).replaceAll(`${folder}/`, ''))
  }
  return []
}

const files = (...names: readonly string[]) => `policy: { files: ${JSON.stringify(names)} }\n`

describe('policy.files', () => {
  test('are files as they are named, and of folders every Cedar file, sorted', async () => {
    await mkdir(join(folder, 'rules'))
    await write('rules/b.cedar', '// b')
    await write('rules/a.cedar', '// a')
    await write('rules/notes.txt', 'no policy')
    await write('own.cedar', '// own')
    const { files: read } = await compiled(files('own.cedar', './rules'))
    deepEqual(read, [
      { name: 'own.cedar', text: '// own' },
      { name: 'rules/a.cedar', text: '// a' },
      { name: 'rules/b.cedar', text: '// b' },
    ])
    await mkdir(join(folder, 'none'))
    deepEqual((await compiled(files('none'))).files, [])
  })

  test('that are missing, no text, of another kind, or named twice are told with their lines, all at once', async () => {
    await write('bytes.cedar', new Uint8Array([0xff, 0xfe]))
    await write('one.cedar', '')
    await symlink('one.cedar', join(folder, 'link.cedar'))
    execFileSync('mkfifo', [join(folder, 'pipe.cedar')])
    const told = await mistakes(`policy:
  files:
    - missing.cedar
    - bytes.cedar
    - one.cedar
    - link.cedar
    - pipe.cedar
`)
    deepEqual(
      told.map((line) => line.replace(/, got .*$/, '')),
      [
        'doorward.yaml:4 policy.files[0]: there is no such file; expected a readable file',
        'doorward.yaml:5 policy.files[1]: bytes.cedar: not text; expected UTF-8',
        'doorward.yaml:7 policy.files[3]: link.cedar: a policy file is named twice; expected each file once',
        'doorward.yaml:8 policy.files[4]: pipe.cedar: the path is of something else; expected a Cedar file or a folder of them',
      ],
    )
  })

  test('are bounded in their number and size', async () => {
    await mkdir(join(folder, 'many'))
    for (let i = 0; i <= 1000; i++) await write(`many/${i}.cedar`, '')
    match((await mistakes(files('many')))[0] ?? '', /too many policy files; expected at most 1000/)
    await write('large.cedar', new Uint8Array(8 * 1024 * 1024 + 1))
    match((await mistakes(files('large.cedar')))[0] ?? '', /expected at most 8388608 bytes/)
    const entries = Array.from({ length: 257 }, (_, i) => `${i}.cedar`)
    await rejects(compiled(files(...entries)), ConfigurationError)
  })

  test('time zones are known ones, and unknown keys of the section are mistakes', async () => {
    equal((await compiled('policy: { time_zone: Europe/Berlin }\n')).timeZone, 'Europe/Berlin')
    equal((await compiled('')).timeZone, 'UTC')
    for (const [section, path] of [
      ['{ time_zone: Mars/Olympus }', 'policy.time_zone'],
      ['{ file: next.cedar }', 'policy.file'],
      ['{ files: next.cedar }', 'policy.files'],
      ['{ files: [""] }', 'policy.files[0]'],
      ['{ files: ["a\\0b"] }', 'policy.files[0]'],
      ['[]', 'policy'],
    ] as const) {
      let told: readonly string[] = []
      try {
        parseConfiguration(`${head}policy: ${section}\n`, 'doorward.yaml')
      } catch (error) {
        told = (error as ConfigurationError).problems.map((problem) => `${problem.line} ${problem.path}`)
      }
      deepEqual(told, [`2 ${path}`], section)
    }
  })
})

describe('servers.<name>.tools', () => {
  const schema = { type: 'object', properties: { path: { type: 'string' } }, required: ['path'] }
  const list = { tools: [{ name: 'read_file', title: 'Read', inputSchema: schema }] }

  test('are what tools/list answers, or what the command prints', async () => {
    await write('tools.json', JSON.stringify(list))
    deepEqual([...(await compiled(servers('tools.json'))).tools.keys()], ['files/read_file'])
    await write(
      'tools.json',
      JSON.stringify({ identity: 'spiffe://acme.example/operator/a', server: 'files', ...list }),
    )
    deepEqual([...(await compiled(servers('tools.json'))).tools.keys()], ['files/read_file'])
    const strange = { name: '__proto__', inputSchema: { type: 'object', properties: JSON.parse('{"__proto__":{}}') } }
    await write('tools.json', JSON.stringify({ tools: [strange] }))
    deepEqual([...(await compiled(servers('tools.json'))).tools.keys()], ['files/__proto__'])
  })

  test('that cannot be used are told with where and what is expected', async () => {
    const wrong: readonly (readonly [string, RegExp])[] = [
      ['{ "tools": [\n  {,}] }', /tools\.json:2:4: the list of tools cannot be used; expected JSON, got json_syntax/],
      ['[]', /expected an object with tools, as tools\/list answers/],
      ['{"tools":{}}', /expected an object with tools/],
      [JSON.stringify({ ...list, nextCursor: 'x' }), /expected all pages of the list in one/],
      [JSON.stringify({ ...list, server: 'search' }), /expected the tools of files, got those of search/],
      ['{"tools":[{"name":""}]}', /tools\[0\]: .*expected a name of 1 to 1024 characters/],
      ['{"tools":[{"name":"a"}]}', /tools\[0\]: .*expected an inputSchema, got none/],
      ['{"tools":[{"name":"a","inputSchema":[]}]}', /expected an inputSchema, got another value/],
      [JSON.stringify({ tools: [...list.tools, ...list.tools] }), /tools\[1\]: .*expected each tool once/],
      [`{"tools":${'['.repeat(70)}${']'.repeat(70)}}`, /json_too_deep/],
      [`{"tools":[${'{"name":"a","inputSchema":{}},'.repeat(10_001).slice(0, -1)}]}`, /expected at most 10000 tools/],
    ]
    for (const [text, expected] of wrong) {
      await write('tools.json', text)
      const told = await mistakes(servers('tools.json'))
      equal(told.length, 1, text.slice(0, 60))
      match(told[0] ?? '', /^doorward\.yaml:2 servers\.files\.tools: /)
      match(told[0] ?? '', expected)
    }
    match((await mistakes(servers('nowhere.json')))[0] ?? '', /there is no such file/)
    match((await mistakes(servers('rules')))[0] ?? '', /expected a JSON file/)
  })
})

describe('bindings', () => {
  const yaml = (binding: string) => `roles: { reader: [read] }\nbindings:\n  - ${binding}\n`

  test('are of workloads, and of users and groups of an issuer', async () => {
    const whole =
      '{ role: reader, workloads: ["spiffe://acme.example/a"], issuer: "https://id.example", users: [u], groups: [g, h] }'
    const { bindings, subjects } = await compiled(yaml(whole))
    deepEqual(
      bindings.map(({ role, pattern }) => [role, pattern.text]),
      [['reader', 'spiffe://acme.example/a']],
    )
    const issuer = 'https://id.example'
    deepEqual(subjects, [
      { role: 'reader', issuer, kind: 'user', name: 'u' },
      { role: 'reader', issuer, kind: 'group', name: 'g' },
      { role: 'reader', issuer, kind: 'group', name: 'h' },
    ])
  })

  test('of nobody, of users without issuer, or outside of the trust domain are mistakes', async () => {
    for (const [binding, path] of [
      ['{ role: reader }', 'bindings[0].workloads'],
      ['{ role: reader, users: [u] }', 'bindings[0].issuer'],
      ['{ role: reader, issuer: "https://id.example", users: [""] }', 'bindings[0].users'],
      ['{ role: reader, issuer: "https://id.example", users: [] }', 'bindings[0].users'],
      ['{ role: reader, workloads: ["spiffe://other.example/a"] }', 'bindings[0].workloads[0]'],
      ['{ role: reader, workloads: ["agent/*"] }', 'bindings[0].workloads[0]'],
      ['{ role: writer, workloads: ["spiffe://acme.example/a"] }', 'bindings[0].role'],
      ['{ role: reader, groups: [g], isuer: x }', 'bindings[0].isuer'],
    ] as const) {
      let told: readonly string[] = []
      try {
        parseConfiguration(`${head}${yaml(binding)}`, 'doorward.yaml')
      } catch (error) {
        told = (error as ConfigurationError).problems.map((problem) => problem.path)
      }
      deepEqual(told, [path], binding)
    }
  })
})
