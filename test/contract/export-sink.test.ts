import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { Secret, epochMillis, isDoorwardError } from '@doorward/core'
import { alertSink } from '../../packages/server/src/audit/alert/alert-sink.ts'
import { fileSink } from '../../packages/server/src/audit/export/file-sink.ts'
import { otlpSink } from '../../packages/server/src/audit/export/otlp-sink.ts'
import { DeliveryError } from '../../packages/server/src/audit/export/sink.ts'
import type { ExportSink } from '../../packages/server/src/audit/export/sink.ts'
import { syslogSink } from '../../packages/server/src/audit/export/syslog-sink.ts'
import { signatureOf, webhookSink } from '../../packages/server/src/audit/export/webhook-sink.ts'
import { clientTls, httpsReceiver, syslogReceiver, testPki } from '../fixtures/export-receivers.ts'
import type { HttpReceipt, HttpReceiver, Pem, Receiver, TestPki } from '../fixtures/export-receivers.ts'
import { describeExportSink, someEvents } from './export-sink.ts'
import type { Fault, SinkStage } from './export-sink.ts'

const pki = testPki()
const stranger: TestPki = testPki()
const secret = new Secret('a secret of some length')
const TIMEOUT = 2000
const tls = clientTls(pki)
const clock = () => epochMillis(1_700_000_000_000)
const never = new AbortController().signal

/** Closed at the end, whatever fails. */
const stages: { readonly sink: ExportSink; close(): Promise<void> }[] = []
after(() => Promise.all(stages.flatMap((one) => [one.sink.close(), one.close()])))

/** The receiver on one port, put up anew with what it shows. */
class Stage<R extends Receiver> implements SinkStage {
  readonly #open: (port: number, shown: Pem) => Promise<R>
  readonly #kept: (receiver: R) => readonly string[]
  readonly sink: ExportSink
  #receiver: R
  #before: readonly string[] = []
  #gone = false

  constructor(
    receiver: R,
    sink: ExportSink,
    open: (port: number, shown: Pem) => Promise<R>,
    kept: (receiver: R) => readonly string[],
  ) {
    this.#receiver = receiver
    this.sink = sink
    this.#open = open
    this.#kept = kept
    stages.push(this)
  }

  get receiver(): R {
    return this.#receiver
  }

  async received(): Promise<readonly string[]> {
    return this.#gone ? this.#before : [...this.#before, ...this.#kept(this.#receiver)]
  }

  async fault(fault: Fault | null): Promise<void> {
    if (fault === 'silent' || fault === 'nonsense' || fault === 'close') {
      this.#receiver.manner = fault
      return
    }
    this.#before = await this.received()
    this.#gone = true
    await this.#receiver.close()
    if (fault === 'gone') return
    const shown = fault === 'stranger' ? stranger.server : fault === 'other-name' ? pki.otherName : pki.server
    this.#receiver = await this.#open(this.#receiver.port, shown)
    this.#gone = false
  }

  close(): Promise<void> {
    return this.#receiver.close()
  }
}

const open = (body: string) => (port: number, shown: Pem) => httpsReceiver({ pki, shown, port }, body)
const eventsOf = ({ body }: HttpReceipt) =>
  (JSON.parse(body) as { events: object[] }).events.map((one) => JSON.stringify(one).replaceAll(/[^ -~]/g, escaped))
const recordsOf = ({ body }: HttpReceipt) =>
  (JSON.parse(body) as OtlpRequest).resourceLogs.flatMap(({ scopeLogs }) =>
    scopeLogs.flatMap(({ logRecords }) => logRecords.map((one) => one.body.stringValue)),
  )
const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`

interface OtlpRequest {
  readonly resourceLogs: readonly {
    readonly scopeLogs: readonly {
      readonly logRecords: readonly { readonly body: { readonly stringValue: string } }[]
    }[]
  }[]
}

async function webhookStage(): Promise<Stage<HttpReceiver>> {
  const receiver = await open('')(0, pki.server)
  const url = `https://localhost:${receiver.port}/hook`
  const sink = webhookSink({ url, tls, timeoutMilliseconds: TIMEOUT, secret: async () => secret, clock })
  return new Stage(receiver, sink, open(''), ({ receipts }) => receipts.flatMap(eventsOf))
}

async function alertStage(): Promise<Stage<HttpReceiver>> {
  const receiver = await open('')(0, pki.server)
  const url = `https://localhost:${receiver.port}/hook`
  const sink = alertSink({ url, tls, timeoutMilliseconds: TIMEOUT, secret: async () => secret, clock })
  return new Stage(receiver, sink, open(''), ({ receipts }) => receipts.map(({ body }) => body))
}

async function otlpStage(): Promise<Stage<HttpReceiver>> {
  const answer = '{"partialSuccess":{}}'
  const receiver = await open(answer)(0, pki.server)
  const url = `https://localhost:${receiver.port}/v1/logs`
  const authorization = async () => new Secret('Bearer x')
  const sink = otlpSink({ url, tls, timeoutMilliseconds: TIMEOUT, authorization, version: '0' })
  return new Stage(receiver, sink, open(answer), ({ receipts }) => receipts.flatMap(recordsOf))
}

