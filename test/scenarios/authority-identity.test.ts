/** One workload from join to renewal and token, against a real authority over real sockets. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  chainsToAnchor,
  checkSvidLeaf,
  openHeartbeat,
  openTrustAnchors,
  parseJoinString,
  parseTrustBundle,
  parseTrustMessage,
  readCertificate,
  readSignedTrustAnchors,
  toSeconds,
  verifyToken,
  keySetOf,
} from '@doorward/core'
import type { JsonValue, TrustAnchors } from '@doorward/core'
import { generateP256, importP256, sha256, systemClock } from '@doorward/sdk'
import { whenThere } from '../../packages/server/src/audit/log-folder.ts'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import { publicUrl, removeFolders, startTestAuthority, trustDomain } from '../fixtures/authority/running.ts'
import type { TestAuthority } from '../fixtures/authority/running.ts'
import {
  call,
  enrolled,
  greeting,
  joined,
  joinToken,
  openedState,
  ownToken,
  requestRenewal,
  requestToken,
  selfSigned,
  tokenFor,
  trustStateFor,
  tryEnrol,
  workloadOf,
} from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'
import { filesBelow } from '../fixtures/files-below.ts'

let authority: TestAuthority

/** Sees the full state. */
let gateway: Workload

before(async () => {
  authority = await startTestAuthority()
  gateway = await joined(authority, 'spiffe://test.example/doorward/gateway/watcher', ['gateway'])
})
after(async () => {
  await authority.stop()
  await removeFolders(authority.folders)
})

interface Line {
  readonly origin: string
  readonly index: number
  readonly kind: string
  readonly body: Readonly<Record<string, unknown>>
}

const open = (line: string) => openedState(authority, line)

function anchorsOf({ anchors }: TrustAnchors) {
  return anchors.map(({ certificate }) => {
    const read = readCertificate(certificate, { sha256 })
    assert.ok(!('problem' in read))
    return read
  })
}

test('the enrolment greeting brings anchors under the pinned root, and one of them issued the server certificate', async () => {
  const answer = await greeting(authority)
  const { rootFingerprint } = authority.running
  const message = readSignedTrustAnchors(answer.json()['trust_anchors'] as JsonValue)
  assert.ok(message !== null)
  const check = { rootFingerprint, trustDomain, now: toSeconds(systemClock()), importP256, sha256 }
  const anchors = openTrustAnchors(message, check)
  assert.ok(!('code' in anchors), JSON.stringify(anchors))
  const client = await RawClient.open(authority.running.addresses.enrol, await selfSigned(await generateP256()))
  const server = readCertificate(client.socket.getPeerX509Certificate()!.raw, { sha256 })
  client.close()
  assert.ok(!('problem' in server))
  assert.equal(checkSvidLeaf(server, trustDomain), null)
  assert.equal(server.spiffeId?.uri, 'spiffe://test.example/doorward/authority')
  assert.ok(!('code' in chainsToAnchor(server, anchorsOf(anchors), toSeconds(systemClock()), importP256)))
})

test('who only greets learns of no workload, role or certificate; who joins of no other workload; a gateway of all', async () => {
  const id = 'spiffe://test.example/agent/unseen'
  const workload = await joined(authority, id, ['secret-role'])
  const answer = await greeting(authority)
  assert.deepEqual(Object.keys(answer.json()), ['trust_anchors'])
  const { payload } = answer.json()['trust_anchors'] as { payload: string }
  const told = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>
  assert.deepEqual(Object.keys(told).toSorted(), [
    'anchors',
    'delegation',
    'epoch',
    'expires_at',
    'issued_at',
    'sequence',
    'trust_domain',
    'v',
  ])
  const again = await tryEnrol(authority, { id, machineKey: workload.machineKey, joinState: workload.joinState })
  const seen = open(JSON.stringify(again.answer.json()['trust_state'])).state
  assert.deepEqual(seen.workloads, [])
  assert.ok(seen.issued.every((entry) => entry.id.startsWith('spiffe://test.example/doorward/')))
  const { state } = await trustStateFor(authority, gateway, 'full')
  assert.deepEqual(state.workloads.find((entry) => entry.id === id)?.roles, ['secret-role'])
  assert.ok(state.issued.some(({ fingerprint }) => fingerprint === enrolled(id, again).read.fingerprint))
})

