/** What outsiders get without a credential: the SPIFFE bundle and the revocation lists of a running authority. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { chainsToAnchor, checkCrl, parseTrustBundle, readCrl, toSeconds, utf8 } from '@doorward/core'
import type { RevocationList, TrustBundle } from '@doorward/core'
import { importP256, sha256, systemClock } from '@doorward/sdk'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import type { RawAnswer } from '../fixtures/authority/raw-client.ts'
import { EFFECTIVE, RevocationStage } from '../fixtures/authority/revocation-stage.ts'
import { joined } from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'
import { hasTool, runTool } from '../fixtures/outside-tools.ts'
import { pemOf } from '../fixtures/trust-fixture.ts'

let stage: RevocationStage
let agent: Workload

before(async () => {
  stage = await RevocationStage.open()
  agent = await joined(stage.authority, 'spiffe://test.example/agent/outside')
})
after(() => stage.close())

async function get(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<RawAnswer> {
  const client = await RawClient.open(stage.authority.running.addresses.public, null)
  try {
    client.send(method, path, { headers })
    const { status, headers: got } = await client.head()
    const length = Number(got['content-length'] ?? 0)
    const text = length === 0 ? '' : await client.body(length)
    return { status, headers: got, text, json: () => JSON.parse(text) as Record<string, unknown> }
  } finally {
    client.close()
  }
}

async function bundle(): Promise<TrustBundle & { readonly document: Readonly<Record<string, unknown>> }> {
  const answer = await get('/v1/trust-bundle')
  assert.equal(answer.status, 200)
  const read = parseTrustBundle(utf8(answer.text), { sha256 })
  assert.ok(read !== null)
  return { ...read, document: answer.json() }
}

interface ListRow {
  readonly key_id: string
  readonly number: number
  readonly der: string
  readonly pem: string
}

async function lists(): Promise<readonly ListRow[]> {
  return (await get('/v1/crl')).json()['crls'] as readonly ListRow[]
}

/** The list of the only anchor, verified with that anchor. */
async function list(): Promise<RevocationList> {
  const [row] = await lists()
  const [anchor] = (await bundle()).x509
  assert.ok(row !== undefined && anchor !== undefined)
  const read = readCrl(new Uint8Array(Buffer.from((await get(row.der)).text, 'latin1')))
  assert.ok(!('code' in read))
  assert.equal(checkCrl(read, anchor, toSeconds(systemClock()), importP256), null)
  return read
}

