/** `npm run lint`: oxlint with types, oxfmt, and the rules of our own. Exit 1 when anything is found. */

import { spawnSync } from 'node:child_process'
import { findings } from './own-rules.ts'
import { repositoryRoot, sourceFiles } from './source-files.ts'

const oxlint = ['node_modules/oxlint/bin/oxlint', '--type-aware', '--deny-warnings', '-f', 'unix']
const oxfmt = ['node_modules/oxfmt/bin/oxfmt', '--check', '.']

const clean = [runTool('oxlint', oxlint), runTool('oxfmt', oxfmt), runOwnRules()]
process.exitCode = clean.every(Boolean) ? 0 : 1

function runTool(name: string, args: readonly string[]): boolean {
  const { status, stdout, stderr, error } = spawnSync(process.execPath, args, { cwd: repositoryRoot, encoding: 'utf8' })
  if (error !== undefined) throw error
  if (status !== 0) process.stdout.write(`${stdout}${stderr}`)
  console.log(`${name}: ${status === 0 ? 'clean' : 'problems found'}`)
  return status === 0
}

function runOwnRules(): boolean {
  const found = findings(sourceFiles())
  for (const { path, line, rule, next } of found) console.log(`${path}:${line}: ${rule}: ${next}`)
  console.log(`own rules: ${found.length === 0 ? 'clean' : `${found.length} problems`}`)
  return found.length === 0
}
