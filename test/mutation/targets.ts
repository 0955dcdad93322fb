/** Which sources are changed, and which tests have to notice. */

export interface Target {
  readonly name: string
  /** Globs from the root of the repository. */
  readonly sources: readonly string[]
  /** Files that call `test` of `node:test`, without a context of their own; fast ones. */
  readonly tests: readonly string[]
}

const unit = (...names: readonly string[]) => names.map((name) => `test/unit/core/${name}.test.ts`)

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
    sources: cedar('policy-set', 'scope-index', 'compile-expression', 'world'),
    tests: [...unit('cedar-possible', 'cedar-reads'), closures, 'test/mutation/cedar-sample.ts'],
  },
  {
    name: 'values',
    sources: cedar('value', 'operations', 'int64', 'decimal', 'datetime', 'ip-address'),
    tests: [...unit('cedar-values', 'cedar-reads'), closures],
  },
  {
    name: 'expressions',
    sources: cedar('expression'),
    tests: unit('cedar-expression'),
  },
  {
    name: 'judge',
    sources: ['policy-judge', 'call-world', 'arguments', 'binding-index', 'roles-of', 'verdict'].map(
      (name) => `packages/core/src/policy/${name}.ts`,
    ),
    tests: unit('policy-arguments', 'policy-roles', 'policy-judge', 'policy-reach'),
  },
  {
    name: 'stages',
    sources: ['authorize', 'classify', 'limit', 'permit'].map((name) => `packages/enforcement/src/${name}.ts`),
    tests: ['test/unit/enforcement/stages.test.ts'],
  },
]
