/** Exit codes and answers of the commands against a running deployment: done 0, denied or failed 1, misused 2. */

import { deepEqual, equal, match, ok, partialDeepStrictEqual } from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { repository, TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { fences } from '../fixtures/guide.ts'

const guide = fences(await readFile(join(repository, 'docs', 'delegation.md'), 'utf8'))
const documents = join(repository, 'examples', 'first-call', 'documents')

interface Answer {
  readonly error?: { readonly code: string; readonly where?: string; readonly next?: string }
  readonly ok?: boolean
  readonly decision?: string
}

describe('commands', () => {
  let system: TestDeployment
  before(async () => {
    system = await TestDeployment.start({
      yaml: `servers: { files: { command: [mcp-server-filesystem, ${documents}], effects: { read: [read_*, list_*] } } }
roles: { reader: ["read:files/*"] }
${wideLimits}`,
    })
  })
  after(() => system.remove())

  /** Exit code and the one JSON document that a command prints. */
  const told = async (words: string, input = ''): Promise<readonly [number | null, Answer]> => {
    const { code, stdout } = await system.run([...words.split(' '), '--json'], input)
    return [code, JSON.parse(stdout) as Answer]
  }
  const list = async () => (await system.run(['workload', 'list'])).stdout

  test('a join string is written where nothing is, readable by the owner alone', async () => {
    const [code] = await told('workload add agent/a --role reader --out a.join')
    equal(code, 0)
    equal((await stat(join(system.folder, 'a.join'))).mode & 0o777, 0o600)
  })

  test('what a server says is listed, shown, approved as shown, and on record', async () => {
    const [listed, before] = await told('servers list')
    const [shown, answer] = await told('servers show files')
    deepEqual([listed, shown], [0, 0])
    const { digest, defined } = answer as { readonly digest: string; readonly defined: readonly object[] }
    ok(JSON.stringify(before).includes('on-first-use'))
    const [stale, { error }] = await told(`servers approve files --yes --digest ${'0'.repeat(64)}`)
    deepEqual([stale, error?.code], [1, 'definitions_changed'])
    const [code, approval] = await told(`servers approve files --yes --digest ${digest}`)
    const { entry, items } = approval as { readonly entry: string; readonly items: number }
    deepEqual([code, items], [0, defined.length])
    const record = (await system.run(['audit', 'query', '--log', 'gateway', '--kind', 'admin', '--json'])).stdout
    ok(record.includes('servers.approve') && record.includes(digest), record)
    match(entry, /gateway\/main#\d+$/)
    match((await system.run(['servers', 'show', 'files'])).stdout, /no difference/)
    equal((await told('servers show nothing'))[0], 1)
  })

  test('a file that is there is not overwritten, and then nothing is registered', async () => {
    await writeFile(join(system.folder, 'mine.txt'), 'mine')
    const [code, { error }] = await told('workload add agent/b --out mine.txt')
    deepEqual([code, error?.code], [2, 'file_not_written'])
    equal((await list()).includes('agent/b'), false)
  })

  test('who is registered is not registered again, and the answer says what to do', async () => {
    const [code, { error }] = await told('workload add agent/a --out again.join')
    deepEqual([code, error?.code], [1, 'workload_exists'])
    match(String(error?.next), /invite/)
    equal((await readdir(system.folder)).includes('again.join'), false)
  })

  test('a join string makes a workload of this machine', async () => {
    equal((await told('join --file a.join'))[0], 0)
  })

  test('text that is no join string is misuse', async () => {
    const [code, { error }] = await told('join', 'hello')
    deepEqual([code, error?.code], [2, 'join_string_invalid'])
  })

  test('an allowed call ends with 0, and names its decision', async () => {
    const [code, answer] = await told('call files read_text_file path=welcome.md --as agent/a')
    deepEqual([code, answer.ok], [0, true])
    match(String(answer.decision), /^test\.example\/gateway\/main#\d+$/)
  })

  test('a denied call ends with 1, with code, decision and the permission that is missing', async () => {
    const [code, { error }] = await told('call files write_file path=x content=y --as agent/a')
    deepEqual([code, error?.code], [1, 'policy_denied'])
    match(String(error?.where), /^decision test\.example\/gateway\/main#\d+$/)
    match(String(error?.next), /tools\/call:files\/write_file/)
    equal((await told('workload list --as agent/a'))[0], 1)
  })

  test('a tool that failed ends with 1 and still shows its result, in one document', async () => {
    const [code, answer] = await told('call files read_text_file path=/etc/shadow --as agent/a')
    deepEqual([code, answer.ok], [1, false])
  })

  test('a server that is not configured, an identity that is not here: misuse', async () => {
    deepEqual((await told('call nosuch x'))[1].error?.code, 'server_unknown')
    deepEqual((await told('tools files --as agent/nobody'))[1].error?.code, 'identity_missing')
  })

  test('a token is minted and inspected without being shown, goes where it is told, and is exchanged for the next', async () => {
    const worker = 'https://worker.test.example:9443'
    equal((await told(`workload add agent/acting --role reader --audience ${worker} --out acting.join`))[0], 0)
    equal((await told('join --file acting.join'))[0], 0)
    const [code, minted] = (await told('token mint files --as agent/a --scope read:files/*')) as readonly [
      number,
      object,
    ]
    equal(code, 0)
    ok(!('token' in minted) && !JSON.stringify(minted).includes('eyJ'))
    equal((await told(`token mint ${worker} --as agent/a --out caller.token`))[0], 0)
    equal((await stat(join(system.folder, 'caller.token'))).mode & 0o777, 0o600)
    const acting = 'token mint files --as agent/acting --on-behalf-of caller.token'
    equal((await told(`${acting} --out acting.token`))[0], 0)
    const [seen, facts] = await told('token inspect acting.token --as agent/a')
    const [a, b] = ['spiffe://test.example/agent/a', 'spiffe://test.example/agent/acting']
    partialDeepStrictEqual([seen, facts], [0, { valid: true, presenter: b, subject: a, chain: [{ id: a }] }])
    match((await system.run(['token', 'mint', 'files', '--as', 'agent/acting', '--stdout'])).stdout, /^eyJ\S+\n$/)
    equal((await told(`token mint ${worker} --as agent/a --no-act --out alone.token`))[0], 0)
    const alone = await told('token mint files --as agent/acting --on-behalf-of alone.token')
    deepEqual([alone[0], alone[1].error?.code], [1, 'exchange_actor'])
    deepEqual((await told('token inspect', 'eyJ.eyJ.x'))[1].error?.code, 'token_unknown')
    deepEqual((await told(`${acting} --no-act --may-act ${a}`))[1].error?.code, 'options_contradict')
  })

  test('docs/delegation.md: its workload is registered as it stands there, and its commands act for the planner', async () => {
    const fence = (wanted: string) => guide.find(({ kind }) => kind === wanted)?.text ?? ''
    await writeFile(join(system.folder, 'worker.yaml'), fence('yaml').replaceAll('acme.example/', 'test.example/'))
    equal((await told('workload apply -f worker.yaml --yes --out-dir joins'))[0], 0)
    equal(
      (await told('workload add service/orders --audience https://orders.acme.example:9443 --out orders.join'))[0],
      0,
    )
    equal((await told('workload add agent/planner --role reader --out planner.join'))[0], 0)
    for (const file of ['joins/agent+worker.join', 'planner.join']) equal((await told(`join --file ${file}`))[0], 0)
    const commands = fence('').trimEnd().split('\n')
    equal(commands.length, 3)
    const answers: Answer[] = []
    for (const line of commands) {
      const [code, answer] = await told(line.replace(/^doorward /, ''))
      equal(code, 0, `${line}: ${JSON.stringify(answer)}`)
      answers.push(answer)
    }
    const [planner, worker] = ['agent/planner', 'agent/worker'].map((name) => `spiffe://test.example/${name}`)
    partialDeepStrictEqual(answers.at(-1), {
      valid: true,
      presenter: worker,
      subject: planner,
      chain: [{ id: planner }],
    })
    const exchanges = (await system.record('authority')).filter(({ entry }) => 'shown' in entry.body)
    ok(exchanges.some(({ entry }) => JSON.stringify(entry).includes(String(worker)) && 'token' in entry.body))
  })

  test('commands in a process of their own end by themselves, and say nothing beside their answer', async () => {
    const expected: readonly (readonly [words: string, code: number])[] = [
      ['audit verify', 0],
      ['call files read_text_file path=welcome.md --as agent/a', 0],
      ['call files write_file path=x content=y --as agent/a', 1],
    ]
    for (const [words, code] of expected) {
      const { command, args, env } = system.launch([...words.split(' '), '--json'])
      // Whatever is still open holds a process up: then it is killed, and has no code.
      const answer = spawnSync(command, args, { cwd: system.folder, env, encoding: 'utf8', timeout: 60_000 })
      deepEqual([answer.status, answer.stderr], [code, ''], words)
      ok(answer.stdout.endsWith('}\n'), answer.stdout)
    }
  })

  test('a command of a deployment of another build is run by that build', async () => {
    const program = join(system.folder, 'another.cjs')
    await writeFile(program, "console.log('another build')\n")
    const other = await TestDeployment.prepare({ yaml: wideLimits, program })
    try {
      equal((await other.run(['--version'])).stdout, 'another build\n')
    } finally {
      await other.remove()
    }
  })

  test('a reader who stops reading ends the command quietly', async () => {
    const { command, args, env } = system.launch(['audit', 'tail', '--follow', '--json'])
    const child = spawn(command, args, { cwd: system.folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let stderr = ''
    child.stderr.on('data', (part: Buffer) => (stderr += part.toString()))
    await once(child.stdout, 'data')
    child.stdout.destroy()
    const closed = once(child, 'close')
    await told('tools files --as agent/a')
    await closed
    equal(stderr, '')
  })

  test('a removed workload is refused', async () => {
    equal((await told('workload remove agent/a'))[0], 0)
    const [code, { error }] = await told('tools files --as agent/a')
    ok(error !== undefined)
    equal(code, 1, JSON.stringify(error))
    const [again, answer] = await told('workload remove agent/a')
    deepEqual([again, answer.error?.code], [1, 'resource_unknown'])
  })

  test('a deployment that does not run is told, with what to do', async () => {
    equal(await system.interrupt(), 0)
    const [code, { error }] = await told('tools files')
    deepEqual([code, error?.code], [2, 'server_unreachable'])
    match(String(error?.next), /doorward up/)
    equal((await told('audit verify'))[0], 0)
  })
})
