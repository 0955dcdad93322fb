/** The attack checklist, section 4 of the reference of threats, in its order. */

import {
  enumerated,
  badLeaf,
  bound,
  canary,
  crossed,
  denials,
  done,
  elsewhere,
  forged,
  hidden,
  joined,
  limbo,
  methods,
  noCaller,
  partial,
  resumed,
  routesDescribed,
  scan,
  short,
  smuggled,
  test,
} from './threat-proofs.ts'
import type { ThreatRow } from './threat-proofs.ts'

export const attacks: readonly ThreatRow[] = [
  done(
    'Unknown message skips authorization',
    methods,
    test(short.roles, 'a method that no protocol revision lists is refused, whoever asks'),
  ),
  done(
    'Second route lacks the check',
    enumerated,
    routesDescribed,
    test(short.mcp, 'no method but these three is answered'),
    hidden,
  ),
  partial(
    'Bypass header, default secret',
    'start-up looks at modes and places of secrets, and knows no list of placeholders',
    test(short.over, 'a denied request stays denied with each of them'),
  ),
  done(
    'Spoofed forwarding metadata',
    test(short.over, 'a server sees none of them'),
    test('test/refusals/proxy-protocol.test.ts', 'nobody else is believed'),
  ),
  done(
    'Policy path differs from upstream path',
    test(short.http, 'ambiguous paths are refused, unknown ones are unknown'),
    test('test/unit/server/transport-request.test.ts', 'an accepted path is the only spelling of itself'),
  ),
  done(
    'Header multi-value',
    test(short.http, 'a header that must be single is refused when it is repeated, whichever it is'),
  ),
  done(
    'Header disagrees with body',
    test('test/unit/core/mcp-methods.test.ts', 'Mcp-Name has to be there and to be the name, after decoding'),
    test(short.roles, 'headers that name another call are refused, whichever it is'),
  ),
  partial(
    'Cross-client leak',
    '100,000 calls by 200 clients are made by hand, not with every change',
    crossed,
    test(short.sessions, 'to everybody else it does not exist'),
  ),
  done(
    'DNS rebinding, Origin, Host',
    test(short.host, 'a Host of any other name is refused'),
    test(short.host, 'two Host headers are refused, in whichever order'),
    test(short.host, 'any Origin is refused, because none is configured'),
  ),
  done(
    'SSRF',
    test(
      'test/unit/server/attest-issuer-keys.test.ts',
      'no document comes from link-local, multicast, reserved or disguised addresses',
    ),
    test('test/refusals/upstream-sse.test.ts', 'an endpoint anywhere else than on the origin of the stream is refused'),
  ),
  elsewhere('Parameter injection', 'nothing that a caller names becomes part of a URL: a server is one path'),
  done(
    'Metadata controls launch',
    test(short.stdio, 'the process gets the environment of the configuration and nothing of ours'),
  ),
  done('Verifies X, uses Y', badLeaf, test('test/unit/core/token-verify.test.ts', 'what an accepted token says')),
  done('One-time credential used twice', joined),
  done(
    'Rebind to other identity',
    bound,
    test('test/refusals/authority-api.test.ts', 'a renewal is refused when another key gives the proof'),
    crossed,
  ),
  done(
    'Resumption, long connections',
    resumed,
    test('test/refusals/tls-resumption.test.ts', 'TR-1: a session opens nothing after the anchor'),
    denials,
  ),
  partial(
    'SNI normalisation',
    'names of 255 bytes and more, with NUL or in IDN are not tried',
    test(short.host, 'a handshake for another name than the Host is refused'),
    test(
      'test/unit/server/transport-request.test.ts',
      'the server name of the handshake must be that of the Host header',
    ),
  ),
  partial(
    'X.509 name parsing',
    'the memory of a million handshakes is not measured',
    test(
      'test/refusals/svid-profile.test.ts',
      'X5-1, X5-2: whom the anchor’s signature names is refused at the gateway',
    ),
    limbo,
  ),
  done('Certificate profile', badLeaf),
  done(
    'CSR smuggling',
    test('test/refusals/registration.test.ts', 'what a registration says is what the next certificate says'),
    test(
      'test/unit/server/authority-lint.test.ts',
      'an anchor, a certificate without a name, and a leaf of another trust domain are not signed',
    ),
  ),
  done(
    'JWT algorithm and header tricks',
    forged,
    test('test/unit/core/token-forged.test.ts', 'a token with one thing wrong is refused'),
  ),
  done(
    'Claims',
    forged,
    test('test/unit/core/token-verify.test.ts', 'leeway is 30 s to either side'),
    test('test/refusals/revocation-live.test.ts', 'a role that is taken away bites on the open connection'),
  ),
  done('Decompression bomb', test(short.http, 'each wrong header is refused with its own code and status'), forged),
  done('Constant time', test('test/architecture/own-rules.test.ts', 'every rule has a planted violation')),
  done(
    'Smuggling',
    smuggled,
    test('test/vectors/heads.test.ts', 'no malformed Transfer-Encoding line is served'),
    test('test/vectors/heads.test.ts', 'no header section that llhttp refuses is served'),
    test(short.upstream, 'a server that sends Content-Length beside Transfer-Encoding is upstream_invalid'),
    test(short.upstream, 'bytes after an answer are no answer to the next call'),
  ),
  done(
    '`__proto__` crash',
    scan,
    test(
      'test/unit/server/transport-request.test.ts',
      'headers have no prototype and a refused target is kept printable',
    ),
    test('test/refusals/policy-arguments.test.ts', 'names of prototypes and repeated names do not reach any policy'),
  ),
  partial(
    'HashDoS, deep JSON',
    'the delay of the loop is measured by hand',
    scan,
    test('test/unit/core/json-scan.test.ts', 'a million keys are refused at the first too many'),
  ),
  done(
    'ReDoS',
    test('test/unit/core/policy-permission.test.ts', 'many stars cost no more than the length of the name'),
  ),
  done(
    'Slow or huge',
    test(short.limits, 'limits.body_bytes: a body above the limit is refused before it is read'),
    test('test/refusals/gateway-transport-tls.test.ts', 'a handshake that never comes is ended'),
  ),
  done(
    'Uncaught exception exits',
    test(
      'test/scenarios/bad-crash.test.ts',
      'it comes back, calls work again, every acknowledged decision is in the record',
    ),
    test('test/unit/enforcement/pipeline.test.ts', 'a stage that fails refuses the call, and says so in the record'),
  ),
  partial(
    'Audit holes',
    'counts over 100,000 calls are compared by hand',
    test(short.http, 'every request that reached the server has one decision, and every decision one outcome'),
    canary,
    test('test/unit/server/log.test.ts', 'names that callers and servers choose stay within their line'),
  ),
  done(
    'Prefix checks',
    test('test/unit/server/config.test.ts', 'keys inside the folder that they encrypt are refused, through links too'),
  ),
  done('Substring routing', test(short.host, 'a Host of any other name is refused')),
  done(
    'Policy template injection',
    test('test/unit/core/policy-permission.test.ts', 'matching agrees with the plain definition'),
    test(short.roles, 'a name that only resembles a permitted tool is denied'),
  ),
  done(
    'Pure-JS crypto',
    test('test/architecture/dependencies.test.ts', 'every dependency has one line of reason in DEPENDENCIES.md'),
  ),
  done(
    'Confused deputy, passthrough',
    noCaller,
    test(short.sessions, 'credentials, cookies, redirects and challenges of a server are never relayed'),
    test(
      'test/refusals/token-exchange.test.ts',
      'a question for a token is on record before it is asked; values are in no entry, and nothing shown goes on',
    ),
  ),
  partial(
    'Supply chain',
    'signatures and provenance are checked where packages are published',
    test('test/architecture/dependencies.test.ts', 'no dependency at run time runs an install script'),
  ),
]
