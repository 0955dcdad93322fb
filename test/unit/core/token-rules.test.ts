/** What claims must say, rule by rule at its edges: values alone, without keys and signatures. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  chainClaim,
  epochClaim,
  epochSeconds,
  heldLinks,
  toBase64url,
  userClaim,
  utf8,
  verifySubjectToken,
} from '@doorward/core'
import type { AccessTokenClaims, ChainLink, JsonValue } from '@doorward/core'
import { actorsOf, partiesProblem } from '../../../packages/core/src/token/act-chain.ts'
import { openCompactJws, splitCompactJws } from '../../../packages/core/src/token/compact-jws.ts'
import { judgeClaims, judgeSubjectClaims } from '../../../packages/core/src/token/judge-claims.ts'
import { boundToCertificate } from '../../../packages/core/src/token/proof-of-possession.ts'
import { readClaims } from '../../../packages/core/src/token/read-claims.ts'
import { readScopeText } from '../../../packages/core/src/token/read-delegation.ts'
import { actChain, fingerprint, forge, goodClaims, goodHeader, makeSigner, now } from './token-fixture.ts'

const domain = 'example.org'
const planner = 'spiffe://example.org/agent/planner'
const other = 'spiffe://example.org/agent/other'
const user = { issuer: 'https://login.example', subject: 'alice', groups: ['staff'] }
const alice = 'https://login.example#alice'
const link: ChainLink = { jti: 'j', iat: now, kid: 'k', serial: '0a', anchor: 'a' }

type Change = Readonly<Record<string, unknown>>

/** Claims that hold, with some of them otherwise; `undefined` takes one away. */
function jsonWith(change: Change): JsonValue {
  return JSON.parse(JSON.stringify({ ...goodClaims, ...change })) as JsonValue
}

function claimsWith(change: Change): AccessTokenClaims {
  return { ...goodClaims, ...change }
}

test('the private claims have the names that the wire has', () => {
  assert.deepEqual(
    [epochClaim, userClaim, chainClaim],
    ['urn:doorward:epoch', 'urn:doorward:user', 'urn:doorward:chain'],
  )
})

describe('who acts for whom', () => {
  const allowed: Readonly<Record<string, Change>> = {
    'a workload for itself': {},
    'a workload for another one, by one exchange': { sub: other, act: { sub: planner }, [chainClaim]: [link] },
    'a workload for a person who has signed in': { sub: alice, act: { sub: planner }, [userClaim]: user },
    'a workload for a person, by one exchange more': {
      sub: alice,
      act: { sub: planner, act: { sub: other } },
      [userClaim]: user,
      [chainClaim]: [link],
    },
  }
  for (const [name, change] of Object.entries(allowed))
    test(`${name} is right`, () => assert.equal(partiesProblem(claimsWith(change), domain), null))

  const wrong: Readonly<Record<string, readonly [Change, RegExp]>> = {
    'a person that sub does not name': [
      { sub: 'https://login.example#bob', act: { sub: planner }, [userClaim]: user },
      /name the user/,
    ],
    'a person of another issuer': [
      { sub: 'https://other.example#alice', act: { sub: planner }, [userClaim]: user },
      /name the user/,
    ],
    'a workload in the place of a person': [{ sub: other, act: { sub: planner }, [userClaim]: user }, /name the user/],
    'a person without an actor': [{ sub: alice, client_id: alice, [userClaim]: user }, /an actor for a user/],
    'a person whom nobody names': [{ sub: alice, act: { sub: planner }, [chainClaim]: [link] }, /workload ids/],
    'a subject of another trust domain': [
      { sub: 'spiffe://other.example/a', act: { sub: planner }, [chainClaim]: [link] },
      /workload ids/,
    ],
    'an actor of another trust domain': [
      { client_id: 'spiffe://other.example/a', act: { sub: 'spiffe://other.example/a' }, [chainClaim]: [link] },
      /workload ids/,
    ],
    'a presenter that is no id': [{ sub: 'agent', client_id: 'agent' }, /workload ids/],
    'a trust domain as a subject': [{ sub: 'spiffe://example.org', client_id: 'spiffe://example.org' }, /workload ids/],
    'a presenter who is not the subject': [{ client_id: other }, /expected client_id/],
    'a presenter who is not the current actor': [
      { sub: alice, act: { sub: other, act: { sub: planner } }, [userClaim]: user, [chainClaim]: [link] },
      /expected client_id/,
    ],
    'the subject as its own actor': [{ act: { sub: planner }, [chainClaim]: [link] }, /nobody twice/],
    'an actor twice': [
      {
        sub: alice,
        act: { sub: planner, act: { sub: other, act: { sub: planner } } },
        [userClaim]: user,
        [chainClaim]: [link, link],
      },
      /nobody twice/,
    ],
    'an exchange without its stamp': [{ sub: other, act: { sub: planner } }, /stamp of 1 exchanges, got 0/],
    'a stamp without its exchange': [{ [chainClaim]: [link] }, /stamp of 0 exchanges, got 1/],
    'a stamp for the sign-in of a person': [
      { sub: alice, act: { sub: planner }, [userClaim]: user, [chainClaim]: [link] },
      /stamp of 0 exchanges, got 1/,
    ],
  }
  for (const [name, [change, problem]] of Object.entries(wrong))
    test(`${name} is not`, () => assert.match(partiesProblem(claimsWith(change), domain) ?? 'nothing', problem))

  test('actors are told current first, and each link with who held it', () => {
    const claims = claimsWith({ sub: alice, act: actChain(3), [chainClaim]: [link, { ...link, jti: 'older' }] })
    const actors = actorsOf(claims.act)
    assert.equal(actors.length, 3)
    assert.equal(actors[0], planner)
    assert.deepEqual(heldLinks(claims), [
      { ...link, holder: actors[1] },
      { ...link, jti: 'older', holder: actors[2] },
    ])
    assert.deepEqual(heldLinks(claimsWith({ [chainClaim]: [link] })), [{ ...link, holder: planner }])
    assert.deepEqual([actorsOf(undefined), heldLinks(goodClaims)], [[], []])
  })
})

