/** Principals, requests and one small configuration for tests of decisions. */

import { epochSeconds, parseSpiffeId, parseTrustDomain } from '@doorward/core'
import type { Action, DecisionRequest, PolicySource, Principal, Resource, SpiffeId } from '@doorward/core'

export const trustDomain = parseTrustDomain('acme.example')

export function agent(name: string): SpiffeId {
  return parseSpiffeId(`spiffe://acme.example/agent/${name}`)
}

/** A workload that acts for itself; `over` replaces parts. */
export function caller(name: string, roles: readonly string[] = [], over: Partial<Principal> = {}): Principal {
  const id = agent(name)
  return {
    subject: { kind: 'workload', id },
    presenter: id,
    act: [],
    roles,
    epoch: 1,
    strength: 'mtls-bound-token',
    certificateFingerprint: 'f',
    certificateSerial: '01',
    tokenId: 't',
    expires: epochSeconds(2_000_000_000),
    ...over,
  }
}

export function ask(principal: Principal, action: Action, resource: Resource, args?: unknown): DecisionRequest {
  return { principal, action, resource, context: { args, timeSeconds: 1_800_000_000, remoteAddress: '127.0.0.1' } }
}

/** A call of the tool `<server>/<name>`. */
export function toolCall(
  principal: Principal,
  tool: string,
  group: Action['group'] = 'write',
  args: unknown = {},
): DecisionRequest {
  const slash = tool.indexOf('/')
  const resource = { server: tool.slice(0, slash), kind: 'tool', name: tool.slice(slash + 1) } as const
  return ask(principal, { name: 'tools/call', group }, resource, args)
}

export function sessionAction(principal: Principal, name: string, server: string): DecisionRequest {
  return ask(principal, { name, group: 'session' }, { server, kind: 'server', name: '' })
}

/** A request `<method> <server>/<path>`. */
export function route(principal: Principal, line: string, group: Action['group']): DecisionRequest {
  const space = line.indexOf(' ')
  const slash = line.indexOf('/')
  const resource = { server: line.slice(space + 1, slash), kind: 'route', name: line.slice(slash) } as const
  return ask(principal, { name: line.slice(0, space), group }, resource)
}

/** ADR-0011's three roles and the design's researcher. */
export const sampleSource: PolicySource = {
  trustDomain,
  rbac: [
    { role: 'admin', permissions: ['*'] },
    { role: 'user', permissions: ['read', 'write'] },
    { role: 'readonly', permissions: ['read'] },
  ],
  roles: [
    { role: 'researcher', permissions: ['read:files/*', 'tools/call:github/get_*'] },
    { role: 'clerk', permissions: ['GET:orders/v1/*', 'POST'] },
    { role: 'auditor', permissions: ['GET:gateway/v1/record'] },
    { role: 'empty', permissions: [] },
  ],
  bindings: [
    { role: 'researcher', workloads: ['spiffe://acme.example/agent/planner'] },
    { role: 'readonly', workloads: ['spiffe://acme.example/agent/*/reader', 'spiffe://acme.example/ro/**'] },
  ],
  servers: ['files', 'github', 'orders'],
}
