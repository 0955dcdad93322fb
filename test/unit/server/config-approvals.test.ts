import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configurationChanges } from '../../../packages/server/src/config/reloading.ts'
import { ConfigurationError } from '../../../packages/server/src/config/problem.ts'
import { parseConfiguration } from '../../../packages/server/src/config/load.ts'
import { deploymentOf } from '../../../packages/server/src/config/settings.ts'

const parsed = (approvals: string) =>
  parseConfiguration(
    `trust_domain: acme.example\nservers: { files: { command: [x] } }\napprovals: ${approvals}\n`,
    'doorward.yaml',
  )

const webhook = '{ url: "https://hooks.acme.example/", secret_file: s }'
const group = '{ workloads: ["spiffe://acme.example/operator/*"] }'

function problemsOf(approvals: string): readonly string[] {
  try {
    parsed(approvals)
    return []
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error
    return error.problems.map(({ path }) => path)
  }
}

test('approvers are somebody, of this trust domain, and links lead somewhere', () => {
  const wrong: readonly (readonly [approvals: string, path: string])[] = [
    ['{ groups: { a: {} } }', 'approvals.groups.a'],
    [`{ groups: { a: { webhook: ${webhook} } } }`, 'approvals.groups.a'],
    ['{ groups: { a: { workloads: ["spiffe://other.example/*"] } } }', 'approvals.groups.a.workloads[0]'],
    ['{ groups: { a: { users: ["alice"] } } }', 'approvals.groups.a.users[0]'],
    [`{ groups: { a: ${group} }, rules: [{ permission: write, by: b }] }`, 'approvals.rules[0].by'],
    [`{ groups: { a: ${group} }, rules: [{ permission: "write:none/*", by: a }] }`, 'approvals.rules[0].permission'],
    [`{ groups: { a: { webhook: ${webhook} } }, links: true }`, 'approvals.links'],
    [`{ groups: { a: ${group} }, links: true, public_url: "https://a.example" }`, 'approvals.links'],
    [`{ groups: { a: ${group} }, public_url: "https://a.example/x" }`, 'approvals.public_url'],
    [`{ groups: { a: ${group} }, public_url: "http://a.example" }`, 'approvals.public_url'],
    [
      '{ groups: { a: { users: ["https://i#a"], webhook: { url: "http://h.example/", secret_file: s } } } }',
      'approvals.groups.a.webhook.url',
    ],
  ]
  for (const [approvals, path] of wrong) assert.deepEqual(problemsOf(approvals), [path], approvals)
  const right = `{ groups: { a: { webhook: ${webhook} } }, links: true, public_url: "https://a.example" }`
  assert.deepEqual(problemsOf(right), [])
})

test('groups, rules and times change while a gateway runs; where links lead stands until its next start', () => {
  const deployment = (approvals: string) =>
    deploymentOf({ configuration: parsed(approvals), file: 'doorward.yaml', folder: '/', lineOf: () => null })
  const before = deployment(`{ groups: { a: ${group} } }`)
  const after = deployment(`{ groups: { a: ${group} }, rules: [{ permission: write, by: a }], wait_seconds: 0 }`)
  assert.deepEqual(configurationChanges(before, after).toSorted(), ['approvals.rules', 'approvals.wait_seconds'])
  const moved = deployment(`{ groups: { a: ${group} }, public_url: "https://a.example" }`)
  assert.throws(() => configurationChanges(before, moved), ConfigurationError)
})