async function syslogStage() {
  const put = (port: number, shown: Pem) => syslogReceiver({ pki, shown, port })
  const receiver = await put(0, pki.server)
  const sink = syslogSink({ host: 'localhost', port: receiver.port, tls, timeoutMilliseconds: TIMEOUT, machine: 'm' })
  return new Stage(receiver, sink, put, ({ messages }) => messages.map((one) => one.slice(one.indexOf('] {') + 2)))
}

const folder = await mkdtemp(join(tmpdir(), 'doorward-exports-'))
after(() => rm(folder, { recursive: true, force: true }))
const origin = 'acme.example/gateway/main'
const linesOf = async (path: string) => (await readFile(path, 'utf8').catch(() => '')).split('\n').slice(0, -1)

async function fileStage(): Promise<SinkStage> {
  const dir = join(folder, 'contract')
  const [file, aside] = [join(dir, 'acme.example+gateway+main.jsonl'), join(dir, 'aside')]
  const sink = fileSink({ dir, origin, rotateBytes: 1e9, keep: 2 })
  return {
    sink,
    received: async () => [...(await linesOf(aside)), ...(await linesOf(file))],
    async fault(fault) {
      await sink.close()
      if (fault === null) return rm(file, { recursive: true, force: true })
      // A folder where the file should be.
      await writeFile(aside, [...(await linesOf(aside)), ...(await linesOf(file)), ''].join('\n'))
      await rm(file)
      await mkdir(file)
    },
    close: () => sink.close(),
  }
}

const http = {
  gone: ['export_unreachable'],
  silent: ['export_timeout'],
  nonsense: ['export_unreachable'],
  close: ['export_unreachable'],
  stranger: ['export_untrusted'],
  'other-name': ['export_untrusted'],
}
// Side by side: most of the time they wait.
describe('export sinks', { concurrency: true }, () => {
  describeExportSink({ name: 'webhook', open: webhookStage, faults: http })
  describeExportSink({ name: 'alerts', open: alertStage, faults: http })
  describeExportSink({ name: 'otlp', open: otlpStage, faults: http })
  describeExportSink({ name: 'syslog', open: syslogStage, faults: http })
  describeExportSink({ name: 'file', open: fileStage, faults: { gone: ['export_file'] } })
})

const coded = (code: string) => (error: unknown) => isDoorwardError(error, code)

describe('alerts, one by one', () => {
  test('each is signed over its time and its bytes, redirects are not followed, and what is no finding is not sent', async () => {
    const stage = await alertStage()
    const [first, second, third] = someEvents(0, 3)
    assert.ok(first !== undefined && second !== undefined && third !== undefined)
    await stage.sink.deliver([first, { ...second, json: '' }], never)
    const { receipts, answers } = stage.receiver
    assert.equal(receipts.length, 1)
    const [receipt] = receipts
    assert.equal(receipt?.headers['doorward-signature'], signatureOf(first.json, secret, 1_700_000_000))
    answers.push({ status: 302, headers: { location: `https://localhost:${stage.receiver.port}/other` } })
    await assert.rejects(stage.sink.deliver([third], never), coded('export_redirected'))
  })

  test('when the second of a batch is not taken, the first does not come twice', async () => {
    const stage = await alertStage()
    const { receipts, answers } = stage.receiver
    const batch = someEvents(0, 3)
    answers.push({ status: 200 }, { status: 500 })
    await assert.rejects(stage.sink.deliver(batch, never), coded('export_refused'))
    await stage.sink.deliver(batch, never)
    assert.deepEqual(
      receipts.map(({ body }) => body),
      batch.map(({ json }) => json),
    )
  })
})

describe('webhook, its answers', () => {
  test('a batch is signed over its time and its bytes', async () => {
    const stage = await webhookStage()
    await stage.sink.deliver(someEvents(0, 2), never)
    const [receipt] = stage.receiver.receipts
    assert.equal(receipt?.headers['doorward-signature'], signatureOf(receipt?.body ?? '', secret, 1_700_000_000))
  })

  test('redirects are not followed, refusals and what is too large say so, and the wish to wait is kept', async () => {
    const stage = await webhookStage()
    const { answers, receipts } = stage.receiver
    answers.push({ status: 307, headers: { location: `https://localhost:${stage.receiver.port}/other` } })
    await assert.rejects(stage.sink.deliver(someEvents(0, 1), never), coded('export_redirected'))
    assert.deepEqual([receipts.length, answers.length], [0, 0])
    answers.push({ status: 413 })
    await assert.rejects(stage.sink.deliver(someEvents(0, 1), never), coded('export_too_large'))
    answers.push({ status: 500, body: 'x'.repeat(100_000) })
    await assert.rejects(stage.sink.deliver(someEvents(0, 1), never), coded('export_answer'))
    answers.push({ status: 401, body: 'who are you' })
    await assert.rejects(stage.sink.deliver(someEvents(0, 1), never), coded('export_refused'))
    answers.push({ status: 204 })
    await stage.sink.deliver(someEvents(0, 1), never)
  })

  test('a client certificate of somebody else is not accepted, and no secret is in the error', async () => {
    const receiver = await open('')(0, pki.server)
    const foreigner = clientTls({ ...pki, client: stranger.client })
    const url = `https://localhost:${receiver.port}/`
    const sink = webhookSink({ url, tls: foreigner, timeoutMilliseconds: TIMEOUT, secret: async () => secret, clock })
    await assert.rejects(sink.deliver(someEvents(0, 1), never), (error) => {
      assert.ok(!JSON.stringify({ ...(error as object), message: String(error) }).includes(secret.reveal()))
      return isDoorwardError(error, 'export_untrusted') || isDoorwardError(error, 'export_unreachable')
    })
    await receiver.close()
  })
})

