/** Tokens of platforms at a running authority: the right one joins, and whatever is changed about it does not. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { fromBase64url, toBase64url } from '@doorward/core'
import {
  attestationStage,
  githubKey,
  githubRule,
  gitlabKey,
  gitlabRule,
  kubernetesKey,
  kubernetesRule,
  platformEvidence,
  refusalsOn,
} from '../fixtures/authority/attestation-stage.ts'
import type { AttestationStage } from '../fixtures/authority/attestation-stage.ts'
import { recordOf } from '../fixtures/authority/running.ts'
import { tryEnrol } from '../fixtures/authority/workload.ts'
import { filesBelow } from '../fixtures/files-below.ts'
import {
  forged,
  githubClaims,
  gitlabClaims,
  kubernetesClaims,
  minted,
  platformKey,
} from '../fixtures/platform-issuer.ts'
import type { Claims } from '../fixtures/platform-issuer.ts'

let stage: AttestationStage
before(async () => {
  stage = await attestationStage()
})
after(() => stage.close())

const now = () => Math.floor(Date.now() / 1000)
const github = (claims: Claims = {}, header: Claims = {}) =>
  minted(githubKey, githubClaims(claims), { typ: 'JWT', ...header })

async function refusedToken(id: string, token: string): Promise<string> {
  return stage.refused(id, { id, ...platformEvidence(token) })
}

test('BS-1: a projected service-account token of Kubernetes joins as the workload whose claims it has', async () => {
  const id = await stage.register('pod', kubernetesRule)
  await stage.admitted({ id, ...platformEvidence(await minted(kubernetesKey, kubernetesClaims())) })
  assert.deepEqual(await stage.live(id), { certificates: 1, instances: 1 })
})

test('BS-1: identities of CI jobs, as GitHub and GitLab shape them, join', async () => {
  const id = await stage.register('job', githubRule, gitlabRule)
  await stage.admitted({ id, ...platformEvidence(await github()) })
  await stage.admitted({ id, ...platformEvidence(await minted(gitlabKey, gitlabClaims(), { typ: 'JWT' })) })
  assert.deepEqual(await stage.live(id), { certificates: 2, instances: 2 })
})

test('a token whose header, signature, issuer, audience or times are not right is refused, and the right one still joins', async () => {
  const id = await stage.register('forged', githubRule)
  const stranger = platformKey('RS256', 'github-1')
  const at = now()
  const bad: Readonly<Record<string, string>> = {
    'alg none': forged(githubKey, githubClaims(), { alg: 'none' }),
    'HS256 by the public key': forged(githubKey, githubClaims(), { alg: 'HS256' }),
    'another algorithm of ours': await minted(platformKey('ES256', 'github-1'), githubClaims()),
    'another key': await minted(stranger, githubClaims()),
    'an unknown key id': await minted({ ...githubKey, kid: 'github-2' }, githubClaims()),
    'a key id that is a path': forged(githubKey, githubClaims(), { kid: '../../github-1' }),
    'a key id that is a property': forged(githubKey, githubClaims(), { kid: '__proto__' }),
    'a place for keys': forged(githubKey, githubClaims(), { jku: 'https://evil.example/keys' }),
    'a key of its own': forged(stranger, githubClaims(), { jwk: {} }),
    'a critical extension': forged(githubKey, githubClaims(), { crit: ['exp'] }),
    'another issuer': await github({ iss: 'https://token.actions.githubusercontent.example' }),
    'an issuer of ours, by another key': await github({ iss: 'https://gitlab.acme.example' }),
    'another audience': await github({ aud: 'https://github.com/acme' }),
    'two audiences': await github({ aud: ['doorward-acme', 'other'] }),
    expired: await github({ iat: at - 900, exp: at - 60 }),
    'not yet valid': await github({ nbf: at + 120 }),
    'without exp': await github({ exp: undefined }),
    'without nbf': await github({ nbf: undefined }),
    'without iat': await github({ iat: undefined }),
    'too long a life': await github({ exp: at + 3700 }),
  }
  for (const [what, token] of Object.entries(bad)) assert.equal(await refusedToken(id, token), 'join_refused', what)
  await stage.admitted({ id, ...platformEvidence(await github()) })
})

test('a genuine token that lacks a claim, or has it otherwise, is for nobody here', async () => {
  const id = await stage.register('claims', githubRule)
  for (const claims of [
    { repository: 'acme/App' },
    { repository: 'acme/app2' },
    { repository: ['acme/app'] },
    { repository: undefined },
    { ref: 'refs/heads/main2' },
    { ref: undefined, '/ref': 'refs/heads/main' },
  ])
    assert.equal(await refusedToken(id, await github(claims)), 'join_refused', JSON.stringify(claims))
  const pod = await stage.register('nested', kubernetesRule)
  const kubernetes = { namespace: 'agents', serviceaccount: { name: 'planner' } }
  for (const claims of [
    { 'kubernetes.io': { ...kubernetes, namespace: 'other' } },
    { 'kubernetes.io': { ...kubernetes, serviceaccount: { name: 'other' } } },
    {
      'kubernetes.io': undefined,
      '/kubernetes.io/namespace': 'agents',
      '/kubernetes.io/serviceaccount/name': 'planner',
    },
  ])
    assert.equal(await refusedToken(pod, await minted(kubernetesKey, kubernetesClaims(claims))), 'join_refused')
})

test('a valid token is good for the identities whose registration names its claims, and for no other', async () => {
  const mine = await stage.register('mine', githubRule)
  const other = await stage.register('other', { kind: 'oidc', issuer: 'github', claims: { repository: 'acme/other' } })
  const byToken = await stage.register('by-token', { kind: 'join_token' })
  const nobody = await stage.register('nobody')
  const empty = await stage.register('unknown-issuer', { kind: 'oidc', issuer: 'none', claims: { sub: 'x' } })
  const token = await github()
  for (const id of [other, byToken, nobody, empty, 'spiffe://test.example/agent/unregistered'])
    assert.equal(await refusedToken(id, token), 'join_refused', id)
  await stage.admitted({ id: mine, ...platformEvidence(token) })
})

test('RP-2: a token admits once, also when its signature is written in another way', async () => {
  const id = await stage.register('once', gitlabRule)
  const token = await minted(gitlabKey, gitlabClaims())
  await stage.admitted({ id, ...platformEvidence(token) })
  assert.equal(await refusedToken(id, token), 'join_refused')
  assert.equal(await refusedToken(id, otherSignature(token)), 'join_refused')
})

/** (r, s) and (r, n − s) are signatures of the same text by the same key. */
function otherSignature(token: string): string {
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  const [header, payload, signature = ''] = token.split('.')
  const bytes = fromBase64url(signature)!
  const s = BigInt(`0x${Buffer.from(bytes.subarray(32)).toString('hex')}`)
  const other = Buffer.from((order - s).toString(16).padStart(64, '0'), 'hex')
  return `${header}.${payload}.${toBase64url(Buffer.concat([bytes.subarray(0, 32), other]))}`
}

