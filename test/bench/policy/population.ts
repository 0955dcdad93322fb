/**
 * Policies as an organisation has them: for each server a role with permissions, a binding, and a few Cedar policies that
 * look at arguments, time, address and delegation; and calls to those servers, some of them denied.
 */

import { compilePolicy, parseSpiffeId, parseTrustDomain } from '@doorward/core'
import type { CompiledPolicy, DecisionRequest, KnownTool, RolePermissions } from '@doorward/core'

export interface Shape {
  /** The operator's policies in all; the built-in ones are more. */
  readonly policies: number
  /** Of the operator's, how many the scope of one call leaves. */
  readonly applying: number
  /** With own Cedar policies; without them the same number are permissions of roles. */
  readonly own: boolean
}

export interface Population {
  readonly shape: Shape
  readonly compiled: CompiledPolicy
  readonly roles: readonly RolePermissions[]
  /** What the calls are made of, in no particular order. */
  readonly calls: readonly BenchCall[]
}

/** Plain words, from which every engine's own kind of request is made. */
export interface BenchCall {
  readonly workload: string
  readonly server: string
  readonly tool: string
  readonly group: 'read' | 'write'
  readonly args: Readonly<Record<string, string | number>>
  readonly address: string
}

const TRUST_DOMAIN = 'bench.example'
const CALLS = 500

/** 2026-03-03T10:30:00Z, a Tuesday. */
const MOMENT = 1_772_533_800

const permissions: readonly ((server: string) => string)[] = [
  (server) => `tools/call:${server}/get_*`,
  (server) => `read:${server}/*`,
  (server) => `tools/call:${server}/search_*`,
  (server) => `tools/call:${server}/create_issue`,
  (server) => `write:${server}/issues_*`,
  (server) => `*:${server}/admin_*`,
]

const ownPolicies: readonly ((server: string) => string)[] = [
  (server) =>
    `permit (principal in Role::"role-${server}", action == Action::"tools/call", resource in Server::"${server}")
when { resource.name == "transfer" && context.args.amount <= 1000 };`,
  (server) =>
    `forbid (principal, action == Action::"tools/call", resource in Server::"${server}")
when { resource.name == "delete_repo" && (context.time.hour < 18 || context.time.weekday > 5) };`,
  (server) =>
    `forbid (principal, action, resource in Server::"${server}")
unless { context.address.isInRange(ip("10.0.0.0/8")) };`,
  (server) =>
    `permit (principal is Workload, action == Action::"tools/call", resource == Tool::"${server}/read_file")
when { context.args.path like "/srv/${server}/*" && context.delegation.depth == 0 };`,
]

const inputSchema = (properties: Readonly<Record<string, { readonly type: string }>>) => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
})

const toolsOf = (server: string): readonly KnownTool[] => [
  { server, name: 'transfer', inputSchema: inputSchema({ amount: { type: 'integer' } }) },
  { server, name: 'read_file', inputSchema: inputSchema({ path: { type: 'string' } }) },
  { server, name: 'get_issue', inputSchema: inputSchema({ number: { type: 'integer' } }) },
  { server, name: 'delete_repo', inputSchema: inputSchema({ name: { type: 'string' } }) },
  { server, name: 'nothing', inputSchema: inputSchema({}) },
]

/** Of the ones that look at arguments, one policy in ten knows the tools. */
export function populationOf(shape: Shape): Population {
  // What a role is allowed for sessions stands beside its permissions.
  const perServer = Math.min(shape.policies, shape.applying + 1)
  const servers = Array.from({ length: Math.max(1, Math.round(shape.policies / perServer)) }, (_, i) => `server-${i}`)
  const owned = shape.own && shape.applying > 1 ? Math.max(1, Math.round(shape.applying * 0.35)) : 0
  const roles = servers.map((server) => ({
    role: `role-${server}`,
    permissions: Array.from({ length: shape.applying - owned }, (_, i) =>
      (permissions[i] ?? (() => `tools/call:${server}/tool_${i}_*`))(server),
    ),
  }))
  const text = (server: string, i: number) => (ownPolicies[i] ?? ((name) => numbered(name, i)))(server)
  const files = servers.map((server) => ({
    name: `${server}.cedar`,
    text: Array.from({ length: owned }, (_, i) => text(server, i)).join('\n\n'),
  }))
  const compiled = compilePolicy({
    trustDomain: parseTrustDomain(TRUST_DOMAIN),
    rbac: [],
    roles,
    bindings: servers.map((server) => ({
      role: `role-${server}`,
      workloads: [`spiffe://${TRUST_DOMAIN}/${server}/agents/*`],
    })),
    servers,
    files: owned === 0 ? [] : files,
    tools: servers.flatMap(toolsOf),
  })
  if (!compiled.ok) throw new AggregateError(compiled.problems)
  return { shape, compiled: compiled.policy, roles, calls: callsTo(servers) }
}

function numbered(server: string, i: number): string {
  return `forbid (principal, action == Action::"tools/call", resource in Server::"${server}")
when { resource.name like "tool_${i}_*" && context.delegation.depth > ${i} };`
}

const kinds: readonly Omit<BenchCall, 'workload' | 'server'>[] = [
  { tool: 'get_issue', group: 'read', args: { number: 17 }, address: '10.1.2.3' },
  { tool: 'search_code', group: 'write', args: { query: 'needle' }, address: '10.1.2.4' },
  { tool: 'create_issue', group: 'write', args: { title: 'broken' }, address: '10.1.2.5' },
  { tool: 'transfer', group: 'write', args: { amount: 100 }, address: '10.1.2.6' },
  { tool: 'get_issue', group: 'write', args: { number: 18 }, address: '10.9.2.3' },
  { tool: 'transfer', group: 'write', args: { amount: 5000 }, address: '10.1.2.7' },
  { tool: 'get_issue', group: 'read', args: { number: 19 }, address: '192.0.2.1' },
  { tool: 'delete_repo', group: 'write', args: { name: 'all' }, address: '10.1.2.8' },
]

function callsTo(servers: readonly string[]): readonly BenchCall[] {
  return Array.from({ length: CALLS }, (_, i) => {
    // Any server, and now and then a caller that has no role there.
    const server = servers[(i * 7919) % servers.length] ?? ''
    const home = i % 10 === 9 ? `${server}-other` : server
    const kind = kinds[i % kinds.length] ?? kinds[0]
    if (kind === undefined) throw new TypeError('no kinds of calls')
    return { ...kind, server, workload: `spiffe://${TRUST_DOMAIN}/${home}/agents/agent-${i}` }
  })
}

/** A request of which nothing was seen before; each pass is a second later. */
export function requestOf({ workload, server, tool, group, args, address }: BenchCall, pass: number): DecisionRequest {
  const presenter = parseSpiffeId(workload)
  return {
    principal: {
      subject: { kind: 'workload', id: parseSpiffeId(workload) },
      presenter,
      act: [],
      roles: [],
      epoch: 1,
      strength: 'mtls-bound-token',
      certificateFingerprint: 'fingerprint',
      certificateSerial: '01',
      tokenId: 'token',
      expires: (momentOf(pass) + 3600) as DecisionRequest['principal']['expires'],
    },
    action: { name: 'tools/call', group },
    resource: { server, kind: 'tool', name: tool },
    context: { args: { ...args }, timeSeconds: momentOf(pass), remoteAddress: address },
  }
}

/** Seconds since 1970, within one hour. */
export function momentOf(pass: number): number {
  return MOMENT + (pass % 1000)
}
