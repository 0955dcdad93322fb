import { strict as assert } from 'node:assert'
import { compilePolicy } from '@doorward/core'
import { CedarEngine } from '../../packages/server/src/policy/cedar-engine.ts'
import { decisionPortContract } from './decision-port.ts'

decisionPortContract('Cedar engine', async (source) => {
  const compiled = compilePolicy(source)
  assert(compiled.ok)
  const engine = new CedarEngine()
  await engine.activate(compiled.policy)
  return engine
})
