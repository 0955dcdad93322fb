/** What a denial takes from callers of a gateway: connections, streams, sessions and the processes behind them. */

import { deepEqual, equal, ok } from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { readCertificate } from '@doorward/core'
import { sha256 } from '@doorward/sdk'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { tokenFor } from '../fixtures/authority/workload.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import { callOf, headOnly, Stage, whole } from './stage.ts'
import type { Attempt, Caller } from './stage.ts'

/** From the change to its effect. */
const EFFECTIVE = 5000
/** By which the process of the server `local` is found among all of the machine. */
const MARK = `doorward-local-${process.pid}`
const answering = `require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => { const { id, method } = JSON.parse(line); if (id !== undefined) console.log(JSON.stringify({ jsonrpc: '2.0', id, result: method === 'initialize' ? { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 'local', version: '1' } } : {} })) })`
const yaml = `security:
  rate_limiting: { global: 1000000/min, per_ip: 1000000/min, per_user: 1000000/min }
  rbac: { policies: [{ role: admin, permissions: ["*"] }, { role: local, permissions: ["read:local/*"] }] }
limits:
  sessions_per_user: 1000
  handshakes_per_ip: 1000000/min
`
const more = `  local: { command: [${JSON.stringify(process.execPath)}, -e, ${JSON.stringify(answering)}, ${MARK}], effects: { read: ["*"] } }
`

let stage: Stage

before(async () => {
  stage = await Stage.open({ yaml, more })
})
after(() => stage.close())

/** A connection with an answer behind it, a stream of the session, and a call whose answer streams. */
interface Open {
  readonly kept: TLSSocket
  readonly session: TLSSocket
  readonly answer: TLSSocket
}

async function openAll(caller: Caller, token: string): Promise<Open> {
  const [kept, session, answer] = await Promise.all([1, 2, 3].map(() => dial(caller.tls)))
  ok(kept !== undefined && session !== undefined && answer !== undefined)
  await stage.passes({ caller, token, on: kept })
  await stage.passes({ caller, token, on: session, method: 'GET', until: headOnly })
  await stage.passes({ caller, token, on: answer, body: callOf('stream_open'), until: headOnly })
  return { kept, session, answer }
}

/** Resolves when the chunked answer has ended or its connection has closed. */
function endOf(socket: TLSSocket): Promise<'ended' | 'cut'> {
  return new Promise((resolve, reject) => {
    if (socket.destroyed) return resolve('cut')
    const timer = setTimeout(() => reject(new Error('not ended in time')), EFFECTIVE)
    const settle = (how: 'ended' | 'cut') => {
      clearTimeout(timer)
      resolve(how)
    }
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (text.endsWith('0\r\n\r\n')) settle('ended')
    })
    socket.once('close', () => settle('cut'))
  })
}

/** The outcome of each stream names why it ended. */
async function streamsEndedAs(code: string, caller: Caller): Promise<void> {
  const decided = new Set(
    (await stage.entries('gateway'))
      .filter(({ entry: { kind, body } }) => kind === 'decision' && body['caller'] === caller.id)
      .map(({ index }) => index),
  )
  await stage.poll(async () => {
    const outcomes = (await stage.entries('gateway')).filter(
      ({ entry: { kind, body } }) => kind === 'outcome' && decided.has(Number(body['of'])) && body['code'] === code,
    )
    return outcomes.length === 2 || undefined
  }, `two outcomes with ${code}`)
}

const kinds: readonly {
  readonly name: string
  readonly subject: (caller: Caller) => Promise<Parameters<Stage['admin']['revoke']>[0]>
}[] = [
  {
    name: 'RV-4: a denied serial',
    subject: async ({ identity }) => ({ subject: 'serial', serial: identity.credentials.current().certificate.serial }),
  },
  { name: 'RV-4: a denied identity', subject: async ({ id }) => ({ subject: 'workload', id }) },
  {
    name: 'RV-4, OP-10: a locked instance',
    subject: async ({ id }) => {
      const [first] = (await stage.admin.workload(id)).instances
      return { subject: 'instance', instance: first?.instance ?? '' }
    },
  },
]

