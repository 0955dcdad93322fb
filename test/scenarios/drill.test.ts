import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { program } from '../fixtures/deployment.ts'

function drill(words: readonly string[]): Promise<{ readonly code: number | null; readonly lines: readonly string[] }> {
  const child = spawn(process.execPath, [program, 'authority', 'drill', '--json', ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.on('data', (part: Buffer) => (text += part.toString()))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, lines: text.trim().split('\n') }))
  })
}

test('the drill: forged credentials are refused, nobody legitimate is lost, and the report is signed', async (t) => {
  const report = join(tmpdir(), `doorward-drill-${process.pid}.txt`)
  t.after(() => rm(report, { force: true }))
  const { lines } = await drill([
    '--workloads',
    '12',
    '--gateways',
    '2',
    '--rotations',
    '1',
    '--calls',
    '300',
    '--report',
    report,
  ])
  const events = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  const steps = events.filter(({ event }) => event === 'step')
  for (const { step, bar, measured } of steps) t.diagnostic(`${String(step)}: ${String(measured)} (${String(bar)})`)
  // How long a machine under other tests takes is told, not asserted.
  const untimed = steps.filter(({ bar }) => !/within/.test(String(bar)))
  assert.deepEqual(
    untimed.filter(({ passed }) => passed !== true),
    [],
  )
  assert.ok(steps.some(({ step, measured }) => step === 'alarm DT-1' && measured !== 'none'))
  const [head, body = ''] = (await readFile(report, 'utf8')).split('\n')
  assert.equal(head, 'doorward/drill-report/v1')
  assert.equal((JSON.parse(body) as { readonly workloads: number }).workloads, 12)
})

test('a drill that cannot be rehearsed says so before it starts anything', async () => {
  assert.equal((await drill(['--workloads', '0'])).code, 2)
  assert.equal((await drill(['--authorities', '2'])).code, 2)
})
