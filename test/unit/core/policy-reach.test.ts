/** To what a policy may apply, and the schema of our world. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { actionTable, ownRoutes, policySchema } from '@doorward/core'
import { mayApplyToPrompt, mayApplyToTool, reachesOwnApi } from '../../../packages/core/src/policy/reach.ts'
import { argumentSchema, takesArguments } from '../../../packages/core/src/policy/schema.ts'
import { parsed } from '../../fuzz/cedar-official.ts'

const policy = (scope: string, condition = 'true', effect = 'permit') =>
  parsed(`${effect}(${scope}) when { ${condition} };`)
const open = 'principal, action, resource'

test('a permit that may reach our own API without naming it is known as such', () => {
  const reaching = [
    [open, 'true'],
    ['principal, action == Action::"GET", resource', 'true'],
    ['principal, action in Action::"admin", resource', 'true'],
    ['principal, action, resource is Route', 'true'],
    ['principal is User, action, resource', 'context.effect == "admin"'],
    [open, 'context.args.x == 1 || true'],
    [open, 'principal.id like "*"'],
    [open, 'Server::"authority" has name'],
    [open, 'Server::"gateway".name == ""'],
    [open, 'Workload::"spiffe://acme.example/a" has id'],
    [open, 'User::"https://idp#ann" in Role::"admin"'],
    [open, 'resource.name == "v1/status"'],
    [open, 'resource like "x"'],
    [open, 'resource in Server::"authority"'],
    [open, '[Server::"gateway"].contains(resource) || resource in [Server::"gateway"]'],
    ['principal, action, resource == Route::"other/authority"', 'true', false],
  ] as const
  for (const [scope, condition, reaches = true] of reaching)
    assert.equal(reachesOwnApi(policy(scope, condition)), reaches, `${scope} ${condition}`)
})

test('one that cannot, or that names it, or forbids, is none', () => {
  const harmless = [
    ['principal, action, resource in Server::"files"', 'true'],
    ['principal, action, resource is Tool', 'true'],
    ['principal, action == Action::"tools/call", resource', 'true'],
    ['principal, action, resource in Server::"authority"', 'true'],
    ['principal, action, resource is Route in Server::"gateway"', 'true'],
    ['principal, action, resource == Route::"gateway/v1/status"', 'true'],
    [open, 'false'],
    [open, 'resource is Tool'],
    [open, 'resource in Server::"files"'],
    [open, 'resource.name == "nothing/such"'],
    [open, 'Server::"files" has name'],
    [open, 'resource has other'],
  ] as const
  for (const [scope, condition] of harmless)
    assert.equal(reachesOwnApi(policy(scope, condition)), false, `${scope} ${condition}`)
  assert.equal(reachesOwnApi(policy(open, 'true', 'forbid')), false)
  assert(ownRoutes.length > 0)
})

test('tools that a policy may apply to: one by name, or any other of a server', () => {
  const cases: readonly (readonly [scope: string, condition: string, named: boolean, other: boolean])[] = [
    [open, 'true', true, true],
    ['principal, action, resource == Tool::"files/read"', 'true', true, true],
    ['principal, action, resource == Tool::"files/write"', 'true', false, true],
    ['principal, action, resource == Tool::"git/read"', 'true', false, false],
    ['principal, action, resource in Server::"files"', 'true', true, true],
    ['principal, action, resource in Server::"git"', 'true', false, false],
    ['principal, action, resource is Tool', 'true', true, true],
    ['principal, action, resource is Prompt', 'true', false, false],
    ['principal, action, resource is Tool in Server::"git"', 'true', false, false],
    ['principal, action == Action::"prompts/get", resource', 'true', false, false],
    ['principal, action in Action::"write", resource', 'true', true, true],
    ['principal, action in Action::"session", resource', 'true', false, false],
    [open, 'resource.name == "read"', true, true],
    [open, 'resource.name == "write"', false, true],
    [open, 'resource.name like "re*"', true, true],
    [open, 'resource is Tool && resource in [Server::"files"]', true, true],
    [open, 'resource in Server::"git"', false, false],
    [open, 'resource in [Server::"git", Tool::"files/read"]', true, true],
    [open, 'Tool::"files/read" has name', true, true],
    [open, 'Tool::"files/other" has name', false, true],
    [open, 'Server::"files" has name', true, true],
    [open, 'context.args.n == 1', true, true],
    [open, 'principal has groups', true, true],
    [open, 'resource.none == 1', true, true],
    [open, 'false', false, false],
  ]
  for (const [scope, condition, named, other] of cases) {
    const one = policy(scope, condition)
    assert.deepEqual(
      [mayApplyToTool(one, 'files', 'read'), mayApplyToTool(one, 'files', null)],
      [named, other],
      `${scope} ${condition}`,
    )
  }
})

test('prompts that a policy may apply to', () => {
  assert.equal(mayApplyToPrompt(policy(open), 'files'), true)
  // The question is put as one to some prompt of the server; the action is that of prompts.
  assert.equal(
    mayApplyToPrompt(policy('principal, action == Action::"prompts/get", resource is Prompt'), 'files'),
    true,
  )
  assert.equal(mayApplyToPrompt(policy('principal, action, resource is Tool'), 'files'), false)
  assert.equal(mayApplyToPrompt(policy('principal, action, resource in Server::"git"'), 'files'), false)
  assert.equal(mayApplyToPrompt(policy('principal, action == Action::"tools/call", resource'), 'files'), false)
})

test('the schema has every action once, and arguments where calls have them', () => {
  const text = policySchema('{"n": Long}')
  for (const name of actionTable.keys()) {
    const lines = text.split('\n').filter((line) => line.startsWith(`action "${name}" in [`))
    assert.equal(lines.length, 1, name)
    assert.equal(lines[0]?.includes('args: {"n": Long}'), takesArguments.has(name), name)
  }
  assert.deepEqual([...takesArguments], ['tools/call', 'prompts/get'])
  const small = argumentSchema('{}')
  assert.deepEqual(
    small
      .split('\n')
      .filter((line) => line.startsWith('action "'))
      .map((line) => line.split('"')[1]),
    ['tools/call', 'prompts/get'],
  )
  assert(!small.includes('CallContext'))
  assert(small.includes('address: ipaddr') && small.includes('delegation: { presenter: Workload'))
})
