/** Everything that one denial takes away at the authority, and what it leaves. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { generateP256 } from '@doorward/sdk'
import type { RawClient } from '../fixtures/authority/raw-client.ts'
import { codeOf, RevocationStage } from '../fixtures/authority/revocation-stage.ts'
import type { Holder } from '../fixtures/authority/revocation-stage.ts'
import {
  call,
  enrolled,
  joinToken,
  ownToken,
  requestRenewal,
  tokenFor,
  tryEnrol,
  workloadOf,
} from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'

let stage: RevocationStage
let bystander: Holder

before(async () => {
  stage = await RevocationStage.open()
  bystander = await stage.holder('agent/bystander')
})
after(() => stage.close())

const allWays = (code: string) => ({ request: code, exchange: code, renewal: code })
const nothingLost = { request: 'allowed', exchange: 'allowed', renewal: 'allowed' }

async function streamRefusedAs(code: string): Promise<void> {
  await stage.entry((kind, body) => kind === 'outcome' && body['code'] === code)
}

/** The same identity once more, with another key. */
async function another(id: string): Promise<Workload> {
  return enrolled(id, await tryEnrol(stage.authority, { token: await joinToken(stage.authority, id) }))
}

async function renewed(held: Holder): Promise<Workload> {
  const key = await generateP256()
  const { machineKey, joinState } = held.workload
  const answer = await requestRenewal(held.live, held.token, { key, joinState })
  const { certificate, join_state } = answer.json()
  return workloadOf(held.workload.id, {
    certificate: String(certificate),
    joinState: String(join_state),
    key,
    machineKey,
  })
}

test('RV-4, RV-5: a denied serial is refused on new and open connections and streams, for tokens and renewals', async () => {
  const held = await stage.holder('agent/serial')
  assert.deepEqual(await stage.outcomes(await stage.holder('agent/serial-control')), nothingLost)
  const { serial } = held.workload.read
  const { revocations } = await stage.revoke({ subject: 'serial', serial })
  assert.deepEqual(
    revocations.map(({ kind, value }) => [kind, value]),
    [['serial', serial]],
  )
  await stage.streamEnd(held)
  await stage.closed(held)
  assert.deepEqual(await stage.outcomes(held), allWays('certificate_denied'))
  await streamRefusedAs('certificate_denied')
  const back = await stage.comeBack(held)
  assert.ok(typeof back !== 'string')
  assert.deepEqual(await stage.outcomes({ workload: back, token: await ownToken(stage.authority, back) }), nothingLost)
})

test('RV-5: a serial takes every renewal of it along, whoever has made it, and nothing else of the identity', async () => {
  const held = await stage.holder('agent/renewer')
  const other = await stage.holding(await another(held.workload.id))
  const child = await stage.holding(await renewed(held))
  const grandchild = await stage.holding(await renewed(child))
  const { revocations } = await stage.revoke({ subject: 'serial', serial: held.workload.read.serial })
  const serials = [held, child, grandchild].map(({ workload }) => workload.read.serial)
  assert.deepEqual(revocations.map(({ value }) => value).toSorted(), serials.toSorted())
  for (const one of [held, child, grandchild]) {
    await stage.closed(one)
    assert.deepEqual(await stage.outcomes(one), allWays('certificate_denied'))
  }
  assert.deepEqual(await stage.outcomes(other), nothingLost)
})

test('RV-5, OP-4: a denied identity loses all that was issued before, its machine key and its join tokens with it', async () => {
  const held = await stage.holder('agent/identity')
  const { id } = held.workload
  const unused = await joinToken(stage.authority, id)
  const { locked } = await stage.revoke({ subject: 'workload', id })
  assert.equal(locked.length, 1)
  await stage.streamEnd(held)
  await stage.closed(held)
  assert.deepEqual(await stage.outcomes(held), allWays('certificate_denied'))
  assert.equal(await stage.comeBack(held), 'instance_locked')
  assert.equal(codeOf((await tryEnrol(stage.authority, { token: unused })).answer), 'join_refused')
  const anew = await another(id)
  const token = await ownToken(stage.authority, anew)
  assert.deepEqual(await stage.outcomes({ workload: anew, token }), nothingLost)
})

test('RV-5: with an earlier moment, an identity keeps what was issued from then on', async () => {
  const held = await stage.holder('agent/moment')
  const { id } = held.workload
  const before = Math.floor(Date.now() / 1000) - 3600
  await stage.revoke({ subject: 'workload', id, issued_before: before })
  assert.deepEqual(await stage.outcomes(held), nothingLost)
  held.live.close()
  held.stream.close()
})

