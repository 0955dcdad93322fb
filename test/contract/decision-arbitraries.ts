/** Policies and requests by chance, from a closed world small enough for permissions and requests to meet often. */

import fc from 'fast-check'
import { actionTable, parseSpiffeId } from '@doorward/core'
import type { DecisionRequest, PolicySource } from '@doorward/core'
import { caller, trustDomain } from './decision-requests.ts'

const servers = ['files', 'orders']
const names = ['', 'a', 'ab', 'b*', 'v1/ab', 'a"b\\', '\u{1f600}']
const paths = [
  '/',
  '/a',
  '/v1/ab',
  '/v1/token',
  '/v1/login',
  '/v1/renew',
  '/v1/jwt-svid',
  '/v1/trust-state',
  '/v1/trust-state/ack',
  '/v1/trust-state/full',
  '/v1/detections',
  '/v1/ceremonies/newest',
  '/v1/workloads',
  '/v1/join-strings',
  '/v1/status',
  '/v1/record',
  '/v1/receipt',
  '/v1/policy',
  '/v1/configuration',
  '/v1/redactions',
  '/v1/audit/hmac',
  '/v1/servers',
  '/v1/servers/definitions',
  '/v1/servers/approve',
]
const roleNames = ['r0', 'r1', 'r2']
const ids = ['spiffe://acme.example/agent/a', 'spiffe://acme.example/agent/b', 'spiffe://acme.example/agent/a/c'].map(
  parseSpiffeId,
)
const patterns = [
  'spiffe://acme.example/agent/a',
  'spiffe://acme.example/agent/*',
  'spiffe://acme.example/agent/**',
  'spiffe://acme.example/*/a',
  'spiffe://acme.example/agent/*/c',
]

const action = fc.constantFrom(...actionTable.keys())
const word = fc.oneof(
  fc.constantFrom('read', 'write', 'admin', '*'),
  fc.constantFrom('tools/call', 'GET', 'POST', 'tools/list', 'resources/read'),
  action,
)
const place = fc
  .tuple(
    fc.constantFrom(...servers, 'authority', 'gateway'),
    fc.constantFrom('*', 'a', 'a*', '*b', 'v1/*', '*a*b*', 'a"b\\', '\u{1f600}*', 'v1/workloads*'),
  )
  .map(([server, name]) => `:${server}/${name}`)
const permission = fc.tuple(word, fc.option(place, { nil: '' })).map(([verb, where]) => verb + where)
const roleSet = fc.tuple(
  ...roleNames.map((role) =>
    fc.record({ role: fc.constant(role), permissions: fc.array(permission, { minLength: 1, maxLength: 4 }) }),
  ),
)
const binding = fc.record({
  role: fc.constantFrom(...roleNames),
  workloads: fc.array(fc.constantFrom(...patterns), { maxLength: 2 }),
})
/** Roles and bindings that compile. */
export const sourceOf = fc
  .tuple(roleSet, fc.array(binding, { maxLength: 3 }))
  .map(([roles, bindings]): PolicySource => ({
    trustDomain,
    rbac: roles.slice(0, 1),
    roles: roles.slice(1),
    bindings,
    servers,
  }))

const principalOf = fc
  .record({
    presenter: fc.constantFrom(...ids),
    other: fc.option(fc.constantFrom(...ids), { freq: 1, nil: null }),
    act: fc.array(fc.constantFrom(...ids), { maxLength: 1 }),
    roles: fc.subarray([...roleNames, 'gateway', 'ghost'], { minLength: 1 }),
    strength: fc.oneof(
      { weight: 8, arbitrary: fc.constant('mtls-bound-token' as const) },
      fc.constantFrom('mtls-enrolment' as const, 'mtls-client-credentials' as const),
    ),
  })
  .map(({ presenter, other, act, roles, strength }) =>
    caller('a', roles, {
      presenter,
      subject: { kind: 'workload', id: other ?? presenter },
      act: other === null ? [] : act,
      strength,
    }),
  )

/** Mostly uses that exist, some that do not. */
const useOf = action.chain((name) => {
  const real = (actionTable.get(name)?.uses ?? []).flatMap(({ group, kinds }) => kinds.map((kind) => ({ group, kind })))
  const any = fc.record({
    group: fc.constantFrom('read', 'write', 'admin', 'session'),
    kind: fc.constantFrom('tool', 'prompt', 'resource', 'task', 'server', 'route'),
  })
  return fc.tuple(
    fc.constant(name),
    fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...real) }, any as fc.Arbitrary<(typeof real)[number]>),
  )
})

/** Requests, mostly for things that exist. */
export const requestOf = fc
  .tuple(
    principalOf,
    useOf,
    fc.constantFrom(...servers, ...servers, 'authority', 'gateway', 'ghost'),
    fc.constantFrom(...names),
    fc.constantFrom(...paths),
  )
  .map(([principal, [name, { group, kind }], server, item, path]): DecisionRequest => {
    const resource = { server, kind, name: kind === 'server' ? '' : kind === 'route' ? path : item }
    return {
      principal,
      action: { name, group },
      resource,
      context: { args: {}, timeSeconds: 1_800_000_000, remoteAddress: '127.0.0.1' },
    }
  })
