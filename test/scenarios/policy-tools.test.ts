/** Commands that judge, show, test and explain the policy, without a running deployment: answers and exit codes. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { TestDeployment } from '../fixtures/deployment.ts'
import { policyExample } from '../fixtures/policy-example.ts'

type Json = Readonly<Record<string, unknown>>

describe('commands about the policy', () => {
  let system: TestDeployment
  before(async () => {
    system = await TestDeployment.prepare({ yaml: policyExample.yaml })
    await mkdir(join(system.folder, 'policies'))
    await write('tools.json', policyExample.tools)
    await write('policies/own.cedar', policyExample.own)
    await write('good.yaml', policyExample.expectations)
  })
  after(() => system.remove())

  const write = (name: string, text: string) => writeFile(join(system.folder, name), text)
  const run = (...words: readonly string[]) => system.run(['policy', ...words])
  const told = async (...words: readonly string[]): Promise<readonly [number | null, Json]> => {
    const { code, stdout, stderr } = await run(...words, '--json')
    ok(stdout !== '', stderr)
    return [code, JSON.parse(stdout) as Json]
  }
  const codeOf = ({ error }: Json) => (error as { readonly code: string }).code

  test('check: warnings do not fail, unless strictly; problems do, with a caret under the place', async () => {
    const [code, answer] = await told('check')
    deepEqual([code, answer['ok'], answer['complete']], [0, true, true])
    const [first] = answer['remarks'] as readonly Json[]
    deepEqual(Object.keys(first ?? {}).toSorted(), [
      'code',
      'column',
      'help',
      'level',
      'line',
      'message',
      'policy',
      'related',
      'source',
      'total',
      'where',
    ])
    deepEqual(
      [first?.['level'], first?.['code'], first?.['help']],
      ['warning', 'policy_never_applies', 'did you mean get_issue?'],
    )
    await write(
      'bad.cedar',
      'permit (principal, action == Action::"tools/call", resource == Tool::"github/get_file")\nwhen { context.args.pth == "a" };\n',
    )
    const { code: failed, stdout } = await run('check', '--strict', '--candidate', 'bad.cedar')
    equal(failed, 1)
    match(
      stdout,
      /bad\.cedar:2:8: problem: [^\n]*\(policy_type\)\n +2 \| when \{ context[^\n]*\n +\| {8}\^\n +help: did you mean `path`\?/,
    )
    equal((await run('check', '--strict')).code, 1)
  })

  test('show: a role with its bindings and its policies, formatted; a name that is neither', async () => {
    const { code, stdout } = await run('show', 'reader')
    equal(code, 0)
    match(
      stdout,
      /^\/\/ role reader: spiffe:\/\/test\.example\/agent\/\*\n[^]*@id\("role:reader\/0"\)\npermit \(\n {2}principal in Role::"reader",\n/,
    )
    const [, { policies }] = await told('show')
    const from = new Map((policies as readonly Json[]).map((one) => [one['id'], one['from']]))
    deepEqual(
      ['role:reader/0', 'policies/own.cedar#docs', 'builtin:authority/v1/token'].map((id) => from.get(id)),
      ['role reader', 'policies/own.cedar:1:1', 'built in'],
    )
    const [unknown, answer] = await told('show', 'raeder')
    deepEqual([unknown, codeOf(answer)], [2, 'policy_unknown'])
  })

  test('test: met and covered, not met, not covered, and a file that cannot be read', async () => {
    const [code, { ok: fine }] = await told('test', 'good.yaml', '--min-coverage', '30')
    deepEqual([code, fine], [0, true])
    await write('bad.yaml', policyExample.expectations.replace('expect: allow', 'expect: deny'))
    const { code: failed, stdout } = await run('test', 'bad.yaml', '--min-coverage', '100')
    equal(failed, 1)
    match(
      stdout,
      /✗ {2}bad\.yaml:2[^]*allowed by role:reader\/0[^]*3 of 4 expectations are met[^]*RULE WITHOUT A TEST[^]*less than 100 %/,
    )
    await write('wrong.yaml', policyExample.expectations.replace('expect:', 'expekt:'))
    const [misused, answer] = await told('test', 'wrong.yaml')
    deepEqual([misused, codeOf(answer)], [2, 'configuration_invalid'])
  })

  test('explain: allowed, denied with the clause and what it saw, hostile arguments, misuse', async () => {
    const [code, answer] = await told('explain', 'agent/planner', 'tools/call', 'github/get_issue')
    deepEqual([code, answer['verdict'], answer['effect'], answer['policies']], [0, 'allow', 'read', ['role:reader/0']])
    const night = ['agent/planner', 'tools/call', 'files/read_x', '--at', '2026-01-01T21:00:00Z', '--role', 'writer']
    const { code: denied, stdout, stderr } = await run('explain', ...night)
    deepEqual([denied, stderr], [1, ''])
    match(
      stdout,
      /deny \(forbid\)[^]*forbid policies\/own\.cedar#night holds\n +unless \{ context\.time\.hour < 20 \}\n +context\.time\.hour is 21/,
    )
    const args = '{"path":{"__entity":{"type":"Role","id":"admin"}},"__proto__":{"path":"docs/a"},"n":1e400}'
    const [hostile, error] = await told(
      'explain',
      'agent/planner',
      'tools/call',
      'github/get_file',
      '--role',
      'writer',
      '--args',
      args,
    )
    deepEqual([hostile, error['reason']], [1, 'error'])
    const [misused, usage] = await told('explain', 'agent/planner', 'tools/call', 'github/x', '--args', '[1]')
    deepEqual([misused, codeOf(usage)], [2, 'usage'])
  })

  test('explain: who acts for another needs both', async () => {
    const words = ['agent/planner', 'tools/call', 'github/get_issue', '--for', 'https://id.example#mary']
    const [code, { parties }] = await told('explain', ...words)
    const [presenter, user] = parties as readonly Json[]
    deepEqual(
      [
        code,
        presenter?.['decision'],
        user?.['decision'],
        (user?.['roles_to_bind'] as readonly string[] | undefined)?.[0],
      ],
      [1, 'allow', 'deny', 'reader'],
    )
  })

  test('list: what a workload may do, and on what that depends', async () => {
    const { code, stdout, stderr } = await run('list', '--for', 'agent/planner', '--role', 'writer')
    equal(code, 0)
    match(stdout, /github\/get_issue +tools\/call +read +allow +role:reader\/0\n/)
    match(stdout, /github\/get_file +tools\/call +read +depends on args\.path /)
    match(stderr, /with the roles reader, writer/)
  })
})