test('a workload joins, gets a token bound to its certificate, and renews with a new key', async () => {
  const id = 'spiffe://test.example/agent/planner'
  const workload = await joined(authority, id, ['reader'])
  assert.equal(checkSvidLeaf(workload.read, trustDomain), null)
  assert.equal(workload.read.spiffeId?.uri, id)
  assert.deepEqual(workload.read.publicKeySpki, workload.key.spki)
  assert.equal(workload.read.notAfter - workload.read.notBefore, 3600 + 60)

  const client = await RawClient.open(authority.running.addresses.main, workload)
  const token = await tokenFor(client)
  const { state } = await trustStateFor(authority, gateway, 'full')
  assert.deepEqual(state.workloads.find((entry) => entry.id === id)?.roles, ['reader'])
  const verdict = verifyToken(token, {
    expect: {
      issuer: publicUrl,
      audience: publicUrl,
      trustDomain,
      certificateFingerprint: workload.read.fingerprint,
      epoch: state.epoch,
    },
    keys: keySetOf(state.tokenKeys, importP256),
    now: toSeconds(systemClock()),
  })
  assert.ok(verdict.ok)
  assert.equal(verdict.claims.exp - verdict.claims.iat, 300)

  const next = await generateP256()
  const renewed = await requestRenewal(client, token, { key: next, joinState: workload.joinState })
  assert.equal(renewed.status, 200, renewed.text)
  assert.equal(renewed.headers['doorward-code'], 'allowed')
  const successor = workloadOf(id, {
    certificate: String(renewed.json()['certificate']),
    joinState: String(renewed.json()['join_state']),
    key: next,
    machineKey: workload.machineKey,
  })
  assert.deepEqual(successor.read.publicKeySpki, next.spki)
  assert.notEqual(successor.read.serial, workload.read.serial)
  client.close()

  const after = await RawClient.open(authority.running.addresses.main, successor)
  assert.equal((await requestToken(after, 'https://gateway.test.example/mcp/files')).status, 200)
  after.close()
})

test('a workload returns with its bound machine key and without a token', async () => {
  const id = 'spiffe://test.example/agent/returner'
  const workload = await joined(authority, id)
  const { machineKey, joinState } = workload
  const again = enrolled(id, await tryEnrol(authority, { id, machineKey, joinState }))
  assert.notEqual(again.read.serial, workload.read.serial)
})

test('the trust stream gives the full state at once, every change, signed heartbeats, and takes acknowledgements', async () => {
  const client = await RawClient.open(authority.running.addresses.main, gateway)
  const token = await tokenFor(client)
  const stream = await RawClient.open(authority.running.addresses.main, gateway)
  stream.send('GET', '/v1/trust-state/full?follow=true', { headers: { authorization: `Bearer ${token}` } })
  assert.equal((await stream.head()).status, 200)
  const openFull = (line: string) => openedState(authority, line, 'full')
  const first = openFull(((await stream.chunk()) ?? '').trimEnd())

  const other = 'spiffe://test.example/agent/appears'
  await authority.running.registerWorkload({ id: other, roles: [] }, 'test')
  let newest = first
  let beats = 0
  while (beats === 0 || !newest.state.workloads.some((entry) => entry.id === other)) {
    const line = ((await stream.chunk()) ?? '').trimEnd()
    const message = parseTrustMessage(line)
    assert.ok(!('code' in message))
    if (message.kind === 'trust-state') newest = openFull(line)
    else {
      const check = { current: newest, trustDomain, now: toSeconds(systemClock()) }
      const beat = openHeartbeat(message, check)
      assert.ok(!('code' in beat), JSON.stringify(beat))
      beats++
    }
  }
  assert.ok(newest.sequence > first.sequence)
  const ack = await call(client, token, 'POST /v1/trust-state/ack', {
    scope: 'full',
    delegation: newest.delegation,
    sequence: newest.sequence,
  })
  assert.equal(ack.status, 204)
  stream.close()
  client.close()
})

test('an admin lists, adds, invites and removes workloads and sees acknowledgements', async () => {
  const operator = await joined(authority, 'spiffe://test.example/doorward/operator/eve', ['admin'])
  const token = await ownToken(authority, operator)
  const client = await RawClient.open(authority.running.addresses.admin, operator)
  const id = 'spiffe://test.example/agent/made'
  assert.equal((await call(client, token, 'POST /v1/workloads', { id, roles: ['reader'] })).status, 201)
  assert.equal(
    (await call(client, token, 'POST /v1/workloads', { id, roles: [] })).headers['doorward-code'],
    'conflict',
  )
  const listed = await call(client, token, 'GET /v1/workloads')
  assert.ok((listed.json()['workloads'] as { id: string }[]).some((entry) => entry.id === id))
  const invited = await call(client, token, 'POST /v1/join-strings', { id })
  const string = parseJoinString(String(invited.json()['join_string']))
  assert.equal(string.rootFingerprint, authority.running.rootFingerprint)
  assert.equal(string.spiffeId, id)
  enrolled(id, await tryEnrol(authority, { token: string.token!.reveal() }))
  assert.equal((await call(client, token, `DELETE /v1/workloads?id=${encodeURIComponent(id)}`)).status, 200)
  const status = await call(client, token, 'GET /v1/status')
  assert.equal(status.status, 200)
  assert.ok((status.json()['slots'] as { state: string }[]).some((slot) => slot.state === 'active'))
  client.close()
})

