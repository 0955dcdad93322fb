/** The threat model, section 5 of the reference of threats, in its order. */

import {
  enumerated,
  badLeaf,
  bound,
  bytes,
  canary,
  crossed,
  definitions,
  denials,
  done,
  forged,
  fullDisk,
  hidden,
  joined,
  limbo,
  noCaller,
  partial,
  recovered,
  reference,
  resumed,
  routesDescribed,
  scan,
  shed,
  short,
  silent,
  smuggled,
  test,
} from './threat-proofs.ts'
import type { ThreatRow } from './threat-proofs.ts'

const delegation = 'test/refusals/delegation.test.ts'

export const threats: readonly ThreatRow[] = [
  done(
    'Forged client cert',
    badLeaf,
    limbo,
    test(short.tls, 'a certificate of a foreign authority with the same names is refused'),
  ),
  done('Forged token', forged),
  done(
    'Token used from other cert',
    bound,
    test(short.token, 'a token of before a renewal is refused over the renewed certificate'),
  ),
  done(
    'Replay',
    bound,
    joined,
    test('test/refusals/edge-tokens.test.ts', 'of a proof that is used fifty times at once, one use passes'),
  ),
  done('Connection outlives trust', resumed, denials),
  done(
    'Identity header spoofing',
    test(short.over, 'three hundred names and more'),
    test(short.token, 'X5-10: what is said about a caller beside its token counts for nothing'),
    test(
      'test/refusals/decisions.test.ts',
      'what it says in another form, twice, or beside what is expected, is not read',
    ),
    test('test/refusals/decisions-grpc.test.ts', 'a header that is said twice is not chosen among'),
  ),
  done(
    'DNS rebinding, browser',
    test(short.host, 'a preflight of a browser is refused'),
    test('test/refusals/edge-http.test.ts', 'is told to nobody who names another host'),
  ),
  done(
    'Other process uses sidecar',
    test(
      'test/refusals/sidecar.test.ts',
      'another user of the machine does not borrow the sidecar, by socket or by port',
    ),
    test('test/refusals/sidecar.test.ts', 'a caller is known by its program too, and nobody else of its user is one'),
  ),
  partial(
    'Rogue upstream',
    'the pinned identity is tested with servers of our own domain',
    test(
      'test/refusals/revocation-upstream.test.ts',
      'RV-4: a connection to a server ends when its identity is denied',
    ),
    test('test/scenarios/conformance/gateway.test.ts', 'the server turns away whoever is not the gateway'),
  ),
  done(
    'Fake authority',
    test('test/refusals/tls-resumption.test.ts', 'TR-2: a client judges the server on every connection'),
    test('test/scenarios/drill.test.ts', 'the drill: forged credentials are refused'),
  ),
  done('Smuggling', smuggled),
  done(
    'Parser differential',
    scan,
    bytes,
    test(
      'test/refusals/decisions.test.ts',
      'a request that the proxy could read otherwise than we do is refused, and so is one that it does not describe',
    ),
  ),
  done(
    'Tool poisoning, rug pull, shadowing',
    definitions,
    test('test/refusals/definitions.test.ts', 'a tool that nobody has approved is neither listed nor called'),
  ),
  done(
    'Audit altered, reordered, truncated',
    test('test/scenarios/record-guide.test.ts', 'a proof in which any one bit is another is refused'),
    test('test/scenarios/witnesses.test.ts', 'permits nothing; with the newest copy it goes on'),
  ),
  done(
    'DB edits policy, roles, revocations',
    test('test/scenarios/detectors.test.ts', 'DT-6: an anchor under our name that we have not made is denied at once'),
  ),
  partial(
    'Dependency tamper',
    'releases are signed where they are published',
    test('test/architecture/dependencies.test.ts', 'every dependency of a package is pinned to one version'),
  ),
  done(
    'Clock rollback',
    test('test/scenarios/clock-gateway.test.ts', 'revives neither an expired certificate nor an expired token'),
  ),
  partial(
    'Not attributable',
    'counts over 100,000 calls are compared by hand',
    test('test/scenarios/conformance/gateway.test.ts', 'exactly one decision for every request that the server saw'),
  ),
  done(
    'Admin denies change',
    test('test/scenarios/authority-recover.test.ts', 'every step of it is on the record with its name'),
    test('test/scenarios/gateway-reload.test.ts', '1,000 calls and a call that lasts go on over 20 reloads'),
  ),
  done(
    'Secrets in outputs',
    canary,
    test('test/scenarios/canary.test.ts', 'are in no output of a command, and in no answer'),
  ),
  partial(
    'Cross-tenant leak',
    '100,000 nonces are sent by the campaign, load-ids',
    crossed,
    test('test/scenarios/load.test.ts', 'twenty clients with colliding ids make two thousand calls'),
  ),
  done(
    'CA key theft at rest',
    test('test/scenarios/authority-custody.test.ts', 'CA-6: no private key is in the store'),
  ),
  partial(
    'Enumeration, timing',
    'bodies and headers are compared, times are not',
    hidden,
    test(short.http, 'the same bytes for every name'),
  ),
  partial(
    'Floods',
    'times under a flood are measured by the campaign, load-handshakes',
    shed,
    test('test/scenarios/record-flood.test.ts', 'strangers who flood with broken handshakes'),
    test(short.places, 'handshakes under way are limited in all'),
  ),
  partial(
    'Noisy tenant',
    'times of the others are measured by hand',
    test(short.limits, 'per_user: a caller is refused after its requests'),
    test('test/refusals/limits-calls.test.ts', 'a caller has as many calls under way as it may'),
    test('test/refusals/call-bounds.test.ts', 'a server has no more calls under way than it may, whoever calls'),
  ),
  done(
    'Authority, DB, cache outage',
    silent,
    test('test/scenarios/postgres-faults.test.ts', 'calls end in bounded time with store_unavailable'),
  ),
  done(
    'Audit disk full, SIEM down',
    fullDisk,
    test('test/scenarios/export-syslog.test.ts', 'a log arrives whole and in order'),
  ),
  done(
    'Missing policy, unknown verb',
    enumerated,
    reference,
    test('test/contract/decision-engine.test.ts', 'before the first policy everything is denied'),
    routesDescribed,
  ),
  partial(
    'Scope creep, wildcard, confused deputy',
    'a workload that was called may still call as itself: nothing makes it act for its caller',
    test(short.roles, 'a role for one server opens no other'),
    noCaller,
    test('test/refusals/user-grants.test.ts', 'another person who signs in at the link grants nothing'),
    test(
      'test/refusals/token-exchange.test.ts',
      'a call goes with a token for its person, its server and its scopes, and for nobody else',
    ),
    test('test/refusals/approvals.test.ts', 'another caller with the same call needs an approval of its own'),
    test(delegation, 'DX-2: a token is exchanged by whom it is addressed to, and by nobody else'),
    test(delegation, 'DX-4: a scope narrows and never widens, and what cannot be compared is refused'),
    test(delegation, 'DX-5: nobody is in a chain twice, and a chain has four actors at most'),
    test(
      'test/refusals/delegation-calls.test.ts',
      'DX-4: a token that is narrowed does no more than that, whatever policy allows, and lists agree',
    ),
  ),
  done(
    'Rogue issuance',
    test(
      'test/refusals/detection-forged.test.ts',
      'DT-1: a certificate by the stolen anchor is refused at its first use',
    ),
    recovered,
  ),
  done(
    'Admin takeover',
    test(short.api, 'is closed to a caller without the role admin'),
    test(short.api, 'and no route of another listener is here'),
  ),
  done(
    'Code execution via config/metadata',
    test(short.stdio, 'the process gets the environment of the configuration'),
    test('test/scenarios/bad-configuration.test.ts', 'a name with control characters is shown, not obeyed'),
  ),
]
