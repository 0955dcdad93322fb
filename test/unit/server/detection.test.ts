/** Raising detections: on record first, bounded, and told once. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { DoorwardError, epochMillis, toBase64, toBase64url } from '@doorward/core'
import { sha256 } from '@doorward/sdk'
import type { AuthorityContext } from '../../../packages/server/src/authority/context.ts'
import { detectionRate, raiseDetection } from '../../../packages/server/src/authority/detection.ts'
import { raiseForgedCredential } from '../../../packages/server/src/authority/detect/forged-credential.ts'
import type { Detection } from '../../../packages/server/src/authority/detection-port.ts'
import { EntryRate } from '../../../packages/server/src/authority/entry-rate.ts'
import { sharedGround } from '../../fixtures/authority/one-store.ts'
import type { SharedGround } from '../../fixtures/authority/one-store.ts'

let ground: SharedGround
let context: AuthorityContext
before(async () => {
  ground = await sharedGround()
  context = (await ground.open('main')).context
})
after(() => ground.remove())

/** The context with a record, a clock and a listener of the test's own. */
function stage(more: Partial<AuthorityContext> = {}) {
  const entered: Detection[] = []
  const told: Detection[] = []
  const time = { now: 0 }
  const watched: AuthorityContext = {
    ...context,
    clock: () => epochMillis(1_800_000_000_000 + time.now),
    log: {
      append: async ({ kind, body }) => {
        assert.equal(kind, 'detection')
        assert.equal(told.length, entered.length)
        entered.push(body as Detection)
      },
    },
    detections: { rate: new EntryRate(detectionRate), tell: (detection) => told.push(detection) },
    ...more,
  }
  return { watched, entered, told, time }
}

function detection(subject: string): Detection {
  return { detector: 'DT-3', subject, detail: 'seen' }
}

async function alarmOf(subject: string): Promise<number | undefined> {
  return (await ground.store.alarms.list()).find((alarm) => alarm.subject === subject)?.count
}

test('a detection is on record before it is told; of one subject a minute has one entry, and the alarm counts all', async () => {
  const { watched, entered, told, time } = stage()
  for (let count = 0; count < 5; count++) await raiseDetection(watched, detection('a'))
  assert.deepEqual([entered.length, told.length, await alarmOf('a')], [1, 1, 5])
  await raiseDetection(watched, { ...detection('a'), detector: 'DT-2' })
  await raiseDetection(watched, detection('b'))
  assert.deepEqual([entered.length, told.length], [3, 3])
  time.now = 60_000
  await raiseDetection(watched, detection('a'))
  assert.deepEqual([entered.length, await alarmOf('a')], [4, 6])
})

test('what somebody causes with ever new subjects is bounded in the record', async () => {
  const { watched, entered } = stage()
  for (let count = 0; count < 300; count++) await raiseDetection(watched, detection(`many-${count}`))
  assert.equal(entered.length, detectionRate.most)
})

test('what cannot be recorded is not raised, and the next one may be recorded', async () => {
  const broken = {
    append: async () => {
      throw new DoorwardError('record_failed', 'full')
    },
  }
  const { watched, told } = stage({ log: broken })
  await assert.rejects(raiseDetection(watched, detection('unrecorded')), { code: 'record_failed' })
  assert.deepEqual([told.length, await alarmOf('unrecorded')], [0, undefined])
  const { log, detections } = stage().watched
  await raiseDetection(
    { ...watched, log, detections: { ...detections, rate: watched.detections.rate } },
    detection('unrecorded'),
  )
  assert.equal(await alarmOf('unrecorded'), 1)
})

test('a store that takes no alarm keeps nobody from acting on the detection', async () => {
  const alarms = {
    ...context.store.alarms,
    raise: async () => {
      throw new DoorwardError('store_unavailable', 'away')
    },
  }
  const { watched, entered, told } = stage({ store: { ...context.store, alarms } })
  await raiseDetection(watched, { ...detection('storeless'), detail: 'x'.repeat(2000) })
  assert.deepEqual([entered.length, told[0]?.detail.length], [1, 512])
})

test('entries are bounded by key and window, and one that was given back may be taken again', () => {
  const rate = new EntryRate({ windowMilliseconds: 1000, most: 2 })
  const at = epochMillis
  assert.deepEqual(
    [rate.take('a', at(0)), rate.take('a', at(999)), rate.take('b', at(1)), rate.take('c', at(2))],
    [true, false, true, false],
  )
  assert.deepEqual([rate.take('a', at(1000)), rate.take('a', at(1001))], [true, false])
  rate.giveBack('a')
  assert.equal(rate.take('a', at(1002)), true)
})

test('DT-1: what a recovery has an old key sign is no alarm where it is seen too early; another certificate of that name is', async () => {
  const certificate = new Uint8Array([1, 2, 3])
  const canary = { signed: [{ kind: 'certificate', certificate: toBase64(certificate) }] }
  const { ceremonies } = context.store
  const newest = async () => ({ canary }) as never
  const { watched, entered } = stage({ store: { ...context.store, ceremonies: { ...ceremonies, newest } } })
  const seenWith = (bytes: Uint8Array) => {
    const fingerprint = toBase64url(sha256(bytes))
    const claimed = 'spiffe://test.example/doorward/canary/1'
    const where = { remoteAddress: '127.0.0.1', listener: 'main' }
    const seen = { kind: 'certificate', keyId: 'k', credential: fingerprint, unissued: fingerprint } as const
    return raiseForgedCredential(watched, { ...seen, claimed, reason: 'not_issued', ...where }, null)
  }
  await seenWith(certificate)
  assert.equal(entered.length, 0)
  await seenWith(new Uint8Array([1, 2, 4]))
  assert.deepEqual([entered.length, entered[0]?.detector], [1, 'DT-1'])
})
