/** What every decision port must hold to, whatever engine is behind it. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseSpiffeId } from '@doorward/core'
import type { Action, DecisionRequest, PolicySource, Principal, SomeRequest } from '@doorward/core'
import type { DecisionPort } from '@doorward/enforcement'
import { agent, ask, caller, route, sampleSource, sessionAction, toolCall } from './decision-requests.ts'

export type PortBuilder = (source: PolicySource) => Promise<DecisionPort>

const planner = caller('planner')
const user = caller('u', ['user'])
const readonly = caller('r', ['readonly'])
const admin = caller('a', ['admin'])
const clerk = caller('c', ['clerk'])
const gateway = caller('g', ['gateway'])
const stranger = caller('nobody')

type Row = readonly [rule: string, request: DecisionRequest]

const granted: readonly Row[] = [
  ['read covers a tool whose effect is read', toolCall(readonly, 'files/read_file', 'read')],
  ['write covers a tool', toolCall(user, 'files/write_file')],
  ['* covers everything', toolCall(admin, 'github/delete_repo')],
  ['a binding gives its role', toolCall(planner, 'files/read_file', 'read')],
  ['a permission for an action ignores the effect', toolCall(planner, 'github/get_issue', 'write')],
  [
    'read covers prompts and resources of the server',
    ask(planner, { name: 'resources/read', group: 'read' }, { server: 'files', kind: 'resource', name: 'file:///a/b' }),
  ],
  ['a session is open wherever anything is', sessionAction(planner, 'initialize', 'github')],
  ['a route is named without its first slash', route(clerk, 'GET orders/v1/17', 'read')],
  ['a permission for an action alone covers configured servers', route(clerk, 'POST orders/v2/x', 'write')],
  [
    '** binds one or more segments',
    toolCall(
      caller('x', [], {
        presenter: parseSpiffeId('spiffe://acme.example/ro/a/b'),
        subject: { kind: 'workload', id: parseSpiffeId('spiffe://acme.example/ro/a/b') },
      }),
      'files/read_file',
      'read',
    ),
  ],
  ['any workload may ask for its token', route(stranger, 'POST authority/v1/token', 'write')],
  ['any workload may renew', route(stranger, 'POST authority/v1/renew', 'write')],
  ['any workload may read the trust state', route(stranger, 'GET authority/v1/trust-state', 'read')],
  ['any workload may acknowledge', route(stranger, 'POST authority/v1/trust-state/ack', 'write')],
  ['* covers the admin API', route(admin, 'DELETE authority/v1/workloads', 'admin')],
  ['a permission may name our own API', route(caller('w', ['auditor']), 'GET gateway/v1/record', 'admin')],
  [
    'certificate alone opens the token route',
    route(caller('n', [], { strength: 'mtls-client-credentials' }), 'POST authority/v1/token', 'write'),
  ],
]

const refused: readonly Row[] = [
  ['no role allows nothing', toolCall(stranger, 'files/read_file', 'read')],
  ['a role nobody defined allows nothing', toolCall(caller('x', ['root', '__proto__']), 'files/read_file', 'read')],
  ['a role without permissions allows nothing', sessionAction(caller('x', ['empty']), 'initialize', 'files')],
  ['read does not write', toolCall(readonly, 'files/write_file')],
  ['write does not read', toolCall(caller('x', ['writer']), 'files/read_file', 'read')],
  ['a permission ends at its server', toolCall(planner, 'orders/read_file', 'read')],
  ['a name pattern is whole', toolCall(planner, 'github/forget_all')],
  ['case is not folded', toolCall(planner, 'github/GET_issue')],
  ['white space is not trimmed', toolCall(planner, 'github/ get_issue')],
  ['a star in a name is a character', toolCall(planner, 'github/*')],
  ['a binding matches whole segments', toolCall(caller('planner2'), 'files/read_file', 'read')],
  ['an unknown server', toolCall(admin, 'nowhere/read_file')],
  ['an inherited property is no server', toolCall(admin, 'constructor/read_file')],
  [
    'an unknown action',
    ask(admin, { name: 'tools/destroy', group: 'write' }, { server: 'files', kind: 'tool', name: 'x' }),
  ],
  [
    'an inherited property is no action',
    ask(admin, { name: 'constructor', group: 'read' }, { server: 'files', kind: 'tool', name: 'x' }),
  ],
  [
    'an action in a foreign group',
    ask(admin, { name: 'prompts/get', group: 'session' }, { server: 'files', kind: 'prompt', name: 'x' }),
  ],
  [
    'an unknown group',
    ask(admin, { name: 'tools/call', group: 'root' as 'read' }, { server: 'files', kind: 'tool', name: 'x' }),
  ],
  [
    'an unknown kind',
    ask(admin, { name: 'tools/call', group: 'read' }, { server: 'files', kind: 'constructor' as 'tool', name: 'x' }),
  ],
  [
    'an action on a foreign kind',
    ask(admin, { name: 'tools/call', group: 'read' }, { server: 'files', kind: 'prompt', name: 'x' }),
  ],
  ['no session where there is no permission', sessionAction(planner, 'initialize', 'orders')],
  ['read does not reach our own API', route(user, 'GET gateway/v1/record', 'admin')],
  ['write does not reach our own API', route(user, 'POST authority/v1/join-strings', 'admin')],
  ['an action alone does not reach our own API', route(clerk, 'POST authority/v1/workloads', 'admin')],
  ['the admin API needs admin', route(user, 'GET authority/v1/workloads', 'admin')],
  ['a gateway is no admin', route(gateway, 'POST authority/v1/workloads', 'admin')],
  ['an admin route counted as read', route(user, 'GET authority/v1/workloads', 'read')],
  ['a route of our own API in another group than its own', route(admin, 'GET authority/v1/workloads', 'read')],
  ['a route of our own API as a session', route(admin, 'GET authority/v1/status', 'session')],
  ['an unlisted route of our own API', route(admin, 'POST authority/v1/keys', 'admin')],
  ['an unlisted method of our own API', route(admin, 'DELETE gateway/v1/status', 'admin')],
  [
    'certificate alone opens nothing else',
    route(caller('a', ['admin'], { strength: 'mtls-client-credentials' }), 'POST authority/v1/renew', 'write'),
  ],
  ['enrolment opens nothing else', toolCall(caller('a', ['admin'], { strength: 'mtls-enrolment' }), 'files/read_file')],
  [
    'acting for somebody without the right',
    toolCall(caller('a', ['admin'], { subject: { kind: 'workload', id: agent('nobody') } }), 'files/read_file', 'read'),
  ],
  [
    'acting for a user without a role',
    toolCall(
      caller('a', ['admin'], { subject: { kind: 'user', issuer: 'https://i', subject: 's', groups: ['admin'] } }),
      'files/read_file',
      'read',
    ),
  ],
  [
    'an actor in between without the right',
    toolCall(caller('planner', [], { act: [agent('nobody')] }), 'files/read_file', 'read'),
  ],
  [
    'a chain that is too long',
    toolCall(
      caller('planner', [], { act: Array.from({ length: 9 }, () => agent('planner')) }),
      'files/read_file',
      'read',
    ),
  ],
  ['a name that is not well-formed', toolCall(admin, 'files/\ud800')],
  ['a name that is too long', toolCall(admin, `files/${'x'.repeat(100_000)}`)],
]

const read = (name: string): Action => ({ name, group: 'read' })

/** Requests of which no name is allowed. */
const nothing: readonly (readonly [rule: string, Principal, Action, server: string, kind: SomeRequest['kind']])[] = [
  ['without a role', stranger, read('tools/call'), 'files', 'tool'],
  ['a permission for tools is none for prompts', planner, read('prompts/get'), 'github', 'prompt'],
  ['a permission for tools is none for resources', planner, read('resources/read'), 'github', 'resource'],
  ['a permission ends at its server', planner, read('tools/call'), 'orders', 'tool'],
  ['read does not write', readonly, { name: 'tools/call', group: 'write' }, 'files', 'tool'],
  ['read does not cancel', readonly, { name: 'tasks/cancel', group: 'write' }, 'files', 'task'],
  ['a method that is not there for the kind', admin, read('tools/call'), 'files', 'prompt'],
  ['an unknown action', admin, read('tools/destroy'), 'files', 'tool'],
  ['an unknown server', admin, read('tools/call'), 'nowhere', 'tool'],
  ['our own API', admin, read('tools/call'), 'gateway', 'tool'],
  [
    'acting for somebody without the right',
    caller('a', ['admin'], { subject: { kind: 'workload', id: agent('nobody') } }),
    read('tools/call'),
    'files',
    'tool',
  ],
]

