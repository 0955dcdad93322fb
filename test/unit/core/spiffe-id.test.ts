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

interface Rule {
  readonly name: string
  readonly accepted?: readonly string[]
  readonly refused: readonly string[]
}

const rules: readonly Rule[] = [
  {
    name: 'SID-1: the scheme is spiffe, without query and fragment',
    accepted: ['spiffe://example.org', 'spiffe://example.org/a', 'spiffe://example.org/agent/planner'],
    refused: [
      '',
      'example.org/a',
      'spiffe:/example.org/a',
      'http://example.org/a',
      ' spiffe://example.org/a',
      'spiffe://example.org/a ',
      'spiffe://example.org/a?b',
      'spiffe://example.org?b',
      'spiffe://example.org/a#b',
    ],
  },
  {
    name: 'SID-2: a trust domain is lowercase letters, digits, dot, hyphen and underscore',
    accepted: ['spiffe://1.2.3.4/x', 'spiffe://a_b-c.d/x', 'spiffe://999.1/x'],
    refused: [
      'spiffe:///a',
      'spiffe://',
      'spiffe://exämple.org/a',
      'spiffe://example.org:80/a',
      'spiffe://user@example.org/a',
      'spiffe://example%2eorg/a',
      'spiffe://[::1]/a',
    ],
  },
  {
    name: 'SID-3: no segment of a path is empty, relative or of other characters',
    accepted: ['spiffe://example.org/A.B_c-9', 'spiffe://example.org/...', 'spiffe://example.org/.a/..b'],
    refused: [
      'spiffe://example.org/',
      'spiffe://example.org/a/',
      'spiffe://example.org//a',
      'spiffe://example.org/a//b',
      'spiffe://example.org/.',
      'spiffe://example.org/..',
      'spiffe://example.org/a/../b',
      'spiffe://example.org/a/./b',
      'spiffe://example.org/%61',
      'spiffe://example.org/a\0',
      'spiffe://example.org/a\n',
      'spiffe://example.org/a\\b',
      'spiffe://example.org/a*',
      'spiffe://example.org/ä',
      'spiffe://example.org/\u212a',
    ],
  },
  {
    name: 'SID-4: an id has up to 2048 bytes, its trust domain up to 255',
    accepted: [`spiffe://example.org/${'a'.repeat(2027)}`, `spiffe://${'a'.repeat(255)}/x`],
    refused: [`spiffe://example.org/${'a'.repeat(2028)}`, `spiffe://${'a'.repeat(256)}/x`],
  },
  {
    name: 'SID-5: another spelling is refused and not normalised',
    refused: ['SPIFFE://example.org/a', 'Spiffe://example.org/a', 'spiffe://Example.org/a', 'spiffe://EXAMPLE.ORG/a'],
  },
]

for (const { name, accepted = [], refused } of rules) {
  describe(name, () => {
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
  })
}

describe('SPIFFE IDs', () => {
  test('an id is its trust domain and segments, and nothing else is lost', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 40, unit: 'binary' }), (tail) => {
        const id = readSpiffeId(`spiffe://${tail}`)
        return 'problem' in id || `spiffe://${[id.trustDomain, ...id.segments].join('/')}` === id.uri
      }),
    )
  })
  test('SID-8: ids are equal by their whole text', () => {
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

describe('SID-8: patterns match whole segments', () => {
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
