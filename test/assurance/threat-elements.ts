/** What data flows through, where trust changes hands, and which kinds of threat each has to answer (STRIDE per element). */

export const letters = {
  S: 'spoofing',
  T: 'tampering',
  R: 'repudiation',
  I: 'information disclosure',
  D: 'denial of service',
  E: 'elevation of privilege',
} as const

export type Letter = keyof typeof letters

/** Which letters an element of each kind has to answer. */
export const asked = {
  external: ['S', 'R'],
  process: ['S', 'T', 'R', 'I', 'D', 'E'],
  store: ['T', 'I', 'D'],
  flow: ['T', 'I', 'D'],
} as const satisfies Readonly<Record<string, readonly Letter[]>>

export interface Element {
  readonly kind: keyof typeof asked
  readonly what: string
  readonly trust: string
}

export const elements = {
  callers: { kind: 'external', what: 'callers: workloads, agents, clients of people', trust: 'hostile' },
  operators: { kind: 'external', what: 'operators', trust: 'by certificate, role and reason; each act is on record' },
  servers: {
    kind: 'external',
    what: 'servers and agents that are called',
    trust: 'half hostile: what they send is judged',
  },
  providers: {
    kind: 'external',
    what: 'identity providers, platforms that vouch, certificate authorities of the edge',
    trust: 'for what is configured, and nothing else',
  },
  receivers: {
    kind: 'external',
    what: 'receivers of exports, alerts, traces and numbers',
    trust: 'may lose what they get, never change ours',
  },
  gateway: {
    kind: 'process',
    what: 'gateway',
    trust: 'decides; its keys sign logs and who calls, for one request, and no identity',
  },
  authority: {
    kind: 'process',
    what: 'authority and its front',
    trust: 'alone signs identities, tokens and the trust state',
  },
  beside: {
    kind: 'process',
    what: 'beside a program: sidecar, SDK, bridge, credential agent',
    trust: 'that of the one program; other users of the machine are hostile',
  },
  record: {
    kind: 'store',
    what: 'record of each part, and its checkpoints',
    trust: 'its disk may be changed and lost',
  },
  store: {
    kind: 'store',
    what: 'store of the authority (SQLite or PostgreSQL)',
    trust: 'may be changed, put back and lost',
  },
  keys: { kind: 'store', what: 'sealed keys, secrets, recovery root', trust: 'a copy alone opens nothing' },
  build: { kind: 'store', what: 'sources, dependencies, what is built', trust: 'pinned and checked' },
  calls: { kind: 'flow', what: 'callers to the gateway', trust: 'hostile network' },
  upstream: { kind: 'flow', what: 'gateway to servers', trust: 'hostile network' },
  control: { kind: 'flow', what: 'every part to the authority', trust: 'hostile network' },
  administration: { kind: 'flow', what: 'operators to the administration', trust: 'hostile network' },
} as const satisfies Readonly<Record<string, Element>>

export type ElementId = keyof typeof elements

/** Why an element has no threat of a kind that it is asked about. */
export const unanswered: Readonly<Partial<Record<`${ElementId}.${Letter}`, string>>> = {
  'receivers.R': 'what they do with entries is theirs to prove; ours say what was acknowledged',
  'build.D': 'a build that fails ships nothing',
}
