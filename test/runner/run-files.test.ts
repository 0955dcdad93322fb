import assert from 'node:assert/strict'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { FileRun } from './run-files.ts'
import { runBatch, runFile } from './run-files.ts'

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

async function batchOf(bodies: readonly string[], timeoutSeconds = 20): Promise<readonly string[]> {
  const cwd = await mkdtemp(join(folder, 'batch-'))
  const paths = bodies.map((_, at) => `planted-${at}.test.mjs`)
  const imports = `import { after, before, beforeEach, describe, test } from 'node:test'\n`
  await Promise.all(bodies.map((body, at) => writeFile(join(cwd, `planted-${at}.test.mjs`), imports + body)))
  const runs = await runBatch(paths, { cwd, timeoutSeconds })
  return runs.flatMap(told)
}

const told = ({ path, records }: FileRun): readonly string[] =>
  records.map(({ kind, name }) => `${path.slice(8, 9)}: ${kind} ${name === path ? 'file' : name}`)

const passing = (name: string): string => `test('${name}', () => {})`
const innocent = ['0: passed a', '0: note file', '2: passed c', '2: note file']
/** Enough for a file that does not hang, on a machine with much else to do. */
const hangSeconds = 8

describe('batches', { concurrency: true }, () => {
  test('files of a batch run in their order, each with its own hooks, and count as by themselves', async () => {
    const hooked = `let set = 0
      before(() => { set = 10 })
      beforeEach(() => { set++ })
      describe('s', () => { test('a', (t) => { if (set !== 11) throw new Error(String(set)); t.diagnostic('n') }) })
      test('b', { skip: 'no tool' }, () => {})`
    const failing = `await new Promise((go) => setTimeout(go, 20))
      await test('c', async (t) => { await t.test('d', () => { throw new Error('no') }) })`
    assert.deepEqual(await batchOf([hooked, failing, hooked.replace('11', '12'), hooked]), [
      '0: passed s › a',
      '0: note s › a',
      '0: skipped b',
      '1: failed c › d',
      '2: failed s › a',
      '2: skipped b',
      '3: passed s › a',
      '3: note s › a',
      '3: skipped b',
    ])
  })

  test('a file of a batch without a test, or with an error outside its tests, has failed', async () => {
    assert.deepEqual(await batchOf([`throw new Error('no')`, '', `test('a', () => {})`]), [
      '0: failed file',
      '1: failed file',
      '2: passed a',
    ])
  })

  test('a file of a batch that hangs or dies has failed, and the others run again by themselves', async () => {
    const ends = [
      `setInterval(() => undefined, 1000); await new Promise(() => {})`,
      `process.exit(0)`,
      `process.kill(process.pid, 'SIGKILL')`,
      `await new Promise(() => {})`,
    ]
    for (const end of ends) {
      const runs = await batchOf([passing('a'), `test('b', async () => { ${end} })`, passing('c')], hangSeconds)
      assert.deepEqual(
        runs.filter((line) => !line.startsWith('1')),
        innocent,
        end,
      )
      assert.equal(runs.filter((line) => line === '1: failed file').length, 1, end)
    }
  })

  test('what keeps a batch from ending is found among its files, and what failed in the batch stays failed', async () => {
    const leaves = `test('b', () => void setInterval(() => undefined, 1000))`
    const flaky = `test('a', () => { if (process.argv.length > 3) throw new Error('no') })`
    assert.deepEqual(await batchOf([flaky, leaves, passing('c')], hangSeconds), [
      '0: failed a',
      '0: passed a',
      '0: note file',
      '1: passed b',
      '1: failed file',
      '1: note file',
      '2: passed c',
      '2: note file',
    ])
  })

  test('a batch that does not end although each of its files does has failed itself', async () => {
    const begins = `test('a', () => { if (process.argv.length > 3) setInterval(() => undefined, 1000) })`
    const lines = await batchOf([begins, passing('b')], hangSeconds)
    assert.deepEqual(lines.slice(0, -1), ['0: passed a', '0: note file', '1: passed b', '1: note file'])
    assert.match(lines.at(-1) ?? '', /: failed file$/)
  })
})
