import { deepEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { ownRoutes } from '@doorward/core'
import { decisionPortContract } from './decision-port.ts'
import { knowsRoute, referencePort } from './decision-reference.ts'

test('the reference knows every route of ours, in its group and in no other', () => {
  const groups = ['read', 'write', 'admin'] as const
  for (const { server, method, path, group } of ownRoutes) {
    const line = `${method} ${server}${path}`
    deepEqual(
      groups.filter((one) => knowsRoute(line, one)),
      [group],
      line,
    )
  }
})

decisionPortContract('reference', async (source) => {
  const port = referencePort(source)
  // The reference judges meaning; limits of size and form are the engine's, given here in the shortest way.
  const tooMuch = ({ principal, resource }: Parameters<typeof port.decide>[0]): boolean =>
    principal.act.length > 4 || resource.name.length > 8192 || !resource.name.isWellFormed()
  const denied = {
    effect: 'deny',
    reason: 'none',
    policies: [],
    explanation: 'too much',
    wouldAllow: null,
    version: { digest: 'reference', sequence: 1 },
  } as const
  return {
    decide: async (request) => (tooMuch(request) ? denied : port.decide(request)),
    list: async (request) => (tooMuch(request) ? 'deny' : port.list(request)),
    some: async (request) => (request.principal.act.length > 4 ? 'deny' : port.some(request)),
  }
})
