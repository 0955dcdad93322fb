/** Which sources are changed, and which tests have to notice. */

export interface Target {
  readonly name: string
  /** Globs from the root of the repository. */
  readonly sources: readonly string[]
  /** Files that call `test` of `node:test`, without a context of their own; fast ones. */
  readonly tests: readonly string[]
}

const unit = (...names: readonly string[]) => names.map((name) => `test/unit/core/${name}.test.ts`)

const stage = (...names: readonly string[]) => names.map((name) => `test/unit/enforcement/${name}.test.ts`)

const enforcement = (...names: readonly string[]) => names.map((name) => `packages/enforcement/src/${name}.ts`)
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
      'policy-judge',
      'call-world',
      'call-context',
      'call-clock',
      'arguments',
      'binding-index',
      'role-set',
      'roles-of',
      'verdict',
    ].map((name) => `packages/core/src/policy/${name}.ts`),
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
