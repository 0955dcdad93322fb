/**
 * Every place at which a program of ours opens or takes a connection, who is at the other end, and what protects it. The gate
 * compares the files with the code: a socket that is not described here fails it.
 */

import type { TestReference } from '../requirements/proving-tests.ts'
import { noCertificate } from '../requirements/proving-tests.ts'

export interface ConnectionRow {
  readonly what: string
  /** Where it is opened or taken, below packages/. */
  readonly files: readonly string[]
  readonly protection: keyof typeof protections
  /** What is refused at the other end. */
  readonly tests: readonly TestReference[]
  /** A decision record about what differs from mutual TLS. */
  readonly record?: string
}

export const protections = {
  mutual: 'mutual TLS 1.3 within the trust domain: both ends prove their SVID',
  public: 'TLS 1.3 to people, hosts and browsers, which have no SVID; what they bring is judged instead',
  outward:
    'TLS to somebody outside of the trust domain, verified by name and authority; nothing without forward secrecy',
  local: 'does not leave the machine: who is at the other end is known from the kernel, or it may know nothing',
  trial: 'opened by `doorward doctor`, `probe` or `up` to see that it is refused, or by whom it is answered',
} as const

const ref = (file: string, name: string): TestReference => ({ file: `test/${file}.test.ts`, name })

