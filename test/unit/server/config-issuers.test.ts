/** `issuers`: every mistake is told with its place. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseConfiguration } from '../../../packages/server/src/config/load.ts'
import { ConfigurationError } from '../../../packages/server/src/config/problem.ts'

function problemsOf(issuers: object, more: object = {}): readonly string[] {
  try {
    parseConfiguration(JSON.stringify({ trust_domain: 'acme.example', issuers, ...more }), 'test.yaml')
    return []
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems.map(({ path }) => path)
    throw error
  }
}

const corp = { issuer: 'https://login.acme.example' }
const introspection = { url: 'https://login.acme.example/i', client_id: 'x', client_secret_file: 'y' }

test('an issuer is an https URL, once, with known algorithms and types', () => {
  assert.deepEqual(problemsOf({ corp }), [])
  assert.deepEqual(problemsOf({ corp, again: corp }), ['issuers.again.issuer'])
  for (const issuer of [
    'http://login.acme.example',
    'https://u@a.example',
    'https://a.example/#x',
    'https://a.example?x',
    'a',
  ])
    assert.deepEqual(problemsOf({ corp: { issuer } }), ['issuers.corp.issuer'], issuer)
  for (const alg of ['none', 'HS256', 'rs256', 'RSA-OAEP'])
    assert.deepEqual(problemsOf({ corp: { ...corp, algorithms: [alg] } }), ['issuers.corp.algorithms[0]'], alg)
  assert.deepEqual(problemsOf({ corp: { ...corp, algorithms: [] } }), ['issuers.corp.algorithms'])
  assert.deepEqual(problemsOf({ corp: { ...corp, types: ['jwt'] } }), ['issuers.corp.types[0]'])
  assert.equal(problemsOf({ corp: { ...corp, verify: false } }).length, 1)
  assert.deepEqual(problemsOf({ corp: { ...corp, max_lifetime_seconds: 86_401 } }), [
    'issuers.corp.max_lifetime_seconds',
  ])
})

test('there is one place for the keys, and nothing about fetching where nothing is fetched', () => {
  assert.deepEqual(problemsOf({ corp: { ...corp, jwks_file: 'a', jwks_url: 'https://a.example' } }), [
    'issuers.corp.jwks_url',
  ])
  assert.deepEqual(problemsOf({ corp: { ...corp, jwks_file: 'a', ca_file: 'b', allow_private_addresses: true } }), [
    'issuers.corp.ca_file',
    'issuers.corp.allow_private_addresses',
  ])
  assert.deepEqual(problemsOf({ corp: { ...corp, jwks_file: 'a', ca_file: 'b', login: { client_id: 'x' } } }), [])
})

test('opaque tokens are shown to one issuer, and an answer counts for a minute at most', () => {
  assert.deepEqual(problemsOf({ corp: { ...corp, introspection } }), [])
  const partner = { issuer: 'https://id.partner.example', introspection }
  assert.deepEqual(problemsOf({ corp: { ...corp, introspection }, partner }), ['issuers.partner.introspection'])
  const long = { ...introspection, cache_seconds: 61 }
  assert.deepEqual(problemsOf({ corp: { ...corp, introspection: long } }), ['issuers.corp.introspection.cache_seconds'])
})

test('a sign-in asks for openid, lasts an hour at most, and serves workloads of the trust domain', () => {
  const login = (more: object) => problemsOf({ corp: { ...corp, login: { client_id: 'x', ...more } } })
  assert.deepEqual(login({}), [])
  assert.deepEqual(login({ scopes: ['profile'] }), ['issuers.corp.login.scopes'])
  assert.deepEqual(login({ lifetime_seconds: 3601 }), ['issuers.corp.login.lifetime_seconds'])
  assert.deepEqual(login({ workloads: ['spiffe://other.example/**'] }), ['issuers.corp.login.workloads[0]'])
  assert.deepEqual(login({ workloads: ['spiffe://acme.example/operator/*'] }), [])
  assert.equal(login({ workloads: ['operator'] }).length, 1)
})

test('issuers whose tokens are not admitted are refused, and a prefix without groups', () => {
  const security = { auth: { methods: ['mtls', 'bearer'] } }
  assert.deepEqual(problemsOf({ corp }, { security }), ['security.auth.methods'])
  assert.deepEqual(problemsOf({}, { security }), [])
  assert.deepEqual(problemsOf({ corp: { ...corp, claims: { group_prefix: 'a' } } }), ['issuers.corp.claims'])
})
