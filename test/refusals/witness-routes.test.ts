/** An authority as a witness: it cosigns what follows from what it remembers, of the caller's own log and of no other. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { after, before, test } from 'node:test'
import { cosignaturesOf, epochSeconds, parseVerifierKey, toSeconds } from '@doorward/core'
import { denialTable, importEd25519 } from '@doorward/enforcement'
import type { DenialCode } from '@doorward/enforcement'
import { sha256, systemClock } from '@doorward/sdk'
import { checkpointNoteOf } from '../../packages/server/src/audit/log-folder.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { smallLog } from '../fixtures/small-log.ts'
import type { SmallLog } from '../fixtures/small-log.ts'
import { Stage } from './stage.ts'
import type { Caller } from './stage.ts'

const origin = 'test.example/gateway/spare'
const { privateKey } = generateKeyPairSync('ed25519')
const log = smallLog(origin, 'entry', privateKey)
const forked = smallLog(origin, 'other', privateKey)

let stage: Stage
let spare: Caller
before(async () => {
  stage = await Stage.open()
  spare = await stage.gateway('spare')
})
after(() => stage.close())

async function post(path: string, body: object, caller = spare): Promise<RawAnswer> {
  const { listeners, publicUrl } = stage.deployment.authority
  const { host, port } = listeners.main
  const answer = await stage.send({
    caller,
    target: path,
    body: () => JSON.stringify(body),
    token: await stage.token(caller, publicUrl),
    connect: { host, port },
    headers: { Host: new URL(publicUrl).host },
  })
  ok(answer !== null)
  return answer
}

async function show({ logKey }: Pick<SmallLog, 'logKey'>, submission: string, caller = spare): Promise<RawAnswer> {
  return post('/v1/witness', { log_key: logKey, submission }, caller)
}

/** Refused and on record, with nothing cosigned. */
async function refused(answer: RawAnswer, code: DenialCode): Promise<void> {
  deepEqual([answer.status, answer.headers['doorward-code']], [denialTable[code].http, code], answer.text)
  ok(!answer.text.includes('cosignature/') && !answer.text.includes('witness_key'))
  const name = answer.headers['doorward-decision'] ?? ''
  const { entry } = await stage.entry('authority', ({ index }) => index === Number(name.split('#')[1]))
  const outcome = await stage.entry('authority', (one) => one.entry.body['of'] === Number(name.split('#')[1]))
  equal(entry.kind, 'decision')
  equal(outcome.entry.body['code'], code)
}

async function alarms(detector: string): Promise<number> {
  const entries = await stage.entries('authority')
  return entries.filter(({ entry: { body } }) => body['detector'] === detector && body['subject'] === origin).length
}

/** What comes over the wire is kept byte by byte. */
const documentOf = (answer: RawAnswer) =>
  JSON.parse(Buffer.from(answer.body, 'latin1').toString('utf8')) as Readonly<Record<string, string>>

test('a key that has signed nothing is not held against the next one', async () => {
  const mistaken = smallLog(origin)
  await refused(await show(mistaken, await log.submission(0, 5)), 'request_invalid')
  await refused(await show(mistaken, 'x'), 'request_invalid')
})

test('a log is cosigned from its beginning on, and where it was before is told', async () => {
  const first = await show(log, await log.submission(0, 5))
  equal(first.status, 200, first.text)
  const { witness_key = '', cosignature = '', checkpoint = '' } = documentOf(first)
  equal(checkpoint, await log.note(5))
  const { name, keyId, publicKey } = parseVerifierKey(sha256, witness_key, 'cosignature')
  equal(name, 'test.example/authority/witness')
  const witness = { name, keyId, key: importEd25519(publicKey)! }
  const now = epochSeconds(toSeconds(systemClock()) + 5)
  equal(cosignaturesOf(`${checkpoint}${cosignature}`, [witness], now).length, 1)
  const elsewhere = await show(log, await log.submission(2, 9))
  deepEqual([elsewhere.status, documentOf(elsewhere)['checkpoint']], [409, await log.note(5)])
  equal((await show(log, await log.submission(5, 9))).status, 200)
  equal((await show(log, await log.submission(9, 9))).status, 200)
})

test('what does not follow from what is remembered is refused, and raises an alarm', async () => {
  await refused(await show(forked, await forked.submission(9, 9)), 'log_contradicted')
  await refused(await show(forked, await forked.submission(9, 12)), 'log_contradicted')
  ok((await alarms('log_contradicted')) >= 1)
  const shorter = await show(log, await log.submission(0, 4))
  deepEqual([shorter.status, documentOf(shorter)['checkpoint']], [409, await log.note(9)])
  equal(await alarms('log_went_back'), 1)
  equal((await show(log, await log.submission(9, 12))).status, 200)
})

test('nobody shows the log of somebody else, nor one with another key', async () => {
  const others = smallLog('test.example/gateway/main')
  await refused(await show(others, await others.submission(0, 3)), 'request_invalid')
  const authority = smallLog('test.example/authority')
  await refused(await show(authority, await authority.submission(0, 3)), 'request_invalid')
  const another = smallLog(origin)
  await refused(await show(another, await another.submission(12, 13)), 'log_refused')
  equal(await alarms('log_key_changed'), 1)
  await refused(await show(log, await another.submission(12, 13)), 'request_invalid')
  const operator = {
    id: stage.operator.id.uri,
    identity: stage.operator,
    tls: stage.tlsOf(stage.operator),
    session: '',
  }
  await refused(await show(log, await log.submission(12, 13), operator), 'log_refused')
})

test('what is no submission is refused as such', async () => {
  const right = await log.submission(12, 13)
  for (const submission of ['x', right.replace('old 12', 'old 012'), right.slice(0, 40), right.replace('entry', '')])
    if (submission !== right) await refused(await show(log, submission), 'request_invalid')
  await refused(await show({ logKey: 'x' }, right), 'request_invalid')
  await refused(await post('/v1/witness', { log_key: log.logKey }), 'request_invalid')
})

test('a cosignature is taken from the witness that it names, on a checkpoint of this log alone', async () => {
  const note = (await checkpointNoteOf(await stage.system.recordFolder('authority'))) ?? ''
  const key = smallLog(`${origin}/witness`).logKey
  const said = { witness_key: key, cosignature: 'x', checkpoint: note }
  await refused(await post('/v1/witness/cosignature', said), 'request_invalid')
  await refused(await post('/v1/witness/cosignature', { ...said, checkpoint: await log.note(3) }), 'request_invalid')
  await refused(await post('/v1/witness/cosignature', { evidence: await log.note(3) }), 'request_invalid')
  await refused(await post('/v1/witness/cosignature', {}), 'request_invalid')
  const held = await post('/v1/witness/cosignature', { evidence: note })
  equal(held.status, 204)
  match(held.headers['doorward-code'] ?? '', /allowed/)
})