describe('claims hold at their edges and not beyond', () => {
  const expect = {
    issuer: goodClaims.iss,
    trustDomain: domain,
    epoch: 7,
    audience: goodClaims.aud,
    certificateFingerprint: fingerprint,
  }
  const at = (change: Change, seconds = 0) =>
    judgeClaims(claimsWith(change), expect, epochSeconds(now + seconds), 30)?.code ?? null
  const asSubject = (change: Change, seconds = 0) =>
    judgeSubjectClaims(claimsWith(change), expect, epochSeconds(now + seconds), 30)?.code ?? null

  test('each claim alone', () => {
    const rows: readonly (readonly [Change, string | null])[] = [
      [{}, null],
      [{ iss: `${goodClaims.iss}/` }, 'token_issuer'],
      [{ aud: `${goodClaims.aud}/` }, 'token_audience'],
      [{ cnf: { 'x5t#S256': 'B'.repeat(43) } }, 'token_binding'],
      [{ [epochClaim]: 6 }, 'token_epoch'],
      [{ [epochClaim]: 7 }, null],
      [{ [epochClaim]: 8 }, null],
      [{ client_id: other }, 'token_subject'],
      [{ exp: now + 301 }, 'token_lifetime'],
      [{ exp: now + 300 }, null],
      [{ exp: now, nbf: now - 60 }, 'token_lifetime'],
      [{ exp: now - 1, nbf: now - 60 }, 'token_lifetime'],
      [{ exp: now + 1, nbf: now }, null],
      [{ exp: now + 1, nbf: now + 1 }, 'token_lifetime'],
      [{ exp: now + 10, nbf: now + 11 }, 'token_lifetime'],
    ]
    for (const [change, code] of rows) assert.equal(at(change), code, JSON.stringify(change))
  })

  test('times, with leeway to either side', () => {
    const rows: readonly (readonly [number, string | null])[] = [
      [329, null],
      [330, 'token_expired'],
      [-30, null],
      [-31, 'token_not_yet_valid'],
    ]
    for (const [seconds, code] of rows) assert.equal(at({ nbf: now }, seconds), code, String(seconds))
    assert.equal(at({ nbf: now - 60 }, -31), 'token_not_yet_valid')
    assert.equal(at({ nbf: now + 20 }, -11), 'token_not_yet_valid')
    assert.equal(at({ nbf: now + 20 }, -10), null)
  })

  test('what is exchanged has no leeway at its end, and neither audience nor binding', () => {
    assert.equal(asSubject({ aud: 'elsewhere', cnf: { 'x5t#S256': 'B'.repeat(43) } }), null)
    assert.equal(asSubject({}, 299), null)
    assert.equal(asSubject({}, 300), 'token_expired')
    assert.equal(asSubject({ nbf: now }, -30), null)
    assert.equal(asSubject({ nbf: now }, -31), 'token_not_yet_valid')
    assert.equal(asSubject({ iss: 'x' }), 'token_issuer')
    assert.equal(asSubject({ client_id: other }), 'token_subject')
    assert.equal(asSubject({ [epochClaim]: 6 }), 'token_epoch')
    assert.equal(asSubject({ exp: now + 301 }), 'token_lifetime')
  })

  test('nothing is bound to a connection without a certificate', () => {
    assert.equal(boundToCertificate({ 'x5t#S256': '' }, ''), false)
    assert.equal(boundToCertificate({ 'x5t#S256': fingerprint }, ''), false)
    assert.equal(boundToCertificate({ 'x5t#S256': fingerprint }, fingerprint), true)
  })
})

