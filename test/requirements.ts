/**
 * The requirements manifest: every sentence of both decision records, how far it is met, and the tests that prove it.
 * A sentence without an entry in `proofs` or `background` would be open, and none is. test/architecture/requirements.test.ts is its gate.
 */

import { adr0011 } from './requirements/adr-0011.ts'
import { adrOs025 } from './requirements/adr-os-025.ts'
import {
  apis,
  approvedOnce,
  boundToken,
  conformance,
  deniedSerial,
  endToEnd,
  everyDecision,
  everyToken,
  exactArguments,
  first,
  forgedCertificate,
  forgedToken,
  grantedOnce,
  headers,
  jobsOfCi,
  keysInCustody,
  limits,
  lockedInstance,
  missedRotation,
  noCertificate,
  noFailures,
  onTheirDays,
  openKeyFile,
  outwardSecrecy,
  paths,
  plainGetsNothing,
  printedRoles,
  recovered,
  recoveredWhole,
  replaced,
  replacedAtFront,
  replacedByAcme,
  shedding,
  sockets,
  strangersCounted,
  tls,
  token,
  unknownKey,
  unlisted,
  unlogged,
  unrecorded,
  waysIn,
} from './requirements/proving-tests.ts'
import { done, partial } from './requirements/proof.ts'
import type { Proof } from './requirements/proof.ts'
import { wholePromises } from './requirements/whole-promises.ts'

export type RequirementId = keyof typeof adr0011 | keyof typeof adrOs025

export interface Requirement {
  readonly id: RequirementId
  readonly source: 'adr-0011-zero-trust-security-model.md' | 'adr-os-025-zero-trust-internal-security-baseline.md'
  readonly sentence: string
  readonly proof: Proof
}

