/**
 * Which attempts of `doorward probe` fail when a control is disabled, and why nobody sees it from outside where none does.
 * `npm run campaign -- --only probe` disables them one by one in a deployment that runs.
 */

import type { Edit } from './disabled-build.ts'
import { controls } from './controls.ts'

/** What the deployment is like in which it is seen. */
export type ProbeSetting =
  /** As `probeYaml`. */
  | 'plain'
  /** One of the three limits of calls alone is met. */
  | 'per_ip'
  | 'per_user'
  | 'global'
  /** Certificates and tokens end soon. */
  | 'brief'
  /** The authority is stopped. */
  | 'away'

export interface ProbedControl {
  readonly name: string
  readonly edits: readonly Edit[]
  /** Each of them fails. */
  readonly attempts: readonly string[]
  /** Tried as well, where those alone would see nothing. */
  readonly beside?: readonly string[]
  readonly setting: ProbeSetting
}

type Row = readonly [name: string, attempts: readonly string[], setting?: ProbeSetting]

/** Of `controls`, with their edits. */
const known: readonly Row[] = [
  ['tls.client_auth', ['handshake-no-certificate']],
  ['tls.min_version', ['handshake-tls-1.2']],
  ['tls.cipher_suites', ['handshake-suite']],
  ['tls.groups', ['handshake-group-p521']],
  ['tls.no_resumption', ['handshake-resumption']],
  ['auth.require_auth', ['token-place-none']],
  ['auth.token_validation.verify_exp', ['expiry-token'], 'brief'],
  ['auth.token_validation.verify_aud', ['token-of-gateway', 'token-of-authority']],
  ['auth.methods.bearer', ['token-of-other']],
  ['token.signature', ['token-forged-34']],
  ['token.kind', ['token-forged-31', 'token-forged-32']],
  ['identity.denial', ['standing-again']],
  ['certificate.denial', ['standing-certificate']],
  ['token.denial', ['standing-token']],
  ['rbac.default_policy', ['authorization-no-role']],
  ['headers', ['headers-refused', 'headers-unknown', 'headers-malformed', 'headers-message']],
  ['metrics.role', ['authorization-admin-metrics']],
  ['host', ['transport-host-other']],
  ['origin', ['transport-origin', 'transport-origin-null']],
  ['rate_limiting.per_ip', ['limits-rate'], 'per_ip'],
  ['rate_limiting.per_user', ['limits-rate'], 'per_user'],
  ['rate_limiting.global', ['limits-rate'], 'global'],
  ['limits.body_bytes', ['transport-cl-beyond']],
  ['limits.connections_per_ip', ['limits-connections']],
  ['limits.connections_per_ip.gate', ['limits-connections']],
  ['limits.handshakes_per_ip', ['limits-handshakes']],
  ['pace.bodies', ['limits-slow-body']],
  ['pace.crumbs', ['limits-crumbs']],
]

const head = 'packages/enforcement/src/wire/request-head.ts'
const path = 'packages/enforcement/src/wire/request-path.ts'
const identify = 'packages/enforcement/src/identify.ts'
const withdrawal = 'packages/enforcement/src/withdrawal.ts'
const standing = 'packages/enforcement/src/certificate-standing.ts'
const userLimit = 'packages/enforcement/src/user-limit.ts'
const message = 'packages/enforcement/src/mcp-message.ts'
const rpc = 'packages/core/src/mcp/message.ts'
const classify = 'packages/core/src/mcp/classify.ts'
const call = 'packages/enforcement/src/mcp/mcp-call.ts'
const grammar = 'packages/core/src/json/grammar.ts'
const scan = 'packages/core/src/json/scan.ts'
const jws = 'packages/core/src/token/compact-jws.ts'
const listener = 'packages/enforcement/src/wire/listener.ts'
const builtin = 'packages/core/src/policy/builtin.ts'
const sessions = 'packages/enforcement/src/mcp/session.ts'
const denialResponse = 'packages/enforcement/src/wire/denial-response.ts'
const recording = 'packages/enforcement/src/record.ts'
const openRoute = "{ server: 'gateway', method: 'GET', path: '/v1/receipt', group: 'read', open: 'everybody' },"
/** A route of operators that anybody may use: only what is among the open ones has a permission for all. */
const opened = (server: string, route: string): readonly [string, string] => [
  openRoute,
  `${openRoute}\n  { server: '${server}', method: 'GET', path: '${route}', group: 'admin', open: 'everybody' },`,
]

