/** Which sources are changed, and which tests have to notice. */

export interface Target {
  readonly name: string
  /** Globs from the root of the repository. */
  readonly sources: readonly string[]
  /** Files that call `test` of `node:test`, without a context of their own; fast ones. */
  readonly tests: readonly string[]
}

const unit = (...names: readonly string[]) => names.map((name) => `test/unit/core/${name}.test.ts`)

export const targets: readonly Target[] = [
  {
    name: 'cedar',
    sources: ['packages/core/src/policy/cedar/*.ts'],
    tests: [
      ...unit('cedar-reads', 'cedar-possible', 'cedar-expression', 'cedar-values'),
      'test/unit/server/cedar-closures.test.ts',
      'test/mutation/cedar-sample.ts',
    ],
  },
  {
    name: 'judge',
    sources: ['policy-judge', 'call-world', 'arguments', 'binding-index', 'roles-of', 'verdict'].map(
      (name) => `packages/core/src/policy/${name}.ts`,
    ),
    tests: unit('policy-arguments', 'policy-roles', 'policy-judge', 'policy-reach'),
  },
]