test('RP-4: of twenty concurrent joins with one token exactly one succeeds', async () => {
  const id = await stage.register('raced', githubRule)
  const token = await github()
  const attempts = Array.from({ length: 20 }, () => tryEnrol(stage.authority, { id, ...platformEvidence(token) }))
  const codes = (await Promise.all(attempts)).map(({ answer }) => answer.headers['doorward-code'])
  assert.equal(codes.filter((code) => code === 'allowed').length, 1)
  assert.equal(codes.filter((code) => code === 'join_refused').length, 19)
  assert.deepEqual(await stage.live(id), { certificates: 1, instances: 1 })
})

test('evidence in another form than its kind has is refused before anything is looked at', async () => {
  const id = await stage.register('form', githubRule)
  const token = await github()
  const bad: readonly unknown[] = [
    null,
    'oidc',
    [],
    {},
    { kind: 'oidc' },
    { kind: 'oidc', token: 7 },
    { kind: 'oidc', token: '' },
    { kind: 'oidc', token, more: 1 },
    { kind: 'oidc', token: 'x'.repeat(8193) },
    { kind: 'OIDC', token },
    { kind: 'toString' },
    { kind: 'bound_key', token },
    { kind: 'join_token', token: 'x'.repeat(257) },
    { kind: 'x509_pop', chain: [], proof: 'AAAA' },
    { kind: 'x509_pop', chain: ['AAAA', 'AAAA', 'AAAA', 'AAAA', 'AAAA'], proof: 'AAAA' },
    { kind: 'x509_pop', chain: ['!'], proof: 'AAAA' },
    { kind: 'x509_pop', chain: ['A'.repeat(12_000)], proof: 'AAAA' },
  ]
  for (const evidence of bad)
    assert.equal(
      await stage.refused(id, { id, evidence: () => evidence }),
      'request_invalid',
      JSON.stringify(evidence)?.slice(0, 60),
    )
  assert.equal(await stage.refused(id, platformEvidence(token)), 'request_invalid')
  assert.equal(await stage.refused(id, { id, joinState: 'x', ...platformEvidence(token) }), 'request_invalid')
  await stage.admitted({ id, ...platformEvidence(token) })
})

test('every refusal is on the record, what was proven too, and no token anywhere', async () => {
  const own = await attestationStage()
  const id = await own.register('told', githubRule)
  const evil = await github({ repository: 'evil/app' })
  const token = await github()
  assert.equal(await own.refused(id, { id, ...platformEvidence(evil) }), 'join_refused')
  for (let i = 0; i < 4; i++) await own.refused(id, { id, ...platformEvidence('a.b.c') })
  await own.admitted({ id, ...platformEvidence(token) })
  await own.authority.stop()
  const { explanations, count } = await refusalsOn(own.authority, 'join_refused')
  assert.equal(count, 5)
  assert.ok(explanations.some((text) => text.includes('expected repository to be "acme/app", got "evil/app"')))
  const attested = (await recordOf(own.authority.folders)).filter(({ body }) => body['phase'] === 'attested')
  assert.deepEqual(
    attested.map(({ body }) => [body['id'], body['by'], (body['proven'] as Claims)['repository']]),
    [[id, 'oidc', 'acme/app']],
  )
  for (const { path, bytes } of await filesBelow(own.authority.folders.stateDir))
    for (const text of [token, evil]) for (const part of text.split('.')) assert.ok(!bytes.includes(part), path)
  await own.close()
})
