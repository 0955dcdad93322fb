import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  isDoorwardError,
  matchesSpiffeId,
  parseSpiffeId,
  parseSpiffeIdPattern,
  parseTrustDomain,
  readSpiffeId,
  sameSpiffeId,
  workloadId,
} from '@doorward/core'

const accepted = [
  'spiffe://example.org',
  'spiffe://example.org/a',
  'spiffe://example.org/agent/planner',
  'spiffe://1.2.3.4/x',
  'spiffe://a_b-c.d/A.B_c-9',
  'spiffe://example.org/...',
  `spiffe://example.org/${'a'.repeat(2027)}`,
  `spiffe://${'a'.repeat(255)}/x`,
]

const refused = [
  '',
  'example.org/a',
  'spiffe:/example.org/a',
  'spiffe:///a',
  'spiffe://',
  'SPIFFE://example.org/a',
  'Spiffe://example.org/a',
  'http://example.org/a',
  ' spiffe://example.org/a',
  'spiffe://example.org/a ',
  'spiffe://Example.org/a',
  'spiffe://exämple.org/a',
  'spiffe://example.org:80/a',
  'spiffe://user@example.org/a',
  'spiffe://example.org/',
  'spiffe://example.org/a/',
  'spiffe://example.org//a',
  'spiffe://example.org/a//b',
  'spiffe://example.org/.',
  'spiffe://example.org/..',
  'spiffe://example.org/a/../b',
  'spiffe://example.org/a/./b',
  'spiffe://example.org/%61',
  'spiffe://example.org/a?b',
  'spiffe://example.org/a#b',
  'spiffe://example.org?b',
  'spiffe://example.org/a\0',
  'spiffe://example.org/a\n',
  'spiffe://example.org/a\\b',
  'spiffe://example.org/a*',
  'spiffe://example.org/ä',
  'spiffe://example.org/\u212a',
  `spiffe://example.org/${'a'.repeat(2028)}`,
  `spiffe://${'a'.repeat(256)}/x`,
]

describe('SPIFFE IDs', () => {
  for (const text of accepted) {
    test(`${text.slice(0, 60)} is accepted and kept as it is`, () => assert.equal(parseSpiffeId(text).uri, text))
  }
  for (const text of refused) {
    test(`${JSON.stringify(text.slice(0, 60))} is refused`, () => {
      assert.throws(
        () => parseSpiffeId(text),
        (error) => isDoorwardError(error, 'spiffe_id_invalid'),
      )
    })
  }
  test('an id is its trust domain and segments, and nothing else is lost', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 40, unit: 'binary' }), (tail) => {
        const id = readSpiffeId(`spiffe://${tail}`)
        return 'problem' in id || `spiffe://${[id.trustDomain, ...id.segments].join('/')}` === id.uri
      }),
    )
  })
  test('ids are equal by their whole text', () => {
    assert.ok(sameSpiffeId(parseSpiffeId('spiffe://a/b'), parseSpiffeId('spiffe://a/b')))
    assert.ok(!sameSpiffeId(parseSpiffeId('spiffe://a/b'), parseSpiffeId('spiffe://a/B')))
  })
  test('a workload has a path', () => {
    const domain = parseTrustDomain('example.org')
    assert.equal(workloadId(domain, 'agent', 'a').uri, 'spiffe://example.org/agent/a')
    for (const segments of [[], [''], ['a', ''], ['a/..'], ['..']]) {
      assert.throws(
        () => workloadId(domain, ...segments),
        (error) => isDoorwardError(error, 'spiffe_id_invalid'),
      )
    }
  })
  test('a trust domain has no path', () => {
    for (const text of ['', 'a/b', 'A', 'a:1', 'spiffe://a', 'a%62', 'a'.repeat(256)]) {
      assert.throws(
        () => parseTrustDomain(text),
        (error) => isDoorwardError(error, 'trust_domain_invalid'),
      )
    }
  })
})

describe('patterns match whole segments (SID-8)', () => {
  const matches = (pattern: string, id: string) => matchesSpiffeId(parseSpiffeIdPattern(pattern), parseSpiffeId(id))
  test('a literal matches itself', () => {
    assert.ok(matches('spiffe://a/data', 'spiffe://a/data'))
    assert.ok(!matches('spiffe://a/data', 'spiffe://a/data-secret'))
    assert.ok(!matches('spiffe://a/data', 'spiffe://a/data/x'))
    assert.ok(!matches('spiffe://a/data', 'spiffe://b/data'))
  })
  test('a star matches exactly one segment', () => {
    assert.ok(matches('spiffe://a/agent/*', 'spiffe://a/agent/x'))
    assert.ok(!matches('spiffe://a/agent/*', 'spiffe://a/agent'))
    assert.ok(!matches('spiffe://a/agent/*', 'spiffe://a/agent/x/y'))
    assert.ok(matches('spiffe://a/*/x', 'spiffe://a/agent/x'))
  })
  test('a final double star matches one or more', () => {
    assert.ok(matches('spiffe://a/agent/**', 'spiffe://a/agent/x/y'))
    assert.ok(!matches('spiffe://a/agent/**', 'spiffe://a/agent'))
  })
  for (const text of [
    'spiffe://a',
    'spiffe://*/x',
    'spiffe://a/**/x',
    'spiffe://a/x*',
    'spiffe://a/*x',
    'spiffe://a/***',
    'spiffe://a/',
    '*',
    '**',
    'spiffe://a/*/',
    'spiffe://a*/x',
  ]) {
    test(`${text} is refused`, () =>
      assert.throws(
        () => parseSpiffeIdPattern(text),
        (error) => isDoorwardError(error, 'spiffe_pattern_invalid'),
      ))
  }
})
