import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { epochMillis, isDoorwardError } from '@doorward/core'
import type { FileRecord } from '@doorward/enforcement'
import { RunningExports } from '../../packages/server/src/apps/audit-exports.ts'
import { exportEvent } from '../../packages/server/src/audit/export/ocsf.ts'
import type { ExportEvent } from '../../packages/server/src/audit/export/sink.ts'
import { syslogSink } from '../../packages/server/src/audit/export/syslog-sink.ts'
import { readEntries } from '../../packages/server/src/audit/read.ts'
import { exportPlaces } from '../../packages/server/src/config/audit-exports.ts'
import { parseConfiguration } from '../../packages/server/src/config/load.ts'
import { freePorts } from '../fixtures/deployment.ts'
import { testPki } from '../fixtures/export-receivers.ts'
import type { Pem } from '../fixtures/export-receivers.ts'
import { rsyslog, runSyslog, syslogNg } from '../fixtures/syslog-programs.ts'
import type { SyslogKind, SyslogPlace } from '../fixtures/syslog-programs.ts'
import { newLog } from '../unit/enforcement/record-fixture.ts'
import type { Log } from '../unit/enforcement/record-fixture.ts'

const hostile = 'a\nb\r\u001b[31m\u009b\u2028|CEF:0|\\|="]<13>1 \u202e\u0000ü€😀'

function append(record: FileRecord, count: number, text = hostile): Promise<unknown> {
  const body = { decision: 'deny', code: 'policy_denied', explanation: text, caller: 'spiffe://acme.example/a' }
  return Promise.all(Array.from({ length: count }, () => record.append({ kind: 'decision', body })))
}

const lineOf = ({ origin, index, kind, json }: ExportEvent) =>
  `[doorward@32473 origin="${origin}" index="${index}" kind="${kind}"]\t${json}`

async function eventsOf(log: Log): Promise<readonly ExportEvent[]> {
  const events: ExportEvent[] = []
  for await (const entry of readEntries(log.dir)) events.push(exportEvent(entry))
  return events
}

async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  for (let looks = 0; looks < 600; looks++) {
    if (await holds()) return
    await delay(20)
  }
  assert.fail(`in vain: ${what}`)
}

interface Exported {
  readonly log: Log
  readonly record: FileRecord
  readonly place: SyslogPlace
  readonly name: string
  readonly client: Pem
}

/** A gateway's export as configuration names it. */
async function startExport(t: TestContext, { log, record, place, name, client }: Exported): Promise<RunningExports> {
  // Beside the log, which is removed when every export has stopped.
  const folder = join(log.dir, '..', name)
  await mkdir(folder)
  await writeFile(join(folder, 'ca.pem'), place.pki.ca)
  await writeFile(join(folder, 'client.pem'), client.certificate)
  await writeFile(join(folder, 'client.key'), client.key, { mode: 0o600 })
  const yaml = `trust_domain: acme.example
audit:
  exports:
    - name: ${name}
      kind: syslog
      address: localhost:${place.port}
      ca_file: ca.pem
      certificate_file: client.pem
      key_file: client.key
`
  const running = new RunningExports({
    redaction: { isGone: () => false },
    exports: exportPlaces({ configuration: parseConfiguration(yaml, 'doorward.yaml'), folder }),
    stateDir: folder,
    record,
    recordFolder: log.dir,
    clock: () => epochMillis(Date.now()),
    warn: () => undefined,
  })
  t.after(() => running.stop())
  return running
}

async function stage(t: TestContext, kind: SyslogKind) {
  const command = kind.find(t)
  if (command === null) return null
  const folder = await mkdtemp(join(tmpdir(), `doorward-${kind.name}-`))
  const [port = 0] = await freePorts(1)
  const place = { folder: join(folder, 'receiver'), port, pki: testPki(), permitted: 'doorward-gateway' }
  const start = () => runSyslog(kind, command, place)
  let receiver = await start()
  t.after(async () => {
    await receiver.end('SIGKILL')
    await rm(folder, { recursive: true, force: true })
  })
  const again = async () => void (receiver = await start())
  return { place, receiver: () => receiver, again }
}

describe('a syslog receiver from Debian', { concurrency: true }, () => {
  for (const kind of [rsyslog, syslogNg]) {
    test(`${kind.name}: a log arrives whole and in order, however the receiver stops and starts meanwhile`, async (t) => {
      const on = await stage(t, kind)
      if (on === null) return
      const { place, receiver, again } = on
      const log = await newLog()
      const record = await log.open()
      const running = await startExport(t, { log, record, place, name: 'siem', client: place.pki.client })
      const state = () => running.states()[0]
      const next = () => state()?.next ?? 0
      await append(record, 999)
      await append(record, 1, 'ü'.repeat(7000))
      await append(record, 2000)
      await until('the first of several batches', () => next() > 0)
      await receiver().end('SIGTERM')
      await until('the failure', () => state()?.state === 'failing')
      assert.equal(state()?.error?.code, 'export_unreachable')
      assert.ok(next() < 3000, 'stopped in the middle')
      await again()
      await until('the rest', () => next() === 3000)
      // What it has taken it has to have written, before it is killed.
      await until('the rest in its file', async () => new Set(await receiver().lines()).size === 3000)
      await receiver().end('SIGKILL')
      await append(record, 1000)
      await again()
      await until('what came after', () => next() === 4000)
      await until('the end of the file', async () => new Set(await receiver().lines()).size === 4000)
      await record.close()
      assert.deepEqual([...new Set(await receiver().lines())], (await eventsOf(log)).map(lineOf))
    })

    test(`${kind.name}: a client without the certificate that it asks for delivers nothing, and the export says why`, async (t) => {
      const on = await stage(t, kind)
      if (on === null) return
      const { place, receiver } = on
      const log = await newLog()
      const record = await log.open()
      await append(record, 10)
      const clients = { stranger: testPki().client, other: place.pki.otherName }
      for (const error of await Promise.all(
        Object.entries(clients).map(async ([name, client]) => {
          const running = await startExport(t, { log, record, place, name, client })
          await until(`the refusal of ${name}`, () => running.states()[0]?.state === 'failing')
          await running.stop()
          return running.states()[0]?.error
        }),
      )) {
        assert.equal(error?.code, kind.refusal.code)
        assert.match(error.message, kind.refusal.why)
      }
      // Configuration demands a certificate: only the sink itself can go without.
      const bare = async () => ({ ca: place.pki.ca, own: null })
      const sink = syslogSink({
        host: 'localhost',
        port: place.port,
        tls: bare,
        timeoutMilliseconds: 5000,
        machine: 'm',
      })
      await assert.rejects(sink.deliver(await eventsOf(log), new AbortController().signal), (error) =>
        isDoorwardError(error, kind.refusal.code),
      )
      await record.close()
      assert.deepEqual(await receiver().lines(), [])
    })
  }
})