/** What has been proven so far, and what differs from `background`, by id. */
const proofs: Partial<Record<RequirementId, Proof>> = {
  ...declined('it says how things were before the decision', ['ADR11-CTX-1', 'OS25-CTX-1', 'OS25-CTX-2']),
  ...declined('it is answered by the design, not by a test', ['OS25-QST-4', 'OS25-ASM-7']),
  ...wholePromises,

  // security.tls
  'ADR11-CFG-tls.enabled': done('tls.enabled', { file: tls, name: 'plain HTTP gets no HTTP answer' }),
  'ADR11-CFG-tls.min_version': done('tls.min_version', {
    file: tls,
    name: 'TLS 1.2 is refused, and so is everything older',
  }),
  'ADR11-CFG-tls.cipher_suites[0]': done('tls.cipher_suites', {
    file: tls,
    name: 'both configured suites are spoken, and no other',
  }),
  'ADR11-CFG-tls.cipher_suites[1]': done('tls.cipher_suites', {
    file: tls,
    name: 'both configured suites are spoken, and no other',
  }),
  'ADR11-CFG-tls.client_auth': done('tls.client_auth', noCertificate),

  // security.auth
  'ADR11-CFG-auth.require_auth': done('auth.require_auth', everyToken),
  'ADR11-CFG-auth.methods[0]': done('auth.methods.bearer', {
    file: token,
    name: 'a token bound to another certificate',
  }),
  'ADR11-CFG-auth.methods[1]': done(
    'issuers.algorithms',
    {
      file: 'test/unit/server/issuer-tokens.test.ts',
      name: 'every algorithm that is configured verifies, and no other one does',
    },
    { file: token, name: 'a token of a foreign issuer' },
    {
      file: 'test/refusals/login.test.ts',
      name: 'a person who signs in acts through the workload at which they did, by a token of five minutes',
    },
  ),
  'ADR11-CFG-auth.methods[2]': done('certificate.issuance_mirror', noCertificate, {
    file: tls,
    name: 'CA-5: a certificate that the anchor signed but that is not in the issuance mirror is refused',
  }),
  'ADR11-CFG-auth.token_validation.verify_exp': done('auth.token_validation.verify_exp', {
    file: token,
    name: 'an expired token',
  }),
  'ADR11-CFG-auth.token_validation.verify_aud': done('auth.token_validation.verify_aud', {
    file: token,
    name: 'a token for another server',
  }),
  'ADR11-CFG-auth.token_validation.verify_iss': done('auth.token_validation.verify_iss', {
    file: token,
    name: 'a token of a foreign issuer',
  }),

  // security.rbac
  'ADR11-CFG-rbac.enabled': done('rbac.default_policy', unlisted),
  'ADR11-CFG-rbac.default_policy': done('rbac.default_policy', unlisted),
  'ADR11-CFG-rbac.policies[0].role': done('rbac.policies', printedRoles),
  'ADR11-CFG-rbac.policies[0].permissions[0]': done('rbac.policies', printedRoles),
  'ADR11-CFG-rbac.policies[1].role': done('rbac.policies', printedRoles),
  'ADR11-CFG-rbac.policies[1].permissions[0]': done('rbac.policies', printedRoles),
  'ADR11-CFG-rbac.policies[1].permissions[1]': done('rbac.policies', printedRoles),
  'ADR11-CFG-rbac.policies[2].role': done('rbac.policies', printedRoles),
  'ADR11-CFG-rbac.policies[2].permissions[0]': done('rbac.policies', printedRoles),

  // security.headers
  'ADR11-CFG-headers.X-Content-Type-Options': done('headers', { file: headers, name: 'an allowed call' }),
  'ADR11-CFG-headers.X-Frame-Options': done('headers', { file: headers, name: 'an allowed call' }),
  'ADR11-CFG-headers.X-XSS-Protection': done('headers', { file: headers, name: 'an allowed call' }),
  'ADR11-CFG-headers.Strict-Transport-Security': done('headers', { file: headers, name: 'an allowed call' }),

  // security.rate_limiting
  'ADR11-CFG-rate_limiting.enabled': done('rate_limiting.global', {
    file: limits,
    name: 'global: everybody is refused once all together have used it up',
  }),
  'ADR11-CFG-rate_limiting.global': done('rate_limiting.global', {
    file: limits,
    name: 'global: everybody is refused once all together have used it up',
  }),
  'ADR11-CFG-rate_limiting.per_ip': done('rate_limiting.per_ip', {
    file: limits,
    name: 'per_ip: an address is refused after its requests, other addresses of the same caller go on',
  }),
  'ADR11-CFG-rate_limiting.per_user': done('rate_limiting.per_user', {
    file: limits,
    name: 'per_user: a caller is refused after its requests from whichever address, other callers go on',
  }),

  // What the decision demands of every request and all traffic: each way in and each socket has its tests (test/assurance/surfaces.ts).
  'ADR11-REQ-1': done('auth.require_auth', waysIn, unlisted, everyToken, {
    file: paths,
    name: 'an MCP path, by every method of it',
  }),
  'ADR11-REQ-2': done('tls.outward', sockets, endToEnd, plainGetsNothing, outwardSecrecy, noCertificate),
  'ADR11-REQ-3': done('rbac.default_policy', waysIn, unlisted, approvedOnce, grantedOnce, {
    file: apis,
    name: 'is closed to a caller without the role admin',
  }),
  'ADR11-REQ-4': done(
    'auth.methods.bearer',
    boundToken,
    forgedCertificate,
    lockedInstance,
    noCertificate,
    everyToken,
    unlisted,
  ),
  'ADR11-REQ-5': done('record.before_permit', waysIn, unrecorded, strangersCounted, everyDecision),
  'ADR11-CON-2': partial(
    { file: conformance, name: 'finds check by check what it finds directly: 84 passed, 0 failed' },
    {
      file: 'test/scenarios/edge-hosts.test.ts',
      name: 'a host that can prove a key: refused, sent to the provider, signed in, and on record as the person by the host',
    },
    {
      file: 'test/scenarios/edge-hosts.test.ts',
      name: 'an older host, with bearer tokens: the same, and on record as weaker',
    },
  ),
  'ADR11-CON-4': done(
    'approvals.stage',
    { file: first, name: 'shows one allowed call and three refusals, each with its entry in the record' },
    approvedOnce,
    grantedOnce,
  ),
  'ADR11-DEC-1': done('auth.require_auth', waysIn, sockets, noCertificate, everyToken, unlisted),
  'ADR11-DEC-2': done('tls.client_auth', sockets, noCertificate, {
    file: apis,
    name: 'is closed to a caller without certificate',
  }),
  'ADR11-DEC-3': done('auth.require_auth', everyToken, unlisted),
  'ADR11-DEC-4': done('tls.groups', sockets, endToEnd, outwardSecrecy, {
    file: tls,
    name: 'TR-9: keys are exchanged in the named groups only, the hybrid one first and none of finite fields',
  }),
  'ADR11-DEC-5': done('rbac.default_policy', unlisted, printedRoles),
  'ADR11-DEC-7': done('record.before_permit', waysIn, unrecorded, everyDecision, {
    file: 'test/scenarios/monitoring.test.ts',
    name: 'a role for nothing else reads the numbers of both parts, and nothing else',
  }),
  'ADR11-DEC-8': done(
    'rate_limiting.global',
    shedding,
    { file: limits, name: 'global: everybody is refused once all together have used it up' },
    { file: limits, name: 'limits.handshakes_per_ip: an address is refused before the handshake, and others go on' },
  ),
  'ADR11-CHK-1': done('tls.client_auth', sockets, noCertificate, {
    file: apis,
    name: 'is closed to a caller without certificate',
  }),
  'ADR11-CHK-2': done('rotation.schedule', onTheirDays, replaced, noFailures, missedRotation),
  'ADR11-CHK-4': done(
    'exports.receiver_identity',
    {
      file: 'test/unit/server/alerts.test.ts',
      name: 'a receiver with another certificate gets nothing, and what the record does not take arrives without an entry, once',
    },
    {
      file: 'test/scenarios/export-syslog.test.ts',
      name: 'a log arrives whole and in order, however the receiver stops and starts meanwhile',
    },
    {
      file: 'test/scenarios/export-syslog.test.ts',
      name: 'a client without the certificate that it asks for delivers nothing, and the export says why',
    },
    {
      file: 'test/scenarios/export-otlp.test.ts',
      name: 'a receiver with the definitions of OpenTelemetry decodes every record of a batch',
    },
  ),
  'ADR11-CHK-5': done(
    'secrets.servers',
    keysInCustody,
    openKeyFile,
    { file: 'test/scenarios/canary.test.ts', name: 'are in no file of the state: no log, no record, no store' },
    {
      file: 'test/refusals/server-credentials.test.ts',
      name: 'a secret of another server is not sent, whatever the server asks for',
    },
    {
      file: 'test/refusals/server-credentials.test.ts',
      name: 'a secret that is narrowed to roles is sent for callers who have one, and for no other',
    },
    {
      file: 'test/refusals/server-credentials.test.ts',
      name: 'the next call after a rotation has the new value, without reload',
    },
    {
      file: 'test/scenarios/secrets-guide.test.ts',
      name: 'no canary is in an output, a log, an entry, an export or any file of the state',
    },
  ),
  'ADR11-POS-3': done('record.before_permit', waysIn, unrecorded, everyDecision),
  'ADR11-POS-5': done('certificate.denial', forgedCertificate, forgedToken, deniedSerial, recoveredWhole, {
    file: 'test/scenarios/gateway-findings.test.ts',
    name: 'whatever was counted is over as soon as it stops, and the webhook hears of beginning and end',
  }),
  'ADR11-NEG-3': done('rotation.schedule', onTheirDays, noFailures, replacedByAcme, replacedAtFront, {
    file: 'test/scenarios/authority-failover.test.ts',
    name: 'OP-12, OP-3: when an authority goes, no renewal and no token fails, and what the other publishes reaches everybody',
  }),
  'OS25-ASM-1': done('token.signature', everyToken, unknownKey, { file: token, name: 'an expired token' }, noFailures),
  'OS25-ASM-3': done('tls.client_auth', sockets, noCertificate, replaced),
  'OS25-ASM-4': done(
    'certificate.denial',
    { file: token, name: 'a token of algorithm nOnE' },
    {
      file: token,
      name: 'RP-1: a token that the authority itself gave to another caller is refused, and passes with that caller',
    },
    {
      file: 'test/refusals/tls-resumption.test.ts',
      name: 'TR-1: a session opens nothing after the certificate that began it has ended',
    },
    deniedSerial,
    forgedCertificate,
    {
      file: 'test/refusals/revocation-live.test.ts',
      name: 'a workload that is removed is refused on its open connection, its open stream ends, and it gets no other',
    },
  ),
  'OS25-ASM-5': done(
    'ceremony.denies',
    recovered,
    recoveredWhole,
    forgedCertificate,
    forgedToken,
    openKeyFile,
    missedRotation,
    {
      file: 'test/scenarios/misconfiguration.test.ts',
      name: 'DT-8: an anchor about which the store says something else than its certificate stops everything',
    },
    {
      file: 'test/scenarios/detectors.test.ts',
      name: 'CA-7: a registered lifetime beyond a sixth of the anchor’s is an alarm (DT-8), and nothing is issued for it',
    },
  ),
  'OS25-D1': done('auth.require_auth', waysIn, sockets, noCertificate, everyToken, unlisted, {
    file: 'test/refusals/agents.test.ts',
    name: 'without a permission for it no message reaches the agent',
  }),
  // Enrolment and the token endpoint (ADR 0004), and proxies that ask for a decision (ADR 0086), show no token of their own.
  'OS25-D2': done('auth.require_auth', waysIn, everyToken, {
    file: apis,
    name: 'is closed to a request without token',
  }),
  'OS25-D3': done('auth.require_auth', everyToken, unknownKey),
  'OS25-D4': done('rbac.default_policy', waysIn, exactArguments, unlisted),
  'OS25-D5': done('tls.client_auth', sockets, noCertificate, {
    file: 'test/scenarios/bridge-server-identity.test.ts',
    name: 'another workload of the domain is sent nothing',
  }),
  'OS25-RAT-2': done('ceremony.denies', recovered, forgedToken, recoveredWhole),
  'OS25-RAT-3': done('certificate.issuance_mirror', unlogged, keysInCustody, openKeyFile, {
    file: 'test/scenarios/authority-commands.test.ts',
    name: 'a root that is not the pinned one is refused before it signs, and what another one has signed after',
  }),
  'OS25-RAT-4': done('certificate.denial', deniedSerial, lockedInstance, unlisted),
  'OS25-RAT-5': done('rotation.schedule', onTheirDays, replaced, noFailures),
  'OS25-RAT-6': done('rotation.schedule', onTheirDays, replaced, noFailures, missedRotation),
  'OS25-ALT-6': done(
    'certificate.expiry',
    {
      file: 'test/refusals/tls-expiry.test.ts',
      name: 'the next request on the connection is refused by itself, were the connection not closed',
    },
    {
      file: 'test/unit/server/registrations.test.ts',
      name: 'CA-7: a certificate lives at most a day and at most a sixth of its anchor',
    },
  ),
  'OS25-ALT-7': done('certificate.denial', deniedSerial),
  'OS25-CONS-2': done('certificate.denial', deniedSerial, lockedInstance, unlisted),
  'OS25-CONS-3': done('record.before_permit', waysIn, unrecorded, everyDecision),
  'OS25-CONS-5': done(
    'join.once',
    {
      file: 'test/refusals/attestation-platform.test.ts',
      name: 'RP-2: a token admits once, also when its signature is written in another way',
    },
    jobsOfCi,
  ),
}

