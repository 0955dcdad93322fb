/** The controls on delegation, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'

const exchange = 'packages/server/src/authority/exchange-chain.ts'
const narrowing = 'packages/server/src/authority/token-narrowing.ts'
const chain = 'packages/core/src/token/act-chain.ts'
const standing = 'packages/core/src/identity/chain-standing.ts'
const tokenScope = 'packages/core/src/policy/token-scope.ts'
const authorize = 'packages/enforcement/src/authorize.ts'

const mayAct = 'may_act names who may act along the whole chain: others get nothing, and it only gets shorter'
const scope = 'DX-4: a scope narrows and never widens, and what cannot be compared is refused'
const twice = 'DX-5: nobody is in a chain twice, and a chain has four actors at most'
const subject = 'a subject token that is not ours, of now, of this epoch and of this trust domain is not exchanged'
const denied = 'RV-5: whatever denies a link of the chain ends what it could be exchanged for'
const forged = 'DX-6: a chain that no exchange has stamped, that loops, or is presented by another is refused'
const narrowed = 'DX-4: a token that is narrowed does no more than that, whatever policy allows, and lists agree'

function control(
  name: string,
  [file, test]: readonly [string, string],
  [place, from, to]: readonly [string, string, string],
): Control {
  return { name, edits: [{ file: place, from, to }], test: { file: `test/refusals/${file}.test.ts`, name: test } }
}

export const delegationControls: readonly Control[] = [
  control(
    'delegation.audience',
    ['delegation', 'DX-2: a token is exchanged by whom it is addressed to, and by nobody else'],
    [exchange, '(await audienceHolder(claims.aud)) !== id', '(await audienceHolder(claims.aud)) === id + id'],
  ),
  control(
    'delegation.may_act',
    ['delegation', mayAct],
    [exchange, '!mayAct.sub.includes(id)', 'mayAct.sub.length > 99'],
  ),
  control('delegation.may_act_shrinks', ['delegation', mayAct], [narrowing, '!left.includes(one)', 'left.length > 99']),
  control(
    'delegation.scope_shrinks',
    ['delegation', scope],
    [narrowing, 'wider === null) return asked', 'true) return asked'],
  ),
  control(
    'delegation.loop',
    ['delegation', twice],
    [exchange, 'sub === id || actors.includes(id)', "sub === id + 'x'"],
  ),
  control(
    'delegation.depth',
    ['delegation', twice],
    [exchange, 'actors.length < tokenLimits.actDepth', 'actors.length < 99'],
  ),
  control('delegation.bound', ['delegation', subject], [exchange, 'bound.id !== claims.client_id', "bound.id === ''"]),
  control(
    'delegation.expired',
    ['delegation', subject],
    ['packages/core/src/token/judge-claims.ts', '(now < claims.exp ? null :', '(now < claims.exp + 3600 ? null :'],
  ),
  control(
    'delegation.denied_links',
    ['delegation', denied],
    [exchange, 'if (problem !== null) return', 'if (problem === false) return'],
  ),
  control(
    'delegation.sign_in',
    ['delegation', 'a person goes along the chain with their groups, and the chain ends with the sign-in'],
    [exchange, 'first.iat < deniedBefore(sub)', 'first.iat < 0'],
  ),
  control(
    'delegation.stamp',
    ['delegation-calls', forged],
    [chain, 'links.length === hops ? null', 'links.length >= 0 ? null'],
  ),
  control(
    'delegation.twice',
    ['delegation-calls', forged],
    [chain, '.size !== actors.length + 1', '.size > actors.length + 1'],
  ),
  control(
    'delegation.live_token',
    [
      'delegation-calls',
      'RV-5: a denial of the token between ends the open stream and the next call, and no call of others',
    ],
    [standing, 'deniedTokens.has(jti)', "deniedTokens.has(jti + ' ')"],
  ),
  control(
    'delegation.live_certificate',
    [
      'delegation-calls',
      'RV-5: a denial of the certificate of the subject ends the open stream and the next call, and no call of others',
    ],
    [standing, 'deniedSerials.has(serial)', "deniedSerials.has(serial + ' ')"],
  ),
  control(
    'delegation.live_identity',
    [
      'delegation-calls',
      'RV-5: a denial of who stands between ends the open stream and the next call, and no call of others',
    ],
    [standing, 'iat < issuedBefore)', 'iat < 0)'],
  ),
  control(
    'delegation.live_person',
    ['delegation-calls', 'a denial of the person ends what somebody does for them far down the chain'],
    ['packages/enforcement/src/withdrawal.ts', '(links.at(-1)?.iat ?? claims.iat)', 'claims.iat'],
  ),
  control(
    'scope.calls',
    ['delegation-calls', narrowed],
    [authorize, '!scopeCovers(narrowed, asked.action, asked.resource)', 'narrowed.length === 0'],
  ),
  control(
    'scope.own_api',
    [
      'authority-api',
      'a scope that names no server is about our own API only where it is admin or *, as a role would be',
    ],
    [tokenScope, 'reachesOwnApi(verb) || !ownServers.includes(server)', 'server !== verb.kind'],
  ),
  control(
    'scope.own_api_passed_on',
    ['delegation', scope],
    [tokenScope, 'inner.scope === null || reaches(outer, inner.scope.server)', 'verbWithin(inner.verb, outer.verb)'],
  ),
  control(
    'lists.asker',
    [
      'delegation-calls',
      'a list shows what may be called by whom it was asked, whoever else asks in the session before it comes',
    ],
    [
      'packages/enforcement/src/mcp/server-traffic.ts',
      'readerOf(request.identified, { scope, options })',
      'readerOf(scope.identified, { scope, options })',
    ],
  ),
  control(
    'scope.lists',
    ['delegation-calls', narrowed],
    [authorize, '!scopeCovers(principal.scope, action, resource)', 'principal.scope.length === 0'],
  ),
  {
    name: 'delegation.ends',
    edits: [{ file: exchange, from: 'claims.exp, notAfter)', to: 'notAfter)' }],
    test: {
      file: 'test/unit/server/delegation-chains.test.ts',
      name: 'DX-3, DX-4, DX-5: no chain of exchanges widens, outlives what it is made of, loops, or leaves somebody out',
    },
  },
]
