/**
 * The command `doorward` as published: all that is ours in a few files, so that a process loads in a third of the time;
 * what it depends on stays outside, where audits look. Runs for `npm run build`.
 */

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { rolldown } from 'rolldown'
import { repositoryRoot } from './source-files.ts'

const home = join(repositoryRoot, 'packages', 'server')
/** Beside each other, because threads and children are named relative to whoever starts them. */
const entries = {
  main: 'src/cli/main.ts',
  run: 'src/cli/run.ts',
  'prepare-policy-worker': 'src/policy/prepare-policy-worker.ts',
  'format-policies-worker': 'src/policy/format-policies-worker.ts',
  'crowd-process': 'src/apps/drill/crowd-process.ts',
  'echo-process': 'src/apps/drill/echo-process.ts',
}
const ours = /^(?:\.|\/|[A-Za-z]:|@doorward\/)/

rmSync(join(home, 'dist'), { recursive: true, force: true })
const bundle = await rolldown({
  input: Object.fromEntries(Object.entries(entries).map(([name, path]) => [name, join(home, path)])),
  platform: 'node',
  external: (id) => !ours.test(id),
  resolve: { conditionNames: ['source', 'node', 'import', 'default'] },
})
await bundle.write({ dir: join(home, 'dist'), format: 'esm', chunkFileNames: '[name]-[hash].js' })
await bundle.close()
