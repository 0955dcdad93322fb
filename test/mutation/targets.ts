/** Which sources are changed, and which tests have to notice. */

export interface Target {
  readonly name: string
  /** Globs from the root of the repository. */
  readonly sources: readonly string[]
  /** Files that call `test` of `node:test`, without a context of their own; fast ones. */
  readonly tests: readonly string[]
  /** A text with a space is for people: nothing of it is read by a program. */
  readonly prose?: boolean
  /** Tests that wait for clocks or sockets, by how their names begin: they are not asked. */
  readonly slow?: readonly string[]
}

const unit = (...names: readonly string[]) => names.map((name) => `test/unit/core/${name}.test.ts`)

const stage = (...names: readonly string[]) => names.map((name) => `test/unit/enforcement/${name}.test.ts`)

const server = (...names: readonly string[]) => names.map((name) => `test/unit/server/${name}.test.ts`)

const enforcement = (...names: readonly string[]) => names.map((name) => `packages/enforcement/src/${name}.ts`)
const filesOf = (folder: string) => (names: string) =>
  names.split(' ').map((name) => `packages/core/src/${folder}/${name}.ts`)
const [tokenFiles, policyFiles] = [filesOf('token'), filesOf('policy')]
const cedar = (...names: readonly string[]) => names.map((name) => `packages/core/src/policy/cedar/${name}.ts`)
const closures = 'test/unit/server/cedar-closures.test.ts'

export const targets: readonly Target[] = [
  {
    name: 'outlook',
    sources: cedar('possible', 'reads', 'scope', 'unfit'),
    tests: unit('cedar-possible', 'cedar-reads'),
  },
  {
    name: 'decision',
    sources: cedar('policy-set', 'scope-index', 'compile-expression', 'expression-key', 'world'),
    tests: [
      ...unit('cedar-possible', 'cedar-reads', 'cedar-scopes', 'cedar-compile', 'cedar-expression-key'),
      closures,
      'test/mutation/cedar-sample.ts',
    ],
  },
  {
    name: 'values',
    sources: cedar('value', 'operations', 'int64', 'decimal', 'datetime', 'ip-address'),
    tests: [...unit('cedar-values', 'cedar-reads', 'cedar-set', 'cedar-ip-four'), closures],
  },
  {
    name: 'expressions',
    sources: cedar('expression'),
    tests: unit('cedar-expression'),
  },
  {
    name: 'judge',
    sources: [
      'policy-judge call-world call-context call-clock arguments binding-index role-set roles-of',
      'verdict',
    ].flatMap(policyFiles),
    tests: unit(
      'policy-arguments',
      'policy-roles',
      'policy-role-set',
      'policy-context',
      'policy-judge',
      'policy-reach',
    ),
  },
  {
    name: 'token',
    prose: true,
    sources: [
      'verify judge-claims read-claims compact-jws act-chain dpop claims signed-claims read-delegation',
      'key-set mint sign-compact-jws public-jwk jwt-svid jwt-svid-claims jwt-svid-keys',
    ].flatMap(tokenFiles),
    tests: unit('token-verify', 'token-forged', 'dpop', 'jwt-svid', 'policy-delegation', 'token-rules'),
  },
  {
    name: 'issuers',
    prose: true,
    sources: [
      'foreign-jws front-token issuer-claims issuer-token login-proof platform-token',
      'principal-assertion redirect-uri user-identity',
    ].flatMap(tokenFiles),
    tests: [
      ...unit('front-token', 'token-scope'),
      ...server('issuer-tokens', 'attest-platform-token'),
      'test/unit/sdk/assertion-verifier.test.ts',
    ],
    slow: ['a provider that is down', 'a reading that fails', 'a key that is new'],
  },
  {
    name: 'identity',
    prose: true,
    sources: ['packages/core/src/identity/*.ts'],
    tests: [
      ...unit('spiffe-id', 'acme-certificate', 'chain-standing', 'workload-document', 'token-scope'),
      ...unit('identity-bad-leaf', 'identity-certificate', 'identity-crl', 'identity-der-writer', 'identity-formats'),
      ...unit('identity-heartbeat', 'identity-known-delegation', 'identity-known-keys', 'identity-trust-anchors'),
      ...unit('identity-trust-state-encoder', 'identity-trust-state'),
      ...server('attest-foreign-path'),
    ],
  },
  {
    name: 'permissions',
    sources: [
      'action approval-duties builtin cedar-text compile coverage decision name-pattern party-roles',
      'permission reach role-policies source token-scope',
    ].flatMap(policyFiles),
    tests: [
      ...unit('approval-duties', 'policy-compile', 'policy-permission', 'policy-delegation', 'policy-reach'),
      ...unit('policy-roles', 'policy-judge', 'policy-role-set', 'role-policies', 'token-scope'),
    ],
  },
  {
    name: 'messages',
    prose: true,
    sources: ['mcp', 'json', 'a2a'].map((name) => `packages/core/src/${name}/*.ts`),
    tests: [
      ...unit('mcp-action', 'mcp-classify', 'mcp-denial-body', 'mcp-list-filter', 'mcp-message', 'mcp-methods'),
      ...unit('mcp-server-message', 'exact-json', 'json-item-spans', 'json-scan'),
    ],
  },
  {
    name: 'stages',
    sources: enforcement('authorize', 'classify', 'limit', 'permit'),
    tests: stage('stages'),
  },
  {
    name: 'identify',
    sources: enforcement('identify', 'certificate-standing', 'withdrawal', 'known-identities'),
    tests: stage('identify', 'identify-token', 'certificate-standing', 'withdrawal'),
  },
  {
    name: 'pipeline',
    sources: enforcement('pipeline', 'record', 'open-calls', 'standing-decisions'),
    tests: stage('pipeline', 'record-stage', 'open-calls', 'standing-decisions', 'standing-roles'),
  },
]
