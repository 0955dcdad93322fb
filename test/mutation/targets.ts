/** Which sources are changed, and which tests have to notice. */

export interface Target {
  readonly name: string
  /** Globs from the root of the repository. */
  readonly sources: readonly string[]
  /** Files that call `test` of `node:test`, without a context of their own; fast ones. */
  readonly tests: readonly string[]
  /** A text with a space is for people: nothing of it is read by a program. */
  readonly prose?: boolean
  /** Tests that wait for clocks or sockets, by a part of their names: they are not asked. */
  readonly slow?: readonly string[]
}

const unit = (...names: readonly string[]) => names.map((name) => `test/unit/core/${name}.test.ts`)

const stage = (...names: readonly string[]) => names.map((name) => `test/unit/enforcement/${name}.test.ts`)

const server = (...names: readonly string[]) => names.map((name) => `test/unit/server/${name}.test.ts`)

const enforcement = (...names: readonly string[]) => names.map((name) => `packages/enforcement/src/${name}.ts`)
const filesOf = (folder: string) => (names: string) =>
  names.split(' ').map((name) => `packages/core/src/${folder}/${name}.ts`)
const [tokenFiles, identityFiles, policyFiles] = [filesOf('token'), filesOf('identity'), filesOf('policy')]
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
      'act-chain claims compact-jws judge-claims key-set mint read-claims read-delegation sign-compact-jws',
      'signed-claims verify',
    ].flatMap(tokenFiles),
    tests: unit('token-rules', 'token-verify', 'token-forged', 'policy-delegation'),
    slow: ['no other text of the same length', 'any JSON in place of a claim', 'attenuation never widens'],
  },
  {
    name: 'proofs',
    prose: true,
    sources: ['dpop public-jwk jwt-svid jwt-svid-claims jwt-svid-keys'].flatMap(tokenFiles),
    tests: unit('dpop', 'jwt-svid'),
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
    name: 'certificates',
    prose: true,
    sources: [
      'certificate certificate-extensions certification-path chain chain-standing der ecdsa-signature jwk',
      'signed-der spiffe-id strict-members svid-profile',
    ].flatMap(identityFiles),
    tests: unit('spiffe-id', 'chain-standing', 'identity-bad-leaf', 'identity-certificate', 'token-rules'),
  },
  {
    name: 'trust',
    prose: true,
    sources: [
      'connection-life crl decoded-states delegation document-reader heartbeat join-string known-keys principal',
      'signed-statement signed-trust-state trust-anchors trust-bundle trust-message trust-state trust-state-codec',
      'workload-document',
    ].flatMap(identityFiles),
    tests: [
      ...unit('identity-crl', 'identity-formats', 'identity-heartbeat', 'identity-known-delegation', 'token-scope'),
      ...unit('identity-known-keys', 'identity-trust-anchors', 'identity-trust-state-encoder', 'identity-trust-state'),
      ...unit('workload-document'),
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
    tests: stage('stages', 'narrowed'),
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
