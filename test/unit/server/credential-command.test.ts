/** The program that runs after a change: no shell, one at a time, bounded, and harmless when it fails. */

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { ChangeCommand } from '../../../packages/server/src/apps/credential-command.ts'

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doorward-command-'))
})
after(() => rm(folder, { recursive: true, force: true }))

interface Ran {
  readonly command: ChangeCommand
  /** null for a good end. */
  readonly codes: (string | null)[]
}

function commandOf(
  words: readonly [string, ...string[]],
  options: { readonly env?: Record<string, string>; readonly limitMilliseconds?: number } = {},
): Ran {
  const codes: (string | null)[] = []
  const command = new ChangeCommand({
    words,
    env: { PATH: process.env['PATH'] ?? '', ...options.env },
    report: (problem) => codes.push(problem?.code ?? null),
    ...(options.limitMilliseconds === undefined ? {} : { limitMilliseconds: options.limitMilliseconds }),
  })
  return { command, codes }
}

const node = (script: string, ...rest: readonly string[]) => [process.execPath, '-e', script, ...rest] as const

async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  for (let i = 0; !(await holds()); i++) {
    assert.ok(i < 2000, 'not in time')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

test('words reach the program as they are: no shell reads them', async () => {
  const file = join(folder, 'words')
  const script = `require('node:fs').writeFileSync(process.argv[1], JSON.stringify([process.argv.slice(2), process.env.DIR]))`
  const words = ['$(touch pwned)', '; exit 1', '*', '-x', 'two words']
  const { command, codes } = commandOf(node(script, file, ...words), { env: { DIR: '/run/x' } })
  command.trigger()
  await command.idle()
  assert.deepEqual(codes, [null])
  assert.deepEqual(JSON.parse(await readFile(file, 'utf8')), [words, '/run/x'])
})

test('one runs at a time, and changes meanwhile make one more run', async () => {
  const log = join(folder, 'log')
  const gate = join(folder, 'gate')
  await writeFile(log, '')
  const script = `const fs = require('node:fs')
    fs.appendFileSync(process.argv[1], 'begin ')
    const wait = () => fs.existsSync(process.argv[2]) ? fs.appendFileSync(process.argv[1], 'end ') : setTimeout(wait, 5)
    wait()`
  const { command, codes } = commandOf(node(script, log, gate))
  command.trigger()
  await until(async () => (await readFile(log, 'utf8')) === 'begin ')
  for (let i = 0; i < 10; i++) command.trigger()
  assert.equal(await readFile(log, 'utf8'), 'begin ')
  await writeFile(gate, '')
  await command.idle()
  assert.equal(await readFile(log, 'utf8'), 'begin end begin end ')
  assert.deepEqual(codes, [null, null])
})

test('failure is told and the next change runs it again', async () => {
  const { command, codes } = commandOf(node('process.exit(7)'))
  command.trigger()
  await command.idle()
  command.trigger()
  await command.idle()
  assert.deepEqual(codes, ['command_failed', 'command_failed'])
})

test('a program that is not there is told', async () => {
  const { command, codes } = commandOf([join(folder, 'nowhere')])
  command.trigger()
  await command.idle()
  assert.deepEqual(codes, ['command_not_started'])
})

test('what takes too long is killed', async () => {
  const { command, codes } = commandOf(node('setInterval(() => {}, 1000)'), { limitMilliseconds: 300 })
  command.trigger()
  await command.idle()
  assert.deepEqual(codes, ['command_timeout'])
})

test('stopping kills what runs after its grace, with all that it has started, and starts nothing more', async () => {
  const file = join(folder, 'grandchild')
  const script = `const child = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'])
    require('node:fs').writeFileSync(process.argv[1], child.pid + ' ')
    setInterval(() => {}, 1000)`
  const { command, codes } = commandOf(node(script, file))
  command.trigger()
  command.trigger()
  const written = () => readFile(file, 'utf8').catch(() => '')
  await until(async () => (await written()).endsWith(' '))
  await command.stop(0)
  command.trigger()
  await command.idle()
  assert.deepEqual(codes, ['command_failed'])
  const pid = (await written()).trim()
  await until(async () => {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => null)
    // Where nobody reaps it, a killed process stays as a zombie.
    return stat === null || stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z')
  })
})
