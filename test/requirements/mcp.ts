/**
 * What MCP, over the wire and in its rules of security, asks of a gateway, by stable id: `MC` of the wire, `MS` of the checklist
 * of the reference (mcp.md §7), in its order; `AS` of the authorization server (front.ts). A rule is proven by the tests that it
 * names; `later` says what of it has none.
 */

import { frontRules } from './front.ts'
import type { McpRule } from './proving-tests.ts'

const files = {
  capabilities: 'test/refusals/capabilities.test.ts',
  bridge: 'test/scenarios/bridge-listen.test.ts',
  canary: 'test/scenarios/canary.test.ts',
  clients: 'test/scenarios/clients-modern.test.ts',
  conformance: 'test/scenarios/conformance/gateway.test.ts',
  definitions: 'test/refusals/definitions.test.ts',
  edge: 'test/refusals/edge-tokens.test.ts',
  edgeHttp: 'test/refusals/edge-http.test.ts',
  edgeMethods: 'test/refusals/edge-enumerated.test.ts',
  documents: 'test/unit/server/attest-issuer-keys.test.ts',
  enumerated: 'test/refusals/mcp-enumerated.test.ts',
  front: 'test/scenarios/edge-front.test.ts',
  frontRefusals: 'test/refusals/front.test.ts',
  frontRules: 'test/scenarios/front.test.ts',
  faults: 'test/refusals/gateway-transport-faults.test.ts',
  host: 'test/refusals/host-origin.test.ts',
  http: 'test/refusals/gateway-transport-http.test.ts',
  limits: 'test/refusals/limits-rates.test.ts',
  modern: 'test/scenarios/modern-http.test.ts',
  oracle: 'test/unit/core/mcp-oracle.test.ts',
  output: 'test/refusals/output.test.ts',
  policy: 'test/refusals/policy-arguments.test.ts',
  refused: 'test/refusals/modern-http.test.ts',
  routes: 'test/refusals/routes-mcp.test.ts',
  sessions: 'test/refusals/gateway-transport-sessions.test.ts',
  strangers: 'test/refusals/front-strangers.test.ts',
} as const

type File = keyof typeof files

function proven(rule: string, ...tests: readonly (readonly [file: File, name: string])[]): McpRule {
  return { rule, tests: tests.map(([file, name]) => ({ file: files[file], name })) }
}

function partly(rule: string, later: string, ...tests: readonly (readonly [file: File, name: string])[]): McpRule {
  return { ...proven(rule, ...tests), later }
}

const foreignSession = ['sessions', 'an id is good for its owner and server alone'] as const
const foreignState = ['modern', 'MC-16: a state comes back as the server wrote it'] as const
const foreignTask = ['modern', 'MC-17: of others, or of nobody, do not exist'] as const

