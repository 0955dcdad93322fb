/** `doorward up` with an edge: a person calls without a certificate, and everything about it is told, recorded and taken away. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isJsonObject } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { AdminClient } from '@doorward/sdk'
import { openLocalIdentity } from '../../packages/server/src/apps/local-identities.ts'
import { readEnvironment } from '../../packages/server/src/config/environment.ts'
import { gatewayAdminAudience } from '../../packages/server/src/config/settings.ts'
import { TestDeployment } from '../fixtures/deployment.ts'
import { jwkThumbprintOf, proofOf } from '../fixtures/dpop-proofs.ts'
import { edgeParts, issuer } from '../fixtures/edge-deployment.ts'
import type { EdgeParts } from '../fixtures/edge-deployment.ts'
import { certificateFiles } from '../fixtures/edge-stage.ts'
import { modern } from '../fixtures/modern-server.ts'
import { minted } from '../fixtures/platform-issuer.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'
import type { RawAnswer } from '../fixtures/raw-http.ts'
import { openTap } from '../fixtures/tap.ts'
import type { Tap } from '../fixtures/tap.ts'

const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
let tap: Tap
let parts: EdgeParts
let system: TestDeployment
let ca: string
const secrets: string[] = []

before(async () => {
  tap = await openTap()
  parts = await edgeParts({ upstream: tap.url })
  ca = parts.ca
  system = await TestDeployment.start({ yaml: parts.yaml, listeners: parts.listeners })
})
after(async () => {
  await system.remove()
  await tap.close()
  await rm(parts.folder, { recursive: true, force: true })
})

/** With the nonce of the answer before, as clients do. */
async function call(): Promise<RawAnswer> {
  const at = Math.floor(Date.now() / 1000)
  const claims = { iss: issuer, sub: 'ada', aud: `${parts.publicUrl}/mcp/notes`, client_id: 'claude-client' }
  const times = { iat: at, nbf: at, exp: at + 300, jti: randomUUID(), cnf: { jkt: jwkThumbprintOf(key) } }
  const token = await minted(parts.key, { ...claims, ...times }, { typ: 'at+jwt' })
  secrets.push(token)
  const nonce = (await send(token, null)).headers['dpop-nonce'] ?? ''
  return send(token, nonce)
}

async function send(token: string, nonce: string | null): Promise<RawAnswer> {
  const { body, headers = {} } = modern('tools/call', { params: { name: 'read_note', arguments: {} } })
  const url = `${parts.publicUrl}/mcp/notes`
  const proof = await proofOf({ key, method: 'POST', url, token, nonce })
  secrets.push(proof)
  const all = {
    Host: `localhost:${parts.port}`,
    Authorization: `DPoP ${token}`,
    DPoP: proof,
    Accept: 'application/json, text/event-stream',
    'Content-Type': 'application/json',
    'Content-Length': String(Buffer.byteLength(body)),
    ...headers,
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`)
  const socket = await dial({ host: '127.0.0.1', port: parts.port, ca, servername: 'localhost' })
  try {
    return parseAnswer(await talk(socket, `POST /mcp/notes HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`))
  } finally {
    socket.destroy()
  }
}

type Body = Readonly<Record<string, unknown>>

/** The newest entry that fits, once a checkpoint covers it. */
async function recorded(fits: (body: Body) => boolean): Promise<Body> {
  for (let looks = 0; looks < 200; looks++) {
    const found = (await system.record()).map(({ entry }): Body => entry.body).findLast(fits)
    if (found !== undefined) return found
    await sleep(50)
  }
  throw new Error('not on the record')
}

test('a person calls by a client at the edge, and is on record as that', async () => {
  const answer = await call()
  equal(answer.status, 200, answer.text)
  match(answer.body, /done/)
  const entry = await recorded((body) => body['strength'] === 'dpop-bound-token' && body['decision'] === 'allow')
  equal(entry['caller'], `spiffe://test.example/edge/claude for ${issuer}#ada`)
  equal(entry['listener'], 'edge')
})

test('that callers without a certificate are let in is told at the start, on record, and in the status', async () => {
  ok(system.events.some(({ event, text }) => event === 'notice' && String(text).includes('without a certificate')))
  const opened = await recorded((body) => body['event'] === 'edge.open')
  deepEqual([opened['bearer'], opened['servers']], [false, ['notes']])
  const { edge } = await status()
  ok(isJsonObject(edge))
  equal(edge['public_url'], parts.publicUrl)
  ok(Number(edge['certificate_ends']) > Date.now() / 1000)
})

async function status(): Promise<JsonObject> {
  const deployment = await system.deployment()
  const operator = await openLocalIdentity({ deployment, environment: readEnvironment({ ...system.env }) })
  try {
    await operator.prepare()
    const { gateway } = deployment
    const audience = gatewayAdminAudience(deployment)
    const client = new AdminClient(operator, { url: gateway.adminUrl, audience, expectedId: gateway.id })
    return await client.status()
  } finally {
    operator.close()
  }
}

test('a certificate that replaces the one before is taken up without a start', async () => {
  const { ca: next } = await certificateFiles(parts.folder, ['localhost'])
  const before = ca
  ca = next
  for (let looks = 0; ; looks++) {
    const answer = await call().catch(() => null)
    if (answer !== null) {
      equal(answer.status, 200, answer.text)
      break
    }
    ok(looks < 100, 'not taken up')
    await sleep(200)
  }
  ca = before
  await call().then(
    () => ok(false, 'the old certificate is shown'),
    () => undefined,
  )
  ca = next
})

test('a client at the edge that is denied is refused within seconds, and nothing reaches the server', async () => {
  equal((await call()).status, 200)
  const { code, stderr } = await system.run(['revoke', 'workload', 'spiffe://test.example/edge/claude'])
  equal(code, 0, stderr)
  const from = tap.bytes
  const answer = await call()
  equal(answer.headers['doorward-code'], 'identity_denied', answer.text)
  equal(tap.bytes, from)
})

test('nobody can register a name of a client at the edge', async () => {
  const { code, stderr } = await system.run(['workload', 'add', 'edge/claude'])
  ok(code !== 0)
  match(stderr, /edge/)
})

test('no token and no proof is anywhere in what was written or told', async () => {
  await system.interrupt()
  const files = await readdir(system.folder, { recursive: true })
  const texts = [system.stderr, JSON.stringify(system.events), tap.since(0)]
  for (const name of files) {
    const path = join(system.folder, name)
    if ((await stat(path)).isFile()) texts.push((await readFile(path)).toString('latin1'))
  }
  ok(secrets.length > 4)
  for (const secret of secrets) {
    const [, claims = '', signature = ''] = secret.split('.')
    for (const part of [claims, signature]) ok(!texts.some((text) => text.includes(part)), 'a secret is somewhere')
  }
})
