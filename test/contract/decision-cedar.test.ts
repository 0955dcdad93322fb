import { strict as assert } from 'node:assert'
import { compilePolicy } from '@doorward/core'
import { CedarEngine } from '../../packages/server/src/policy/cedar-engine.ts'
import { decisionPortContract } from './decision-port.ts'
import type { PortBuilder } from './decision-port.ts'

function builder(cacheEntries: number): PortBuilder {
  return async (source) => {
    const compiled = compilePolicy(source)
    assert(compiled.ok)
    const engine = new CedarEngine({ cacheEntries })
    await engine.activate(compiled.policy)
    return engine
  }
}

decisionPortContract('Cedar engine', builder(0))
decisionPortContract('Cedar engine with its cache', builder(64))
