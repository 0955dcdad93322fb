import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { epochMillis, isDoorwardError } from '@doorward/core'
import type { FileRecord } from '@doorward/enforcement'
import { timerSleep } from '@doorward/sdk'
import { reportExports } from '../../../packages/server/src/apps/audit-exports-report.ts'
import { fileExportStates } from '../../../packages/server/src/apps/audit-exports-states.ts'
import { RunningExports } from '../../../packages/server/src/apps/audit-exports.ts'
import type { ExportState } from '../../../packages/server/src/audit/export/state.ts'
import type { ExportPlace } from '../../../packages/server/src/config/audit-exports.ts'
import { ORIGIN, newLog } from '../enforcement/record-fixture.ts'

const folder = await mkdtemp(join(tmpdir(), 'doorward-running-exports-'))
after(() => rm(folder, { recursive: true, force: true }))

const file = (name: string): ExportPlace => ({
  name,
  kind: 'file',
  dir: join(folder, name),
  rotateBytes: 2 ** 30,
  keep: 1,
  spoolBytes: 2 ** 28,
})
const entry = (n: number) => ({ kind: 'outcome', body: { of: n, status: 'completed' } }) as const

function run(log: { readonly dir: string }, record: FileRecord, exports: readonly ExportPlace[]) {
  const told: string[] = []
  const running = new RunningExports({
    redaction: { isGone: () => false },
    exports,
    stateDir: join(log.dir, '..'),
    record,
    recordFolder: log.dir,
    clock: () => epochMillis(Date.now()),
    warn: (code) => void told.push(code),
  })
  return { running, told }
}

test('stopping hands over the last entries, and one that fails keeps neither the others nor the stopping', async () => {
  const log = await newLog()
  const record = await log.open()
  await writeFile(join(folder, 'broken'), 'a file where a folder should be')
  const { running, told } = run(log, record, [file('good'), file('broken')])
  for (let n = 0; n < 10; n++) await record.append(entry(n))
  for (let looks = 0; !told.includes('export_failing') && looks < 500; looks++) await timerSleep(10)
  assert.equal(await running.oldestNeeded(), 0, 'the one that fails needs all of it')
  assert.equal(running.isLagging(), false)
  await record.append(entry(10))
  await running.stop()
  await record.close()
  const lines = (await readFile(join(folder, 'good', `${ORIGIN.replaceAll('/', '+')}.jsonl`), 'utf8')).split('\n')
  assert.equal(lines.length - 1, 11)
  assert.deepEqual(
    running.states().map(({ next, state }) => [next, state]),
    [
      [11, 'stopped'],
      [0, 'stopped'],
    ],
  )
  assert.equal(running.states()[1]?.error?.code, 'export_file')
})

test('without exports nothing is needed, and stopping waits for nothing', async () => {
  const log = await newLog()
  const record = await log.open()
  const { running } = run(log, record, [])
  assert.equal(await running.oldestNeeded(), Number.MAX_SAFE_INTEGER)
  await running.stop()
  await record.close()
})

test('the report tells what the files say: nothing yet, a process that is gone, a file that is none', async () => {
  const log = await newLog()
  const record = await log.open()
  for (let n = 0; n < 3; n++) await record.append(entry(n))
  await record.close()
  const place = { name: 'gateway', origin: ORIGIN, folder: log.dir }
  const stateDir = join(log.dir, '..')
  const exports = ['none', 'gone', 'here', 'torn', 'fails'].map((name) => ({ name, kind: 'file' }))
  const state: ExportState = {
    name: 'x',
    kind: 'file',
    origin: ORIGIN,
    next: 2,
    state: 'delivering',
    since: 5,
    lagging: false,
    rejected: 0,
    error: null,
    pid: process.pid,
  }
  const gone = spawnSync(process.execPath, ['-e', '']).pid
  await fileExportStates(stateDir, 'gone').write({ ...state, pid: gone })
  await fileExportStates(stateDir, 'here').write(state)
  await fileExportStates(stateDir, 'fails').write({ ...state, state: 'failing', pid: gone, next: 0 })
  await mkdir(join(stateDir, 'exports'), { recursive: true })
  await writeFile(join(stateDir, 'exports', 'torn.json'), '{"v":1')
  await assert.rejects(fileExportStates(stateDir, 'torn').read(), (error) => isDoorwardError(error, 'export_state'))
  const reports = await reportExports([place], exports)
  assert.deepEqual(
    reports.map(({ state: shown, delivered, waitingEntries, error }) => [
      shown,
      delivered,
      waitingEntries,
      error?.code,
    ]),
    [
      ['new', null, 3, undefined],
      ['stopped', 1, 1, undefined],
      ['delivering', 1, 1, undefined],
      ['failing', null, 0, 'export_state'],
      ['failing', null, 3, undefined],
    ],
  )
})
