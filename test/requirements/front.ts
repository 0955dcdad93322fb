/**
 * What MCP and OAuth ask of an authorization server for clients of people, by stable id `AS`, and our own rules beside them. A rule
 * names where it is from; what clients and browsers see of the front proves it.
 */

import type { McpRule } from './proving-tests.ts'

const files = {
  clients: 'test/refusals/front-clients.test.ts',
  edge: 'test/refusals/edge-http.test.ts',
  turns: 'test/unit/server/front-tokens.test.ts',
  metadata: 'test/scenarios/edge-front.test.ts',
  providers: 'test/refusals/front-provider.test.ts',
  refusals: 'test/refusals/front.test.ts',
  store: 'test/contract/authority-store/front.ts',
  strangers: 'test/refusals/front-strangers.test.ts',
  ways: 'test/scenarios/front.test.ts',
} as const

function proven(rule: string, ...tests: readonly (readonly [file: keyof typeof files, name: string])[]): McpRule {
  return { rule, tests: tests.map(([file, name]) => ({ file: files[file], name })) }
}

export const frontRules: Readonly<Record<string, McpRule>> = {
  'AS-1': proven(
    'metadata says what is done, under both names (RFC 8414)',
    ['ways', 'its metadata says what it does, under both names'],
    ['metadata', 'the conformance suite finds nothing wrong with the authorization server'],
  ),
  'AS-2': proven(
    'PKCE with S256, always (OAuth 2.1 §4.1.1, RFC 9700 §2.1.1)',
    ['refusals', 'PKCE by the method plain'],
    ['refusals', 'of another client, redirect, verifier or resource gives nothing, and is spent by it'],
  ),
  'AS-3': proven(
    'redirects are compared exactly, but for the port of the own machine (RFC 9700 §4.1.3, RFC 8252 §7.3)',
    ['refusals', 'is shown to the browser, and leads nowhere'],
    ['clients', 'a redirect of the own device is compared without its port, all others exactly'],
    ['strangers', 'is not fetched from where nothing may be fetched, and what it says of redirects holds'],
  ),
  'AS-4': proven(
    'nobody is led to a redirect that only a stranger names (RFC 9700 §4.11.2, OAuth 2.1 §7.12.2)',
    ['strangers', 'leads nobody anywhere when the person is denied, or the provider is gone'],
    ['strangers', 'is told of a no when the person wants it, and of nothing by itself'],
  ),
  'AS-5': proven(
    'each client is allowed by each person (MCP: confused deputy)',
    ['strangers', 'has nothing of what another one was allowed'],
    ['ways', 'what was allowed is not asked again for the same client, redirect, resource and scopes'],
  ),
  'AS-6': proven(
    'a code is good once, and a second use ends what came of the first (RFC 6749 §4.1.2)',
    ['refusals', 'that is used twice gives nothing more, and takes back what it gave'],
    ['store', 'a code of the front is redeemed once, also by several processes, and known as spent after'],
  ),
  'AS-7': proven(
    'refresh tokens of public clients are replaced at each use, and one that comes twice ends all (RFC 9700 §4.14.2)',
    ['refusals', 'that is used twice ends all that came of it, and its live tokens are denied'],
    ['store', 'of refresh tokens of the front only the newest goes on, and of several callers one'],
  ),
  'AS-8': proven('a refresh token is bound to its client and its key (RFC 9449 §5, RFC 6749 §6)', [
    'refusals',
    'of another client, without a proof or with that of another key gives nothing, and is not spent',
  ]),
  'AS-9': proven(
    'who reads the record or the store, or makes up a token, ends nobody’s grant',
    ['strangers', 'is not ended by what the record and the store say of it'],
    ['strangers', 'is not ended by a refresh token that was never issued, and that is no reuse'],
  ),
  'AS-10': proven('a client takes its refresh token back, and nobody else does (RFC 7009)', [
    'ways',
    'a client revokes its refresh token, and nobody else does',
  ]),
  'AS-11': proven(
    'documents of clients are fetched over https, from nowhere private, without redirects, and in bounded numbers (CIMD)',
    ['clients', 'a document at a private address is not fetched'],
    ['clients', 'a redirect is not followed, and what is large, late or no document gives no client'],
    ['clients', 'take four places of their host, and none of others'],
    ['clients', 'take four places of the network that asks for them, and none of others'],
    ['clients', 'what is no client pushes none out, and a host no more than its own'],
    ['clients', 'ends when its host says something else of the client'],
    ['clients', 'stays to the end of its hour while its host is away, and is asked for again and again'],
    ['clients', 'of the documents of a host the one that was not asked for longest makes way'],
  ),
  'AS-12': proven(
    'an answer says who gives it, and one of another issuer is none (RFC 9207)',
    ['ways', 'a person signs in at the provider, allows it, and the client has tokens for its key and one resource'],
    ['refusals', 'an answer that is of another issuer is refused (mix-up)'],
  ),
  'AS-13': proven(
    'an ID token counts for this client, this sign-in and this provider alone (OpenID Connect Core §3.1.3.7)',
    ['providers', '${what} is refused'],
    ['providers', 'each refusal is on the record, and nobody has signed in by one'],
    ['providers', 'and replaces its key is believed by the new one, and no longer by the old one'],
    ['providers', 'and that says it is another one is asked nothing more'],
  ),
  'AS-14': proven(
    'what strangers begin is bounded, and keeps nobody out',
    ['strangers', 'who begins more than an address may pushes out what began there, and nothing of anybody else'],
    ['strangers', 'who has filled every place with many addresses makes way for whoever comes'],
    ['strangers', 'who begins sign-ins takes no room of the pages of people'],
    ['store', 'where everybody together has too many steps, the oldest of who has most makes way'],
  ),
  'AS-15': proven('another epoch ends what people have signed in for and allowed', [
    'strangers',
    'ends what people have allowed, and pages, codes and refresh tokens of before',
  ]),
  'AS-16': proven(
    'pages in a browser are named, and bring no credentials of it (Fetch Standard)',
    ['strangers', 'that is not named is refused everything, and spends nothing'],
    ['strangers', 'that is named may ask what programs ask, and brings nothing of the browser'],
    ['edge', 'may send headers of the parameters of tools, and nothing else that they name'],
  ),
  'AS-17': proven(
    'a denial ends what people have given clients from the moment it is made, at whichever authority',
    ['turns', 'of the person ends codes and refresh tokens at once'],
    ['turns', 'of the client ends codes and refresh tokens at once'],
    ['turns', 'while a token is made ends what it is of, and the token is not given out'],
    ['turns', 'while the person agrees leaves no code, and nothing that is remembered'],
  ),
  'AS-18': proven(
    'who is no second one is not taken for a thief, and what was entered and not given is on record as that',
    ['turns', 'is not spent where no key can sign'],
    ['turns', 'that fails on our side is none any more, and who tries again is no second one'],
    ['turns', 'that comes a second time is told before anything is signed or entered of a token'],
    ['turns', 'that loses to another use leaves what was entered for it void'],
    ['turns', 'live tokens that could not be denied are named to operators, and keep no other one alive'],
  ),
}
