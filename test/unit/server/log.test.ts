/** The line of a call in the process log. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openLog } from '../../../packages/server/src/observability/log.ts'
import type { CallLine } from '../../../packages/server/src/observability/log.ts'

const call: CallLine = {
  decision: 'test.example/gateway/main#7',
  code: 'allowed',
  caller: 'spiffe://test.example/agent/a',
  server: 'files',
  action: 'tools/call',
  subject: 'read_note',
  traceId: null,
  outcome: { status: 'completed', http: 200, bytes: 10, milliseconds: 1.25 },
}

async function linesOf(calls: readonly CallLine[]): Promise<readonly Record<string, unknown>[]> {
  const folder = await mkdtemp(join(tmpdir(), 'doorward-log-'))
  try {
    const file = await open(join(folder, 'log'), 'w')
    const log = openLog({ name: 'gateway/main', fd: file.fd })
    for (const each of calls) log.call(each)
    await log.close()
    const text = await readFile(join(folder, 'log'), 'utf8')
    ok(text.endsWith('\n'))
    return text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('a call is one line, with its decision and its outcome', async () => {
  const [line = {}] = await linesOf([call])
  const { time, ...rest } = line
  ok(Math.abs(Date.parse(String(time)) - Date.now()) < 60_000)
  const { outcome, traceId, ...own } = call
  deepEqual(rest, { level: 30, process: 'gateway/main', event: 'call', ...own, ...outcome })
  equal(traceId, null)
})

test('what is not there is not told, and what is there is told as it is', async () => {
  const [refused, traced] = await linesOf([
    { ...call, decision: null, caller: null, code: 'token_missing', outcome: null },
    { ...call, traceId: 'ab'.repeat(16), outcome: { ...call.outcome!, attempts: 2, explanation: 'it "ended"\n' } },
  ])
  deepEqual([refused?.['decision'], refused?.['caller'], refused?.['status']], [null, null, undefined])
  deepEqual([traced?.['trace'], traced?.['attempts'], traced?.['explanation']], ['ab'.repeat(16), 2, 'it "ended"\n'])
})

test('names that callers and servers choose stay within their line', async () => {
  const names = ['"},{"event":"x', 'a\nb', '\u2028\u001b[31m', '\ud800', 'ü', '\\', '', 'x'.repeat(2000)]
  const lines = await linesOf(names.map((subject) => ({ ...call, subject })))
  deepEqual(
    lines.map(({ subject }) => subject),
    names.map((name) => name.slice(0, 512)),
  )
})

test('what a rule keeps of a result is for the record alone', async () => {
  const outcome = { ...call.outcome!, code: 'allowed', kept: { result: { note: 'canary-7f1' } } }
  const [line] = await linesOf([{ ...call, outcome }])
  ok(!JSON.stringify(line).includes('canary-7f1'))
})
