/** Every detector tripped on a running authority, by somebody who writes to its store or holds what nobody should. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { toBase64url } from '@doorward/core'
import { generateP256, sha256 } from '@doorward/sdk'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { recordOf, removeFolders, startTestAuthority, trustDomain } from '../fixtures/authority/running.ts'
import type { TestAuthority } from '../fixtures/authority/running.ts'
import {
  enrolled,
  joined,
  joinToken,
  ownToken,
  requestRenewal,
  requestToken,
  tokenFor,
  trustStateFor,
  tryEnrol,
} from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'
import { newAnchor } from '../fixtures/trust-fixture.ts'

const id = (path: string) => `spiffe://${trustDomain}/${path}`
const PATIENCE = 25_000

let authority: TestAuthority
let gateway: Workload
let database: DatabaseSync

before(async () => {
  authority = await startTestAuthority({
    lookMilliseconds: 300,
    settings: { detect: { certificatesPerInstance: 1, newIdentitiesPerHour: 8 } },
  })
  gateway = await joined(authority, id('doorward/gateway/main'), ['gateway'])
  database = new DatabaseSync(join(authority.folders.stateDir, 'authority.db'), { timeout: 5000 })
})
after(async () => {
  database.close()
  await authority.stop()
  await removeFolders(authority.folders)
})

interface Alarm {
  readonly detector: string
  readonly subject: string
  readonly detail: string
}

function alarms(): readonly Alarm[] {
  return database.prepare('SELECT detector, subject, detail FROM alarms').all() as object[] as Alarm[]
}

async function poll<T>(look: () => Promise<T | undefined> | T | undefined, what: string): Promise<T> {
  const deadline = performance.now() + PATIENCE
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > deadline) throw new Error(`not seen in time: ${what}; alarms: ${JSON.stringify(alarms())}`)
    await sleep(100)
  }
}

/** The alarm, which is on record too, and was told to the operator. */
async function alarm(detector: string, subject: string): Promise<Alarm> {
  const found = await poll(
    () => alarms().find((one) => one.detector === detector && one.subject === subject),
    `${detector} about ${subject}`,
  )
  await poll(async () => {
    const entries = await recordOf(authority.folders)
    const about = entries.filter(({ kind, body }) => kind === 'detection' && body['detector'] === detector)
    return about.some(({ body }) => body['subject'] === subject) || undefined
  }, `an entry of ${detector} about ${subject}`)
  const told = authority.events.some(
    (event) =>
      event.type === 'detection' && event.detection.detector === detector && event.detection.subject === subject,
  )
  assert.ok(told, 'the operator was not told')
  return found
}

/** Rows that somebody writes, as the store has them. */
function insert(table: string, row: Readonly<Record<string, string | number | Uint8Array | null>>): void {
  const names = Object.keys(row)
  const sql = `INSERT INTO ${table} (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})`
  database.prepare(sql).run(...Object.values(row))
}

const own = () => (database.prepare('SELECT instance FROM authorities').get() as { readonly instance: string }).instance
const seconds = () => Math.floor(Date.now() / 1000)

async function anchorRow(holder: string, keyName: string) {
  const anchor = await newAnchor(trustDomain)
  const row = {
    key_id: anchor.keyId,
    key_name: keyName,
    purpose: 'anchor',
    authority: holder,
    state: 'published',
    jwk: JSON.stringify(anchor.keyPair.jwk),
    certificate: anchor.der,
    not_after: seconds() + 7 * 86_400,
    prepared_at: seconds(),
    published_at: seconds(),
    epoch: 1,
    reissue: 0,
  }
  return { keyId: anchor.keyId, row }
}

/** As a release makes it, so that the next trust state takes it up. */
function insertCertificate(serial: string, holder: string, issuer: string): void {
  insert('issuance', certificateRow(serial, holder, issuer))
  const mark = 'SELECT coalesce(max(release_mark), 0) + 1 FROM issuance'
  database.prepare(`UPDATE issuance SET release_mark = (${mark}) WHERE serial = ?`).run(serial)
}

function certificateRow(serial: string, holder: string, issuer: string) {
  return {
    serial,
    id: holder,
    anchor_key_id: 'nobody',
    authority: issuer,
    public_key_hash: 'nobody',
    not_before: seconds() - 60,
    not_after: seconds() + 3600,
    intended_at: seconds(),
    state: 'released',
    fingerprint: toBase64url(sha256(new TextEncoder().encode(serial))),
  }
}

test('DT-4: an identity that renews without pause is an alarm', async () => {
  let workload = await joined(authority, id('agent/busy'))
  for (let renewals = 0; renewals < 12; renewals++) {
    const client = await RawClient.open(authority.running.addresses.main, workload)
    const key = await generateP256()
    const answer = await requestRenewal(client, await tokenFor(client), { key, joinState: workload.joinState })
    client.close()
    workload = enrolled(workload.id, { answer, key, machineKey: workload.machineKey })
  }
  await alarm('DT-4', id('agent/busy'))
})