function one(
  name: string,
  attempts: readonly string[],
  file: string,
  [from, to]: readonly [string, string],
): ProbedControl {
  return { name, attempts, edits: [{ file, from, to }], setting: 'plain' }
}

/** Of the form of requests and messages, and of what several layers refuse: these have tests of their kind elsewhere. */
const own: readonly ProbedControl[] = [
  one('head.names', ['transport-underscore', 'transport-underscore-x'], head, [
    'if (!NAME.test(name) || forbiddenNames.has(name))',
    'if (forbiddenNames.has(name))',
  ]),
  one('head.duplicates', ['token-place-two-headers'], head, [
    'if (before !== undefined && !repeatable.has(name))',
    "if (before === '')",
  ]),
  one('head.lines', ['transport-headers-many'], head, [
    'if (raw.length > 2 * limit)',
    'if (raw.length > 2000 * limit)',
  ]),
  one('head.version', ['transport-http-1.0'], head, [
    "if (request.httpVersion === '1.1') return null",
    "if (request.httpVersion !== '') return null",
  ]),
  one('head.encoding', ['transport-encoding'], head, [
    "if (headers['content-encoding'] !== undefined)",
    "if (headers['content-encoding'] === '')",
  ]),
  one('head.expectation', ['transport-expect'], head, [
    "if (headers['expect'] !== undefined)",
    "if (headers['expect'] === '')",
  ]),
  one('path.segments', ['transport-path-backslash', 'transport-path-parameter'], path, [
    'if (!SEGMENT.test(segment))',
    "if (segment === '\\0')",
  ]),
  one('path.empty', ['transport-path-double-slash'], path, [
    "if (segment === '' && i < segments.length - 1)",
    "if (segment === '\\0')",
  ]),
  one('path.dots', ['transport-path-dot', 'transport-path-dot-dot', 'transport-path-final-dot'], path, [
    "if (segment.endsWith('.'))",
    "if (segment === '\\0')",
  ]),
  one(
    'path.escapes',
    ['transport-path-encoded-slash', 'transport-path-encoded-letter', 'transport-path-overlong'],
    path,
    ['if (escape !== null) return escape', 'void escape'],
  ),
  one('message.content_type', ['message-type', 'message-form'], message, [
    "if (!isMediaType(head.headers['content-type'], 'application/json'))",
    "if (!isMediaType('application/json', 'application/json'))",
  ]),
  one('message.accept', ['message-accept'], message, [
    "if (accept.includes('application/json') && accept.includes('text/event-stream')) return null",
    "if (accept !== '') return null",
  ]),
  one('message.batch', ['message-batch'], rpc, [
    'if (Array.isArray(value))',
    'if (Array.isArray(value) && value.length > 9)',
  ]),
  one('message.version', ['message-not-rpc'], rpc, ["if (value['jsonrpc'] !== '2.0')", "if (value['jsonrpc'] === '')"]),
  one('message.session', ['message-session'], call, [
    'if (named !== undefined && session === null)',
    "if (named === '' && session === null)",
  ]),
  one('message.session.holder', ['authorization-session-of-other'], sessions, [
    'session.server !== server || session.owner !== owner',
    "session.server !== server || owner === ''",
  ]),
  one('message.mirrored.version', ['message-header-version'], classify, [
    'if (versionHeader(exchange) !== envelope.version)',
    "if (versionHeader(exchange) === '')",
  ]),
  one('message.mirrored.method', ['message-header-method', 'message-header-no-method'], classify, [
    'if (headers.method === undefined || trimHeader(headers.method) !== message.method)',
    "if (headers.method === '')",
  ]),
  one('message.mirrored.name', ['message-header-name'], classify, [
    "if (classified.kind === 'request' && !mirrorsName(",
    "if (classified.kind !== 'request' && !mirrorsName(",
  ]),
  one('administration.role', ['authorization-admin-gateway'], builtin, opened('gateway', '/v1/status')),
  one('administration.role.authority', ['authorization-admin-authority'], builtin, opened('authority', '/v1/status')),
  {
    ...one('record.refusals', ['record-entries'], recording, [
      'if ((denial.caller === null || row.counted) &&',
      'if ((denial.caller === null || row.http > 0) &&',
    ]),
    beside: ['authorization-no-role', 'message-deep'],
  },
  {
    ...one('record.named', ['record-entries'], denialResponse, [
      "...(decision === null ? {} : { 'Doorward-Decision': decision }),",
      "...(decision === '' ? { 'Doorward-Decision': decision } : {}),",
    ]),
    beside: ['authorization-no-role', 'message-deep'],
  },
  {
    name: 'streams.end',
    attempts: ['standing-stream'],
    setting: 'plain',
    edits: [
      {
        file: 'packages/enforcement/src/open-calls.ts',
        from: 'if (denial === null) continue',
        to: 'if (denial !== undefined) continue',
      },
      {
        file: 'packages/enforcement/src/mcp/session.ts',
        from: 'return personalWithdrawal(openedBy, view) !== null || personalWithdrawal(identified, view) !== null',
        to: 'return view.roles.size < 0 && openedBy === identified',
      },
    ],
  },
  one('message.no_session', ['message-no-session'], call, [
    "if (!opening) return deny('session_missing'",
    "if (!opening && value === null) return deny('session_missing'",
  ]),
  one('json.depth', ['message-deep'], grammar, [
    "  if (depth > c.maxDepth) return refuse(c, 'json_too_deep', `expected at most ${c.maxDepth} nested objects and arrays`)\n  c.at++",
    '  c.at++',
  ]),
  one('json.duplicates', ['message-method-twice', 'message-method-escaped'], grammar, [
    'if (c.keys[i] === key) {',
    'if (c.keys[i] === null) {',
  ]),
  one('json.forbidden', ['message-prototype', 'message-constructor'], grammar, [
    'if (!c.keepsPrototypeKeys &&',
    'if (c.keepsPrototypeKeys &&',
  ]),
  one('json.keys', ['message-keys'], grammar, ['if (c.keysLeft-- === 0)', 'if (c.keysLeft-- === -1e9)']),
  one('json.surrogates', ['message-surrogate'], grammar, [
    "return paired || refuse(c, 'json_lone_surrogate', 'expected surrogate escapes in pairs')",
    'return paired || true',
  ]),
  one('json.bom', ['message-bom'], scan, ['if (bytes[0] === 0xef &&', 'if (bytes[0] === 0xff &&']),
  one('json.trailing', ['message-trailing'], grammar, [
    "return c.at === c.bytes.length || refuse(c, 'json_syntax', 'expected the end after one value')",
    'return true',
  ]),
  one('token.scheme', ['token-place-basic', 'token-place-dpop'], identify, [
    '/^Bearer [^ ]/i.test(header)',
    '/^[a-z]+ [^ ]/i.test(header)',
  ]),
  one('token.algorithm', ['token-forged-02', 'token-forged-11', 'token-forged-14'], jws, [
    "if (member(header, 'alg') !== 'ES256')",
    "if (member(header, 'alg') === 7)",
  ]),
  one('token.signature.held', ['token-forged-39', 'token-forged-40'], jws, [
    'const holds = signature.length === SIGNATURE_BYTES && key.verify(signed, signature)',
    'const holds = key !== null && signed.length > 0',
  ]),
  one('token.parts', ['token-place-two-in-one'], identify, [
    "header.slice('Bearer '.length) : null",
    "header.slice('Bearer '.length).split(',')[0]! : null",
  ]),
  {
    name: 'identity.removal',
    attempts: ['handshake-removed'],
    setting: 'plain',
    edits: [
      { file: withdrawal, from: 'return view.roles.has(id) ? null', to: 'return view.roles.size >= 0 ? null' },
      {
        file: withdrawal,
        from: 'if (issuedBefore !== undefined && certificate.notBefore + backdatingSeconds < issuedBefore)',
        to: 'if (issuedBefore !== undefined && certificate.notBefore < 0)',
      },
      {
        file: withdrawal,
        from: 'if (issuedBefore !== undefined && made < issuedBefore)',
        to: 'if (issuedBefore !== undefined && claims.iat < 0)',
      },
    ],
  },
  {
    name: 'certificate.end',
    attempts: ['expiry-connection'],
    setting: 'brief',
    edits: [
      { file: standing, from: 'if (seconds >= certificate.notAfter)', to: 'if (seconds < 0)' },
      { file: listener, from: 'if (life === null) return undefined', to: 'if (life !== null) return undefined' },
    ],
  },
  {
    ...one('trust.stale', ['authority-nobody'], userLimit, [
      "    case 'stale':\n      return deny(",
      "    case 'stale':\n      if (name === '') return deny(",
    ]),
    setting: 'away',
  },
  {
    ...one('trust.unknown', ['authority-unknown'], userLimit, ['if (!known.has(name))', "if (name === '')"]),
    setting: 'away',
  },
]