test('an admin reads the record from any entry on, and follows it', async () => {
  const operator = await joined(authority, 'spiffe://test.example/doorward/operator/ann', ['admin'])
  const token = await ownToken(authority, operator)
  const client = await RawClient.open(authority.running.addresses.admin, operator)
  const linesOf = async (query: string) => {
    const answer = await call(client, token, `GET /v1/record${query}`)
    assert.deepEqual([answer.status, answer.headers['content-type']], [200, 'application/x-ndjson'])
    return answer.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Line)
  }
  const all = await linesOf('')
  assert.deepEqual([all[0]?.origin, all[0]?.index, all[0]?.kind], ['test.example/authority', 0, 'lifecycle'])
  assert.deepEqual(Object.keys(all[0] ?? {}), ['origin', 'index', 'kind', 'time', 'body'])
  assert.deepEqual((await linesOf('?from=3'))[0], all[3])

  const stream = await RawClient.open(authority.running.addresses.admin, operator)
  const headers = { authorization: `Bearer ${token}` }
  stream.send('GET', `/v1/record?from=${all.length}&follow=true`, { headers })
  assert.equal((await stream.head()).status, 200)
  const id = 'spiffe://test.example/agent/followed'
  await authority.running.registerWorkload({ id, roles: [] }, 'test')
  for (;;) {
    const line = JSON.parse((await stream.chunk()) ?? 'null') as Line
    if (line.kind === 'admin' && line.body['id'] === id) break
  }
  stream.close()
  client.close()
})

test('a removed workload that is registered again can join again within the same second', async () => {
  const id = 'spiffe://test.example/agent/again'
  const operator = await joined(authority, 'spiffe://test.example/doorward/operator/bob', ['admin'])
  await joined(authority, id)
  const token = await ownToken(authority, operator)
  const client = await RawClient.open(authority.running.addresses.admin, operator)
  await call(client, token, `DELETE /v1/workloads?id=${encodeURIComponent(id)}`)
  client.close()
  const again = await joined(authority, id)
  const main = await RawClient.open(authority.running.addresses.main, again)
  assert.equal((await requestToken(main)).status, 200)
  main.close()
})

test('the public listener serves the SPIFFE bundle, liveness and readiness and nothing else', async () => {
  const client = await RawClient.open(authority.running.addresses.public, null)
  const bundle = parseTrustBundle(Buffer.from((await client.request('GET', '/v1/trust-bundle')).text), { sha256 })
  assert.ok(bundle !== null && bundle.x509.length === 1 && bundle.jwt.length === 1)
  for (const path of ['/livez', '/readyz']) {
    const answer = await client.request('GET', path)
    assert.deepEqual([answer.status, answer.text], [200, ''])
  }
  assert.equal((await client.request('GET', '/v1/workloads')).status, 404)
  client.close()
})

test('tokens and join tokens are neither in the store nor on the record', async () => {
  const id = 'spiffe://test.example/agent/discreet'
  await authority.running.registerWorkload({ id, roles: [] }, 'test')
  const secret = await joinToken(authority, id)
  const workload = enrolled(id, await tryEnrol(authority, { token: secret }))
  const client = await RawClient.open(authority.running.addresses.main, workload)
  const token = await tokenFor(client)
  client.close()
  for (const { path, bytes } of await filesBelow(authority.folders.stateDir))
    for (const text of [secret, token, token.split('.')[2]!]) assert.ok(!bytes.includes(text), path)
})

test('CA-6: no private key lies in the state folder in clear and every file is the owner’s alone', async () => {
  const { stateDir, keyDir } = authority.folders
  for (const folder of [stateDir, keyDir]) {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true })
    for (const entry of entries) {
      const path = join(entry.parentPath, entry.name)
      // A lock holds nothing; its folder is private.
      if (entry.name.includes('.lock')) continue
      const [about, content] = [await whenThere(stat(path)), entry.isFile() ? await whenThere(readFile(path)) : '']
      // It has its right name by now.
      if (about === null || content === null) continue
      assert.equal(about.mode & 0o077, 0, path)
      if (typeof content !== 'string' && folder === stateDir) {
        assert.ok(
          !content.includes('PRIVATE KEY') &&
            !content.includes(Buffer.from('06072a8648ce3d020106082a8648ce3d030107046d', 'hex')),
          path,
        )
      }
    }
  }
})

test('a second start goes on with the same root, keys and registrations and publishes a newer state', async () => {
  const first = await startTestAuthority()
  const id = 'spiffe://test.example/agent/stays'
  const workload = await joined(first, id)
  const { rootFingerprint, recoveryRoot } = first.running
  assert.deepEqual([recoveryRoot.created, recoveryRoot.present], [true, true])
  await first.stop()
  const second = await startTestAuthority({ folders: first.folders })
  assert.equal(second.running.rootFingerprint, rootFingerprint)
  assert.equal(second.running.recoveryRoot.created, false)
  const client = await RawClient.open(second.running.addresses.main, workload)
  assert.equal((await requestToken(client)).status, 200)
  client.close()
  await second.stop()
  await removeFolders(first.folders)
})
