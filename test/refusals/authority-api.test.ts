/** Requests to the authority's APIs that must be refused; each caller first succeeds with the one thing right. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import {
  anchorName,
  buildCertificate,
  epochSeconds,
  keyIdOf,
  newSerial,
  ownRoutes,
  parseSpiffeId,
  svidTemplate,
} from '@doorward/core'
import { generateP256, randomBytes, sha256 } from '@doorward/sdk'
import { RawClient } from '../fixtures/authority/raw-client.ts'
import type { RawAnswer } from '../fixtures/authority/raw-client.ts'
import { publicUrl, removeFolders, startTestAuthority, trustDomain } from '../fixtures/authority/running.ts'
import type { TestAuthority } from '../fixtures/authority/running.ts'
import { stolenCertificate } from '../fixtures/authority/stolen-anchor.ts'
import {
  call,
  joined,
  ownToken,
  requestRenewal,
  requestToken,
  selfSigned,
  tokenFor,
} from '../fixtures/authority/workload.ts'
import type { Workload } from '../fixtures/authority/workload.ts'

let authority: TestAuthority
let workload: Workload
let operator: Workload

before(async () => {
  authority = await startTestAuthority()
  workload = await joined(authority, 'spiffe://test.example/agent/caller', ['reader'])
  operator = await joined(authority, 'spiffe://test.example/doorward/operator/eve', ['admin'])
})
after(async () => {
  await authority.stop()
  await removeFolders(authority.folders)
})

function codeOf(answer: RawAnswer): string | undefined {
  return answer.headers['doorward-code']
}

async function inTurn<T, R>(items: readonly T[], each: (item: T) => Promise<R>): Promise<readonly R[]> {
  const done: R[] = []
  for (const item of items) done.push(await each(item))
  return done
}

async function withClient<T>(
  listener: 'main' | 'admin',
  who: Workload,
  run: (client: RawClient) => Promise<T>,
): Promise<T> {
  const client = await RawClient.open(authority.running.addresses[listener], who)
  try {
    return await run(client)
  } finally {
    client.close()
  }
}

test('a token is given for allowed audiences only', async () => {
  await withClient('main', workload, async (client) => {
    assert.equal((await requestToken(client, publicUrl)).status, 200)
    const refused = await requestToken(client, 'https://elsewhere.example')
    assert.equal(codeOf(refused), 'audience_unknown')
    assert.ok(refused.headers['doorward-decision']?.startsWith('test.example/authority#'))
  })
})

test('a token request of another form is refused', async () => {
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  const good = `grant_type=client_credentials&resource=${encodeURIComponent(publicUrl)}`
  const bad: readonly [string, Record<string, string>, string][] = [
    ['grant_unsupported', form, good.replace('client_credentials', 'password')],
    ['audience_unknown', form, 'grant_type=client_credentials'],
    ['request_invalid', form, `${good}&resource=${encodeURIComponent(publicUrl)}`],
    ['request_invalid', form, `${good}&client_id=spiffe://test.example/agent/other`],
    ['content_type', { 'content-type': 'application/json' }, good],
    ['body_too_large', form, `${good}&x=${'x'.repeat(70_000)}`],
  ]
  assert.equal(
    (await withClient('main', workload, (client) => client.request('POST', '/v1/token', { headers: form, body: good })))
      .status,
    200,
  )
  for (const [code, headers, body] of bad) {
    const answer = await withClient('main', workload, (client) =>
      client.request('POST', '/v1/token', { headers, body }),
    )
    assert.equal(codeOf(answer), code, body.slice(0, 80))
  }
})

test('without a certificate, and with one that is self-signed, the handshake fails', async () => {
  for (const identity of [null, await selfSigned(await generateP256())]) {
    await assert.rejects(async () => {
      const client = await RawClient.open(authority.running.addresses.main, identity)
      await requestToken(client)
    })
  }
})

test('a certificate of another anchor with the same name fails in the handshake', async () => {
  const anchorKey = await generateP256()
  const key = await generateP256()
  const now = Math.floor(Date.now() / 1000)
  const keyId = keyIdOf(anchorKey.jwk, sha256)
  const validity = { notBefore: epochSeconds(now - 60), notAfter: epochSeconds(now + 600) }
  const template = svidTemplate({
    ...validity,
    spiffeId: parseSpiffeId(operator.id),
    publicKey: key.spki,
    serial: newSerial(randomBytes),
    issuer: { name: anchorName(trustDomain, keyId), keyId },
  })
  const certificate = await buildCertificate(template, anchorKey.signKey)
  await assert.rejects(async () => {
    const client = await RawClient.open(authority.running.addresses.main, { certificate, privateKey: key.privateKey })
    await requestToken(client)
  })
})

test('every route but the token endpoint demands a token, known path or not', async () => {
  await withClient('main', workload, async (client) => {
    for (const path of ['/v1/trust-state', '/v1/nothing'])
      assert.equal(codeOf(await client.request('GET', path)), 'token_missing')
    const token = await tokenFor(client)
    assert.equal((await call(client, token, 'GET /v1/trust-state')).status, 200)
    assert.equal(codeOf(await call(client, token, 'GET /v1/nothing')), 'path_unknown')
    assert.equal(codeOf(await call(client, token, 'PUT /v1/trust-state')), 'http_method')
    assert.equal(codeOf(await call(client, token, 'GET /v1/trust-state?other=1')), 'request_invalid')
  })
})

test('a token of another workload is refused on this connection', async () => {
  const stolen = await ownToken(authority, operator)
  await withClient('main', workload, async (client) => {
    assert.equal(codeOf(await call(client, stolen, 'GET /v1/trust-state')), 'token_binding')
  })
})

test('a token for another audience is refused', async () => {
  await withClient('main', workload, async (client) => {
    const token = await tokenFor(client, 'https://gateway.test.example/mcp/files')
    assert.equal(codeOf(await call(client, token, 'GET /v1/trust-state')), 'token_audience')
  })
})

test('admin routes are refused without the admin role, and no admin route is on the main listener', async () => {
  const token = await ownToken(authority, workload)
  await withClient('admin', workload, async (client) => {
    const requests: readonly (readonly [string, string, object?])[] = [
      ['GET', '/v1/workloads'],
      ['GET', '/v1/status'],
      ['GET', '/v1/record'],
      ['GET', '/v1/record?follow=true'],
      ['POST', '/v1/workloads', { id: 'spiffe://test.example/agent/x', roles: ['admin'] }],
      ['POST', '/v1/join-strings', { id: operator.id }],
      ['DELETE', `/v1/workloads?id=${encodeURIComponent(operator.id)}`],
    ]
    for (const [method, path, body] of requests) {
      const answer = await call(client, token, `${method} ${path}`, body)
      assert.deepEqual([answer.status, codeOf(answer)], [403, 'policy_denied'], `${method} ${path}`)
    }
  })
  const admin = await ownToken(authority, operator)
  await withClient('admin', operator, async (client) =>
    assert.equal((await call(client, admin, 'GET /v1/workloads')).status, 200),
  )
  await withClient('main', operator, async (client) =>
    assert.equal(codeOf(await call(client, admin, 'GET /v1/workloads')), 'path_unknown'),
  )
})

test('a scope that names no server is about our own API only where it is admin or *, as a role would be', async () => {
  const verdicts = async (who: Workload, listener: 'main' | 'admin', what: string, scopes: readonly string[]) => {
    const tokens = await withClient('main', who, (client) =>
      inTurn(scopes, async (scope) =>
        String((await requestToken(client, publicUrl, { scope })).json()['access_token']),
      ),
    )
    return withClient(listener, who, (client) =>
      inTurn(tokens, async (token) => codeOf(await call(client, token, what))),
    )
  }
  const narrow = ['read', 'GET', 'write', 'read:files/*']
  const wide = ['*', 'read:authority/*', 'GET:authority/*']
  assert.deepEqual(await verdicts(workload, 'main', 'GET /v1/trust-state', [...wide, ...narrow]), [
    ...wide.map(() => 'allowed'),
    ...narrow.map(() => 'scope_insufficient'),
  ])
  assert.deepEqual(
    await verdicts(operator, 'admin', 'GET /v1/workloads', ['admin', 'GET:authority/*', 'GET', 'read']),
    ['allowed', 'allowed', 'scope_insufficient', 'scope_insufficient'],
  )
})

test('every route that policy knows is served', async () => {
  const admin = await ownToken(authority, operator)
  for (const { server, method, path, group } of ownRoutes) {
    if (server !== 'authority' || path === '/v1/enrol') continue
    const code = await withClient(group === 'admin' ? 'admin' : 'main', operator, async (client) => {
      client.send(method, path, { headers: { authorization: `Bearer ${admin}` } })
      return (await client.head()).headers['doorward-code']
    })
    assert.ok(code !== 'path_unknown' && code !== 'http_method', `${method} ${path}: ${code}`)
  }
})

test('a record request that makes no sense is refused', async () => {
  const admin = await ownToken(authority, operator)
  await withClient('admin', operator, async (client) => {
    for (const query of ['?from=-1', '?from=x', '?follow=yes', '?from=1&from=2', '?to=3'])
      assert.equal(codeOf(await call(client, admin, `GET /v1/record${query}`)), 'request_invalid', query)
    assert.equal((await call(client, admin, 'GET /v1/record?from=999999')).text, '')
  })
})

test('registrations that make no sense are refused', async () => {
  const admin = await ownToken(authority, operator)
  const bad = [
    { id: 'spiffe://other.example/agent/x', roles: [] },
    { id: 'spiffe://test.example', roles: [] },
    { id: 'spiffe://test.example/agent/../x', roles: [] },
    { id: 'spiffe://test.example/agent/x', roles: ['a b'] },
    { id: 'spiffe://test.example/agent/x', roles: [], ttl_seconds: 10 },
    { id: 'spiffe://test.example/agent/x', roles: [], unknown: 1 },
    { id: 'spiffe://test.example/agent/x', roles: [], dns_names: ['*.example'] },
  ]
  await withClient('admin', operator, async (client) => {
    for (const body of bad)
      assert.equal(
        codeOf(await call(client, admin, 'POST /v1/workloads', body)),
        'request_invalid',
        JSON.stringify(body),
      )
    const own = 'spiffe://test.example/doorward/authority'
    assert.equal(codeOf(await call(client, admin, `DELETE /v1/workloads?id=${encodeURIComponent(own)}`)), 'conflict')
    const none = 'spiffe://test.example/agent/none'
    assert.equal(
      codeOf(await call(client, admin, `DELETE /v1/workloads?id=${encodeURIComponent(none)}`)),
      'resource_unknown',
    )
    assert.equal(codeOf(await call(client, admin, 'POST /v1/join-strings', { id: none })), 'resource_unknown')
  })
})

test('a renewal is refused when another key gives the proof, when the key is the old one, and when it is not P-256', async () => {
  await withClient('main', workload, async (client) => {
    const token = await tokenFor(client)
    const key = await generateP256()
    assert.equal(codeOf(await requestRenewal(client, token, { key, proofKey: await generateP256() })), 'proof_invalid')
    assert.equal(codeOf(await requestRenewal(client, token, { key: workload.key })), 'request_invalid')
    const body = { public_key: 'AAAA', proof: 'AAAA' }
    assert.equal(codeOf(await call(client, token, 'POST /v1/renew', body)), 'request_invalid')
    assert.equal((await requestRenewal(client, token, { key })).status, 200)
  })
})

test('a removed workload is refused at once: token, renewal, and its live connection ends', async () => {
  const victim = await joined(authority, 'spiffe://test.example/agent/victim')
  const admin = await ownToken(authority, operator)
  const live = await RawClient.open(authority.running.addresses.main, victim)
  const token = await tokenFor(live)
  assert.equal((await call(live, token, 'GET /v1/trust-state')).status, 200)
  await withClient('admin', operator, async (client) => {
    assert.equal((await call(client, admin, `DELETE /v1/workloads?id=${encodeURIComponent(victim.id)}`)).status, 200)
  })
  // It hears why, or is gone already.
  const last = await requestToken(live).catch(() => null)
  if (last !== null) assert.equal(codeOf(last), 'identity_denied')
  await withClient('main', victim, async (client) =>
    assert.equal(codeOf(await requestToken(client)), 'identity_denied'),
  )
  await withClient('main', victim, async (client) =>
    assert.equal(codeOf(await call(client, token, 'GET /v1/trust-state')), 'identity_denied'),
  )
})

test('a certificate that the anchor signed but nobody logged gets no token', async () => {
  const own = await startTestAuthority()
  const victim = 'spiffe://test.example/agent/mirror'
  await joined(own, victim)
  await own.stop()
  const forged = await stolenCertificate(own.folders, victim)
  const again = await startTestAuthority({ folders: own.folders })
  const client = await RawClient.open(again.running.addresses.main, forged)
  assert.equal(codeOf(await requestToken(client)), 'certificate_not_issued')
  client.close()
  await again.stop()
  await removeFolders(own.folders)
})