async function eventually(holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + EFFECTIVE
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error('not so in time')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

test('TB-1, TB-4: the bundle is a key set with a sequence and a hint, and with no parameter that is not of the specification', async () => {
  const { document } = await bundle()
  assert.deepEqual(Object.keys(document).toSorted(), ['keys', 'spiffe_refresh_hint', 'spiffe_sequence'])
  assert.equal(document['spiffe_refresh_hint'], 60)
  assert.ok(Number.isSafeInteger(document['spiffe_sequence']))
})

test('FD-3: whoever shows no certificate gets the current bundle, by GET alone', async () => {
  const client = await RawClient.open(stage.authority.running.addresses.public, null)
  assert.deepEqual(client.socket.getCertificate(), {})
  client.close()
  const { x509 } = await bundle()
  assert.ok(!('code' in chainsToAnchor(agent.read, x509, toSeconds(systemClock()), importP256)))
  assert.equal((await get('/v1/trust-bundle', {}, 'POST')).status, 405)
})

test('X5-9, JW-6: its entries are certificates without kid and keys for JWT-SVIDs with one; keys of access tokens are no part of it', async () => {
  const { document, x509, jwt } = await bundle()
  const entries = document['keys'] as readonly Readonly<Record<string, unknown>>[]
  const signed = entries.filter(({ use }) => use === 'jwt-svid')
  for (const key of signed) assert.deepEqual(Object.keys(key).toSorted(), ['crv', 'kid', 'kty', 'use', 'x', 'y'])
  assert.deepEqual([jwt.length, signed.length], [1, 1])
  const keys = entries.filter(({ use }) => use !== 'jwt-svid')
  for (const key of keys) {
    assert.deepEqual(Object.keys(key).toSorted(), ['crv', 'kty', 'use', 'x', 'x5c', 'y'])
    assert.equal(key['use'], 'x509-svid')
    assert.equal((key['x5c'] as readonly string[]).length, 1)
  }
  assert.equal(x509.length, keys.length)
})

test('TB-3, X5-8: what the authority issues chains to the bundle, and to nothing without it', async () => {
  const { x509 } = await bundle()
  const now = toSeconds(systemClock())
  assert.ok(!('code' in chainsToAnchor(agent.read, x509, now, importP256)))
  assert.ok('code' in chainsToAnchor(agent.read, [], now, importP256))
})

test('TB-1: its sequence stays while its content does, and rises when an anchor comes or goes', async () => {
  const first = await bundle()
  await joined(stage.authority, 'spiffe://test.example/agent/nobody-outside')
  const second = await bundle()
  assert.deepEqual(second.document, first.document)
  const [anchor] = first.x509
  await stage.revoke({ subject: 'authority', key_id: anchor?.subjectKeyId })
  const third = await bundle()
  assert.ok(third.sequence !== null && first.sequence !== null && third.sequence > first.sequence)
  assert.notEqual(third.x509[0]?.subjectKeyId, anchor?.subjectKeyId)
})

test('FD-3: a copy is asked about each time, and answered without content while it is the newest', async () => {
  // The list of an anchor that was denied a moment ago is about to go.
  const [anchor] = (await bundle()).x509
  await eventually(async () => (await lists()).every(({ key_id }) => key_id === anchor?.subjectKeyId))
  const [row] = await lists()
  for (const path of ['/v1/trust-bundle', '/v1/crl', row?.der ?? '', row?.pem ?? '']) {
    const { headers } = await get(path)
    assert.equal(headers['cache-control'], 'no-cache', path)
    const tag = headers['etag'] ?? ''
    for (const known of [tag, `W/${tag}`, `"other", ${tag}`, '*']) {
      const again = await get(path, { 'if-none-match': known })
      assert.deepEqual([again.status, again.text, again.headers['etag']], [304, '', tag], path)
    }
    assert.equal((await get(path, { 'if-none-match': '"other"' })).status, 200)
  }
})

test('RV-7, OP-4: what is denied is on the list within seconds, as every verifier reads it', async (t) => {
  const fresh = await joined(stage.authority, 'spiffe://test.example/agent/listed')
  const { revoked, number } = await list()
  assert.equal(revoked.has(fresh.read.serial), false)
  const operator = await joined(stage.authority, 'spiffe://test.example/doorward/operator/second', ['admin'])
  const subject = { subject: 'workload', id: fresh.id }
  assert.equal((await stage.admin('POST /v1/revocations', subject, operator)).status, 201)
  await eventually(async () => (await list()).revoked.has(fresh.read.serial))
  assert.ok((await list()).number > number)
  const [row] = await lists()
  const folder = await mkdtemp(join(tmpdir(), 'doorward-crl-'))
  try {
    const file = (name: string) => join(folder, name)
    await writeFile(file('list.pem'), (await get(row?.pem ?? '')).text)
    await writeFile(file('anchors.pem'), (await bundle()).x509.map(({ der }) => pemOf(der)).join(''))
    await writeFile(file('denied.pem'), pemOf(fresh.read.der))
    await writeFile(file('good.pem'), pemOf(operator.read.der))
    const verify = (certificate: string) => {
      const words = ['verify', '-CAfile', 'anchors.pem', '-crl_check', '-CRLfile', 'list.pem', certificate]
      return runTool('openssl', words, folder).stderr.includes('error 23')
    }
    if (hasTool(t, 'openssl')) assert.deepEqual([verify('good.pem'), verify('denied.pem')], [false, true])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test('lists come in both forms, under the media types of their own', async () => {
  const [row] = await lists()
  const [der, pem] = [await get(row?.der ?? ''), await get(row?.pem ?? '')]
  assert.deepEqual(
    [der.headers['content-type'], pem.headers['content-type']],
    ['application/pkix-crl', 'application/x-pem-file'],
  )
  const body = pem.text.replaceAll(/-----[^-]+-----|\n/g, '')
  assert.equal(Buffer.from(body, 'base64').toString('latin1'), der.text)
})

test('nothing else is there, and nothing is changed there', async () => {
  const codes = async (path: string, method = 'GET') => {
    const { status, headers } = await get(path, {}, method)
    return [status, headers['doorward-code']]
  }
  const [row] = await lists()
  for (const path of [
    '/v1/crl/',
    '/v1/crl/0123456789abcdef0123.crl',
    `${row?.der}x`,
    '/v1/crl/..%2fkeys.crl',
    '/v1/status',
  ])
    assert.deepEqual((await codes(path))[0] === 404 || (await codes(path))[0] === 400, true, path)
  for (const path of ['/v1/trust-bundle', '/v1/crl', row?.der ?? ''])
    assert.deepEqual(await codes(path, 'DELETE'), [405, 'http_method'])
})