describe('the shape of the claims is exact', () => {
  const read = (change: Change) => {
    const claims = readClaims(jsonWith(change))
    return typeof claims === 'string' ? claims : null
  }
  const text = (length: number) => 'x'.repeat(length)
  const names = (length: number) => Array.from({ length }, (_, i) => `spiffe://example.org/a/${i}`)

  test('what is right is read as it is', () => {
    const whole = {
      act: { sub: 'a', act: { sub: 'b' } },
      may_act: { sub: [planner] },
      scope: 'read write:files/*',
      [chainClaim]: [link],
      [userClaim]: user,
    }
    assert.deepEqual(readClaims(jsonWith(whole)), { ...goodClaims, ...whole })
    assert.deepEqual(readClaims(jsonWith({})), goodClaims)
  })

  const missing = ['iss', 'sub', 'aud', 'iat', 'nbf', 'exp', 'jti', 'client_id', 'cnf', epochClaim]
  for (const name of missing)
    test(`without ${name}, and with ${name} of another kind, nothing is read`, () => {
      for (const value of [undefined, null, [], {}, true, -1, 1.5, ''])
        assert.notEqual(read({ [name]: value }), null, JSON.stringify(value))
    })

  test('limits of length', () => {
    for (const [name, most] of [
      ['iss', 2048],
      ['sub', 2048],
      ['aud', 2048],
      ['client_id', 2048],
      ['jti', 128],
    ] as const)
      assert.deepEqual([read({ [name]: text(most) }), read({ [name]: text(most + 1) }) === null], [null, false], name)
    for (const name of ['iat', 'nbf', 'exp', epochClaim]) assert.equal(read({ [name]: 0 }), null, name)
    for (const name of ['iat', 'nbf', 'exp']) {
      assert.equal(read({ [name]: 253_402_300_799 }), null, name)
      assert.notEqual(read({ [name]: 253_402_300_800 }), null, name)
    }
  })

  test('a claim that nobody knows, and one that is there without a value', () => {
    for (const change of [
      { roles: ['admin'] },
      { act: null },
      { may_act: null },
      { scope: null },
      { [userClaim]: null },
    ])
      assert.notEqual(read(change), null, JSON.stringify(change))
    assert.notEqual(read({ [chainClaim]: null }), null)
    assert.notEqual(readClaims([]), null)
  })

  test('the binding is a fingerprint alone', () => {
    for (const cnf of [
      {},
      { 'x5t#S256': text(42) },
      { 'x5t#S256': text(44) },
      { 'x5t#S256': `${text(42)}=` },
      { 'x5t#S256': [text(43)] },
    ])
      assert.match(read({ cnf }) ?? '', /cnf/)
    assert.match(read({ cnf: { 'x5t#S256': text(43), jkt: 'x' } }) ?? '', /cnf/)
    assert.equal(read({ cnf: { 'x5t#S256': text(43) } }), null)
  })

  test('a person has issuer, subject and groups, each once and within its limit', () => {
    const of = (change: Change) => read({ [userClaim]: { ...user, ...change } })
    const rows: readonly (readonly [Change, boolean])[] = [
      [{}, true],
      [{ groups: [] }, true],
      [{ issuer: text(512), subject: text(256), groups: [text(128)] }, true],
      [{ issuer: text(513) }, false],
      [{ subject: text(257) }, false],
      [{ groups: [text(129)] }, false],
      [{ groups: [''] }, false],
      [{ groups: [1] }, false],
      [{ groups: 'staff' }, false],
      [{ groups: names(64) }, true],
      [{ groups: names(65) }, false],
      [{ groups: ['a', 'a'] }, false],
      [{ subject: '' }, false],
      [{ issuer: '' }, false],
      [{ email: 'x' }, false],
    ]
    for (const [change, fits] of rows) assert.equal(of(change) === null, fits, JSON.stringify(change).slice(0, 80))
  })

  test('actors, those who may act, scopes and stamps at their limits', () => {
    const rows: readonly (readonly [Change, boolean])[] = [
      [{ act: actChain(4) }, true],
      [{ act: actChain(5) }, false],
      [{ act: { sub: '' } }, false],
      [{ act: { sub: text(2048) } }, true],
      [{ act: { sub: text(2049) } }, false],
      [{ act: { sub: 'a', aud: 'x' } }, false],
      [{ act: { sub: 'a', act: null } }, false],
      [{ may_act: { sub: [] } }, true],
      [{ may_act: { sub: names(8) } }, true],
      [{ may_act: { sub: names(9) } }, false],
      [{ may_act: { sub: ['a', 'a'] } }, false],
      [{ may_act: { sub: planner } }, false],
      [{ may_act: { sub: [''] } }, false],
      [{ may_act: { sub: [text(2048)] } }, true],
      [{ may_act: { sub: [text(2049)] } }, false],
      [{ may_act: { sub: [], aud: 'x' } }, false],
      [{ [chainClaim]: [] }, false],
      [{ [chainClaim]: [link, link, link, link] }, true],
      [{ [chainClaim]: [link, link, link, link, link] }, false],
      [{ [chainClaim]: [{ ...link, more: 1 }] }, false],
      [{ [chainClaim]: [{ ...link, iat: -1 }] }, false],
      ...(['jti', 'kid', 'serial', 'anchor'] as const).flatMap((name) => [
        [{ [chainClaim]: [{ ...link, [name]: text(128) }] }, true] as const,
        [{ [chainClaim]: [{ ...link, [name]: text(129) }] }, false] as const,
        [{ [chainClaim]: [{ ...link, [name]: '' }] }, false] as const,
      ]),
    ]
    for (const [change, fits] of rows) assert.equal(read(change) === null, fits, JSON.stringify(change).slice(0, 90))
  })

  test('a scope is distinct words with one space between', () => {
    const many = (length: number) => Array.from({ length }, (_, i) => `w${i}`).join(' ')
    for (const scope of ['read', 'read write', many(32), text(1024), '!#[]~']) {
      assert.deepEqual(readScopeText(scope), scope.split(' '))
      assert.equal(read({ scope }), null)
    }
    for (const scope of ['', ' ', 'a  b', 'a b ', ' a', 'a a', 'a\tb', 'a"b', 'a\\b', 'é', many(33), text(1025), 7]) {
      assert.equal(readScopeText(scope), null, String(scope).slice(0, 20))
      assert.match(read({ scope }) ?? '', /scope/)
    }
  })
})