for (const [index, { name, subject }] of kinds.entries()) {
  test(`${name} loses open connections, session streams and streaming answers, and is refused on new connections`, async () => {
    const caller = await stage.caller(`agent/kind-${index}`)
    const token = await stage.token(caller)
    const open = await openAll(caller, token)
    const ends = [open.kept, open.session, open.answer].map(endOf)
    await stage.admin.revoke(await subject(caller))
    await Promise.all(ends)
    await streamsEndedAs('certificate_denied', caller)
    const byte = stage.tap.bytes
    equal(await stage.send({ caller, token, on: open.kept }), null)
    equal(stage.tap.bytes, byte)
    await stage.refuses({ caller, token }, 'certificate_denied')
    await stage.refuses({ caller, token, method: 'GET' }, 'certificate_denied')
  })
}

test('RV-4: a denied token ends the streams and the session that it opened, and its connection goes on with another', async () => {
  const caller = await stage.caller('agent/token')
  const stolen = await stage.token(caller)
  const thief = { ...caller, session: await stage.initialize(caller, { token: stolen }) }
  const open = await openAll(thief, stolen)
  const ends = Promise.all([endOf(open.session), endOf(open.answer)])
  await stage.admin.revoke({ subject: 'token', token: idOf(stolen) })
  await ends
  await streamsEndedAs('token_denied', caller)
  await stage.refuses({ caller: thief, token: stolen }, 'token_denied')
  await stage.refuses({ caller: thief, token: stolen, on: open.kept }, 'token_denied')
  const token = await freshToken(caller)
  const renewed = { ...caller, session: await stage.initialize(caller, { token, on: open.kept }) }
  await stage.passes({ caller: renewed, token, on: open.kept })
  const gone = await stage.send({ caller: thief, token, on: open.kept })
  equal(gone?.headers['doorward-code'], 'session_unknown')
  open.kept.destroy()
})

test('RV-4: a call whose body comes slowly is refused by the denial of its token meanwhile', async () => {
  const caller = await stage.caller('agent/slow')
  // Neither opened nor used the session, or that would end with it.
  const token = await freshToken(caller)
  const on = await dial(caller.tls)
  const text = await stage.text({ caller, token })
  const cut = text.length - 10
  on.write(text.slice(0, cut))
  // Another request on another connection has passed every stage before the denial begins.
  await stage.passes({ caller })
  const byte = stage.tap.bytes
  const { mark } = await stage.admin.revoke({ subject: 'token', token: idOf(token) })
  const { stragglers } = await stage.admin.receivers(mark, 5)
  ok(!stragglers.includes(gatewayId()))
  const answer = parseAnswer(await talk(on, text.slice(cut), whole))
  equal(answer.headers['doorward-code'], 'token_denied')
  await stage.recorded('gateway', answer, 'token_denied')
  equal(stage.tap.bytes, byte)
  on.destroy()
})

test('RV-4: the process of a session ends with the credentials that opened it', async () => {
  const caller = await stage.caller('agent/local', ['local'])
  const target = '/mcp/local'
  const token = await stage.token(caller, stage.audience('local'))
  const session = await stage.initialize(caller, { target, token })
  ok(session !== '')
  equal((await marked()).length, 1)
  await stage.admin.revoke({ subject: 'token', token: idOf(token) })
  await stage.poll(async () => (await marked()).length === 0 || undefined, 'the end of the process', 2 * EFFECTIVE)
})

test('RV-2, OP-4: the command names who has heard of a denial and who has not, and exits with 1 for these', async () => {
  const caller = await stage.caller('agent/straggler')
  const heard = await stage.system.run(['revoke', 'token', 'C'.repeat(22), '--json', '--reason', 'a drill'])
  equal(heard.code, 0, heard.stderr)
  const receipt = JSON.parse(heard.stdout) as Receipt
  deepEqual(receipt.stragglers, [])
  ok(receipt.acknowledged.includes(gatewayId()))
  deepEqual(
    receipt.revocations.map(({ kind, value, reason }) => [kind, value, reason]),
    [['token', 'C'.repeat(22), 'a drill']],
  )

  const { chain, privateKey } = caller.identity.credentials.current()
  const follower = await RawClient.open(stage.deployment.authority.listeners.main, {
    certificate: chain[0]!,
    privateKey,
  })
  const { publicUrl } = stage.deployment.authority
  const authorization = `Bearer ${await tokenFor(follower, publicUrl)}`
  follower.send('GET', '/v1/trust-state?follow=true', { headers: { authorization } })
  await follower.head()
  const missed = await stage.system.run(['revoke', 'token', 'D'.repeat(22), '--wait', '1'])
  equal(missed.code, 1, missed.stderr)
  ok(missed.stderr.includes(caller.id), missed.stderr)
  ok(missed.stdout.includes(gatewayId()), missed.stdout)
  follower.close()

  const listed = await stage.system.run(['revoke', 'list', '--json'])
  const { revocations } = JSON.parse(listed.stdout) as Pick<Receipt, 'revocations'>
  ok(['C', 'D'].every((letter) => revocations.some(({ value }) => value === letter.repeat(22))))
})