test('OP-10: a locked instance loses what it has and cannot return, the others of its name go on', async () => {
  const held = await stage.holder('agent/copies')
  const { id } = held.workload
  const [instance] = await stage.instancesOf(id)
  const other = await stage.holding(await another(id))
  assert.deepEqual((await stage.revoke({ subject: 'instance', instance })).locked, [instance])
  await stage.streamEnd(held)
  await stage.closed(held)
  assert.deepEqual(await stage.outcomes(held), allWays('certificate_denied'))
  assert.equal(await stage.comeBack(held), 'instance_locked')
  assert.deepEqual(await stage.outcomes(other), nothingLost)
})

test('RV-4: a denied token is refused, its stream ends on a connection that lives, and the certificate is good for another', async () => {
  const held = await stage.holder('agent/token')
  await stage.revoke({ subject: 'token', token: held.tokenId })
  assert.equal(await stage.streamEnd(held), 'ended')
  await streamRefusedAs('token_denied')
  const refused = { request: 'token_denied', exchange: 'allowed', renewal: 'token_denied' }
  assert.deepEqual(await stage.outcomes(held), refused)
  const next = await tokenFor(held.live)
  assert.equal(codeOf(await call(held.stream, next, 'GET /v1/trust-state')), 'allowed')
  assert.deepEqual(await stage.outcomes({ workload: held.workload, token: next }), nothingLost)
})

test('RV-4: a renewal and a token request whose body comes slowly are refused by what was denied meanwhile', async () => {
  const slow = async (deny: (held: Holder) => object, path: string) => {
    const held = await stage.holder(path)
    const key = await generateP256()
    const client = await stage.connect(held.workload)
    const exchange = await stage.connect(held.workload)
    const body = JSON.stringify({
      public_key: Buffer.from(key.spki).toString('base64url'),
      proof: Buffer.from(await key.signKey.sign(client.exported('EXPORTER-doorward-renew'))).toString('base64url'),
      join_state: held.workload.joinState,
    })
    const form = 'grant_type=client_credentials&resource=https%3A%2F%2Fauthority.test.example'
    begin(client, 'POST /v1/renew', { body, type: 'application/json', token: held.token })
    begin(exchange, 'POST /v1/token', { body: form, type: 'application/x-www-form-urlencoded' })
    // The token was judged with the head: its caller is on the way to a permit.
    await stage.outcomes(bystander)
    await stage.revoke(deny(held))
    client.socket.write(body.slice(10))
    exchange.socket.write(form.slice(10))
    return [await headCode(client), await headCode(exchange)]
  }
  // On a slow machine the connection may be closed before the rest of the body is there.
  const refused = ['certificate_denied', 'cut']
  const bySerial = await slow(({ workload }) => ({ subject: 'serial', serial: workload.read.serial }), 'agent/slow-1')
  assert.ok(
    bySerial.every((code) => refused.includes(code)),
    bySerial.join(),
  )
  const byIdentity = await slow(({ workload }) => ({ subject: 'workload', id: workload.id }), 'agent/slow-2')
  assert.ok(
    byIdentity.every((code) => refused.includes(code)),
    byIdentity.join(),
  )
  const [renewal] = await slow(({ tokenId }) => ({ subject: 'token', token: tokenId }), 'agent/slow-3')
  assert.equal(renewal, 'token_denied')
})

test('RV-4: a request that is already at the issuer gets no certificate when the denial is stored before it', async () => {
  const held = await stage.holder('agent/raced')
  const asked = Promise.all(
    Array.from({ length: 8 }, async () => {
      const client = await stage.connect(held.workload)
      const token = await tokenFor(client)
      return requestRenewal(client, token, { key: await generateP256(), joinState: held.workload.joinState }).then(
        (answer) => ({ answer, client }),
      )
    }).map((one) => one.catch(() => null)),
  )
  const denied = stage.revoke({ subject: 'serial', serial: held.workload.read.serial })
  const answers = (await asked).flatMap((one) => one ?? [])
  await denied
  for (const { answer } of answers.filter(({ answer: { status } }) => status === 200)) {
    const { certificate, join_state } = answer.json()
    const texts = { certificate: String(certificate), joinState: String(join_state) }
    const { serial } = workloadOf(held.workload.id, { ...held.workload, ...texts }).read
    await stage
      .admin('GET /v1/revocations')
      .then((listed) => assert.ok(listed.text.includes(serial), 'it was not denied'))
  }
})