describe('the form of a token', () => {
  const part = (value: unknown) => toBase64url(utf8(JSON.stringify(value)))
  const signature = (length: number) => toBase64url(new Uint8Array(length))
  /** With a key that believes everything: what is left is the form. */
  const open = (header: unknown, typ: string | null = 'at+jwt', bytes = 64) => {
    const keys = new Map([['k', { verify: () => true }]])
    const opened = openCompactJws(`${part(header)}.${part({})}.${signature(bytes)}`, { typ, keys })
    return 'ok' in opened ? opened.code : opened.keyId
  }
  const header = { alg: 'ES256', typ: 'at+jwt', kid: 'k' }

  test('the header is algorithm, type and key, and without a type where none may be', () => {
    const rows: readonly (readonly [unknown, string | null, string])[] = [
      [header, 'at+jwt', 'k'],
      [{ alg: 'ES256', kid: 'k' }, null, 'k'],
      [header, null, 'token_type'],
      [{ alg: 'ES256', kid: 'k' }, 'at+jwt', 'token_type'],
      [{ ...header, more: 1 }, 'at+jwt', 'token_header'],
      [{ alg: 'ES256', kid: 'k', more: 1 }, null, 'token_header'],
      [{ alg: 'ES256' }, null, 'token_header'],
      [{ ...header, kid: 'other' }, 'at+jwt', 'token_key_unknown'],
      [{ ...header, kid: 'x'.repeat(128) }, 'at+jwt', 'token_key_unknown'],
      [{ ...header, kid: 'x'.repeat(129) }, 'at+jwt', 'token_header'],
      [{ ...header, kid: 'x'.repeat(500) }, 'at+jwt', 'token_malformed'],
      [{ ...header, kid: [[1]] }, 'at+jwt', 'token_malformed'],
      [Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`k${i}`, 1])), 'at+jwt', 'token_malformed'],
      [{ kid: 'k', typ: 'at+jwt' }, 'at+jwt', 'token_algorithm'],
      [[], 'at+jwt', 'token_malformed'],
    ]
    for (const [given, typ, answer] of rows) assert.equal(open(given, typ), answer, JSON.stringify(given).slice(0, 60))
  })

  test('a signature of another length is none, whatever the key says of it', () => {
    for (const [bytes, answer] of [
      [64, 'k'],
      [63, 'token_signature'],
      [65, 'token_signature'],
    ] as const)
      assert.equal(open(header, 'at+jwt', bytes), answer)
  })

  test('three parts of base64url that re-encode to themselves, up to the limit', () => {
    const code = (text: string, limit = 100) => {
      const parts = splitCompactJws(text, limit)
      return 'ok' in parts ? parts.code : 'split'
    }
    assert.deepEqual([code('YQ.YQ.YQ', 8), code('YQ.YQ.YQ', 7)], ['split', 'token_too_large'])
    const malformed = ['', '.', '..', 'YQ', 'YQ.YQ', '.YQ.YQ', 'YQ..YQ', 'YQ.YQ.', 'YQ.YQ.YQ.', 'YQ.YQ.YQ.YQ']
    for (const at of [0, 1, 2])
      for (const bad of ['YR', 'Y*', 'YQ=', 'Y', ' YQ']) malformed.push(['YQ', 'YQ', 'YQ'].with(at, bad).join('.'))
    for (const text of malformed) assert.equal(code(text), 'token_malformed', text)
  })
})

test('what somebody else was given is judged as ours, with its claims, and without audience and binding', async () => {
  const { key, check } = await makeSigner()
  const { key: stranger } = await makeSigner()
  const { issuer, trustDomain, epoch } = check.expect
  const judged = (change: Change, by = key, seconds = 0) => {
    const text = forge(goodHeader, { ...goodClaims, ...change }, by.privateKey)
    const asked = { expect: { issuer, trustDomain, epoch }, keys: check.keys, now: epochSeconds(now + seconds) }
    const verdict = verifySubjectToken(text, asked)
    return verdict.ok ? verdict.claims.aud : verdict.code
  }
  assert.equal(judged({ aud: 'elsewhere' }), 'elsewhere')
  assert.equal(judged({}, stranger), 'token_signature')
  assert.equal(judged({}, key, 300), 'token_expired')
  assert.equal(judged({}, key, -31), 'token_not_yet_valid')
  assert.equal(judged({ [epochClaim]: 6 }), 'token_epoch')
  assert.equal(judged({ client_id: other }), 'token_subject')
  assert.equal(judged({ roles: ['admin'] }), 'token_claims')
})
