/** What an id of a manifest says, how far it is met, and which tests prove it. */

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repositoryRoot } from '../../scripts/source-files.ts'
import { agentRules } from '../requirements/agents.ts'
import { identityRules } from '../requirements/identity.ts'
import type { IdentityRule } from '../requirements/identity.ts'
import { mcpRules } from '../requirements/mcp.ts'
import type { TestReference } from '../requirements/proving-tests.ts'
import { threatIds } from '../requirements/threats.ts'
import { requirements } from '../requirements.ts'

export interface Evidence {
  readonly says: string
  readonly met: 'whole' | 'part' | 'not'
  readonly tests: readonly TestReference[]
  /** What no test proves yet. */
  readonly missing?: string
}

/** Of a published list: `full` is proven, `inspected` is met as reading the files shows and no test does, `partial` and `no` say what is missing, `none` says why it does not apply. */
export interface AssuranceRow {
  readonly id: string
  readonly title: string
  readonly state: 'full' | 'inspected' | 'partial' | 'no' | 'none'
  readonly why: string
  /** Files from the root of the repository. */
  readonly controls: readonly string[]
  /** Ids of manifests. */
  readonly evidence: readonly string[]
}

function rule(says: string, tests: readonly TestReference[], missing: string | undefined): Evidence {
  const met = missing === undefined ? 'whole' : tests.length === 0 ? 'not' : 'part'
  return { says, met, tests, ...(missing === undefined ? {} : { missing }) }
}

const EXCLUDED = ['test/controls/**', 'test/requirements/**', 'test/requirements.ts', 'test/assurance/**']
const NAMED = /(['"`])((?:[A-Z][A-Z0-9]*-\d+)(?:, [A-Z][A-Z0-9]*-\d+)*): .*?(?<!\\)\1/g

/** Tests whose names begin with the ids of rules of identity. */
function namedTests(): ReadonlyMap<string, readonly TestReference[]> {
  const found = new Map<string, TestReference[]>()
  for (const file of globSync('test/**/*.ts', { cwd: repositoryRoot, exclude: EXCLUDED }).toSorted()) {
    for (const [all, , ids = ''] of readFileSync(join(repositoryRoot, file), 'utf8').matchAll(NAMED)) {
      for (const id of ids.split(', ')) found.set(id, [...(found.get(id) ?? []), { file, name: all.slice(1, -1) }])
    }
  }
  return found
}

const isRequirement = (id: string) => id.startsWith('ADR11-') || id.startsWith('OS25-')

function everything(): ReadonlyMap<string, Evidence> {
  const named = namedTests()
  const identity = Object.entries(identityRules as Readonly<Record<string, IdentityRule>>)
  return new Map<string, Evidence>([
    ...[...threatIds].map(
      ([id, { row, tests, later, state }]) => [id, rule(row, tests, state === 'done' ? undefined : later)] as const,
    ),
    ...[...Object.entries(mcpRules), ...Object.entries(agentRules)].map(
      ([id, { rule: says, tests, later }]) => [id, rule(says, tests, later)] as const,
    ),
    ...identity.map(
      ([id, { rule: says, later }]) => [id, rule(says, (named.get(id) ?? []).slice(0, 4), later)] as const,
    ),
    ...requirements.flatMap(({ id, sentence, proof }) => {
      if (!isRequirement(id) || !('tests' in proof)) return []
      const met = proof.state === 'done' ? 'whole' : proof.state === 'partial' ? 'part' : 'not'
      return [[id, { says: sentence, met, tests: proof.tests } satisfies Evidence] as const]
    }),
  ])
}

export const evidence: ReadonlyMap<string, Evidence> = everything()