test('the command refuses what cannot be meant, says what to do, and never repeats a token', async () => {
  const token = await stage.token(await stage.caller('agent/careless'))
  const careless = await stage.system.run(['revoke', 'token', token])
  deepEqual([careless.code, careless.stderr.includes(token.slice(0, 40)), careless.stdout], [2, false, ''])
  const unknown = await stage.system.run(['revoke', 'serial', '0A:0B:0C', '--json'])
  deepEqual([unknown.code, codeIn(unknown.stdout)], [1, 'serial_unknown'])
  const unseen = await stage.system.run(['revoke', 'serial', '0x000A0B0C', '--unseen', '--json'])
  equal(unseen.code, 0, unseen.stderr)
  equal((JSON.parse(unseen.stdout) as Receipt).revocations[0]?.value, '0a0b0c')
  const nobody = await stage.system.run(['revoke', 'workload', 'agent/nobody', '--json'])
  deepEqual([nobody.code, codeIn(nobody.stdout)], [1, 'workload_unknown'])
  const self = await stage.system.run(['revoke', 'workload', stage.operator.id.uri, '--json'])
  deepEqual([self.code, codeIn(self.stdout)], [1, 'revokes_itself'])
})

test('RV-4, CA-2: one command denies the key of the authority: everybody comes back by machine key, and is heard of', async () => {
  const caller = await stage.caller('agent/everybody')
  const token = await stage.token(caller)
  const open = await openAll(caller, token)
  const ends = [open.kept, open.session, open.answer].map(endOf)
  const anchor = await anchorOf(caller)
  const { code, stdout, stderr } = await stage.system.run(['revoke', 'authority', anchor, '--wait', '20', '--json'])
  await Promise.all(ends)
  equal(code, 0, `${stdout}${stderr}`)
  ok((JSON.parse(stdout) as Receipt).acknowledged.includes(gatewayId()), stdout)
  equal(await stage.send({ caller, token }), null)
  await caller.identity.prepare()
  const back = { ...caller, tls: stage.tlsOf(caller.identity) }
  const fresh: Attempt = { caller: { ...back, session: await stage.initialize(back) } }
  await stage.passes(fresh)
  ok((await anchorOf(back)) !== anchor)
})

interface Receipt {
  readonly revocations: readonly { readonly kind: string; readonly value: string; readonly reason: string }[]
  readonly acknowledged: readonly string[]
  readonly stragglers: readonly string[]
}

function codeIn(json: string): string {
  return (JSON.parse(json) as { readonly error: { readonly code: string } }).error.code
}

function gatewayId(): string {
  return `spiffe://${stage.deployment.trustDomain}/doorward/gateway/main`
}

function idOf(token: string): string {
  const [, payload = ''] = token.split('.')
  return (JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as { readonly jti: string }).jti
}

async function anchorOf({ identity }: Caller): Promise<string> {
  const read = readCertificate(identity.credentials.current().chain[0]!, { sha256 })
  return 'problem' in read ? '' : (read.authorityKeyId ?? '')
}

/** Straight from the authority: the identity's own source keeps the one that it has. */
async function freshToken({ identity }: Caller): Promise<string> {
  const { chain, privateKey } = identity.credentials.current()
  const certificate = chain[0]!
  const client = await RawClient.open(stage.deployment.authority.listeners.main, { certificate, privateKey })
  try {
    return await tokenFor(client, stage.audience())
  } finally {
    client.close()
  }
}

/** Processes with our mark among their arguments. */
async function marked(): Promise<readonly string[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
  const lines = await Promise.all(
    ids.map(async (id) => [id, await readFile(`/proc/${id}/cmdline`, 'latin1').catch(() => '')] as const),
  )
  return lines.filter(([, line]) => line.split('\0').includes(MARK)).map(([id]) => id)
}

test('the record counts no refusal of these callers as a stranger', () => stage.settle())
