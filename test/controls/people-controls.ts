/** The controls on issuers, people who sign in and calls on their behalf, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'

const claims = 'packages/core/src/token/issuer-claims.ts'
const idTokens = 'an ID token that is not by the provider, for us, of now and for this key signs nobody in'
const identities = 'an identity is good for its workload, its key, its connection and one audience, and nothing else'
const deniedElsewhere =
  'a person who is denied elsewhere signs in by nothing of before, and gets no token of a sign-in of before'
const times = 'issuer, audience, times and the claims that are required hold exactly'

function control(
  name: string,
  [file, test]: readonly [string, string],
  edits: readonly Control['edits'][number][],
): Control {
  return { name, edits, test: { file: `test/${file}.test.ts`, name: test } }
}

export const peopleControls: readonly Control[] = [
  control(
    'issuers.audience',
    ['unit/server/issuer-tokens', times],
    [{ file: claims, from: '!audiences.includes(audience))', to: 'audiences.length > 99)' }],
  ),
  control(
    'issuers.require',
    ['unit/server/issuer-tokens', times],
    [{ file: claims, from: 'claimAt(claims, name) !== value)', to: 'claimAt(claims, name) === rules)' }],
  ),
  control(
    'issuers.algorithms',
    ['unit/server/issuer-tokens', 'every algorithm that is configured verifies, and no other one does'],
    [
      {
        file: 'packages/server/src/issuers/verified-issuers.ts',
        from: 'if (!algorithms.includes(algorithm))',
        to: 'if (algorithms.length === 0)',
      },
    ],
  ),
  control(
    'issuers.header',
    ['unit/server/issuer-tokens', 'a header that brings or names keys, or changes what is signed, is refused'],
    [
      {
        file: 'packages/core/src/token/issuer-token.ts',
        from: 'if (refused !== undefined) return',
        to: "if (refused === '') return",
      },
    ],
  ),
  control(
    'login.nonce',
    ['refusals/login', idTokens],
    [{ file: claims, from: 'if (nonce !== expected.nonce && !lacking) return', to: 'if (nonce === null) return' }],
  ),
  control(
    'login.proof',
    ['refusals/login', idTokens],
    [
      {
        file: 'packages/server/src/authority/login-key.ts',
        from: 'context.importP256(key)?.verify(signed, signature) === true',
        to: 'signed.length + signature.length > 0',
      },
    ],
  ),
  control(
    'login.workloads',
    ['refusals/login', 'a workload that may not act for people does not, whoever signs in at it'],
    [
      {
        file: 'packages/server/src/authority/people.ts',
        from: 'matchesSpiffeId(pattern, id)) === true ? found',
        to: 'matchesSpiffeId(pattern, id)) !== null && found !== undefined ? found',
      },
    ],
  ),
  control(
    'login.first_key',
    [
      'refusals/login',
      'a provider that leaves the nonce out is believed where device codes are allowed, once and by the first key',
    ],
    [
      {
        file: 'packages/server/src/authority/shown-tokens.ts',
        from: 'return known.key === use.key',
        to: 'return true',
      },
    ],
  ),
  control(
    'exchange.denied.elsewhere',
    ['unit/server/unpublished-denials', deniedElsewhere],
    [
      {
        file: 'packages/server/src/authority/exchange-token.ts',
        from: 'await newestDenial({ store: context.store, deniedBefore }, claims.sub)',
        to: 'deniedBefore(claims.sub)',
      },
    ],
  ),
  control(
    'login.denied.elsewhere',
    ['unit/server/unpublished-denials', deniedElsewhere],
    [
      {
        file: 'packages/server/src/authority/login.ts',
        from: 'await newestDenial({ store: context.store, deniedBefore }, name)',
        to: 'deniedBefore(name)',
      },
    ],
  ),
  control(
    'exchange.dated_before',
    [
      'unit/server/unpublished-denials',
      'a person’s token is dated before it is asked what is denied, so that a denial in between takes it',
    ],
    [
      {
        file: 'packages/server/src/authority/exchange-token.ts',
        from: '  const iat = epochSeconds(Math.max(now, from))\n',
        to: '  const iat = epochSeconds(Math.max(nowSeconds(context), from))\n',
      },
    ],
  ),
  control(
    'exchange.key',
    ['refusals/login', identities],
    [
      {
        file: 'packages/server/src/authority/exchange-token.ts',
        from: 'if (jkt !== claims.cnf.jkt) return',
        to: "if (jkt === '') return",
      },
    ],
  ),
  control(
    'exchange.workload',
    ['refusals/login', identities],
    [
      {
        file: 'packages/core/src/token/user-identity.ts',
        from: 'if (claims.client_id !== presenter) return',
        to: "if (claims.client_id === '') return",
      },
    ],
  ),
  control(
    'exchange.kind',
    ['refusals/login', 'kinds do not mix: neither identity, access token nor ID token passes for another'],
    [
      {
        file: 'packages/core/src/token/compact-jws.ts',
        from: "if ((member(header, 'typ') ?? null) !== typ) return",
        to: "if (member(header, 'typ') === 0) return",
      },
    ],
  ),
  control(
    'people.denial',
    ['refusals/people', 'a denial of the person ends the stream that is open and what was issued before, and no other'],
    [
      {
        file: 'packages/enforcement/src/withdrawal.ts',
        from: 'if (issuedBefore === undefined || (issuedAt ?? 0) >= issuedBefore) return null',
        to: 'if (issuedBefore === undefined || issuedBefore > 0) return null',
      },
    ],
  ),
  control(
    'people.actor',
    ['refusals/people', 'a token for a person is refused in another hand, with another subject, and as a chain'],
    [
      {
        file: 'packages/core/src/token/act-chain.ts',
        from: 'if (user !== undefined && sub !== userName(user))',
        to: "if (user !== undefined && sub === '')",
      },
    ],
  ),
  control(
    'people.both_parties',
    ['refusals/people', 'nobody is let in whom no binding names: another person, another issuer, another workload'],
    [
      {
        file: 'packages/core/src/policy/call-world.ts',
        from: 'return [first, ...others.filter(',
        to: 'return [first, ...others.slice(99).filter(',
      },
    ],
  ),
  control(
    'sign_in.state',
    ['unit/server/sign-in', 'what is not the redirect of our own request is told nothing, and the sign-in goes on'],
    [
      {
        file: 'packages/server/src/transports/loopback-redirect.ts',
        from: 'timingSafeEqual(given, expected) ? { parameters } : null',
        to: 'given.length === expected.length ? { parameters } : null',
      },
    ],
  ),
  control(
    'sign_in.issuer',
    ['unit/server/sign-in', 'an answer of another issuer, a refusal and one without a code sign nobody in'],
    [
      {
        file: 'packages/server/src/apps/sign-in.ts',
        from: 'if (iss === undefined ? namesIssuer : iss !== issuer)',
        to: "if (iss === '')",
      },
    ],
  ),
]
