/** The sources that decide, by area, and the tests whose coverage counts. */

export interface CoverageArea {
  readonly name: string
  /** Folder from the root of the repository, without those below it. */
  readonly folder: string
}

export const coverageAreas: readonly CoverageArea[] = [
  { name: 'token', folder: 'packages/core/src/token' },
  { name: 'identity', folder: 'packages/core/src/identity' },
  { name: 'policy', folder: 'packages/core/src/policy' },
  { name: 'cedar', folder: 'packages/core/src/policy/cedar' },
  { name: 'messages', folder: 'packages/core/src/mcp' },
  { name: 'json', folder: 'packages/core/src/json' },
  { name: 'stages', folder: 'packages/enforcement/src' },
]

/** Those of core and of the stages; not those that end processes or fill disks, and no long comparison. */
export const coverageTests: readonly string[] = ['test/unit/core/*.test.ts', 'test/unit/enforcement/*.test.ts']
export const leftOut = /cedar-differential|cedar-outlook|record-|detect-|kill/
