/** The detectors by rate and state of an authority: raised by the real thing, on record, an alarm, and over again. */

import assert from 'node:assert/strict'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, test } from 'node:test'
import { connect } from 'node:tls'
import { removeFolders, startTestAuthority } from '../fixtures/authority/running.ts'
import type { TestAuthority } from '../fixtures/authority/running.ts'
import { over, raisedBy, thresholds, until } from '../fixtures/findings.ts'

let authority: TestAuthority
before(async () => {
  authority = await startTestAuthority({
    findMilliseconds: 100,
    settings: {
      detections: thresholds({
        authentication_failures: { count: 6, seconds: 1 },
        record_lag: { seconds: 1 },
        limit_exhausted: { enabled: false },
      }),
    },
  })
})
after(async () => {
  await authority.stop()
  await removeFolders(authority.folders)
})

const warnings = () =>
  authority.events.flatMap((event) => (event.type === 'warning' ? [`${event.code} ${event.text}`] : []))

test('a detector that is switched off is told loudly at the start', () => {
  assert.ok(warnings().some((one) => one.startsWith('detector_off the detector limit_exhausted')))
})

test('authentication_failures: strangers at the authority are on record, an alarm, and over', async () => {
  const { host, port } = authority.running.addresses.main
  const stranger = () =>
    new Promise<void>((resolve) => {
      const socket = connect({ host, port, rejectUnauthorized: false })
      socket.on('error', () => resolve()).on('close', () => resolve())
      socket.resume()
    })
  const strangers = () => Promise.all(Array.from({ length: 6 }, stranger))
  const { stateDir } = authority.folders
  const source = { detector: 'authentication_failures', subject: '127.0.0.1' }
  assert.equal((await raisedBy(stateDir, source, strangers)).severity, 'high')
  const database = new DatabaseSync(join(stateDir, 'authority.db'), { readOnly: true, timeout: 5000 })
  const alarms = () => database.prepare('SELECT detector, subject FROM alarms').all()
  await until(() => (alarms().length > 0 ? true : undefined), 'the alarm')
  assert.deepEqual({ ...alarms()[0] }, source)
  database.close()
  assert.equal((await over(stateDir, source)).body['ended'], true)
})

test('record_lag: a record without its second copy is told, and entered as soon as it can be', async () => {
  const { stateDir, keyDir } = authority.folders
  const copy = join(keyDir, `${encodeURIComponent('test.example/authority')}.checkpoint`)
  await rename(copy, `${copy}.aside`)
  await mkdir(copy)
  await authority.running
    .registerWorkload({ id: 'spiffe://test.example/agent/late', roles: [] }, 'test')
    .catch(() => undefined)
  await until(
    () => warnings().find((one) => one.startsWith('detection record_lag: record: ')),
    'a word about the record',
  )
  await rm(copy, { recursive: true })
  await rename(`${copy}.aside`, copy)
  assert.equal((await over(stateDir, { detector: 'record_lag', subject: 'record' })).body['severity'], 'critical')
})