export const probedControls: readonly ProbedControl[] = [
  ...known.map(([name, attempts, setting = 'plain']): ProbedControl => {
    const edits = controls.find((control) => control.name === name)?.edits ?? []
    return { name, attempts, edits, setting }
  }),
  ...own,
]

/** Why no attempt from outside sees that one is disabled, with the controls: each by its name, or by how the names of several begin. */
export const unseenControls: readonly { readonly why: string; readonly controls: readonly string[] }[] = [
  {
    why: 'only a key of the authority signs what would be refused: nobody outside has one',
    controls: [
      'certificate.issuance_mirror',
      'certificate.profile',
      'auth.token_validation.verify_iss',
      'token.epoch',
      'token.epoch_of_system',
      'certificate.epoch',
      'trust_state',
      'trust_anchors',
      'key',
      'heartbeat',
      'server',
      'jwt_svid',
      'people',
      'exchange',
    ],
  },
  {
    why: 'another layer refuses the same from outside: the probe sees it when both are disabled, as certificate.end, identity.removal and streams.end',
    controls: ['certificate.expiry', 'identity.registration', 'streams.denial'],
  },
  {
    why: 'it lies within a moment of a call that is under way while trust changes: nothing from outside hits that moment',
    controls: ['requests.overtaken', 'token.epoch_meanwhile', 'drain', 'reload', 'ready', 'supervision'],
  },
  {
    why: 'what a role or a policy opens is the operator’s: the probe does not know what it should be',
    controls: ['rbac.policies', 'rbac.lists', 'policy', 'scope', 'lists', 'audience', 'delegation'],
  },
  {
    why: 'it is about what is kept, copied and witnessed on the disks of a deployment, where the probe is not',
    controls: ['record', 'audit', 'witness', 'keyring', 'vault', 'secrets'],
  },
  {
    why: 'it is told to operators when something is found, and refuses nobody',
    controls: ['detections', 'alerts', 'traces', 'metrics.bounded', 'limits.connections_per_ip.record'],
  },
  {
    why: 'it needs quotas or named networks, which the operator configures or not',
    controls: [
      'limits.networks',
      'limits.quotas',
      'limits.fields',
      'limits.streams_per_user',
      'limits.sessions_per_user',
      'calls',
    ],
  },
  {
    why: 'it needs a load that would take the deployment from others',
    controls: ['handshakes.pending', 'load', 'pace.readers', 'pace.records', 'streams.unread', 'streams.backlog'],
  },
  {
    why: 'a second address would have to be believed to be a proxy',
    controls: ['proxies', 'decisions'],
  },
  {
    why: 'it judges what a server behind the gateway answers; the probe does not have one of its own there',
    controls: [
      'upstream',
      'backend',
      'output',
      'definitions',
      'modern',
      'agent',
      'rpc',
      'legacy_sse',
      'approvals',
      'token_exchange',
      'client',
      'grants',
    ],
  },
  {
    why: 'it is about connections that the deployment opens, or about what it is built of; the probe opens connections to it',
    controls: ['tls.outward', 'exports', 'security.advisories'],
  },
  {
    why: 'it needs a person who signs in at a provider; the probe is a workload',
    controls: ['edge', 'dpop', 'front', 'issuers', 'login', 'sign_in', 'acme'],
  },
  {
    why: 'it is in programs beside the gateway, which the probe does not call',
    controls: ['bridge', 'callee', 'caller', 'sidecar', 'workload', 'example'],
  },
  {
    why: 'it belongs to how identities and keys begin and are replaced; a join or a ceremony of others is not tried on a deployment that runs',
    controls: ['join', 'join_state', 'oidc', 'x509_pop', 'rotation', 'ceremony'],
  },
  {
    why: 'every attempt begins with a handshake, which a listener that also speaks without one answers as well',
    controls: ['tls.enabled'],
  },
  {
    why: 'it is in the command that looks at a deployment, which refuses nobody',
    controls: ['doctor'],
  },
]