function someOf(principal: Principal, action: Action, server: string, kind: SomeRequest['kind']): SomeRequest {
  return {
    principal,
    action,
    server,
    kind,
    context: { args: undefined, timeSeconds: 1_800_000_000, remoteAddress: '127.0.0.1' },
  }
}

/** Null for what is no item of a server. */
function asSome({ principal, action, resource: { server, kind } }: DecisionRequest): SomeRequest | null {
  return kind === 'server' || kind === 'route' ? null : someOf(principal, action, server, kind)
}

const hostileArguments: readonly unknown[] = [
  { __entity: { type: 'Role', id: 'admin' } },
  { __extn: { fn: 'ip', arg: 'x' } },
  JSON.parse('{"__proto__":{"a":1},"b":null,"c":1.5,"d":1e308,"e":123456789012345678901234567890}'),
  null,
  1.5,
  [[[[[[[[[[null]]]]]]]]]],
]

/** Registers the suite for one adapter. The builder gets a valid configuration and returns a port that decides under it. */
export function decisionPortContract(adapter: string, build: PortBuilder): void {
  const writer = { role: 'writer', permissions: ['write'] }
  const source = { ...sampleSource, roles: [...sampleSource.roles, writer] }
  describe(`decision port: ${adapter}`, async () => {
    const port = await build(source)
    for (const [rule, request] of granted) {
      test(`allows: ${rule}`, async () => {
        const verdict = await port.decide(request)
        assert.equal(verdict.effect, 'allow')
        assert.notEqual(verdict.policies.length, 0)
        assert.notEqual(await port.list(request), 'deny')
        const some = asSome(request)
        if (some !== null) assert.notEqual(await port.some(some), 'deny')
      })
    }
    for (const [rule, request] of refused) {
      test(`denies: ${rule}`, async () => {
        const verdict = await port.decide(request)
        assert.equal(verdict.effect, 'deny')
        assert.equal(await port.list(request), 'deny')
      })
    }
    for (const [rule, ...request] of nothing) {
      test(`denies whatever it is called: ${rule}`, async () => {
        assert.equal(await port.some(someOf(...request)), 'deny')
      })
    }
    test('what a name may be is left open', async () => {
      for (const [principal, method, group, server, kind] of [
        [planner, 'tools/call', 'write', 'github', 'tool'],
        [planner, 'tools/call', 'read', 'files', 'tool'],
        [planner, 'prompts/get', 'read', 'files', 'prompt'],
        [readonly, 'resources/read', 'read', 'orders', 'resource'],
        [admin, 'tasks/cancel', 'write', 'orders', 'task'],
      ] as const)
        assert.notEqual(await port.some(someOf(principal, { name: method, group }, server, kind)), 'deny', method)
    })
    test('rules ask for approvals of what is allowed: of calls, by whatever they are allowed, and of nothing else', async () => {
      const rules = [
        { permission: 'tools/call:github/get_*', by: 'team-a' },
        { permission: 'write:github/*', by: 'team-b' },
        { permission: '*', by: 'team-a' },
      ]
      const asking = await build({ ...source, approvals: { groups: ['team-a', 'team-b'], rules } })
      const dutiesOf = async (request: DecisionRequest) => {
        const verdict = await asking.decide(request)
        assert.equal(verdict.effect, 'allow')
        assert.equal(await asking.list(request), 'allow')
        return verdict.effect === 'allow' ? verdict.obligations.filter(({ kind }) => kind === 'approval') : []
      }
      const [first, second, all] = rules.map(({ permission }) => `approval:${permission}`)
      assert.deepEqual(await dutiesOf(toolCall(planner, 'github/get_issue', 'write')), [
        { kind: 'approval', by: 'team-a', rules: [first, all] },
        { kind: 'approval', by: 'team-b', rules: [second] },
      ])
      const reading = [{ kind: 'approval', by: 'team-a', rules: [all] }]
      assert.deepEqual(await dutiesOf(toolCall(planner, 'files/read_file', 'read')), reading)
      assert.deepEqual(await dutiesOf(sessionAction(planner, 'initialize', 'github')), [])
      assert.deepEqual(await dutiesOf(sessionAction(planner, 'tools/list', 'github')), [])
      assert.deepEqual(await dutiesOf(route(admin, 'DELETE authority/v1/workloads', 'admin')), [])
      assert.equal((await asking.decide(toolCall(planner, 'github/set_issue', 'write'))).effect, 'deny')
    })
    test('arguments of any shape change nothing and break nothing', async () => {
      for (const args of hostileArguments) {
        assert.equal((await port.decide(toolCall(planner, 'github/get_issue', 'write', args))).effect, 'allow')
        assert.equal((await port.decide(toolCall(planner, 'github/set_issue', 'write', args))).effect, 'deny')
      }
    })
    test('a list must be filtered and a call need not', async () => {
      const list = await port.decide(sessionAction(planner, 'tools/list', 'files'))
      assert.deepEqual(list.effect === 'allow' && list.obligations, [{ kind: 'filter-list' }])
      const call = await port.decide(toolCall(planner, 'files/read_file', 'read'))
      assert.deepEqual(call.effect === 'allow' && call.obligations, [])
    })
    test('every verdict names one policy version', async () => {
      const verdicts = await Promise.all([...granted, ...refused].map(([, request]) => port.decide(request)))
      assert.equal(new Set(verdicts.map(({ version }) => `${version.digest} ${version.sequence}`)).size, 1)
    })
    test('without roles everything but the open routes is denied', async () => {
      const empty = await build({ ...source, rbac: [], roles: [], bindings: [] })
      for (const [rule, request] of granted) {
        const open = request.resource.server === 'authority' && !request.resource.name.includes('workloads')
        assert.equal((await empty.decide(request)).effect, open ? 'allow' : 'deny', rule)
      }
    })
  })
}
