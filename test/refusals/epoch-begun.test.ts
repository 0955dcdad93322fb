/** An epoch that begins while everything runs: what is of the one before is refused though none of it is denied, and recorded. */

import { deepEqual, equal, notEqual } from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, test } from 'node:test'
import { epochClaim } from '@doorward/core'
import { stateFolders } from '../../packages/server/src/config/settings.ts'
import { answered, audienceOf, GatewayFixture } from '../fixtures/gateway-fixture.ts'
import { closed, dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import { stealKeys } from '../fixtures/stolen-keys.ts'
import { openTap } from '../fixtures/tap.ts'
import { now } from '../fixtures/trust-fixture.ts'
import { callOf, headOnly, Stage } from './stage.ts'
import type { Caller, Dial } from './stage.ts'

let stage: Stage
let caller: Caller

before(async () => {
  stage = await Stage.open()
  caller = await stage.caller('agent/old')
})
after(() => stage.close())

/** Authorities look at their keys every five seconds. */
const HEARD = 60_000

/** In the store, as a recovery does it, but without its denials. */
function beginEpoch(): void {
  const path = join(stateFolders(stage.deployment.stateDir).authority, 'authority.db')
  const database = new DatabaseSync(path, { timeout: 10_000 })
  database.exec('UPDATE domain SET epoch = epoch + 1')
  database.close()
}

/** A token by the authority's own key, right but for its epoch. */
async function tokenOf(epoch: number): Promise<string> {
  const stolen = await stealKeys(stage.system)
  const iat = now()
  const claims = {
    iss: stage.deployment.authority.publicUrl,
    sub: caller.id,
    aud: stage.audience(),
    iat,
    nbf: iat,
    exp: iat + 300,
    jti: randomUUID(),
    client_id: caller.id,
    cnf: { 'x5t#S256': caller.identity.credentials.current().fingerprint },
    [epochClaim]: epoch,
  }
  return stolen.sign(JSON.stringify({ alg: 'ES256', typ: 'at+jwt', kid: stolen.token.keyId }), JSON.stringify(claims))
}

function epochHeld(): number {
  return caller.identity.trustStore.view()?.state.epoch ?? 0
}

/** As soon as the authority itself has a new certificate. */
async function comesBack(epoch: number): Promise<true | undefined> {
  await caller.identity.prepare().catch(() => undefined)
  return epochHeld() === epoch || undefined
}

test('RV-6: when an epoch begins, answers under way end, certificates of the one before get no connection, and tokens of it are refused', async () => {
  const { authorityKeyId } = caller.identity.credentials.current().certificate
  const token = await stage.token(caller)
  const [kept, stream] = [await dial(caller.tls), await dial(caller.tls)]
  await stage.passes({ caller, token, on: kept })
  await stage.passes({ caller, token, on: stream, body: callOf('stream_open'), until: headOnly })
  const before = epochHeld()
  const ends = [kept, stream].map((socket) => closed(socket, AbortSignal.timeout(HEARD)))
  beginEpoch()
  await Promise.all(ends)
  // By the token's where the old anchor has left the state already, else by the certificate's.
  const codes = ['token_epoch', 'certificate_epoch']
  await stage.entry(
    'gateway',
    ({ entry: { kind, body } }) => kind === 'outcome' && codes.includes(String(body['code'])),
  )

  await stage.poll(() => comesBack(before + 1), 'a certificate of the epoch', HEARD)
  notEqual(caller.identity.credentials.current().certificate.authorityKeyId, authorityKeyId)
  const connect = stage.tlsOf(caller.identity)
  // The gateway follows again as soon as it has its own new certificate.
  const isServed = async () => (await stage.send({ caller, connect }))?.status === 200 || undefined
  await stage.poll(isServed, 'the new certificate at the gateway', HEARD)
  const old: Dial = { ...caller.tls, ca: connect.ca }
  const refused = await stage.contrast({ caller, connect }, { connect: old, token }, 'certificate_untrusted')
  equal(refused, null)
  await stage.contrast(
    { caller, connect, token: await tokenOf(before + 1) },
    { token: await tokenOf(before) },
    'token_epoch',
  )
  await stage.settle()
})

test('RV-6: a call whose body comes slowly is refused when the epoch of its token ends meanwhile, though its certificate stays good', async () => {
  const tap = await openTap()
  let identified = Promise.withResolvers<void>()
  const watch = { identified: () => identified.resolve(), refused: () => undefined }
  const gateway = await GatewayFixture.open({
    servers: { files: { url: tap.url } },
    roles: { all: ['*'] },
    pipeline: { watch },
  })
  try {
    const slow = await gateway.trust.issue('agent/slow', { roles: ['all'] })
    const session = await gateway.initialize(slow, 'files')
    const call = {
      session,
      body: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_note","arguments":{}}}',
    }
    const token = await gateway.trust.token(slow, audienceOf('files'))
    const request = await gateway.request(slow, 'files', { ...call, token })
    const socket = await dial(gateway.connection(slow))
    identified = Promise.withResolvers<void>()
    socket.write(request.slice(0, -10))
    await identified.promise
    const { bytes } = tap
    gateway.trust.epoch++
    gateway.trust.apply()
    const answer = parseAnswer(await talk(socket, request.slice(-10), answered))
    socket.destroy()
    deepEqual([answer.status, answer.headers['doorward-code']], [401, 'token_epoch'])
    equal(tap.bytes, bytes)
    const denied = (await gateway.entries()).filter(({ body }) => body['code'] === 'token_epoch')
    deepEqual(
      denied.map(({ body }) => [body['decision'], body['caller']]),
      [['deny', slow.id.uri]],
    )
    equal((await gateway.rpc(slow, 'files', call)).headers['doorward-code'], 'allowed')
  } finally {
    await gateway.close()
    await tap.close()
  }
})
