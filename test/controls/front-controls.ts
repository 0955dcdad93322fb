/** What keeps the front's clients, people and strangers apart, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'
import type { Edit } from './disabled-build.ts'

const front = 'packages/server/src/authority/front'
const tokens = `${front}/tokens.ts`
const signIn = `${front}/sign-in.ts`
const refresh = `${front}/refresh-token.ts`
const request = `${front}/request.ts`
const store = 'packages/server/src/storage/sqlite/front.ts'
const clients = 'packages/server/src/apps/front-clients.ts'
const claims = 'packages/core/src/token/issuer-claims.ts'

type Change = readonly [file: string, from: string, to: string]

function controlIn(file: string) {
  return (name: string, test: string, ...changes: readonly Change[]): Control => {
    const edits = changes.map(([path, from, to]): Edit => ({ file: path, from, to }))
    return { name, edits, test: { file, name: test } }
  }
}

const control = controlIn('test/refusals/front.test.ts')
const ofStrangers = controlIn('test/refusals/front-strangers.test.ts')
const ofProviders = controlIn('test/refusals/front-provider.test.ts')
const ofDocuments = controlIn('test/refusals/front-clients.test.ts')
const ofWays = controlIn('test/scenarios/front.test.ts')
const ofTurns = controlIn('test/unit/server/front-tokens.test.ts')

const wrongCode = 'of another client, redirect, verifier or resource gives nothing, and is spent by it'
const wrongCaller = 'of another client, without a proof or with that of another key gives nothing, and is not spent'
const codeTwice = 'that is used twice gives nothing more, and takes back what it gave'
const revoked = 'a client revokes its refresh token, and nobody else does'
const otherEpoch = 'ends what people have allowed, and pages, codes and refresh tokens of before'

const ofTokens: readonly Control[] = [
  control('front.pkce', wrongCode, [
    tokens,
    'if (!VERIFIER.test(verifier) || hashOf(context, verifier) !== request.challenge)',
    'if (!VERIFIER.test(verifier))',
  ]),
  control('front.code.client', wrongCode, [
    tokens,
    'if (request.clientId !== asked.clientId)',
    "if (request.clientId === '')",
  ]),
  control('front.code.redirect', wrongCode, [
    tokens,
    'if (request.redirectUri !== asked.redirectUri)',
    "if (request.redirectUri === '')",
  ]),
  control('front.code.once', codeTwice, [
    store,
    'AND redeemed = 0 AND code_expires_at > ? RETURNING *',
    'AND code_expires_at > ? RETURNING *',
  ]),
  control('front.code.reuse', codeTwice, [
    tokens,
    '    await endReused(context, redeemed.id, `a code was used twice, the second time by ${shown(request)}`)\n',
    '',
  ]),
  control('front.refresh.key', wrongCaller, [tokens, 'if (grant.jkt !== request.jkt)', "if (grant.jkt === '')"]),
  control('front.refresh.client', wrongCaller, [tokens, 'if (clientId !== request.clientId)', "if (clientId === '')"]),
  control('front.refresh.reuse', 'that is used twice ends all that came of it, and its live tokens are denied', [
    tokens,
    "  await endReused(context, id, 'a refresh token was used twice')\n",
    '',
  ]),
  ofStrangers('front.refresh.issued', 'is not ended by a refresh token that was never issued, and that is no reuse', [
    refresh,
    'hashOf(context, mark) === hashOf(context, markOf(context, seal, { family, secret }))',
    'hashOf(context, mark) !== hashOf(context, seal)',
  ]),
  ofStrangers('front.grant.id', 'is not ended by what the record and the store say of it', [
    refresh,
    'return hashOf(context, `grant ${family}`).slice(0, GRANT_LENGTH)',
    'return context === null ? family : family.slice(0, GRANT_LENGTH)',
  ]),
  ofWays('front.revoke', revoked, [
    tokens,
    "  await endGrant(context, found.grant, 'the client has revoked it')\n",
    '',
  ]),
  ofWays('front.revoke.client', revoked, [
    tokens,
    'if (found === null || found.grant.request.clientId !== clientId) return',
    "if (found === null || clientId === '') return",
  ]),
]

const ofRedirects: readonly Control[] = [
  ofStrangers(
    'front.redirect',
    'is not fetched from where nothing may be fetched, and what it says of redirects holds',
    [signIn, 'if (!answersAt(client.redirectUris, redirectUri))', "if (redirectUri === '')"],
  ),
  ofStrangers('front.open_redirect', 'leads nobody anywhere when the person is denied, or the provider is gone', [
    signIn,
    "  if (!trusted && said === 'nothing') return problem\n",
    '',
  ]),
  ofStrangers('front.open_redirect.no', 'is told of a no when the person wants it, and of nothing by itself', [
    signIn,
    "goes: trusted || said === 'yes' }",
    'goes: true }',
  ]),
  ofWays(
    'front.iss',
    'a person signs in at the provider, allows it, and the client has tokens for its key and one resource',
    [request, '{ state }), iss: issuer }))', '{ state }) }))'],
  ),
]

const ofPeople: readonly Control[] = [
  ofStrangers('front.consent.client', 'has nothing of what another one was allowed', [
    store,
    'SELECT * FROM front_consents WHERE person = ? AND client = ?',
    'SELECT * FROM front_consents WHERE person = ? AND client <= ?',
  ]),
  ofWays(
    'front.consent.scopes',
    'what was allowed is not asked again for the same client, redirect, resource and scopes',
    [
      signIn,
      'if (held === null || !scopes.every((scope) => held.scopes.includes(scope))) return false',
      "if (held === null || scopes.includes('')) return false",
    ],
  ),
  ofStrangers('front.consent.epoch', otherEpoch, [signIn, 'epoch: held.epoch })', 'epoch: context.epoch() })']),
  ofStrangers('front.page.epoch', otherEpoch, [
    signIn,
    'const { request, person, epoch } = step\n',
    'const { request, person } = step\n  const epoch = context.epoch()\n',
  ]),
  ofProviders('front.id_token.issuer', 'of another issuer is refused', [
    claims,
    "if (member(claims, 'iss') !== issuer)",
    "if (issuer === '')",
  ]),
  ofProviders(
    'front.id_token.audience',
    'for another client is refused',
    [claims, 'if (audiences === null || !audiences.includes(audience))', 'if (audiences === null)'],
    [
      claims,
      'if (audiences.some((one) => one !== audience && !otherAudiences.includes(one)))',
      "if (audiences.includes(''))",
    ],
  ),
  ofProviders('front.id_token.nonce', 'with the nonce of another sign-in is refused', [
    claims,
    'if (nonce !== expected.nonce && !lacking)',
    'if (nonce === undefined && !lacking)',
  ]),
  ofProviders('front.id_token.expiry', 'that has expired is refused', [
    claims,
    "if (now >= exp + leeway) return refuse('token_expired', `exp was ${exp}`)\n",
    '',
  ]),
  ofProviders('front.id_token.signature', 'signed by another key under the same id is refused', [
    'packages/server/src/issuers/verified-issuers.ts',
    '    const claims = token.open(key)\n',
    '    const claims = token.open({ ...key, verify: () => true })\n',
  ]),
]

const ofRoom: readonly Control[] = [
  ofStrangers(
    'front.steps.address',
    'who begins more than an address may pushes out what began there, and nothing of anybody else',
    [store, 'WHERE owner = ? AND kind = ? ORDER BY', "WHERE owner = ? AND kind = ? AND owner = '' ORDER BY"],
  ),
  ofStrangers('front.steps.most', 'who has filled every place with many addresses makes way for whoever comes', [
    store,
    'GROUP BY source ORDER BY count(*) DESC',
    'GROUP BY source ORDER BY count(*)',
  ]),
  ofDocuments('front.documents.address', 'a document at a private address is not fetched', [
    'packages/server/src/transports/fetch-document.ts',
    'return allowPrivateAddresses || !privateAddresses.check(address, family)',
    'return true',
  ]),
  ofDocuments('front.documents.host', 'take four places of their host, and none of others', [
    clients,
    '      fetching.filter((one) => one.host === host).length >= MAX_FETCHES_OF_HOST ||\n',
    '',
  ]),
  ofDocuments('front.documents.network', 'take four places of the network that asks for them, and none of others', [
    clients,
    'fetching.filter((one) => one.network === network).length >= MAX_FETCHES_FOR_NETWORK',
    "network === ''",
  ]),
  ofDocuments('front.documents.refused', 'what is no client pushes none out, and a host no more than its own', [
    clients,
    '      const [oldest] = this.#refused.keys()\n      if (this.#refused.size >= MAX_HELD && oldest !== undefined) this.#refused.delete(oldest)\n',
    '      const [oldest] = this.#held.keys()\n      if (this.#refused.size >= MAX_HELD && oldest !== undefined) this.#held.delete(oldest)\n',
  ]),
  ofDocuments(
    'front.documents.early',
    'is looked at again without anybody who waits, and counts for an hour from then on',
    [clients, 'lookAt: until - EARLY_MILLISECONDS', 'lookAt: until'],
  ),
  ofDocuments('front.documents.withdrawn', 'ends when its host says with a status that it is not there', [
    clients,
    'return status >= 500 || status === 429',
    'return status !== 200',
  ]),
  ofDocuments(
    'front.documents.away',
    'stays to the end of its hour while its host is away, and is asked for again and again',
    [clients, "if ('why' in read && read.unavailable && held", "if ('why' in read && clientId === '' && held"],
  ),
  ofDocuments(
    'front.documents.hour',
    'stays to the end of its hour while its host is away, and is asked for again and again',
    [
      clients,
      '{ ...held, lookAt: now + REFUSED_MILLISECONDS }',
      '{ ...held, until: now + FRESH_MILLISECONDS, lookAt: now + REFUSED_MILLISECONDS }',
    ],
  ),
  ofDocuments('front.documents.changed', 'ends when its host says something else of the client', [
    clients,
    "if ('why' in read && read.unavailable && held",
    "if ('why' in read && held",
  ]),
  ofDocuments('front.documents.unused', 'of the documents of a host the one that was not asked for longest makes way', [
    clients,
    '      this.#held.delete(clientId)\n      this.#held.set(clientId, held)\n',
    '',
  ]),
  ofStrangers('front.pages_of_others', 'that is not named is refused everything, and spends nothing', [
    'packages/enforcement/src/wire/request-head.ts',
    'if (origin === undefined || origins.has(origin)) return null',
    'if (origin === undefined || origins.size > 0) return null',
  ]),
  controlIn('test/refusals/edge-http.test.ts')(
    'edge.preflight_headers',
    'may send headers of the parameters of tools, and nothing else that they name',
    [
      'packages/server/src/transports/edge.ts',
      'names.filter((name) => PARAMETER.test(name))',
      "names.filter((name) => name !== '')",
    ],
  ),
]

const elsewhere = 'of the person ends codes and refresh tokens at once'
const between = 'while a token is made ends what it is of, and the token is not given out'
const agreeing = 'while the person agrees leaves no code, and nothing that is remembered'

/** Denials and failures that come in between. */
const ofMoments: readonly Control[] = [
  ofTurns('front.denied.elsewhere', elsewhere, [
    'packages/server/src/authority/newest-denial.ts',
    '(await store.revocations.issuedBefore(id)) ?? 0)',
    "(await store.revocations.issuedBefore('')) ?? 0)",
  ]),
  ofTurns('front.denied.client', 'of the client ends codes and refresh tokens at once', [
    `${front}/context.ts`,
    "  if (person.signedInAt < (await newestDenial(context, client))) return 'the client was denied'\n",
    "  if (client === '') return 'the client was denied'\n",
  ]),
  ofTurns('front.denied.between', between, [
    tokens,
    '      const ended = await endedBecause(context, grant)\n      if (ended === null) return null\n',
    "      const ended = ''\n      if (ended === '') return null\n",
  ]),
  ofTurns('front.consent.denied_meanwhile', agreeing, [
    signIn,
    '  if (ended !== null) await store.front.forget(user)\n  return ended\n',
    '  return null\n',
  ]),
  ofTurns('front.code.no_key', 'is not spent where no key can sign', [
    tokens,
    '  if (context.slots.tokenKey(nowSeconds(context)) === null) return noKey()\n',
    '',
  ]),
  ofTurns('front.code.failed', 'that fails on our side is none any more, and who tries again is no second one', [
    tokens,
    '    await front.end(grant.id, nowSeconds(context)).catch(() => null)\n',
    '',
  ]),
  ofTurns(
    'front.refresh.failed',
    'that fails on our side when it is spent ends its grant, and who tries again is no second one',
    [tokens, '    await context.store.front.end(grant.id, release.now).catch(() => null)\n', ''],
  ),
  ofTurns('front.refresh.scopes', 'gives a scope once that is asked for twice', [
    tokens,
    '[...new Set(request.scopes ?? granted)]',
    '(request.scopes ?? granted)',
  ]),
  ofTurns(
    'front.refresh.replay_first',
    'that comes a second time is told before anything is signed or entered of a token',
    [tokens, '  if (grant.refreshHash !== refresh.hash) return replayed(context, grant)\n', ''],
  ),
  ofTurns('front.token.void', 'that loses to another use leaves what was entered for it void', [
    tokens,
    '  if (refusal !== null) await enterVoid(context, { name, grant: grant.id, why: refusal.why })\n',
    '',
  ]),
  ofTurns(
    'front.reuse.undenied',
    'live tokens that could not be denied are named to operators, and keep no other one alive',
    [
      `${front}/reuse.ts`,
      'await Promise.allSettled(names.map((name) => deny(name)))',
      'await Promise.allSettled(names.slice(0, 1).map((name) => deny(name)))',
    ],
  ),
]

export const frontControls: readonly Control[] = [...ofMoments, ...ofTokens, ...ofRedirects, ...ofPeople, ...ofRoom]