export const connections: readonly ConnectionRow[] = [
  {
    what: 'callers to gateway, authority, protected program and sidecar; proxies that ask for decisions; operators',
    files: ['enforcement/src/wire/listener.ts', 'server/src/transports/grpc/grpc.ts'],
    protection: 'mutual',
    tests: [
      noCertificate,
      ref('refusals/tls-handshake', 'a certificate of another trust domain is refused, though the anchor signed it'),
      ref('refusals/routes-api', 'and none is open to a certificate of the stolen anchor'),
      ref(
        'refusals/sdk-protect',
        'without a certificate, with one of its own making or of another trust domain, there is no connection',
      ),
      ref('refusals/sidecar', 'the right name under another trust domain gets no byte, and is not let in'),
    ],
  },
  {
    what: 'edge, front, public keys and bundles: the same listener, which asks nobody for a certificate',
    files: [],
    protection: 'public',
    tests: [
      ref('refusals/edge-http', 'a client certificate is asked of nobody, and one that is shown is worth nothing'),
      ref('refusals/routes-mcp', 'serve three paths by GET and nothing else, credentials or not'),
    ],
    record: 'docs/adr/0066-edge-listener.md',
  },
  {
    what: 'bridge, commands, programs of the SDK, sidecars and gateways to gateway, authority, program, sidecar and servers of the domain',
    files: ['sdk/src/mutual-tls.ts', 'sdk/src/connection-pool.ts', 'sdk/src/https-exchange.ts'],
    protection: 'mutual',
    tests: [
      ref('scenarios/bridge-server-identity', 'another workload of the domain is sent nothing'),
      ref('scenarios/bridge-server-identity', 'a foreign authority is sent nothing, whatever name it writes'),
      ref('scenarios/bridge-server-identity', 'TLS 1.2 is sent nothing'),
      ref('refusals/sdk-connect', 'nobody is called of whom it was not said who answers, and another one gets no byte'),
      ref('refusals/sidecar', 'somebody else at the place of the callee gets no byte'),
      ref(
        'refusals/revocation-upstream',
        'RV-4: a connection to a server ends when its identity is denied, and none to it begins',
      ),
    ],
  },
  {
    what: 'a workload to the authority before it has a certificate: the server is proven by what the join string pins',
    files: ['sdk/src/enrolment.ts'],
    protection: 'mutual',
    tests: [
      ref('refusals/authority-join', 'enrolment demands a client certificate, one route, POST and strict JSON'),
      ref('unit/sdk/join-state', 'BS-4: a platform’s token is not even read before the server is proven'),
    ],
    record: 'docs/adr/0004-routes-without-token.md',
  },
  {
    what: 'gateway to servers of other people, and their inspection',
    files: ['server/src/transports/upstream-http.ts', 'server/src/apps/inspect-http-server.ts'],
    protection: 'outward',
    tests: [
      ref('refusals/outward-tls', 'is sent nothing over a suite without forward secrecy'),
      ref('refusals/outward-tls', 'is sent nothing over what is older than TLS 1.2'),
    ],
  },
  {
    what: 'exports, alerts and traces to their receivers',
    files: ['server/src/audit/export/http-post.ts', 'server/src/audit/export/syslog-sink.ts'],
    protection: 'outward',
    tests: [
      ref('refusals/outward-tls', 'is sent nothing over a block cipher'),
      ref(
        'contract/export-sink',
        'a client certificate of somebody else is not accepted, and no secret is in the error',
      ),
      ref(
        'unit/server/alerts',
        'a receiver with another certificate gets nothing, and what the record does not take arrives without an entry, once',
      ),
    ],
  },
  {
    what: 'documents of providers, authorization servers, certificate authorities and vaults',
    files: ['server/src/transports/fetch-document.ts'],
    protection: 'outward',
    tests: [
      ref(
        'unit/server/attest-issuer-keys',
        'a document is fetched over https from a server that is known, and not without its authority',
      ),
      ref(
        'refusals/edge-acme',
        'an authority with another certificate than that of ca_file, or in a private network unasked, gets no request',
      ),
    ],
  },
  {
    what: 'authority to PostgreSQL',
    files: ['server/src/storage/postgres/session.ts'],
    protection: 'outward',
    tests: [
      ref('contract/postgres-tls', 'a server of another authority gets no password'),
      ref('contract/postgres-tls', 'a server whose certificate is for another name gets no password'),
      ref(
        'contract/postgres-opening',
        'options are checked before anything is tried, and no password leaves the machine without TLS',
      ),
    ],
  },
  {
    what: 'programs of the machine to their sidecar, and the sidecar to its program',
    files: [
      'server/src/transports/sidecar/local-http.ts',
      'server/src/transports/sidecar/program-call.ts',
      'server/src/apps/sidecar/outbound.ts',
      'server/src/apps/sidecar/program.ts',
      'server/src/apps/sidecar/program-connections.ts',
    ],
    protection: 'local',
    tests: [
      ref('refusals/sidecar', 'another user of the machine does not borrow the sidecar, by socket or by port'),
      ref('refusals/sidecar', 'a socket that belongs to somebody else gets nothing'),
      ref('refusals/sidecar', 'somebody else who listens at the socket gets nothing, though the file is right'),
    ],
    record: 'docs/adr/0082-a-sidecar-beside-a-program.md',
  },
  {
    what: 'how a sidecar is, for whoever may enter the folder of its socket, and its numbers, for whoever is on the machine: reads alone',
    files: ['server/src/apps/sidecar/own-socket.ts', 'server/src/apps/sidecar/ask-status.ts'],
    protection: 'local',
    tests: [
      ref(
        'scenarios/sidecar-operated',
        'a sidecar tells what it has let through and refused, as status and as metrics, and names no caller in those',
      ),
    ],
    record: 'docs/adr/0082-a-sidecar-beside-a-program.md',
  },
  {
    what: 'programs of the machine to the SPIFFE Workload API',
    files: ['server/src/transports/workload-api/open-socket.ts'],
    protection: 'local',
    tests: [
      ref(
        'scenarios/workload-api',
        'WE-2: the same program at another path, and another user, get PermissionDenied, and are told of',
      ),
      ref('unit/server/workload-socket', 'a folder that others may write to, or below one, is none, sticky or not'),
    ],
    record: 'docs/adr/0080-who-gets-which-identity.md',
  },
  {
    what: 'local HTTP clients to the bridge (of its own user alone on Linux; elsewhere it says that it cannot know); a browser back from a sign-in; one process of a machine to another for a join string',
    files: [
      'server/src/apps/bridge-listen.ts',
      'server/src/transports/loopback-redirect.ts',
      'server/src/transports/local-socket.ts',
    ],
    protection: 'local',
    tests: [
      ref('scenarios/bridge-listen', 'another user of the machine does not call by this identity'),
      ref('scenarios/bridge-listen', 'a foreign host or origin is passed on for the gateway to refuse'),
    ],
    record: 'docs/adr/0011-origin.md',
  },
  {
    what: 'a drill: servers of its own on this machine, which hold nothing',
    files: ['server/src/apps/drill/echo-process.ts', 'server/src/apps/drill/plan.ts'],
    protection: 'local',
    tests: [
      ref(
        'scenarios/drill',
        'the drill: forged credentials are refused, nobody legitimate is lost, and the report is signed',
      ),
    ],
  },
  {
    what: 'what must be refused is tried, and listeners are looked at',
    files: [
      'server/src/apps/doctor/public-certificates.ts',
      'server/src/apps/doctor/older-tls.ts',
      'server/src/apps/doctor/listeners.ts',
      'server/src/apps/probe/limits.ts',
      'server/src/apps/probe/wire.ts',
      'server/src/apps/probe/held.ts',
      'server/src/apps/probe-connection.ts',
      'server/src/apps/tour.ts',
    ],
    protection: 'trial',
    tests: [
      ref(
        'unit/server/doctor',
        'a listener refuses TLS 1.2 by the alert for it; what begins to speak it does, and all else is unknown',
      ),
    ],
  },
]