/** Kinds of sentence that ask for nothing, by the part of the id before the number. */
const background: Readonly<Record<string, string>> = {
  'ADR11-META': 'it names the record',
  'ADR11-REF': 'it is a reference',
  'ADR11-ALT1': 'it describes an alternative that the record rejects',
  'ADR11-ALT2': 'it describes an alternative that the record rejects',
  'ADR11-ALT3': 'it describes an alternative that the record rejects',
  'OS25-META': 'it names the record',
  'OS25-CONF': 'it says how sure the authors were',
  'OS25-ALT': 'it describes an alternative that the record rejects',
}

export const requirements: readonly Requirement[] = [
  ...rows(adr0011, 'adr-0011-zero-trust-security-model.md'),
  ...rows(adrOs025, 'adr-os-025-zero-trust-internal-security-baseline.md'),
]

function rows(
  sentences: Partial<Record<RequirementId, string>>,
  source: Requirement['source'],
): readonly Requirement[] {
  return (Object.keys(sentences) as RequirementId[]).map((id) => ({
    id,
    source,
    sentence: sentences[id] ?? '',
    proof: proofs[id] ?? backgroundOf(id) ?? { state: 'open', tests: [] },
  }))
}

function backgroundOf(id: RequirementId): Proof | undefined {
  const reason = background[id.replace(/-\d+$/, '')]
  return reason === undefined ? undefined : { state: 'declined', reason }
}

function declined(reason: string, ids: readonly RequirementId[]): Partial<Record<RequirementId, Proof>> {
  return Object.fromEntries(ids.map((id) => [id, { state: 'declined', reason }]))
}