describe('otlp, its answers', () => {
  test('retry is asked for by status and Retry-After, partial success counts, and nonsense is no acknowledgement', async () => {
    const stage = await otlpStage()
    const { answers, receipts } = stage.receiver
    for (const status of [429, 502, 503, 504, 400]) {
      answers.push({ status, headers: { 'retry-after': '7' } })
      await assert.rejects(stage.sink.deliver(someEvents(0, 1), never), (error) => {
        assert.ok(error instanceof DeliveryError)
        assert.deepEqual([error.code, error.retryAfterMilliseconds], ['export_refused', 7000])
        return true
      })
    }
    for (const body of ['<html>welcome</html>', '{"partialSuccess":{"rejectedLogRecords":"9"}}']) {
      answers.push({ status: 200, body })
      await assert.rejects(stage.sink.deliver(someEvents(0, 1), never), coded('export_answer'))
    }
    answers.push({ status: 200, body: '{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"no"}}' })
    assert.deepEqual(await stage.sink.deliver(someEvents(0, 2), never), { rejected: 1 })
    assert.equal(receipts[0]?.headers.authorization, 'Bearer x')
  })
})

describe('syslog, its connections', () => {
  test('a client certificate of somebody else is no acknowledgement', async () => {
    const receiver = await syslogReceiver({ pki })
    const foreigner = clientTls({ ...pki, client: stranger.client })
    const options = { host: 'localhost', port: receiver.port, timeoutMilliseconds: TIMEOUT, machine: 'm' }
    await assert.rejects(syslogSink({ ...options, tls: foreigner }).deliver(someEvents(0, 1), never))
    const without = async () => ({ ca: pki.ca, own: null })
    await assert.rejects(syslogSink({ ...options, tls: without }).deliver(someEvents(0, 1), never))
    assert.deepEqual(receiver.messages, [])
    await receiver.close()
  })

  test('without TLS where that was insisted on', async () => {
    const receiver = await syslogReceiver({ pki, plain: true })
    const sink = syslogSink({
      host: '127.0.0.1',
      port: receiver.port,
      tls: null,
      timeoutMilliseconds: TIMEOUT,
      machine: 'm',
    })
    await sink.deliver(someEvents(5, 1), never)
    assert.match(
      receiver.messages[0] ?? '',
      /^<109>1 .* \[doorward@32473 origin="acme\.example\/gateway\/main" index="5" kind="decision"\] \{/,
    )
    await receiver.close()
  })
})

describe('file, its lines', () => {
  test('it is rotated by size, so many are kept, and only the owner reads it', async () => {
    const dir = join(folder, 'rotated')
    const sink = fileSink({ dir, origin, rotateBytes: 2000, keep: 2 })
    for (let n = 0; n < 5; n++) await sink.deliver(someEvents(n * 5, 5), never)
    await sink.close()
    const names = (await readdir(dir)).toSorted()
    assert.deepEqual(
      names,
      [19, 24].map((index) => `acme.example+gateway+main.jsonl.${String(index).padStart(16, '0')}`),
    )
    assert.deepEqual(
      await linesOf(join(dir, names[1]!)),
      someEvents(20, 5).map(({ json }) => json),
    )
  })

  test('a line that a crash has cut off is taken back', async () => {
    const dir = join(folder, 'cut')
    const file = join(dir, 'acme.example+gateway+main.jsonl')
    const sink = fileSink({ dir, origin, rotateBytes: 1e9, keep: 2 })
    await sink.deliver(someEvents(0, 1), never)
    await sink.close()
    const whole = await readFile(file)
    await writeFile(file, Buffer.concat([whole, Buffer.from('{"cut')]))
    await sink.deliver(someEvents(1, 1), never)
    await sink.close()
    assert.deepEqual(
      await linesOf(file),
      [...someEvents(0, 1), ...someEvents(1, 1)].map(({ json }) => json),
    )
  })

  test('a link in its place is not followed', async () => {
    const dir = join(folder, 'link')
    await mkdir(dir)
    await chmod(dir, 0o700)
    const { symlink } = await import('node:fs/promises')
    await symlink(join(folder, 'elsewhere'), join(dir, 'acme.example+gateway+main.jsonl'))
    await assert.rejects(
      fileSink({ dir, origin, rotateBytes: 1e9, keep: 2 }).deliver(someEvents(0, 1), never),
      coded('export_file'),
    )
  })
})
