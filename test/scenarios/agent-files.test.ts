/** `doorward agent run` against a running deployment, and programs that know nothing of Doorward but its files. */

import assert from 'node:assert/strict'
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { hasCurl, isHere, pythonWithRequests, runExample, RunningAgent, runThere, until, yaml } from './agent-stage.ts'

const names = [
  'bundle.pem',
  'bundle.spiffe.json',
  'files.token',
  'status.json',
  'svid.key',
  'svid.pem',
  'svid_and_key.pem',
]
const token = ['--token', 'files=files.token']

interface Told {
  readonly error?: { readonly code: string; readonly got?: string }
}

describe('credential files', () => {
  let system: TestDeployment
  before(async () => {
    system = await TestDeployment.start({ yaml: yaml + wideLimits })
    for (const name of ['agent/planner', 'agent/other']) (await system.identity(name)).close()
  })
  after(() => system.remove())

  const told = async (words: readonly string[]): Promise<readonly [number | null, Told]> => {
    const { code, stdout } = await system.run(['agent', 'run', '--json', ...words])
    return [code, JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}') as Told]
  }
  const file = (name: string, folder = 'credentials') => readFile(join(system.folder, folder, name), 'utf8')
  const written = async (folder = 'credentials') =>
    JSON.parse(await file('status.json', folder)) as Readonly<Record<string, unknown>>
  const absent = async (name: string) => {
    await assert.rejects(file(name), { code: 'ENOENT' })
  }
  const plainNames = async () =>
    (await readdir(join(system.folder, 'credentials'))).filter((name) => !name.startsWith('..') && name !== 'lock')

  test('are written once, for their owner alone', async () => {
    assert.equal((await told(['--write', 'credentials', '--as', 'agent/planner', ...token, '--once']))[0], 0)
    assert.deepEqual((await plainNames()).toSorted(), names)
    assert.equal((await stat(join(system.folder, 'credentials'))).mode & 0o777, 0o700)
    for (const name of names) assert.equal((await stat(join(system.folder, 'credentials', name))).mode & 0o777, 0o600)
    assert.equal((await written())['id'], 'spiffe://test.example/agent/planner')
  })

  test('lead curl through the gateway, by the example of the documentation', async (t) => {
    if (!isHere(hasCurl(), 'curl', t)) return
    const { code, stdout, stderr } = await runExample('sh', system)
    assert.equal(code, 0, stderr)
    const { result } = JSON.parse(stdout) as { result: { tools: readonly { name: string }[] } }
    assert.ok(result.tools.some(({ name }) => name === 'read_text_file'))
  })

  test('lead Python through the gateway, by the example of the documentation', async (t) => {
    if (!isHere(pythonWithRequests() !== null, 'requests for Python', t)) return
    const { code, stdout, stderr } = await runExample('python', system)
    assert.equal(code, 0, stderr)
    assert.ok(stdout.split('\n').includes('read_text_file'))
  })

  test("do not work with another identity's token, and the refusal is on the record", async (t) => {
    if (!isHere(hasCurl(), 'curl', t)) return
    assert.equal((await told(['--write', 'others', '--as', 'agent/other', ...token, '--once']))[0], 0)
    const { gateway } = await system.deployment()
    const header = join(system.folder, 'authorization.txt')
    await writeFile(header, `Authorization: Bearer ${await file('files.token', 'others')}\n`, { mode: 0o600 })
    const from = (await system.record()).length
    const flags = ['--silent', '--include', '--header', `@${header}`, '--header', 'Content-Type: application/json']
    const own = [
      '--cert',
      'credentials/svid.pem',
      '--key',
      'credentials/svid.key',
      '--cacert',
      'credentials/bundle.pem',
    ]
    const call = ['--data', '{"jsonrpc":"2.0","id":1,"method":"tools/list"}', `${gateway.publicUrl}/mcp/files`]
    const { stdout } = await runThere(system, 'curl', ...flags, ...own, ...call)
    await rm(header)
    assert.match(stdout, /^HTTP\/1\.1 401 /)
    assert.match(stdout, /^doorward-code: token_binding\r?$/im)
    await until(
      async () => (await system.record('gateway', from)).some(({ entry }) => entry.body['code'] === 'token_binding'),
      'the refusal on the record',
    )
  })

  test('are not mixed with those of another identity', async () => {
    const [code, { error }] = await told(['--write', 'credentials', '--as', 'agent/other', '--once'])
    assert.deepEqual([code, error?.code], [2, 'credentials_of_another'])
    assert.equal((await written())['id'], 'spiffe://test.example/agent/planner')
  })

  for (const [mistake, words, expected] of [
    ['a server that is not configured', ['--token', 'nosuch=a.token'], 'server_unknown'],
    [
      'an audience that the authority does not know',
      ['--token', 'https://elsewhere.example/=a.token'],
      'audience_unknown',
    ],
    ['a token without a file', ['--token', 'files'], 'token_option_invalid'],
    ['a file outside the folder', ['--token', 'files=../a.token'], 'token_file_invalid'],
    ['words that belong to nothing', ['--', '-HUP'], 'usage'],
  ] as const) {
    test(`${mistake}: misuse`, async () => {
      const [code, { error }] = await told(['--write', 'mistaken', '--as', 'agent/other', '--once', ...words])
      assert.deepEqual([code, error?.code], [2, expected])
      await assert.rejects(file('svid.key', 'mistaken'), { code: 'ENOENT' })
    })
  }

  describe('kept fresh', () => {
    let agent: RunningAgent
    const words = ['--write', 'credentials', '--as', 'agent/planner', ...token]

    test('run a program after each change, with nothing added to its environment but the folder', async () => {
      const script = `require('node:fs').writeFileSync('change.json', JSON.stringify([process.argv.slice(1), process.env]))`
      agent = new RunningAgent(system, [
        ...words,
        '--on-change',
        process.execPath,
        '--',
        '-e',
        script,
        '--',
        '$HOME',
        '-x',
      ])
      await agent.heard('written')
      assert.equal((await agent.heard('command')).ok, true)
      const [args, env] = JSON.parse(await readFile(join(system.folder, 'change.json'), 'utf8')) as [string[], object]
      assert.deepEqual(args, ['$HOME', '-x'])
      const { DOORWARD_CREDENTIALS_DIR: folder, ...rest } = env as Record<string, string>
      assert.equal(folder, join(system.folder, 'credentials'))
      for (const [name, value] of Object.entries(rest)) assert.equal(value, system.env[name], name)
    })

    test('have one keeper', async () => {
      const [code, { error }] = await told([...words, '--once'])
      assert.deepEqual([code, error?.code], [2, 'credentials_folder_in_use'])
    })

    test('OP-3: follow a renewal that another process made, with a new token, and nothing is restarted', async () => {
      const before = await file('files.token')
      const identity = await system.identity('agent/planner')
      await identity.renew()
      const { serial } = identity.credentials.current().certificate
      identity.close()
      // A change of the trust state makes the agent look at once instead of within half a minute.
      assert.equal((await system.run(['workload', 'remove', 'agent/other'])).code, 0)
      await until(async () => (await written())['serial'] === serial, 'the renewed certificate')
      assert.notEqual(await file('files.token'), before)
      await agent.heard('command', 2)
      assert.deepEqual(
        agent.events.filter(({ event, ok }) => event === 'problem' || ok === false),
        [],
      )
    })

    test('stay and work when the agent is asked to end', async (t) => {
      assert.equal(await agent.kill('SIGTERM'), 0)
      assert.deepEqual((await plainNames()).toSorted(), names)
      if (isHere(hasCurl(), 'curl', t)) assert.equal((await runExample('sh', system)).code, 0)
    })

    test('stay and work when the agent is killed, and the next one takes over', async () => {
      const killed = new RunningAgent(system, words)
      await killed.heard('written')
      await killed.kill('SIGKILL')
      assert.equal((await written())['state'], 'current')
      agent = new RunningAgent(system, words)
      await agent.heard('written')
    })

    test('stay untouched while the authority is out of reach', async () => {
      const before = await file('status.json')
      await system.interrupt()
      await agent.heard('problem')
      assert.equal(await file('status.json'), before)
      assert.ok((await file('svid.key')).includes('PRIVATE KEY'))
      await system.up()
    })

    test('OP-2: are withdrawn when the identity is removed, and the agent ends with 1', async () => {
      const removed = await system.run(['workload', 'remove', 'agent/planner'])
      assert.equal(removed.code, 0, removed.stderr)
      assert.equal(await agent.ended(), 1)
      assert.equal(agent.events.at(-1)?.error?.code, 'identity_dead')
      for (const name of names.filter((name) => name !== 'status.json')) await absent(name)
      assert.equal((await written())['state'], 'withdrawn')
      const generations = (await readdir(join(system.folder, 'credentials'))).filter((name) => name.startsWith('..gen'))
      assert.equal(generations.length, 1)
    })

    test('OP-2: are not written again for an identity that is dead', async () => {
      const [code, { error }] = await told([...words, '--once'])
      assert.deepEqual([code, error?.code], [1, 'identity_dead'])
      await absent('svid.key')
    })
  })
})