test('DT-4: many new identities within an hour are an alarm', async () => {
  for (let count = 0; count < 8; count++)
    await authority.running.registerWorkload({ id: id(`agent/many-${count}`), roles: [] }, 'test')
  await alarm('DT-4', 'new identities')
})

test('DT-5: a certificate for a canary identity is an alarm, and so is every use of it', async () => {
  await authority.running.registerWorkload({ id: id('agent/canary'), roles: [], canary: true }, 'test')
  const canary = enrolled(
    id('agent/canary'),
    await tryEnrol(authority, { token: await joinToken(authority, id('agent/canary')) }),
  )
  const issued = await alarm('DT-5', id('agent/canary'))
  assert.match(issued.detail, /about to be issued \(join\)/)
  await poll(async () => {
    await ownToken(authority, canary)
    return alarms().find(({ subject, detail }) => subject === id('agent/canary') && detail.includes('was used'))
  }, 'the use of a canary')
})

test('DT-6: an anchor under our name that we have not made is denied at once and never vouched for', async () => {
  const { keyId, row } = await anchorRow(own(), 'anchor-0000000000000000')
  insert('key_slots', row)
  await alarm('DT-6', keyId)
  const { state } = await poll(async () => {
    const opened = await trustStateFor(authority, gateway, 'full')
    return opened.state.denied.authorities.includes(keyId) ? opened : undefined
  }, 'the denial')
  assert.ok(state.anchors.every((anchor) => anchor.keyId !== keyId))
})

test('DT-6: a retired anchor that is not in our log is denied too', async () => {
  const { keyId, row } = await anchorRow(own(), 'anchor-1111111111111111')
  insert('key_slots', { ...row, state: 'retired' })
  await alarm('DT-6', keyId)
})

test('DT-6: keys of an authority that claims our key for trust state are denied', async () => {
  const entry = database.prepare('SELECT * FROM authorities').get() as Record<string, string | number>
  insert('authorities', { ...entry, instance: 'ffffffffffffffff', name: 'impostor' })
  const { keyId, row } = await anchorRow('ffffffffffffffff', 'anchor-2222222222222222')
  insert('key_slots', row)
  await alarm('DT-6', keyId)
  database.prepare("DELETE FROM authorities WHERE name = 'impostor'").run()
})

test('DT-6: a certificate that the store calls released and our log does not know is denied', async () => {
  const serial = 'abcdef0123456789'
  insertCertificate(serial, gateway.id, own())
  await joined(authority, id('agent/next-state'))
  await alarm('DT-6', serial)
  await poll(async () => {
    const { state } = await trustStateFor(authority, gateway, 'full')
    return state.denied.serials.includes(serial) || undefined
  }, 'the denial')
})

test('DT-6: live certificates of somebody who is not registered are an alarm', async () => {
  insertCertificate('abcdef9876543210', id('agent/nobody'), 'eeeeeeeeeeeeeeee')
  await joined(authority, id('agent/later-state'))
  await alarm('DT-6', id('agent/nobody'))
})

test('CA-7: a registered lifetime beyond a sixth of the anchor’s is an alarm (DT-8), and nothing is issued for it', async () => {
  const workload = await joined(authority, id('agent/long'))
  const token = await ownToken(authority, workload)
  database.prepare('UPDATE registrations SET ttl_seconds = 200000 WHERE id = ?').run(workload.id)
  await alarm('DT-8', workload.id)
  const client = await RawClient.open(authority.running.addresses.main, workload)
  const answer = await requestRenewal(client, token, { key: await generateP256(), joinState: workload.joinState })
  client.close()
  assert.deepEqual([answer.status, answer.headers['doorward-code']], [403, 'lifetime_unfit'])
  database.prepare('UPDATE registrations SET ttl_seconds = 3600 WHERE id = ?').run(workload.id)
})

test('DT-8: a clock that was set is an alarm', async () => {
  authority.step(-3_600_000)
  await alarm('DT-8', 'clock_stepped')
  authority.step(3_600_000)
  await poll(async () => {
    const client = await RawClient.open(authority.running.addresses.main, gateway)
    const { status } = await requestToken(client)
    client.close()
    return status === 200 || undefined
  }, 'tokens')
})

test('DT-7: a workload that follows and does not renew is an alarm before its certificate ends', async () => {
  const workload = await joined(authority, id('agent/lazy'))
  const client = await RawClient.open(authority.running.addresses.main, workload)
  const token = await tokenFor(client)
  client.send('GET', '/v1/trust-state?follow=true', { headers: { authorization: `Bearer ${token}` } })
  await client.head()
  authority.advance(50 * 60_000)
  await alarm('DT-7', workload.id)
  client.close()
})
