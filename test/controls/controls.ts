/**
 * The controls that this system is made of, each with the change that disables it and the test that must then turn red.
 * The requirements manifest names them; `npm run campaign -- --only controls` disables them one by one.
 */

import { acmeControls } from './acme-controls.ts'
import { agentControls } from './agent-controls.ts'
import { approvalControls } from './approval-controls.ts'
import { calleeControls } from './callee-controls.ts'
import { decisionControls } from './decision-controls.ts'
import { ceremonyControls } from './ceremony-controls.ts'
import { delegationControls } from './delegation-controls.ts'
import { definitionControls } from './definition-controls.ts'
import { detectionControls } from './detection-controls.ts'
import type { Edit } from './disabled-build.ts'
import { edgeControls } from './edge-controls.ts'
import { edgeFrontControls } from './edge-front-controls.ts'
import { frontControls } from './front-controls.ts'
import { exampleControls } from './example-controls.ts'
import { joinControls } from './join-controls.ts'
import { monitoringControls } from './monitoring-controls.ts'
import { limitControls } from './limit-controls.ts'
import { peopleControls } from './people-controls.ts'
import { plainControls } from './plain-controls.ts'
import { policyControls } from './policy-controls.ts'
import { recordControls } from './record-controls.ts'
import { grantControls } from './grant-controls.ts'
import { secretControls } from './secret-controls.ts'
import { sidecarControls } from './sidecar-controls.ts'
import { sourceControls } from './source-controls.ts'
import { trustControls } from './trust-controls.ts'
import { doctorControls } from './doctor-controls.ts'
import { operationControls } from './operation-controls.ts'
import { modernControls } from './modern-controls.ts'
import { upstreamControls } from './upstream-controls.ts'
import { witnessControls } from './witness-controls.ts'
import { workloadControls } from './workload-controls.ts'

export interface Control {
  /** Key in `security:` of ADR-0011 where there is one, else what the control is called in the code. */
  readonly name: string
  readonly edits: readonly Edit[]
  readonly test: { readonly file: string; readonly name: string }
}

const listener = 'packages/enforcement/src/wire/listener.ts'
const tlsContext = 'packages/enforcement/src/wire/tls-context.ts'
const standing = 'packages/enforcement/src/certificate-standing.ts'
const withdrawal = 'packages/enforcement/src/withdrawal.ts'
const pipeline = 'packages/enforcement/src/pipeline.ts'
const openCalls = 'packages/enforcement/src/open-calls.ts'
const identify = 'packages/enforcement/src/identify.ts'
const userLimit = 'packages/enforcement/src/user-limit.ts'
const claims = 'packages/core/src/token/judge-claims.ts'
const jws = 'packages/core/src/token/compact-jws.ts'
const authorize = 'packages/enforcement/src/authorize.ts'
const head = 'packages/enforcement/src/wire/request-head.ts'

function control(name: string, [file, testName]: readonly [string, string], ...edits: readonly Edit[]): Control {
  return { name, edits, test: { file: `test/refusals/${file}.test.ts`, name: testName } }
}

function edit(file: string, from: string, to: string): Edit {
  return { file, from, to }
}

