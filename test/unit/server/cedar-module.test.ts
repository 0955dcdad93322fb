/** What is set back after the policy module is loaded is what the engine itself begins with. */

import { equal } from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { optimisedUsually } from '../../../packages/server/src/policy/cedar-module.ts'

test('the tiering budget of WebAssembly that is set back to is the default of this Node.js', () => {
  const options = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' })
  const [, value] = /default: --wasm-tiering-budget=(\d+)/.exec(options) ?? []
  equal(Number(value), optimisedUsually)
})
