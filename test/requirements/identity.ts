/**
 * What the specifications of SPIFFE and OAuth, and our own rules beside them, ask of identity, by stable id. `M` and `S`
 * are MUST and SHOULD of the specification that the rule names, `m` is MAY, `O` is a rule of our own that binds like M.
 *
 * A rule is proven by tests whose names begin with its id. `later` says what it waits for.
 */

export interface IdentityRule {
  readonly level: 'M' | 'S' | 'm' | 'O'
  readonly rule: string
  readonly later?: string
}

const workloadApi = 'the Workload API'
const federation = 'federation'

export const identityRules = {
  'SID-1': { level: 'M', rule: 'an id has the scheme spiffe, no query and no fragment' },
  'SID-2': { level: 'M', rule: 'a trust domain is a lowercase name without user, port or percent-encoding' },
  'SID-3': { level: 'M', rule: 'a path segment is of the allowed characters, not empty, not . or ..' },
  'SID-4': { level: 'M', rule: 'ids of up to 2048 bytes are accepted, none longer is made' },
  'SID-5': { level: 'O', rule: 'what is not in the one spelling is refused, never normalised' },
  'SID-6': { level: 'M', rule: 'the signing authority has an id of its own, without a path' },
  'SID-7': { level: 'O', rule: 'what another trust domain asserts never applies here' },
  'SID-8': { level: 'O', rule: 'policy compares the trust domain and whole segments; an id is never reassigned' },
  'X5-1': { level: 'M', rule: 'a certificate has exactly one URI name, the SPIFFE ID' },
  'X5-2': { level: 'M', rule: 'a leaf names a path; with an empty subject its names are critical' },
  'X5-3': { level: 'M', rule: 'a signing certificate is one, names no path and never authenticates' },
  'X5-4': { level: 'M', rule: 'a leaf is no authority and signs digitally, nothing else' },
  'X5-5': { level: 'S', rule: 'a leaf is for servers and clients' },
  'X5-6': {
    level: 'm',
    rule: 'name constraints of an intermediate hold',
    later: 'intermediates: no chain has one yet',
  },
  'X5-7': { level: 'M', rule: 'a path is validated before the identity is read' },
  'X5-8': { level: 'M', rule: 'only the bundle of its own trust domain vouches for a certificate' },
  'X5-9': { level: 'M', rule: 'a bundle entry is one certificate in x5c, with the key and without kid' },
  'X5-10': { level: 'M', rule: 'the expected id is configured; headers never say who somebody is' },
  'JW-1': { level: 'M', rule: 'a token is in the compact form' },
  'JW-2': { level: 'M', rule: 'a header has alg, kid and typ alone, of the listed values' },
  'JW-3': { level: 'M', rule: 'sub is the SPIFFE ID, aud names the validator, exp is there' },
  'JW-4': { level: 'm', rule: 'further claims are allowed' },
  'JW-5': { level: 'S', rule: 'a token travels as Authorization: Bearer' },
  'JW-6': { level: 'M', rule: 'a bundle entry for tokens has the use jwt-svid and a kid' },
  'JW-7': { level: 'O', rule: 'a token always names its key' },
  'JW-8': { level: 'O', rule: 'no kind of token passes for another' },
  'TB-1': {
    level: 'M',
    rule: 'a bundle is a key set with a sequence that rises with every change, and a refresh hint',
  },
  'TB-2': { level: 'M', rule: 'an entry that is not understood is skipped, the bundle is not' },
  'TB-3': { level: 'M', rule: 'without a usable key nothing of the domain is valid' },
  'TB-4': { level: 'M', rule: 'no unknown parameter is required, none is published' },
  'TB-5': { level: 'S', rule: 'without a hint a bundle is refreshed every five minutes', later: federation },
  'TB-6': { level: 'M', rule: 'a map of bundles names each domain once', later: federation },
  'WE-1': { level: 'M', rule: 'the Workload API is gRPC on a Unix socket', later: workloadApi },
  'CA-1': { level: 'O', rule: 'each signing authority is an anchor of its own, for seven days' },
  'CA-2': { level: 'O', rule: 'keys go from prepared to published, active and retired; any can be denied at once' },
  'CA-3': { level: 'O', rule: 'an upstream authority is optional', later: 'authorities below another one' },
  'CA-4': {
    level: 'O',
    rule: 'the recovery root delegates to trust-state keys; nothing outside that chain is accepted',
  },
  'CA-5': { level: 'O', rule: 'everything issued is on record before it is released, and mirrored' },
  'CA-6': { level: 'O', rule: 'private keys stay in custody: in no log, backup of the store or database' },
  'CA-7': {
    level: 'O',
    rule: 'every id is authorised when it is signed for; lifetimes, overlap and clocks are checked',
  },
  'BS-1': { level: 'O', rule: 'a platform vouches for a workload without a delivered secret' },
  'BS-2': { level: 'O', rule: 'a bound key pair with join states exposes a copied key and locks that instance alone' },
  'BS-3': { level: 'O', rule: 'a join token works once, for one id, and is stored hashed' },
  'BS-4': { level: 'O', rule: 'the server is proven by the join string before anything is sent' },
  'BS-5': { level: 'O', rule: 'no trust on first use, no token in arguments, environment or logs, no reuse' },
  'BS-6': { level: 'O', rule: 'a local workload is known by what the kernel says of it', later: workloadApi },
  'RV-1': { level: 'O', rule: 'one signed stream with the full state, of rising sequence' },
  'RV-2': { level: 'O', rule: 'receivers keep the state and acknowledge it; stragglers are listed' },
  'RV-3': { level: 'O', rule: 'heartbeats bound how long an old state is relied upon' },
  'RV-4': { level: 'O', rule: 'live connections are judged again when a state is applied, and on every request' },
  'RV-5': { level: 'O', rule: 'what denies an identity denies its renewals' },
  'RV-6': { level: 'O', rule: 'everything issued in an earlier epoch is refused' },
  'RV-7': { level: 'O', rule: 'denials reach outsiders by bundle and CRL; a restored copy lowers nothing' },
  'RP-1': { level: 'O', rule: 'what is bound to a key is of no use to another' },
  'RP-2': { level: 'O', rule: 'what must happen once has an id that is consumed' },
  'RP-3': { level: 'O', rule: 'a token may be used again by its own key until it ends' },
  'RP-4': { level: 'O', rule: 'consuming is one atomic step, also among processes' },
  'RP-5': { level: 'O', rule: 'a store that is full refuses and forgets nothing that lives' },
  'RP-6': { level: 'O', rule: 'after a restart without memory, proofs from before are refused' },
  'RP-7': { level: 'O', rule: 'a store that does not answer is never worked around' },
  'DT-1': { level: 'O', rule: 'a credential that was not issued, or is of another epoch, is an alarm' },
  'DT-2': { level: 'O', rule: 'two instances of a single-instance identity are an alarm' },
  'DT-3': { level: 'O', rule: 'a join state from the past is an alarm' },
  'DT-4': { level: 'O', rule: 'an unusual rate of issuance or of new identities is an alarm' },
  'DT-5': { level: 'O', rule: 'issuing to a canary identity is an alarm' },
  'DT-6': { level: 'O', rule: 'an anchor without an entry, or an entry without a registration, is an alarm' },
  'DT-7': { level: 'O', rule: 'a rotation that lags is an alarm' },
  'DT-8': { level: 'O', rule: 'a lifetime, overlap or clock that cannot be right is an alarm' },
  'DX-1': { level: 'M', rule: 'who exchanges a token is authenticated by its own certificate' },
  'DX-2': { level: 'M', rule: 'a token is exchanged by whom it is addressed to, and by whom it lets act' },
  'DX-3': {
    level: 'M',
    rule: 'an exchange keeps the subject, adds the presenter, and outlives nothing that it is made of',
  },
  'DX-4': { level: 'M', rule: 'each hop may only narrow, and what cannot be compared is refused' },
  'DX-5': { level: 'O', rule: 'a chain has four actors at most, and nobody is impersonated' },
  'DX-6': { level: 'M', rule: 'a chain is verified when it is made, stamped, and its deeper entries only deny' },
  'DX-7': {
    level: 'S',
    rule: 'transaction tokens never widen and never authenticate',
    later: 'transaction tokens: none are made',
  },
  'TR-1': { level: 'O', rule: 'no session is resumed, neither after a change of anchors nor after expiry' },
  'TR-2': { level: 'O', rule: 'a client judges the server after the handshake, on every connection' },
  'TR-3': { level: 'O', rule: 'no ticket of a server is ever good for resumption' },
  'TR-4': { level: 'O', rule: 'a connection counts when its first request is answered' },
  'TR-5': { level: 'O', rule: 'names are read from DER, never from a joined text' },
  'TR-6': { level: 'O', rule: 'key usage is read with its criticality' },
  'TR-7': { level: 'O', rule: 'URI name constraints hold', later: 'intermediates: no chain has one yet' },
  'TR-8': { level: 'O', rule: 'a repeated JSON name is refused; a sequence is an exact integer' },
  'TR-9': { level: 'O', rule: 'the hybrid key exchange is offered where the platform has it' },
  'OP-1': {
    level: 'O',
    rule: 'who was away for long, and an authority that has expired, heal without deleting anything',
  },
  'OP-2': { level: 'O', rule: 'a dead identity fails loudly; sleeping past every expiry never hangs' },
  'OP-3': { level: 'O', rule: 'rotation restarts nothing; one that is missed is an alarm before expiry' },
  'OP-4': { level: 'O', rule: 'revocation is complete, acknowledged, and outlives a restored copy' },
  'OP-5': { level: 'O', rule: 'who gets no identity is told why, the operator exactly' },
  'OP-6': { level: 'O', rule: 'the cost of following grows with changes, not with everybody times everything' },
  'OP-7': { level: 'O', rule: 'registrations are declared in a file' },
  'OP-8': { level: 'O', rule: 'federation survives a peer that rotates or is away', later: federation },
  'OP-9': { level: 'O', rule: 'withdrawals reach those who watch' },
  'OP-10': { level: 'O', rule: 'a lock hits one instance' },
  'OP-11': { level: 'O', rule: 'lifetimes and clocks that cannot be right are refused with the reason' },
  'OP-12': { level: 'O', rule: 'several authorities are ordinary' },
} as const satisfies Readonly<Record<string, IdentityRule>>

export type IdentityRuleId = keyof typeof identityRules
