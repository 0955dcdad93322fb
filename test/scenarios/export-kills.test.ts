import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { httpsReceiver, testPki } from '../fixtures/export-receivers.ts'
import { repository } from '../fixtures/deployment.ts'
import { newLog } from '../unit/enforcement/record-fixture.ts'

const ENTRIES = 6000
const KILLS = 3
const program = join(repository, 'test', 'fixtures', 'export-process.ts')

test('an exporter that is killed again and again delivers every entry in order, at least once', async (t) => {
  const log = await newLog()
  const record = await log.open({ limits: { segmentBytes: 200_000 } })
  const body = { of: 0, status: 'completed', http: 200, bytes: 1, milliseconds: 1 }
  await Promise.all(
    Array.from({ length: ENTRIES }, (_, of) => record.append({ kind: 'outcome', body: { ...body, of } })),
  )
  await record.close()
  const folder = await mkdtemp(join(tmpdir(), 'doorward-export-kills-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const pki = testPki()
  const files = { 'ca.pem': pki.ca, 'client.pem': pki.client.certificate, 'client.key': pki.client.key }
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  const receiver = await httpsReceiver({ pki }, '')
  t.after(() => receiver.close())
  const url = `https://localhost:${receiver.port}/`
  const start = (): ChildProcess =>
    spawn(process.execPath, ['--conditions=source', program, log.dir, join(folder, 'state'), url, folder], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })

  const batches = () => receiver.receipts.map(({ body }) => JSON.parse(body) as { first: number; last: number })
  for (let kill = 0; kill < KILLS; kill++) {
    const child = start()
    const before = receiver.receipts.length
    for (let looks = 0; receiver.receipts.length < before + 2 && looks < 2000; looks++) await delay(1)
    child.kill('SIGKILL')
    await once(child, 'close')
  }
  assert.ok((batches().at(-1)?.last ?? 0) < ENTRIES - 1, 'killed before the end')
  const [code] = (await once(start(), 'close')) as [number | null]
  assert.equal(code, 0)

  let next = 0
  for (const { first, last } of batches()) {
    assert.ok(first <= next, `entry ${next} was left out before ${first}`)
    next = Math.max(next, last + 1)
  }
  assert.equal(next, ENTRIES)
  const received = new Set(
    receiver.receipts.flatMap(({ body }) =>
      (JSON.parse(body) as { events: { metadata: { uid: string } }[] }).events.map(({ metadata }) => metadata.uid),
    ),
  )
  assert.equal(received.size, ENTRIES)
})
