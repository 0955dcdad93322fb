/** `npm run example -- attack --keep`, as docs/example.md shows it: real processes, until Ctrl-C. */

import { equal, ok, throws } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { compileCache, program, repository } from '../fixtures/deployment.ts'
import { fences } from '../fixtures/guide.ts'

const script = join(repository, 'examples', 'agents', 'run.ts')

/** Columns and numbers are those of the day. */
const plain = (text: string): readonly string[] =>
  text
    .split('\n')
    .map((line) => line.replaceAll(/#\d+/g, '#N').replaceAll(/\d+ (entries|signed)/g, 'N $1'))
    .map((line) =>
      line
        .replaceAll(/root .*$/g, 'root …')
        .replaceAll(/\s+/g, ' ')
        .trim(),
    )
    .filter((line) => line !== '')

test('the example runs as its page shows it, refuses every attacker, and Ctrl-C leaves nothing behind', async (t) => {
  const guide = await readFile(join(repository, 'docs', 'example.md'), 'utf8')
  const shown = fences(guide).flatMap(({ kind, text }) => (kind === 'text' ? plain(text) : []))
  const child = spawn(process.execPath, ['--conditions=source', script, 'attack', '--keep'], {
    cwd: repository,
    env: { PATH: process.env['PATH'], USER: 'root', DOORWARD_PROGRAM: program, ...compileCache },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  // Whatever fails here leaves nothing running.
  t.after(() => {
    if (child.pid === undefined) return
    try {
      process.kill(-child.pid, 'SIGKILL')
    } catch {
      // All of it has ended.
    }
  })
  let [printed, complaints] = ['', '']
  child.stderr.on('data', (part: Buffer) => (complaints += part.toString()))
  const closed = once(child, 'close') as Promise<[number | null]>
  const kept = new Promise<void>((resolve) => {
    child.stdout.on('data', (part: Buffer) => {
      printed += part.toString()
      if (/until Ctrl-C, in \S+\n/.test(printed)) resolve()
    })
  })
  await Promise.race([kept, closed])
  const [, home = ''] = /until Ctrl-C, in (\S+)\n/.exec(printed) ?? []
  ok(existsSync(home), `${printed}${complaints}`)
  process.kill(-(child.pid ?? 0), 'SIGINT')
  const [code] = await closed
  equal(code, 0, `${printed}${complaints}`)
  ok(shown.length > 20)
  const lines = new Set(plain(printed))
  for (const line of shown) ok(lines.has(line), `the page shows what was not printed: ${line}\n${printed}`)
  ok(!existsSync(home), 'its folder is left')
  throws(() => process.kill(-(child.pid ?? 0), 0), { code: 'ESRCH' }, 'a process of it is left')
})