test('RV-1, OP-9: what is denied reaches followers at once, and lapses when nothing of it can live', async () => {
  const held = await stage.holder('agent/listed')
  const { revocations, trust_state: mark } = await stage.revoke({ subject: 'token', token: held.tokenId })
  const now = Date.now() / 1000
  // Tokens of issuers, which are denied by such a name as well, live for a day at most.
  assert.ok(revocations.every(({ lapses_at }) => lapses_at > now + 86_400 && lapses_at < now + 87_000))
  const listed = (await stage.admin('GET /v1/revocations')).json()['revocations'] as readonly {
    readonly value: string
  }[]
  assert.ok(listed.some(({ value }) => value === held.tokenId))
  for (;;) {
    const line = await bystander.stream.chunk()
    assert.ok(line !== null)
    const message = JSON.parse(line) as { readonly kind: string; readonly payload: string }
    if (message.kind !== 'trust-state') continue
    const state = JSON.parse(Buffer.from(message.payload, 'base64url').toString('utf8')) as {
      readonly sequence: number
      readonly denied: { readonly tokens: readonly string[] }
    }
    if (state.sequence < mark.callers) continue
    assert.ok(state.denied.tokens.includes(held.tokenId))
    break
  }
})

test('what is not known, not over or not for denying is refused, and nothing of it is on record as done', async () => {
  const refused = async (body: object, code: string, reason?: string) => {
    const answer = await stage.admin('POST /v1/revocations', body)
    assert.equal(codeOf(answer), code, answer.text)
    const { error } = answer.json() as { readonly error: { readonly details?: { readonly reason?: string } } }
    assert.equal(error.details?.reason, reason)
  }
  await refused({ subject: 'serial', serial: '0a0b0c' }, 'resource_unknown', 'serial_unknown')
  await refused({ subject: 'serial', serial: 'XYZ' }, 'request_invalid')
  await refused({ subject: 'workload', id: 'spiffe://test.example/agent/none' }, 'resource_unknown', 'workload_unknown')
  await refused({ subject: 'instance', instance: 'none' }, 'resource_unknown', 'instance_unknown')
  await refused({ subject: 'authority', key_id: 'abcdef' }, 'resource_unknown', 'key_unknown')
  await refused({ subject: 'token', token: 'short' }, 'request_invalid')
  const future = Math.floor(Date.now() / 1000) + 600
  await refused({ subject: 'workload', id: bystander.workload.id, issued_before: future }, 'request_invalid')
  await refused({ subject: 'workload', id: stage.operator.id }, 'conflict', 'self')
  const [own] = await stage.instancesOf(stage.operator.id)
  await refused({ subject: 'instance', instance: own }, 'conflict', 'self')
  await refused({ subject: 'workload', id: 'spiffe://test.example/doorward/authority' }, 'conflict', 'authority')
  await refused({ subject: 'everything' }, 'request_invalid')
  await refused({ subject: 'token', token: 'A'.repeat(22), more: 1 }, 'request_invalid')
  const { revocations } = await stage.revoke({ subject: 'serial', serial: '0a0b0c', unseen: true })
  assert.deepEqual(
    revocations.map(({ value }) => value),
    ['0a0b0c'],
  )
})

test('OP-4: denying asks for the same role as issuing: anybody else is refused and recorded', async () => {
  const subject = { subject: 'serial', serial: bystander.workload.read.serial }
  const answer = await stage.admin('POST /v1/revocations', subject, bystander.workload)
  assert.equal(codeOf(answer), 'policy_denied')
  await stage.entry(
    (kind, body) => kind === 'decision' && body['code'] === 'policy_denied' && body['caller'] === bystander.workload.id,
  )
  assert.deepEqual(await stage.outcomes(bystander), nothingLost)
})

test('OP-4: each denial is on record with its subject, its reason and who has made it, before anything else of it', async () => {
  const held = await stage.holder('agent/recorded')
  await stage.revoke({ subject: 'serial', serial: held.workload.read.serial })
  await stage.entry(
    (kind, body) =>
      kind === 'admin' &&
      body['change'] === 'revoke' &&
      body['serial'] === held.workload.read.serial &&
      body['reason'] === 'a test' &&
      body['by'] === stage.operator.id,
  )
})

