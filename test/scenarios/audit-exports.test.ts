import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import { httpsReceiver, testPki } from '../fixtures/export-receivers.ts'
import type { HttpReceiver } from '../fixtures/export-receivers.ts'

type Log = 'gateway' | 'authority'
const logs: readonly Log[] = ['gateway', 'authority']
const originOf = (log: Log) => (log === 'gateway' ? 'test.example/gateway/main' : 'test.example/authority')

const exportsYaml = (port: number) => `${wideLimits}audit:
  exports:
    - name: siem
      kind: webhook
      url: https://localhost:${port}/events
      secret_file: hook.secret
      ca_file: siem-ca.pem
      certificate_file: client.pem
      key_file: client.key
      timeout_seconds: 5
    - { name: archive, kind: file, dir: exported }
`

/** Indices of a log in the order in which they were received. */
function received({ receipts }: HttpReceiver, log: Log): readonly number[] {
  return receipts.flatMap(({ body }) => {
    const { origin, events } = JSON.parse(body) as { origin: string; events: { metadata: { sequence: number } }[] }
    return origin === originOf(log) ? events.map(({ metadata }) => metadata.sequence) : []
  })
}

async function inFile(deployment: TestDeployment, log: Log): Promise<readonly number[]> {
  const file = join(deployment.folder, 'exported', `${originOf(log).replaceAll('/', '+')}.jsonl`)
  const lines = (await readFile(file, 'utf8')).split('\n').slice(0, -1)
  return lines.map((line) => (JSON.parse(line) as { metadata: { sequence: number } }).metadata.sequence)
}

interface Report {
  readonly log: string
  readonly name: string
  readonly state: string
  readonly delivered: number | null
  readonly waiting: { readonly entries: number; readonly bytes: number }
  readonly error: { readonly code: string } | null
}

async function report(
  deployment: TestDeployment,
): Promise<{ readonly code: number | null; readonly exports: Report[] }> {
  const { code, stdout } = await deployment.run(['audit', 'exports', '--json'])
  return { code, exports: (JSON.parse(stdout) as { exports: Report[] }).exports }
}

async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  for (let looks = 0; looks < 600; looks++) {
    if (await holds()) return
    await delay(50)
  }
  assert.fail(`not in time: ${what}`)
}

const allOf = (indices: readonly number[]) => [...new Set(indices)].toSorted((a, b) => a - b)
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index)

test('both logs are exported, through an outage and a kill, and to the last entry when everything stops', async (t) => {
  const pki = testPki()
  const receiver = await httpsReceiver({ pki }, '')
  t.after(() => receiver.close())
  const deployment = await TestDeployment.prepare({ yaml: exportsYaml(receiver.port) })
  t.after(() => deployment.remove())
  const { certificate, key } = pki.client
  const files = { 'siem-ca.pem': pki.ca, 'client.pem': certificate, 'client.key': key, 'hook.secret': 'a secret\n' }
  for (const [name, text] of Object.entries(files))
    await writeFile(join(deployment.folder, name), text, { mode: 0o600 })
  await deployment.up()

  const isEqual = async (log: Log) => {
    const { length } = await deployment.record(log)
    const indices = received(receiver, log)
    return length > 0 && allOf(indices).length === length && (await inFile(deployment, log)).length >= length
  }
  for (const log of logs) await until(`${log} is exported`, () => isEqual(log))
  const well = await report(deployment)
  assert.equal(well.code, 0, JSON.stringify(well))
  assert.deepEqual(
    well.exports.map(({ log, name, state, error }) => [log, name, state, error]),
    logs.flatMap((log) => ['siem', 'archive'].map((name) => [originOf(log), name, 'delivering', null])),
  )

  receiver.manner = 'close'
  const before = (await deployment.record('gateway')).length
  const started = () => deployment.events.filter(({ event, part }) => event === 'started' && part === 'gateway')
  process.kill(Number(started()[0]?.['pid']), 'SIGKILL')
  await until('the gateway is back', () => started().length > 1)
  await until('the file goes on', async () => (await inFile(deployment, 'gateway')).length > before)
  const kept = join(await deployment.recordFolder('gateway'), '..', 'exports', 'siem.json')
  await until('the outage shows', async () => (JSON.parse(await readFile(kept, 'utf8')) as Report).state === 'failing')
  const { code, exports } = await report(deployment)
  receiver.manner = 'well'
  const [failing, archive] = exports.filter(({ log }) => log === originOf('gateway'))
  assert.deepEqual([code, failing?.state, failing?.error?.code], [1, 'failing', 'export_unreachable'])
  assert.ok((failing?.waiting.entries ?? 0) > 0 && (failing?.waiting.bytes ?? 0) > 0)
  assert.equal(archive?.state, 'delivering')
  const notices = () => deployment.events.filter(({ event }) => event === 'notice').map(({ text }) => String(text))
  assert.ok(notices().some((text) => text.includes('export siem (webhook) of test.example/gateway/main fails')))

  for (const log of logs) await until(`${log} has caught up`, () => isEqual(log))
  await until('it is told', () => notices().some((text) => text.endsWith('delivers again')))
  await deployment.interrupt()
  for (const log of logs) {
    const entries = await deployment.record(log)
    assert.equal(entries.at(-1)?.entry.body['event'], `${log}.stop`)
    const indices = received(receiver, log)
    assert.deepEqual(allOf(indices), upTo(entries.length))
    assert.ok(
      indices.every((index, i) => i === 0 || index <= Math.max(...indices.slice(0, i)) + 1),
      'nothing is left out',
    )
    assert.deepEqual(allOf(await inFile(deployment, log)), upTo(entries.length))
  }
  const { code: end, stdout } = await deployment.run(['audit', 'exports'])
  assert.equal(end, 0)
  assert.match(stdout, /^LOG +EXPORT +STATE +SINCE +DELIVERED +WAITING +ERROR\n/)
  assert.match(stdout, /^test\.example\/authority +archive \(file\) +stopped .* 0 \(0 bytes\) +-$/m)
})
