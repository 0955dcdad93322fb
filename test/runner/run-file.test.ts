import assert from 'node:assert/strict'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { runFile } from './run-file.ts'

let folder = ''
before(async () => void (folder = await mkdtemp(join(tmpdir(), 'doorward-runner-'))))
after(() => rm(folder, { recursive: true, force: true }))

async function kinds(body: string, timeoutSeconds = 20, signal?: AbortSignal): Promise<readonly string[]> {
  const path = join(folder, 'planted.test.mjs')
  await writeFile(path, `import { describe, test } from 'node:test'\n${body}`)
  const run = await runFile(path, { cwd: folder, timeoutSeconds, ...(signal === undefined ? {} : { signal }) })
  return run.records.map(({ kind, name }) => `${kind} ${name === path ? 'file' : name}`)
}

test('tests count one by one, suites do not count', async () => {
  const body = `test('a', () => {})
    describe('s', () => { test('b', () => {}) })
    test('c', () => { throw new Error('no') })`
  assert.deepEqual(await kinds(body), ['passed a', 'passed s › b', 'failed c'])
})

test('a failed subtest counts once', async () => {
  const body = `test('a', async (t) => { await t.test('b', () => { throw new Error('no') }) })`
  assert.deepEqual(await kinds(body), ['failed a › b'])
})

test('skipped and unfinished tests are told apart from passed ones, notes are kept', async () => {
  const body = `test('a', { skip: 'no tool' }, () => {})
    test('b', { todo: true }, () => {})
    test('c', (t) => t.diagnostic('no vectors'))`
  assert.deepEqual(await kinds(body), ['skipped a', 'skipped b', 'passed c', 'note c'])
})

test('a file without a test, or with an error outside its tests, has failed', async () => {
  assert.deepEqual(await kinds(''), ['failed file'])
  assert.deepEqual(await kinds(`throw new Error('no')`), ['failed file'])
})

test('a file that does not end is killed with everything that it started', async () => {
  const beats = join(folder, 'beats')
  const beat = `setInterval(() => require('node:fs').appendFileSync(${JSON.stringify(beats)}, '.'), 20)`
  const body = `import { spawn } from 'node:child_process'
    import { existsSync } from 'node:fs'
    spawn(process.execPath, ['-e', ${JSON.stringify(beat)}], { stdio: 'ignore' })
    test('a', async () => { while (!existsSync(${JSON.stringify(beats)})) await new Promise((go) => setTimeout(go, 10)) })`
  assert.deepEqual(await kinds(body, 3), ['passed a', 'failed file'])
  const size = (await stat(beats)).size
  await delay(200)
  assert.equal((await stat(beats)).size, size)
})

test('when the time for the whole run is used up, a file has failed', async () => {
  assert.deepEqual(await kinds(`test('a', () => {})`, 20, AbortSignal.abort()), ['failed file'])
})
