/**
 * Every way in on which somebody asks for something: who is at the connection, what each request brings, by which permission it
 * passes, and that it is on record. Each cell is a test against the running part, or a decision record that says what stands there
 * instead.
 */

import type { TestReference } from '../requirements/proving-tests.ts'
import { everyDecision, everyToken, noCertificate, unlisted } from '../requirements/proving-tests.ts'

export interface Instead {
  /** What stands in the place of it. */
  readonly instead: string
  readonly record: string
}

export type Cell = TestReference | Instead

export interface Surface {
  readonly name: string
  /** Whoever connects is somebody. */
  readonly peer: Cell
  /** Each request brings what is judged anew. */
  readonly token: Cell
  /** Nothing passes without a permission for exactly that. */
  readonly permission: Cell
  /** What is refused is on record. */
  readonly recorded: Cell
}

const ref = (file: string, name: string): TestReference => ({ file: `test/refusals/${file}.test.ts`, name })
const instead = (text: string, record: string): Instead => ({ instead: text, record: `docs/adr/${record}.md` })

const strangersCounted = ref('tls-handshake', 'the record counts each of these refusals by its reason, and no others')
const apiRefusals = ref('routes-api', 'the record counts each refusal without a caller by its reason, and no others')
const noToken = ref('authority-api', 'every route but the token endpoint demands a token, known path or not')
const everyRoute = ref('routes-api', 'and no route of another listener is here')
const protectedPeer = ref(
  'sdk-protect',
  'without a certificate, with one of its own making or of another trust domain, there is no connection',
)
const protectedToken = ref(
  'sdk-protect',
  'a certificate alone is refused, and a token for another audience, of another key, or made up',
)
const sidecarPeer = ref('sidecar', 'the right name under another trust domain gets no byte, and is not let in')
const front = '0072-an-authorization-server-in-front'
const sidecarRecord = '0083-the-principal-is-asserted'

