/**
 * DT-1: whoever has stolen a signing key is refused with what it signs, and gives itself away with the first of it. Whoever
 * merely shows another's credential, or an old one, is refused without a false alarm.
 */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, test } from 'node:test'
import { epochClaim } from '@doorward/core'
import { generateP256 } from '@doorward/sdk'
import { stealKeys } from '../fixtures/stolen-keys.ts'
import type { StolenKeys } from '../fixtures/stolen-keys.ts'
import { now } from '../fixtures/trust-fixture.ts'
import { Stage } from './stage.ts'
import type { Caller } from './stage.ts'

let stage: Stage
let agent: Caller
let other: Caller
let keys: StolenKeys

before(async () => {
  stage = await Stage.open()
  agent = await stage.caller('agent/planner')
  other = await stage.caller('agent/other')
  keys = await stealKeys(stage.system)
})
after(() => stage.close())

interface Alarm {
  readonly detector: string
  readonly subject: string
  readonly detail: string
  readonly count: number
  readonly source: string
}

async function alarms(): Promise<readonly Alarm[]> {
  const { alarms: listed } = await stage.admin.status()
  return (listed as object[] as Alarm[]).filter(({ detector }) => detector === 'DT-1')
}

/** The alarm about a key, once it says what is looked for. */
async function alarm(keyId: string, saying: RegExp): Promise<Alarm> {
  return stage.poll(
    async () => (await alarms()).find(({ subject, detail }) => subject === keyId && saying.test(detail)),
    `an alarm about ${keyId} that says ${saying}`,
  )
}

type Claims = Readonly<Record<string, unknown>>

function claimsOf(caller: Caller, change: Claims = {}): Claims {
  const iat = now()
  return {
    iss: stage.deployment.authority.publicUrl,
    sub: caller.id,
    aud: stage.audience(),
    iat,
    nbf: iat,
    exp: iat + 300,
    jti: randomUUID(),
    client_id: caller.id,
    cnf: { 'x5t#S256': caller.identity.credentials.current().fingerprint },
    [epochClaim]: caller.identity.trustStore.view()!.state.epoch,
    ...change,
  }
}

const minted = (claims: Claims) =>
  keys.sign(JSON.stringify({ alg: 'ES256', typ: 'at+jwt', kid: keys.token.keyId }), JSON.stringify(claims))

test('DT-1: another’s token, an expired one, one for another server, and what is not signed by us raise no alarm', async () => {
  const right = { caller: agent, token: await stage.token(agent) }
  await stage.contrast(right, { token: await stage.token(other) }, 'token_binding')
  await stage.contrast(right, { token: await stage.token(agent, stage.audience('other')) }, 'token_audience')
  await stage.contrast(right, { token: await keys.aged(await stage.token(agent)) }, 'token_expired')
  const forger = (await generateP256()).signKey
  const header = JSON.stringify({ alg: 'ES256', typ: 'at+jwt', kid: keys.token.keyId })
  const unsigned = await keys.sign(header, JSON.stringify(claimsOf(agent)), forger)
  await stage.contrast(right, { token: unsigned }, 'token_signature')
  const foreign = (await keys.leaf(agent.id, { signer: forger })).pem
  equal(await stage.refuses({ ...right, connect: foreign }, 'certificate_untrusted'), null)
  await stage.settle()
  deepEqual(await alarms(), [])
})

test('DT-1: a certificate by the stolen anchor is refused at its first use, and the authority knows of it', async (t) => {
  const leaf = await keys.leaf(stage.deployment.gateway.id.uri)
  const started = performance.now()
  await stage.refuses({ caller: agent, connect: leaf.pem }, 'certificate_not_issued')
  const raised = await alarm(keys.anchor.keyId, /not_issued/)
  t.diagnostic(`alarm ${Math.round(performance.now() - started)} ms after the connection`)
  equal(raised.source, stage.deployment.gateway.id.uri)
  match(raised.detail, new RegExp(leaf.certificate.fingerprint))
  match(raised.detail, new RegExp(stage.deployment.gateway.id.uri))
  for (const log of ['gateway', 'authority'] as const) {
    const { entry } = await stage.entry(
      log,
      ({ entry: { kind, body } }) => kind === 'detection' && body['detector'] === 'DT-1',
    )
    equal(entry.body['subject'], keys.anchor.keyId, log)
  }
  const isWord = (event: Record<string, unknown>) =>
    event['event'] === 'notice' && String(event['text']).includes('DT-1')
  await stage.poll(async () => stage.system.events.some(isWord) || undefined, 'a word to the operator')
})

test('DT-1: the authority recognises forged certificates that are shown to itself', async () => {
  const leaf = await keys.leaf(stage.deployment.authority.id.uri)
  const { host, port } = stage.deployment.authority.listeners.main
  await stage.refuses(
    {
      caller: agent,
      connect: { ...leaf.pem, host, port },
      target: '/v1/trust-state',
      method: 'GET',
      headers: { Host: `${host}:${port}` },
      log: 'authority',
    },
    'certificate_not_issued',
  )
  const raised = await alarm(keys.anchor.keyId, /to main of this authority/)
  equal(raised.source, 'main')
  ok(raised.count >= 2)
})

test('DT-1: a token by the stolen key that the authority would not have made is refused and gives the key away', async () => {
  const right = { caller: agent, token: await stage.token(agent) }
  const never = 'A'.repeat(43)
  const forged: readonly (readonly [reason: RegExp, code: string, change: Claims])[] = [
    [/\(lifetime\)/, 'token_lifetime', { exp: now() + 3600 }],
    [/\(claims\)/, 'token_claims', { roles: ['admin'] }],
    [/\(subject\)/, 'token_subject', { sub: other.id, client_id: other.id }],
    [/\(not_bound\)/, 'token_binding', { cnf: { 'x5t#S256': never } }],
    [
      /\(subject\).*agent\/planner/,
      'token_binding',
      { cnf: { 'x5t#S256': other.identity.credentials.current().fingerprint } },
    ],
  ]
  for (const [reason, code, change] of forged) {
    await stage.contrast(right, { token: await minted(claimsOf(agent, change)) }, code)
    const raised = await alarm(keys.token.keyId, reason)
    equal(raised.source, stage.deployment.gateway.id.uri)
  }
})

test('DT-1: however much is forged, of one key there is one alarm and few entries', async () => {
  const entries = async () =>
    (await stage.entries('authority')).filter(
      ({ entry: { kind, body } }) => kind === 'detection' && body['detector'] === 'DT-1',
    )
  const before = (await entries()).length
  const shown = await Promise.all(Array.from({ length: 20 }, async () => (await keys.leaf(agent.id)).pem))
  await Promise.all(shown.map((connect) => stage.refuses({ caller: agent, connect }, 'certificate_not_issued')))
  await alarm(keys.anchor.keyId, /agent\/planner/)
  const about = (await alarms()).filter(({ subject }) => subject === keys.anchor.keyId)
  equal(about.length, 1)
  ok((await entries()).length <= before + 2)
})
