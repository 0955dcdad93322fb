import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const runner = fileURLToPath(new URL('run.ts', import.meta.url))

function vectors(...args: readonly string[]): { readonly status: number | null; readonly stdout: string } {
  return spawnSync(process.execPath, ['--conditions=source', runner, ...args], { encoding: 'utf8' })
}

for (const args of [
  ['unknown'],
  ['constructor'],
  [],
  ['json', 'jws'],
  ['json', '--depth=3'],
  ['json', '--path', '/nonexistent'],
]) {
  test(`vectors ${args.join(' ') || 'without a suite'} is a usage error`, () => {
    assert.equal(vectors(...args).status, 2)
  })
}

test('a suite ends with the line that CI reads, and --json with a report', () => {
  const { status, stdout } = vectors('json')
  assert.equal(status, 0)
  assert.match(stdout, /^\d+ passed, 0 failed$/m)
  assert.deepEqual((JSON.parse(vectors('json', '--json').stdout) as { wrongAccepts: unknown }).wrongAccepts, [])
})