export const surfaces: readonly Surface[] = [
  {
    name: 'gateway: MCP servers',
    peer: noCertificate,
    token: everyToken,
    permission: unlisted,
    recorded: everyDecision,
  },
  {
    name: 'gateway: HTTP services',
    peer: noCertificate,
    token: ref('http-backends', 'without a token for this service nothing passes, and unknown paths are nothing'),
    permission: ref(
      'http-backends',
      'the method is the action, the path the resource; what no permission covers does not reach the service',
    ),
    recorded: ref('routes-mcp', 'the record counts each refusal without a caller by its reason, and no others'),
  },
  {
    name: 'gateway: agents (A2A)',
    peer: noCertificate,
    token: ref('agents', 'without a token for this agent nothing passes, and there is nothing at other paths'),
    permission: ref('agents', 'without a permission for it no message reaches the agent'),
    recorded: ref('agents', 'without a permission for it no message reaches the agent'),
  },
  {
    name: 'gateway: declared JSON-RPC',
    peer: noCertificate,
    token: everyToken,
    permission: ref(
      'json-rpc',
      'a declared method is allowed by its effect or its name, and sent to the one URL as it came',
    ),
    recorded: ref(
      'json-rpc',
      'a declared method is allowed by its effect or its name, and sent to the one URL as it came',
    ),
  },
  {
    name: 'gateway: its own API, and that of operators',
    peer: ref('routes-api', 'and none is open to a certificate of the stolen anchor'),
    token: ref('routes-mcp', 'no route of an API is open to a token for a server'),
    permission: everyRoute,
    recorded: apiRefusals,
  },
  {
    name: 'gateway: edge, for hosts without a certificate',
    peer: instead(
      'the token is bound to a key by DPoP; bearer tokens only where an operator insists',
      '0066-edge-listener',
    ),
    token: ref('edge-tokens', 'without a token a caller is told where the metadata is'),
    permission: ref('edge-tokens', 'a token of somebody whom no policy allows this is refused'),
    recorded: ref('edge-tokens', 'a token in the query is refused, and nothing of it is on the record'),
  },
  {
    name: 'gateway: decisions for other proxies, HTTP',
    peer: ref('decisions', 'only a proxy that is listed asks, about services that it was given, whatever role it has'),
    token: ref('decisions', 'a token that is missing, for another audience, or not bound to the certificate, refuses'),
    permission: ref('decisions', 'the role decides, by method and path alone'),
    recorded: ref('decisions', 'a decision that cannot be recorded is a refusal'),
  },
  {
    name: 'gateway: decisions for Envoy, gRPC',
    peer: ref('decisions-grpc', 'other proxies, strangers, other calls and what is too large get nothing over gRPC'),
    token: ref('decisions-grpc', 'what is not allowed, or not proven, is refused with its status'),
    permission: ref('decisions-grpc', 'what is not allowed, or not proven, is refused with its status'),
    recorded: ref('decisions-grpc', 'what is not allowed, or not proven, is refused with its status'),
  },
  {
    name: 'gateway: links for approvers',
    peer: instead('a link that is signed, good for one answer and names its approver', '0071-links-that-answer'),
    token: ref(
      'approval-links',
      'a link is good for one answer, and for none when the request is over or links are off',
    ),
    permission: ref('approval-links', 'nothing but the form of the page answers'),
    recorded: ref(
      'approval-links',
      'fetching a link shows the call and approves nothing, however often; its form approves it once',
    ),
  },
  {
    name: 'authority: its API, and that of operators',
    peer: ref('authority-api', 'without a certificate, and with one that is self-signed, the handshake fails'),
    token: noToken,
    permission: ref(
      'authority-api',
      'admin routes are refused without the admin role, and no admin route is on the main listener',
    ),
    recorded: apiRefusals,
  },
  {
    name: 'authority: token endpoint',
    peer: ref('authority-api', 'a certificate of another anchor with the same name fails in the handshake'),
    token: instead('the certificate is the credential (RFC 8705)', '0004-routes-without-token'),
    permission: ref('authority-api', 'a token is given for allowed audiences only'),
    recorded: apiRefusals,
  },
  {
    name: 'authority: enrolment',
    peer: ref('routes-mcp', 'enrols nobody by a certificate that he has already, and has no other route'),
    token: ref('authority-join', 'a join token is good once'),
    permission: ref('authority-join', 'a token for one identity gives no other'),
    recorded: ref(
      'authority-join',
      'refused joins are on the record: one of a source and second says why, the others are counted; greetings leave none',
    ),
  },
  {
    name: 'authority: front, where people sign in',
    peer: instead('a person at a browser, whom the provider has signed in', front),
    token: ref('front', 'of another client, redirect, verifier or resource gives nothing, and is spent by it'),
    permission: ref('front-strangers', 'has nothing of what another one was allowed'),
    recorded: ref('front', 'that is used twice gives nothing more, and takes back what it gave'),
  },
  {
    name: 'both: bundles, revocation lists, public keys, liveness',
    peer: instead('reads that change nothing, for anybody', '0004-routes-without-token'),
    token: instead('reads that change nothing, for anybody', '0004-routes-without-token'),
    permission: ref('routes-mcp', 'serve three paths by GET and nothing else, credentials or not'),
    recorded: strangersCounted,
  },
  {
    name: 'program with `protect()`: HTTP',
    peer: protectedPeer,
    token: protectedToken,
    permission: ref(
      'sdk-protect',
      'a route that is not declared exists for nobody, and strangers to a role do nothing',
    ),
    recorded: ref(
      'sdk-protect-record',
      'while the record cannot be written nothing reaches the handler, and afterwards it does',
    ),
  },
  {
    name: 'program with `protect()`: MCP',
    peer: protectedPeer,
    token: protectedToken,
    permission: ref('sdk-protect-mcp', 'a tool is called by its effect: who may read calls what only reads'),
    recorded: ref(
      'sdk-protect-mcp',
      'the body decides: a body that can be read in two ways, or says something else than its headers, is refused',
    ),
  },
  {
    name: 'program with `protect()`: A2A and JSON-RPC',
    peer: protectedPeer,
    token: protectedToken,
    permission: ref('sdk-protect-a2a', 'each method is decided by itself, and whoever may do nothing sees no card'),
    recorded: ref('sdk-protect-a2a', 'a task of another caller does not exist, whatever it is called'),
  },
  {
    name: 'sidecar: calls from elsewhere',
    peer: sidecarPeer,
    token: instead('as a program with `protect()`, whose code it is', sidecarRecord),
    permission: ref(
      'sidecar-messages',
      'behind a sidecar declared methods of JSON-RPC are decided by the body, and delivered as it came',
    ),
    recorded: ref('sidecar', 'what the program does not answer as it must is a failure with its code, on record'),
  },
  {
    name: 'sidecar: programs of the machine',
    peer: ref('sidecar', 'another user of the machine does not borrow the sidecar, by socket or by port'),
    token: instead(
      'the kernel says for each connection who calls; what leaves has a token',
      '0082-a-sidecar-beside-a-program',
    ),
    permission: ref('sidecar', 'a caller is known by its program too, and nobody else of its user is one'),
    recorded: ref('sidecar', 'another user of the machine does not borrow the sidecar, by socket or by port'),
  },
  {
    name: 'bridge: local HTTP clients (`connect --listen`)',
    peer: {
      file: 'test/scenarios/bridge-listen.test.ts',
      name: 'another user of the machine does not call by this identity',
    },
    token: instead(
      'the kernel says on Linux whose a connection is; elsewhere the command says that it is open to all users',
      '0011-origin',
    ),
    permission: {
      file: 'test/scenarios/bridge-listen.test.ts',
      name: 'a refusal of the gateway keeps status, headers and body',
    },
    recorded: instead(
      'the gateway records each call; whom the bridge refuses it tells its user, and has no record',
      '0011-origin',
    ),
  },
  {
    name: 'sidecar: its state and its numbers',
    peer: instead(
      'whoever may enter the folder of the socket; the port of metrics is for all of the machine, and names nobody',
      '0082-a-sidecar-beside-a-program',
    ),
    token: instead('reads that change nothing, for whoever is on the machine', '0082-a-sidecar-beside-a-program'),
    permission: {
      file: 'test/scenarios/sidecar.test.ts',
      name: 'the socket of a sidecar says that it lives and serves, and nothing else',
    },
    recorded: instead('reads that change nothing, for whoever is on the machine', '0082-a-sidecar-beside-a-program'),
  },
  {
    name: 'SPIFFE Workload API',
    peer: {
      file: 'test/scenarios/workload-api.test.ts',
      name: 'WE-2: the same program at another path, and another user, get PermissionDenied, and are told of',
    },
    token: instead(
      'the Workload API has none (SPIFFE Workload Endpoint, section 4): the kernel says who asks',
      '0080-who-gets-which-identity',
    ),
    permission: {
      file: 'test/scenarios/workload-api.test.ts',
      name: 'gets PermissionDenied for an audience that nobody may be asked for, and for an identity of somebody else',
    },
    recorded: instead(
      'what leaves is issued by the authority, on its record; who is refused is told of',
      '0080-who-gets-which-identity',
    ),
  },
]
