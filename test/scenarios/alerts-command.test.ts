/** `doorward alerts` beside a running deployment: what is raised, who hears of it, and whether a receiver answers. */

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'node:tls'
import { Secret } from '@doorward/core'
import { TestDeployment } from '../fixtures/deployment.ts'
import { httpsReceiver, testPki } from '../fixtures/export-receivers.ts'
import type { HttpReceiver } from '../fixtures/export-receivers.ts'
import { signatureOf } from '../../packages/server/src/audit/export/webhook-sink.ts'

const pki = testPki()
const secret = 'canary-of-the-alerts-file'
let deployment: TestDeployment
let ops: HttpReceiver
let stranger: HttpReceiver

const webhook = (name: string, port: number) => `    - name: ${name}
      url: https://localhost:${port}/alerts
      secret_file: hook.secret
      ca_file: ca.pem
      certificate_file: client.pem
      key_file: client.key
`

before(async () => {
  ops = await httpsReceiver({ pki }, 'thanks')
  stranger = await httpsReceiver({ pki, shown: testPki().server }, '')
  const yaml = `security:
  rate_limiting: { global: 1000000/min, per_ip: 1000000/min, per_user: 1000000/min }
detections:
  authentication_failures: { count: 5, seconds: 2 }
  clock_step: { enabled: false }
alerts:
  webhooks:
${webhook('ops', ops.port)}${webhook('stranger', stranger.port)}`
  deployment = await TestDeployment.prepare({ yaml })
  const { certificate, key } = pki.client
  const files = { 'ca.pem': pki.ca, 'client.pem': certificate, 'client.key': key, 'hook.secret': `${secret}\n` }
  for (const [name, text] of Object.entries(files))
    await writeFile(join(deployment.folder, name), text, { mode: 0o600 })
  await deployment.up()
})
after(async () => {
  await deployment.remove()
  await ops.close()
  await stranger.close()
})

interface Shown {
  readonly raised: readonly Readonly<Record<string, unknown>>[]
  readonly parts: readonly { readonly origin: string; readonly state: string }[]
  readonly webhooks: readonly { readonly name: string; readonly log: string; readonly state: string }[]
  readonly authority: { readonly asked: boolean; readonly error: string | null }
}

async function alerts(): Promise<{ readonly code: number | null; readonly shown: Shown }> {
  const { code, stdout } = await deployment.run(['alerts', '--json'])
  return { code, shown: JSON.parse(stdout) as Shown }
}

test('a receiver is asked by name, and what it answers, or what keeps it from hearing, is said', async () => {
  const { code, stdout } = await deployment.run(['alerts', 'test', 'ops', '--json'])
  assert.equal(code, 0, stdout)
  const answer = JSON.parse(stdout) as { status: number; body: string }
  assert.deepEqual([answer.status, answer.body], [200, 'thanks'])
  const receipt = ops.receipts.find(({ body }) => body.includes('"phase":"test"'))
  const signature = String(receipt?.headers['doorward-signature'])
  const seconds = Number(/^t=(\d+),/.exec(signature)?.[1])
  assert.equal(signature, signatureOf(receipt?.body ?? '', new Secret(secret), seconds))
  const refused = await deployment.run(['alerts', 'test', 'stranger', '--json'])
  assert.equal(refused.code, 1)
  assert.equal((JSON.parse(refused.stdout) as { error: { code: string } }).error.code, 'export_untrusted')
  assert.equal(stranger.receipts.length, 0)
  const unknown = await deployment.run(['alerts', 'test', 'nobody'])
  assert.equal(unknown.code, 2)
  assert.match(unknown.stderr, /webhook_unknown/)
})

test('what is raised is shown with its severity, exit 1; the webhook heard of it; and it is over by itself', async () => {
  assert.ok(deployment.events.some(({ text }) => String(text).includes('the detector clock_step is switched off')))
  const { host, port } = (await deployment.deployment()).gateway.listeners.main
  const strangers = setInterval(() => {
    const socket = connect({ host, port, rejectUnauthorized: false })
    socket.on('error', () => undefined).resume()
  }, 60)
  const told = ({ shown }: Awaited<ReturnType<typeof alerts>>): boolean =>
    shown.raised.length > 0 && shown.webhooks.some(({ name, state }) => name === 'stranger' && state === 'failing')
  let found = await alerts()
  try {
    for (let looks = 0; !told(found) && looks < 100; looks++) {
      await sleep(100)
      found = await alerts()
    }
  } finally {
    clearInterval(strangers)
  }
  const { code, shown } = found
  const raised = shown.raised.find(({ detector }) => detector === 'authentication_failures')
  assert.equal(code, 1, JSON.stringify(shown))
  assert.equal(raised?.['subject'], '127.0.0.1')
  assert.equal(raised?.['severity'], 'high')
  assert.match(String(raised?.['entry']), /^test\.example\/gateway\/main#\d+$/)
  assert.deepEqual(shown.authority, { asked: true, error: null })
  assert.ok(shown.parts.some(({ origin, state }) => origin === 'test.example/gateway/main' && state === 'runs'))
  assert.ok(shown.webhooks.some(({ name, state }) => name === 'ops' && state === 'delivering'))
  assert.ok(shown.webhooks.some(({ name, state }) => name === 'stranger' && state === 'failing'))
  assert.ok(ops.receipts.some(({ body }) => body.includes(String(raised?.['entry']))))
  const isOver = () => ops.receipts.some(({ body }) => body.includes('"phase":"ended"') && body.includes('127.0.0.1'))
  for (let looks = 0; !isOver() && looks < 200; looks++) await sleep(50)
  assert.ok(isOver())
  const { stdout } = await deployment.run(['alerts'])
  assert.ok(!stdout.includes('authentication_failures'), stdout)
  assert.match(stdout, /^WEBHOOK +LOG +STATE +SINCE +TO LOOK AT +ERROR$/m)
  assert.ok(![stdout, JSON.stringify(deployment.events), JSON.stringify(shown)].join('\n').includes(secret))
})
