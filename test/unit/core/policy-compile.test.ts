import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  actionTable,
  builtinPolicies,
  compilePolicy,
  isKnownUse,
  ownRoute,
  ownRoutes,
  policySchema,
  REVISIONS,
} from '@doorward/core'
import type { CompiledPolicy, PolicySource } from '@doorward/core'
import { sampleSource, trustDomain } from '../../contract/decision-requests.ts'

function compiled(over: Partial<PolicySource> = {}): CompiledPolicy {
  const result = compilePolicy({ ...sampleSource, ...over })
  assert(result.ok)
  return result.policy
}

function mistakes(over: Partial<PolicySource>): readonly string[] {
  const result = compilePolicy({ ...sampleSource, ...over })
  assert(!result.ok)
  return result.problems.map(({ code, where }) => `${code} ${where}`)
}

test('one permit per role and permission, under stable ids, and one for sessions', () => {
  const ids = compiled().policies.map(({ id }) => id)
  assert.deepEqual(
    ids.filter((id) => id.startsWith('role:researcher/')),
    ['role:researcher/0', 'role:researcher/1', 'role:researcher/session'],
  )
  assert.deepEqual(
    ids.filter((id) => id.startsWith('role:empty/')),
    [],
  )
  assert.equal(new Set(ids).size, ids.length)
})

test('an operator can read what a permission became', () => {
  const policy = compiled().policies.find(({ id }) => id === 'role:researcher/1')
  assert.equal(
    policy?.text,
    '// researcher: tools/call:github/get_*\n@id("role:researcher/1")\npermit (\n  principal in Role::"researcher",\n' +
      '  action == Action::"tools/call",\n  resource in Server::"github"\n)\nwhen { resource.name like "get_*" };\n',
  )
})

test('only admin and * reach our own API without naming it', () => {
  const texts = new Map(compiled().policies.map(({ id, text }) => [id, text]))
  const own = 'unless { resource in [Server::"authority", Server::"gateway"] }'
  for (const id of ['role:user/0', 'role:user/1', 'role:user/session', 'role:admin/session', 'role:clerk/1']) {
    assert(texts.get(id)?.includes(own), id)
  }
  assert(!texts.get('role:admin/0')?.includes('unless'))
})

test('the text holds everything a decision depends on', () => {
  const { text } = compiled()
  assert(text.includes('// role researcher: spiffe://acme.example/agent/planner'))
  const changed = [
    { servers: [...sampleSource.servers, 'more'] },
    { bindings: [] },
    { roles: sampleSource.roles.slice(0, 1) },
  ]
  const texts = [text, ...changed.map((over) => compiled(over).text)]
  assert.equal(new Set(texts).size, 4)
  assert.equal(compiled().text, text)
})

test('all mistakes are reported together, each with its path', () => {
  const rbac = [
    { role: 'user', permissions: ['read', 'everything'] },
    { role: 'user', permissions: [] },
  ]
  const roles = [
    { role: 'user', permissions: ['read:nowhere/*'] },
    { role: 'bad role', permissions: [] },
    { role: 'gateway', permissions: [] },
  ]
  const bindings = [
    {
      role: 'missing',
      workloads: [
        'spiffe://acme.example/a',
        'spiffe://other.example/a',
        'acme.example/a',
        'spiffe://acme.example/**/x',
      ],
    },
  ]
  assert.deepEqual(mistakes({ rbac, roles, bindings, servers: ['files', 'authority', 'no/slash'] }), [
    'server_reserved servers.authority',
    'server_name_invalid servers.no/slash',
    'permission_invalid security.rbac.policies[0].permissions[1]',
    'role_duplicate security.rbac.policies[1].role',
    'role_duplicate roles.user',
    'server_unknown roles.user[0]',
    'role_invalid roles.bad role',
    'role_reserved roles.gateway',
    'role_unknown bindings[0].role',
    'binding_trust_domain bindings[0].workloads[1]',
    'spiffe_pattern_invalid bindings[0].workloads[2]',
    'spiffe_pattern_invalid bindings[0].workloads[3]',
  ])
})

test('too many entries are refused before they are parsed', () => {
  const permissions = Array.from({ length: 10_001 }, () => 'nonsense')
  const workloads = Array.from({ length: 10_001 }, () => 'nonsense')
  assert.deepEqual(mistakes({ roles: [{ role: 'r', permissions }], bindings: [{ role: 'r', workloads }] }), [
    'policy_too_large roles',
    'policy_too_large bindings',
  ])
})

test('no name can leave its string', () => {
  const name = 'a"); permit(principal, action, resource); // \\" \u{1f600}'
  const { policies } = compiled({ roles: [{ role: 'r', permissions: [`read:files/${name}`] }], bindings: [] })
  const text = policies.find(({ id }) => id === 'role:r/0')?.text ?? ''
  assert(text.includes('resource.name == "a\\"); permit(principal, action, resource); // \\\\\\" \\u{1f600}"'))
})

test('every action is in the schema, and its groups are', () => {
  for (const name of actionTable.keys()) assert(policySchema().includes(`action "${name}" in [`), name)
})

test('policy knows every message that a client may send', () => {
  for (const { client } of REVISIONS.values()) {
    for (const { method, subject, group, list } of client.values()) {
      const kinds = {
        server: ['server'],
        filter: ['server'],
        ref: ['prompt', 'resource'],
        param: ['kind' in subject ? subject.kind : ''],
      } as const
      const groups = group === 'declared' ? (['read', 'write', 'admin'] as const) : [group]
      for (const kind of kinds[subject.from]) {
        for (const one of groups)
          assert(isKnownUse({ name: method, group: one }, kind as 'tool'), `${method} ${one} ${kind}`)
      }
      assert.equal(actionTable.get(method)?.lists, list !== undefined, method)
    }
  }
  for (const kind of ['resource', 'task'] as const)
    assert(isKnownUse({ name: 'subscriptions/listen', group: 'read' }, kind))
  for (const name of ['response', 'GET', 'DELETE']) assert(isKnownUse({ name, group: 'session' }, 'server'))
})

test('policy knows exactly the listed routes of our own API', () => {
  for (const { server, method, path, group } of ownRoutes) {
    const known = ownRoute(server, method, path.replace('*', 'x/y'))
    assert.equal(known?.action.group, group)
    assert.equal(known?.resource.server, server)
  }
  const unknown = [
    ['authority', 'GET', '/v1/token'],
    ['authority', 'POST', '/v1/token/'],
    ['authority', 'POST', '/v1/token/x'],
    ['authority', 'GET', '/v1/workloads/'],
    ['authority', 'GET', '/v1/workloadsx'],
    ['gateway', 'POST', '/v1/token'],
    ['files', 'POST', '/v1/token'],
  ] as const
  for (const [server, method, path] of unknown)
    assert.equal(ownRoute(server, method, path), null, `${method} ${server}${path}`)
})

test('built-in policies are marked as such', () => {
  assert(builtinPolicies.every(({ id }) => id.startsWith('builtin:')))
  const { policies } = compiled({ trustDomain, rbac: [], roles: [], bindings: [], servers: [] })
  assert.deepEqual(policies, builtinPolicies)
})