export const mcpRules: Readonly<Record<string, McpRule>> = {
  'MC-1': proven(
    'one JSON-RPC message per POST; batches are refused in every revision',
    ['refused', 'a batch is refused, whatever is in it'],
    ['http', 'each wrong body is refused with its own code'],
  ),
  'MC-2': proven('the body decides about the era, headers only contradict it', [
    'oracle',
    'eras and refusals are those of',
  ]),
  'MC-3': proven('malformed or missing metadata is 400 / −32602', [
    'refused',
    'a request without them, or with malformed',
  ]),
  'MC-4': proven('clients of the modern era send no notifications and no responses', [
    'refused',
    'a notification and a response of a client are refused',
  ]),
  'MC-5': proven(
    'what the revision does not list is not found: modern 404 with the id, legacy 200',
    ['refused', 'methods that the revision does not have are not found'],
    ['enumerated', 'is decided about by itself: whoever may do one thing may do no other'],
  ),
  'MC-6': proven(
    'the modern era knows POST alone, anything else is 405',
    ['refused', 'other HTTP methods are answered with 405'],
    ['refused', 'a server without sessions is asked by POST alone'],
  ),
  'MC-7': proven(
    '−32022 and discoveries name the versions that server and gateway know, as the server has told the gateway itself',
    ['modern', 'MC-7: is asked about its versions once, by a request of our own'],
    ['modern', 'MC-7: a discovery names no version that the gateway does not know'],
    ['refused', 'a version that is not known is answered with those'],
    ['http', 'a message of an era that the server does not speak'],
  ),
  'MC-8': proven(
    'every 400 and 404 of the modern era is a JSON-RPC error with the id of the request',
    ['modern', 'MC-8: an error of the server passes with its status and id'],
    ['refused', 'MC-8: nobody is denied without the id of his request'],
  ),
  'MC-9': proven('version, method and name in headers are those of the body, or 400 / −32020', [
    'refused',
    'MC-9, MC-10: headers repeat the body or the request is refused',
  ]),
  'MC-10': proven('mirrored values are strict base64 or literal, and no header of MCP is repeated', [
    'refused',
    'none of them may be there twice',
  ]),
  'MC-11': proven(
    'a caller of the modern era that goes cancels its request at the server',
    ['modern', 'MC-11: ends at its server when its caller goes'],
    ['clients', 'cancels a call, at its server too'],
  ),
  'MC-12': proven(
    'original bytes and the headers of the protocol go on; session ids and Last-Event-ID mean nothing in the modern era',
    ['modern', 'MC-12: reaches its server byte for byte'],
    ['routes', 'a request of the modern era has no session'],
    ['conformance', 'nothing of the caller reaches the server but what the protocol needs'],
  ),
  'MC-13': proven(
    'lists and capabilities are filtered by the decision that a call would meet, on every stream, and are private',
    ['capabilities', '${era}: ${role}'],
    ['modern', 'MC-13: lists hold what a call of it could be allowed, and are private'],
    ['sessions', 'a list holds exactly what the caller could call, and every other byte is kept'],
    ['sessions', 'a list that comes late on the stream of the session is filtered too'],
  ),
  'MC-14': proven(
    'a server answers what waits, and asks what its client has declared',
    ['modern', 'MC-14: a stream passes event by event'],
    ['sessions', 'a request of the server passes only when the client has declared'],
    ['sessions', 'an answer to somebody else, or to nobody, does not pass'],
  ),
  'MC-15': proven('requests for input pass by method, and only of kinds that the client declares with the request', [
    'modern',
    'MC-15: do not pass otherwise',
  ]),
  'MC-16': proven('a request state is its caller’s and its request’s', foreignState),
  'MC-17': proven('a task is its caller’s, and every use of it is decided', foreignTask, [
    'modern',
    'MC-17: are known to the server by its own name',
  ]),
  'MC-18': proven(
    'every URI and task id of a listen is decided, and updates are filtered',
    ['modern', 'MC-18: is refused whole where one of its parts is not allowed'],
    ['modern', 'MC-18: passes what concerns the caller, with ids untouched'],
  ),
  'MC-19': proven(
    'streams that last are counted, and end when the decision no longer holds',
    ['modern', 'MC-19: has so many streams open for one caller'],
    ['modern', 'MC-19: ends when its caller may listen no longer to one of its parts'],
    ['faults', 'a session has a bounded number of streams'],
  ),
  'MC-20': proven('both eras are served at one path, and none is translated', [
    'modern',
    'MC-20: a server of both eras serves both at one path',
  ]),
  'MC-21': proven(
    'the conformance suite finds through bridge and gateway what it finds directly',
    ['conformance', 'finds check by check what it finds directly'],
    ['conformance', 'a caller who may do little finds what it may do'],
  ),
  'MC-22': proven('official clients of the modern era work by both forms of connect', [
    'clients',
    'client 2.4 of the modern era, ${name}',
  ]),
  'MC-23': proven('a session is ours, random, its owner’s, and ends; others get 404, none 400', foreignSession, [
    'sessions',
    'without a session only initialize is served',
  ]),
  'MC-24': proven('no challenge, redirect or cookie of a server is relayed', [
    'sessions',
    'credentials, cookies, redirects and challenges of a server are never relayed',
  ]),
  'MS-1': proven(
    'Origin is checked on every request; SNI, Host and configuration are one; local listeners are on loopback',
    ['host', 'any Origin is refused, because none is configured'],
    ['edgeHttp', 'of any other origin are refused, with a token and without, and told nothing'],
    ['host', 'a handshake for another name than the Host is refused'],
    ['bridge', 'a foreign host or origin is passed on for the gateway to refuse'],
  ),
  'MS-2': proven(
    'nothing is trusted for its connection, session id, clientInfo or serverInfo',
    ['routes', '${method} is closed to ${what}'],
    ['enumerated', 'is closed under the session of somebody else'],
    ['edgeMethods', 'every method at the edge is closed to a token without proof'],
  ),
  'MS-3': proven(
    'headers are capped before they are decoded; CR, LF and bad base64 are refused; times are bounded',
    ['http', 'each wrong header is refused with its own code and status'],
    ['refused', 'a parameter in bad base64'],
    ['faults', 'a server that hangs is a timeout'],
  ),
  'MS-4': proven(
    'audiences are checked, tokens are not passed on, and stand in no URL and no log',
    ['routes', 'a token for another audience'],
    ['http', 'a token in the query counts for nothing'],
    ['edge', 'a token for another server of the same gateway'],
    ['edge', 'a token in the query is refused, and nothing of it is on the record'],
    ['edge', 'the server hears nothing of the token, the proof and the nonce of the caller'],
    ['canary', 'do not go on to the server: neither the token nor other headers of the client'],
  ),
  'MS-5': partly(
    'documents are fetched over https, from nowhere private, and redirects are no documents',
    'icons are not fetched at all',
    ['documents', 'no document comes from link-local, multicast, reserved or disguised addresses'],
    ['documents', 'redirects, errors, encoded, oversized and endless answers are no documents'],
  ),
  'MS-6': proven(
    'a proxy of OAuth has its own consent, for each client, and nothing happens without it',
    ['front', 'a person who says no is asked for nothing more, and the host gets nothing'],
    [
      'frontRefusals',
      'an answer of the provider in another browser is refused, and still good in its own (login CSRF)',
    ],
    ['frontRefusals', 'cannot be framed, runs nothing, loads nothing and is kept nowhere'],
    ['frontRefusals', 'an answer of another browser, with another token, twice or without a decision is refused'],
    ['frontRules', 'what was allowed is not asked again for the same client, redirect, resource and scopes'],
    ['frontRules', 'a program on the own device is answered at any port, and asked about each time'],
    ['strangers', 'has nothing of what another one was allowed'],
  ),
  'MS-7': proven('ids of legacy sessions are random, bound to the caller, and expire', foreignSession, [
    'faults',
    'ended and idle sessions leave the table',
  ]),
  'MS-8': proven('a request state is input of an attacker: integrity, caller, expiry, request', foreignState),
  'MS-9': proven('task ids are names: every use is decided', foreignTask),
  'MS-10': partly(
    'elicitation asks by modes that the client declares; the asking server is known by its path',
    'what a form asks for is not looked at',
    ['modern', 'MC-15: do not pass otherwise'],
  ),
  'MS-11': proven(
    'tools: arguments are judged, calls authorized and counted, outputs cleaned',
    ['policy', 'arguments decide: what a forbid names is refused'],
    ['limits', 'limits.quotas: an action is refused after its quota'],
    ['output', 'are taken out of a JSON answer of redacts, and counted'],
    ['output', 'redacts: are in no id, name or other field'],
    ['output', 'checks: the result of a task is judged as that of its tool'],
  ),
  'MS-12': partly(
    'depth of messages is bounded, and no reference of a schema is fetched',
    'what a URI means is its server’s: policy compares it as it is',
    ['policy', 'many, deep and long arguments are decided, or refused'],
  ),
  'MS-13': proven('definitions are pinned, and what changes is hidden and refused', [
    'definitions',
    'a description that has changed: the tool is left out of the list',
  ]),
  'MS-14': proven('no log, record or answer has credentials', ['canary', 'are in no file of the state: no log']),
  ...frontRules,
}