export const controls: readonly Control[] = [
  control(
    'tls.client_auth',
    ['gateway-transport-tls', 'without a certificate there is no connection'],
    edit(listener, "rejectUnauthorized: options.clientCertificate === 'required',", 'rejectUnauthorized: false,'),
  ),
  control(
    'tls.min_version',
    ['tls-handshake', 'TLS 1.2 is refused, and so is everything older'],
    edit(
      tlsContext,
      "ciphers: cipherSuites.join(':'),",
      "ciphers: [...cipherSuites, 'ECDHE-ECDSA-AES256-GCM-SHA384'].join(':'),",
    ),
    edit(tlsContext, "minVersion: 'TLSv1.3',", "minVersion: 'TLSv1.2',"),
  ),
  control(
    'tls.cipher_suites',
    ['tls-handshake', 'both configured suites are spoken, and no other'],
    edit(
      tlsContext,
      "ciphers: cipherSuites.join(':'),",
      "ciphers: [...cipherSuites, 'TLS_AES_128_GCM_SHA256'].join(':'),",
    ),
  ),
  control(
    'tls.groups',
    [
      'tls-handshake',
      'TR-9: keys are exchanged in the named groups only, the hybrid one first and none of finite fields',
    ],
    edit(
      tlsContext,
      "const tlsGroups = 'X25519MLKEM768:X25519:P-256:P-384'",
      "const tlsGroups = 'X25519:P-256:P-384:P-521'",
    ),
  ),
  control(
    'tls.no_resumption',
    ['tls-handshake', 'a session is not resumed: none that the gateway named, and none that is forced on it'],
    edit(tlsContext, 'secureOptions: constants.SSL_OP_NO_TICKET,', 'secureOptions: 0,'),
  ),
  control(
    'certificate.issuance_mirror',
    ['tls-handshake', 'CA-5: a certificate that the anchor signed but that is not in the issuance mirror is refused'],
    edit(
      identify,
      'candidate.issued.get(fingerprint)?.id === leaf.id.uri',
      'candidate.issued.get(fingerprint)?.id !== fingerprint',
    ),
  ),
  control(
    'certificate.profile',
    ['tls-handshake', 'a certificate without key usage is refused, though the anchor signed it'],
    edit(standing, 'if (problem !== null) return deny(', 'if (problem !== null && id === null) return deny('),
    edit(
      standing,
      '  const problem = checkSvidLeaf(',
      '  const id = certificate.spiffeId\n  const problem = checkSvidLeaf(',
    ),
    edit(standing, '\n  const id = certificate.spiffeId\n  if (id === null)', '\n  if (id === null)'),
  ),
  control(
    'certificate.expiry',
    ['tls-expiry', 'the next request on the connection is refused by itself, were the connection not closed'],
    edit(standing, 'if (seconds >= certificate.notAfter)', 'if (seconds < 0)'),
  ),
  control(
    'auth.require_auth',
    ['token-forged', 'every request brings its token: one that passed lends nothing to the next on its connection'],
    edit(
      identify,
      "credential === 'certificate'",
      "credential === 'certificate' || bearer(inbound.head.headers['authorization']) === null",
    ),
  ),
  control(
    'auth.token_validation.verify_exp',
    ['token-forged', 'an expired token is refused'],
    edit(claims, 'if (now >= exp + leeway)', 'if (now < 0)'),
    edit(identify, 'if (seconds >= claims.exp + LEEWAY_SECONDS)', 'if (seconds < 0)'),
  ),
  control(
    'auth.token_validation.verify_aud',
    ['token-forged', 'a token for another server is refused'],
    edit(claims, 'if (claims.aud !== expect.audience)', "if (claims.aud === '')"),
  ),
  control(
    'auth.token_validation.verify_iss',
    ['token-forged', 'a token of a foreign issuer is refused'],
    edit(claims, 'if (claims.iss !== expect.issuer)', "if (claims.iss === '')"),
  ),
  control(
    'auth.methods.bearer',
    ['token-forged', 'a token bound to another certificate is refused'],
    edit(
      claims,
      'boundToCertificate(claims.cnf, expect.certificateFingerprint)',
      "boundToCertificate(claims.cnf, claims.cnf['x5t#S256'])",
    ),
  ),
  control(
    'token.signature',
    ['token-forged', 'a token of an unknown key is refused'],
    edit(jws, 'const key = check.keys.get(kid)', 'const key = check.keys.get(kid) ?? { verify: () => true }'),
  ),
  control(
    'token.kind',
    ['token-forged', 'JW-8: a JWT-SVID is refused'],
    edit(jws, "if ((member(header, 'typ') ?? null) !== typ)", "if ((member(header, 'typ') ?? null) === '')"),
  ),
  control(
    'jwt_svid.audience',
    ['jwt-svid', 'an audience that is neither registered nor listed is refused, on record, and nothing is issued'],
    edit(
      'packages/server/src/authority/mint-jwt-svid.ts',
      'if (!bare && !registered(audience))',
      'if (audience.length === 0)',
    ),
  ),
  control(
    'jwt_svid.key',
    ['jwt-svid', 'JW-7, JW-8: it names a key that signs JWT-SVIDs alone, and says that it is one'],
    edit('packages/server/src/authority/key-slots.ts', "this.#signing('jwt-svid', now)", "this.#signing('token', now)"),
  ),
  control(
    'jwt_svid.binding',
    [
      'jwt-svid',
      'one within the trust domain is bound to the certificate of who asked; one for an audience outside is not',
    ],
    edit('packages/server/src/authority/mint-jwt-svid.ts', '...(bare ? {}', '...(!bare ? {}'),
  ),
  control(
    'token.epoch',
    ['token-forged', 'a token of the previous epoch is refused'],
    edit(claims, 'claims[epochClaim] >= expect.epoch', 'claims[epochClaim] >= 0'),
  ),
  control(
    'identity.denial',
    ['revocation-live', 'registered again under the same name, it must join again: what it held before stays refused'],
    edit(
      withdrawal,
      'if (issuedBefore !== undefined && certificate.notBefore + backdatingSeconds < issuedBefore)',
      'if (issuedBefore !== undefined && certificate.notBefore < 0)',
    ),
    edit(
      withdrawal,
      'if (issuedBefore !== undefined && made < issuedBefore)',
      'if (issuedBefore !== undefined && claims.iat < 0)',
    ),
  ),
  control(
    'identity.registration',
    [
      'revocation-live',
      'a workload that is removed is refused on its open connection, its open stream ends, and it gets no other',
    ],
    edit(withdrawal, 'return view.roles.has(id) ? null', 'return view.roles.size >= 0 ? null'),
    edit(
      withdrawal,
      'if (issuedBefore !== undefined && certificate.notBefore + backdatingSeconds < issuedBefore)',
      'if (issuedBefore !== undefined && certificate.notBefore < 0)',
    ),
  ),
  control(
    'certificate.denial',
    [
      'revocation-authority',
      'RV-4, RV-5: a denied serial is refused on new and open connections and streams, for tokens and renewals',
    ],
    edit(withdrawal, 'if (view.deniedSerials.has(certificate.serial))', "if (certificate.serial === '')"),
  ),
  control(
    'certificate.epoch',
    [
      'revocation-epoch',
      'RV-6: what was issued in an earlier epoch is refused on the next request of an open connection, and on new ones',
    ],
    edit(withdrawal, 'if (epoch !== undefined && epoch < view.state.epoch)', 'if (epoch !== undefined && epoch < 0)'),
  ),
  control(
    'token.denial',
    [
      'revocation-authority',
      'RV-4: a denied token is refused, its stream ends on a connection that lives, and the certificate is good for another',
    ],
    edit(
      withdrawal,
      'if (token !== null && view.deniedTokens.has(token.id))',
      "if (token !== null && token.id === '')",
    ),
    edit(withdrawal, 'if (view.deniedTokens.has(claims.jti))', "if (claims.jti === '')"),
  ),
  control(
    'streams.denial',
    [
      'revocation-authority',
      'RV-4: a denied token is refused, its stream ends on a connection that lives, and the certificate is good for another',
    ],
    edit(openCalls, 'if (denial === null) continue', 'if (denial !== undefined) continue'),
  ),
  control(
    'requests.overtaken',
    ['revocation-gateway', 'RV-4: a call whose body comes slowly is refused by the denial of its token meanwhile'],
    edit(
      pipeline,
      'view === null || view.generation === identified.generation ? null : withdrawal(identified, view)',
      'view === null || view.generation >= 0 ? null : withdrawal(identified, view)',
    ),
  ),
  control(
    'rbac.default_policy',
    [
      'policy-roles',
      'a tool that the role does not list is denied, and the model is told by which permission it would be allowed',
    ],
    edit(
      authorize,
      "if (verdict.effect === 'allow') {",
      "if (verdict.effect === 'allow' || verdict.reason === 'none') {",
    ),
    edit(
      authorize,
      'const { policies, obligations, version, shadow = null } = verdict',
      "const { policies, version } = verdict\n    const shadow = null\n    const obligations = verdict.effect === 'allow' ? verdict.obligations : []",
    ),
  ),
  control(
    'rbac.policies',
    ['policy-roles', 'readonly reads, user also writes, admin does everything: as ADR-0011 prints them'],
    edit(
      'packages/server/src/config/security-schema.ts',
      "{ role: 'readonly', permissions: ['read'] }",
      "{ role: 'readonly', permissions: ['*'] }",
    ),
  ),
  control(
    'rbac.lists',
    ['policy-roles', 'a list shows what a call would meet: the reader sees what he may call, the admin everything'],
    edit(authorize, "return verdict !== 'deny'", "return verdict !== 'never'"),
  ),
  control(
    'record.before_permit',
    ['gateway-transport-faults', 'when the record cannot be written nothing is forwarded'],
    edit(
      'packages/enforcement/src/record.ts',
      'const entry = await log.append({',
      'const entry = await appendOrElse(log, {',
    ),
    edit(
      'packages/enforcement/src/record.ts',
      'export type RefusalEntry =',
      `async function appendOrElse(log: Record, entry: RecordEntry): Promise<EntryReference> {
  return log.append(entry).catch(() => ({ origin: 'none', index: 0, toString: () => 'none#0' }) as never)
}

export type RefusalEntry =`,
    ),
  ),
  control(
    'headers',
    ['headers-every-answer', 'an allowed call'],
    edit(
      listener,
      'const { securityHeaders, time } = this.#options',
      'const { time } = this.#options, securityHeaders = {}',
    ),
  ),
  control(
    'host',
    ['host-origin', 'a Host of any other name is refused'],
    edit(head, 'if (!authorities.has(host))', "if (host === '')"),
  ),
  control(
    'origin',
    ['host-origin', 'any Origin is refused, because none is configured'],
    edit(
      head,
      'if (origin === undefined || origins.has(origin)) return null',
      "if (origin === undefined || origin !== '') return null",
    ),
  ),
  control(
    'rate_limiting.per_ip',
    ['limits-rates', 'per_ip: an address is refused after its requests, other addresses of the same caller go on'],
    edit('packages/enforcement/src/limit.ts', 'rate: limits.perIp(address) }', 'rate: limits.global }'),
  ),
  control(
    'rate_limiting.per_user',
    ['limits-rates', 'per_user: a caller is refused after its requests from whichever address, other callers go on'],
    edit(userLimit, 'rate: settings.perUser }]', 'rate: { count: 1_000_000, periodSeconds: 1 } }]'),
  ),
  control(
    'rate_limiting.global',
    ['limits-rates', 'global: everybody is refused once all together have used it up'],
    edit(
      'packages/enforcement/src/limit.ts',
      'rate: limits.global }',
      'rate: { count: 1_000_000, periodSeconds: 1 } }',
    ),
  ),
  control(
    'limits.body_bytes',
    ['limits-rates', 'limits.body_bytes: a body above the limit is refused before it is read'],
    edit(
      'packages/server/src/transports/streamable-http.ts',
      'exchange.readBody(bodyBytes)',
      'exchange.readBody(100_000_000)',
    ),
  ),
  ...acmeControls,
  ...calleeControls,
  ...decisionControls,
  ...exampleControls,
  ...plainControls,
  ...policyControls,
  ...recordControls,
  ...witnessControls,
  ...workloadControls,
  ...detectionControls,
  ...monitoringControls,
  ...limitControls,
  ...operationControls,
  ...doctorControls,
  ...upstreamControls,
  ...delegationControls,
  ...definitionControls,
  ...agentControls,
  ...approvalControls,
  ...modernControls,
  ...secretControls,
  ...sidecarControls,
  ...sourceControls,
  ...grantControls,
  ...trustControls,
  ...edgeControls,
  ...edgeFrontControls,
  ...frontControls,
  ...joinControls,
  ...peopleControls,
  ...ceremonyControls,
]
