/** docs/sidecar.md: its files and programs run as they stand there, with folders, port and trust domain of the test. */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, realpath, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { readEntries } from '../../packages/server/src/audit/read.ts'
import { readSidecar } from '../../packages/server/src/config/sidecar-file.ts'
import { compileCache, program, repository } from '../fixtures/deployment.ts'
import { fences } from '../fixtures/guide.ts'
import { openSdkStage, idOf } from '../fixtures/sdk-stage.ts'
import { WorkloadClient } from '../fixtures/workload-client.ts'
import type { X509SvidGiven } from '../fixtures/workload-client.ts'
import { hasCurl, isHere, until } from './agent-stage.ts'

const guide = fences(await readFile(join(repository, 'docs', 'sidecar.md'), 'utf8'))
const of = (kind: string) => guide.filter((fence) => fence.kind === kind).map(({ text }) => text)
const python = '/usr/bin/python3'

test('the files of docs/sidecar.md are accepted', () => {
  const files = of('yaml').map((text) => readSidecar(text, '/etc/orders/sidecar.yaml'))
  const [called, agent, calls] = files
  assert.deepEqual(
    files.map(({ inbound }) => inbound?.asked.kind),
    ['routes', 'a2a', undefined],
  )
  assert.deepEqual(agent?.inbound?.asked, { kind: 'a2a', path: '/a2a', card: '/etc/orders/card.json' })
  assert.equal(called?.inbound?.forward.uid, null)
  assert.deepEqual([calls?.inbound, calls?.outbound.length], [null, 1])
})

class Running {
  readonly lines: string[] = []
  readonly child: ChildProcess

  constructor(command: string, words: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.child = spawn(command, words, {
      env: { PATH: process.env['PATH'], ...compileCache, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [this.child.stdout, this.child.stderr])
      if (stream !== null) createInterface({ input: stream }).on('line', (line) => this.lines.push(line))
  }

  async said(text: string): Promise<void> {
    const ended = () => this.child.exitCode !== null
    await until(() => ended() || this.lines.some((line) => line.includes(text)), `${text}: ${this.lines.join('\n')}`)
    assert.ok(!ended(), this.lines.join('\n'))
  }
}

test('the two programs of docs/sidecar.md call each other, and say who it is', async (t) => {
  const hasJwt = spawnSync(python, ['-c', 'import jwt, cryptography']).status === 0
  if (!isHere(hasJwt && hasCurl(), 'python3-jwt with curl', t)) return
  const stage = await openSdkStage()
  const self = await realpath(process.execPath)
  const running: Running[] = []
  const start = (...given: ConstructorParameters<typeof Running>) => {
    const one = new Running(...given)
    running.push(one)
    return one
  }
  try {
    const place = stage.folders.root
    const audience = `https://127.0.0.1:${stage.ports[0]}`
    const here = (text: string) =>
      text
        .replaceAll('https://orders.acme.example:9443', audience)
        .replaceAll('0.0.0.0:9443', `127.0.0.1:${stage.ports[0]}`)
        .replaceAll('acme.example', 'test.example')
        .replaceAll('uid: 971', `uid: ${process.getuid?.()}`)
        .replaceAll('/usr/local/bin/planner', self)
        .replaceAll(/\/(var\/lib|etc|run|mnt)\/(?=orders|planner|other)/g, `${place}/$1/`)
    for (const folder of ['var/lib', 'etc/orders', 'etc/planner', 'run/orders', 'run/planner', 'mnt/other'])
      await mkdir(join(place, folder), { recursive: true, mode: 0o700 })
    const [called = '', , calls = ''] = of('yaml').map(here)
    const files = [join(place, 'etc/orders/sidecar.yaml'), join(place, 'etc/planner/sidecar.yaml')] as const
    await writeFile(files[0], called)
    await writeFile(files[1], calls)
    const orders = await stage.options('service/orders', { audiences: [audience] })
    await writeFile(join(place, 'run/orders/orders.join'), await readFile(orders.join.file), { mode: 0o600 })
    const planner = await stage.options('agent/planner', { roles: ['reader'] })
    const PLANNER_JOIN = await readFile(planner.join.file, 'utf8')
    const sidecar = (file: string) => ['sidecar', 'run', '--config', file, '--json']
    const [inside, outside] = [
      start(process.execPath, [program, ...sidecar(files[0])]),
      start(process.execPath, [program, ...sidecar(files[1])], { PLANNER_JOIN }),
    ]
    await Promise.all([inside.said('"event":"ready"'), outside.said('"event":"ready"')])
    start(python, ['-c', here(of('python')[0] ?? '')])
    const [command = ''] = of('sh').map(here)
    const asked = async () => {
      const shell = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 'pipe', 'inherit'] })
      let text = ''
      shell.stdout.on('data', (part: Buffer) => (text += part.toString()))
      await once(shell, 'close')
      return text
    }
    let answer = ''
    await until(async () => (answer = await asked()).startsWith('/orders'), `an answer: ${answer}`)
    assert.equal(answer, `/orders/7 for ${idOf('agent/planner')}\n`)
    const given = new WorkloadClient(join(place, 'run/planner/workload.sock'))
    const stream = given.watch('FetchX509SVID')
    const [svid] = (await stream.message())['svids'] as readonly X509SvidGiven[]
    assert.equal(svid?.spiffe_id, idOf('agent/planner'))
    // The stream ends with the sidecar.
    const ended = stream.end()
    // Whoever reaches the program itself shows no assertion.
    const socket = join(place, 'run/orders/program.sock')
    const direct = spawnSync('curl', [
      '--silent',
      '--unix-socket',
      socket,
      '-o',
      '/dev/null',
      '-w',
      '%{http_code}',
      'http://x/orders/7',
    ])
    assert.equal(String(direct.stdout), '401')
    for (const one of [inside, outside]) {
      one.child.kill('SIGTERM')
      if (one.child.exitCode === null) await once(one.child, 'exit')
      assert.equal(one.child.exitCode, 0, one.lines.join('\n'))
    }
    assert.equal(await ended, 'UNAVAILABLE')
    given.close()
    const kinds: string[] = []
    for await (const { entry } of readEntries(join(place, 'var/lib/orders/record/log'))) kinds.push(entry.kind)
    assert.deepEqual([...new Set(kinds)], ['lifecycle', 'decision', 'outcome'])
  } finally {
    for (const { child } of running) child.kill('SIGKILL')
    await stage.close()
  }
})