test('RV-2: receivers that have not applied a denial are named, and those that have', async () => {
  const { trust_state: mark } = await stage.revoke({ subject: 'token', token: 'B'.repeat(22) })
  const receivers = async () => {
    const query = `delegation=${mark.delegation}&full=${mark.full}&callers=${mark.callers}`
    return (await stage.admin(`GET /v1/receivers?${query}&wait=0`)).json() as Record<string, readonly string[]>
  }
  const { id } = bystander.workload
  assert.ok((await receivers())['stragglers']?.includes(id))
  const { delegation, callers: sequence } = mark
  const acknowledgement = { scope: 'callers', delegation, sequence }
  const client = await stage.connect(bystander.workload)
  const answer = await call(client, await tokenFor(client), 'POST /v1/trust-state/ack', acknowledgement)
  assert.equal(answer.status, 204)
  client.close()
  const { acknowledged = [], stragglers = [] } = await receivers()
  assert.ok(acknowledged.includes(id) && !stragglers.includes(id))
})

test('RV-2: of two copies of a workload, what one has applied is not said of the other, whatever certificate it has', async () => {
  const first = await stage.holder('agent/two-copies')
  const { id } = first.workload
  const second = await stage.holding(await another(id))
  const { trust_state: mark } = await stage.revoke({ subject: 'token', token: 'C'.repeat(22) })
  const query = `delegation=${mark.delegation}&full=${mark.full}&callers=${mark.callers}&wait=0`
  const stragglers = async () =>
    ((await stage.admin(`GET /v1/receivers?${query}`)).json() as Record<string, readonly string[]>)['stragglers']
  const acknowledge = async (workload: Workload) => {
    const client = await stage.connect(workload)
    const body = { scope: 'callers', delegation: mark.delegation, sequence: mark.callers }
    const { status } = await call(client, await tokenFor(client), 'POST /v1/trust-state/ack', body)
    client.close()
    assert.equal(status, 204)
  }
  await acknowledge(first.workload)
  assert.ok((await stragglers())?.includes(id))
  await acknowledge(await renewed(second))
  assert.ok(!(await stragglers())?.includes(id))
})

test('CA-2, RV-4: a denied anchor is dead at once: its successor signs, everybody comes back by machine key, nobody else', async () => {
  const held = await stage.holder('agent/anchored')
  const [anchor = ''] = await stage.anchors()
  await stage.revoke({ subject: 'authority', key_id: anchor })
  await stage.streamEnd(held)
  await stage.closed(held)
  assert.deepEqual(await stage.outcomes(held), allWays('cut'))
  const back = await stage.comeBack(held)
  assert.ok(typeof back !== 'string')
  assert.notEqual(back.read.authorityKeyId, anchor)
  assert.deepEqual(await stage.outcomes({ workload: back, token: await ownToken(stage.authority, back) }), nothingLost)
  assert.ok(!(await stage.anchors()).includes(anchor))
})

test('CA-2: a denied token key signs nothing any more: its tokens and their streams are refused, certificates go on', async () => {
  const operator = await stage.comeBack({ workload: stage.operator })
  assert.ok(typeof operator !== 'string')
  const held = await stage.holder('agent/signed')
  const denied = await stage.admin('POST /v1/revocations', { subject: 'authority', key_id: held.tokenKey }, operator)
  assert.equal(denied.status, 201, denied.text)
  assert.equal(await stage.streamEnd(held), 'ended')
  const refused = { request: 'token_key_unknown', exchange: 'allowed', renewal: 'token_key_unknown' }
  assert.deepEqual(await stage.outcomes(held), refused)
  const next = await tokenFor(held.live)
  assert.deepEqual(await stage.outcomes({ workload: held.workload, token: next }), nothingLost)
})

interface SlowRequest {
  readonly body: string
  readonly type: string
  readonly token?: string
}

/** Head and the first ten bytes. */
function begin(client: RawClient, what: string, { body, type, token }: SlowRequest): void {
  const host = `${client.socket.remoteAddress}:${client.socket.remotePort}`
  const authorization = token === undefined ? '' : `authorization: Bearer ${token}\r\n`
  const head = `host: ${host}\r\n${authorization}content-type: ${type}\r\ncontent-length: ${body.length}\r\n`
  client.socket.write(`${what} HTTP/1.1\r\n${head}\r\n${body.slice(0, 10)}`)
}

async function headCode(client: RawClient): Promise<string> {
  try {
    const { headers, status } = await client.head()
    return headers['doorward-code'] ?? String(status)
  } catch {
    return 'cut'
  }
}
