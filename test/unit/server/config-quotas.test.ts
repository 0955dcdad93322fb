import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseSpiffeId } from '@doorward/core'
import { parseConfiguration } from '../../../packages/server/src/config/load.ts'
import { ConfigurationError } from '../../../packages/server/src/config/problem.ts'
import { callQuotas, quotaSettings } from '../../../packages/server/src/config/quotas.ts'

const withQuotas = (...quotas: readonly string[]) =>
  `trust_domain: acme.example
servers: { github: { command: [x] }, files: { command: [x] } }
services: { orders: { url: "https://orders.example" } }
limits:
  quotas:
${quotas.map((quota) => `    - ${quota}\n`).join('')}`

function problemsOf(...quotas: readonly string[]) {
  try {
    parseConfiguration(withQuotas(...quotas), 'doorward.yaml')
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigurationError)
    return error.problems.map(({ path }) => path)
  }
}

const call = { name: 'tools/call', group: 'write' } as const
const tool = { server: 'github', kind: 'tool', name: 'get_issue' } as const
const agent = parseSpiffeId('spiffe://acme.example/agent/a')

test('each limit of a quota becomes a quota of its own, of the calls and callers that it names', () => {
  const configuration = parseConfiguration(
    withQuotas(
      '{ action: "tools/call:github/get_*", per_user: 5/min, concurrent_per_user: 3, bytes_per_user: 10737418240/h, workloads: ["spiffe://acme.example/agent/*"] }',
    ),
    'doorward.yaml',
  )
  const [rate] = quotaSettings(configuration)
  const [concurrent, bytes, streams] = callQuotas(configuration)
  assert.deepEqual(rate?.rate, { count: 5, periodSeconds: 60 })
  assert.deepEqual([concurrent?.concurrent, streams?.concurrent, streams?.concurrentCode], [3, 8, 'stream_limit'])
  assert.deepEqual(bytes?.bytes, { count: 10 * 2 ** 30, periodSeconds: 3600 })
  for (const quota of [rate, concurrent, bytes]) {
    assert.equal(quota?.covers(agent, call, tool), true)
    assert.equal(quota.covers(parseSpiffeId('spiffe://acme.example/service/a'), call, tool), false)
    assert.equal(quota.covers(agent, call, { ...tool, name: 'put_issue' }), false)
    assert.equal(quota.covers(agent, call, { ...tool, server: 'files' }), false)
    assert.equal(quota.covers(agent, { name: 'prompts/get', group: 'read' }, tool), false)
  }
})

test('what keeps a session going takes no place; our own API counts in rates alone', () => {
  const configuration = parseConfiguration(
    withQuotas('{ action: "*", per_user: 5/min, concurrent_per_user: 3 }'),
    'doorward.yaml',
  )
  const [rate] = quotaSettings(configuration)
  const [concurrent, streams] = callQuotas(configuration)
  const own = { server: 'gateway', kind: 'route', name: '/v1/status' } as const
  const read = { name: 'GET', group: 'admin' } as const
  assert.deepEqual(
    [rate, concurrent, streams].map((quota) => quota?.covers(agent, read, own)),
    [true, false, false],
  )
  const session = { name: 'response', group: 'session' } as const
  const server = { server: 'github', kind: 'server', name: '' } as const
  assert.deepEqual(
    [rate, concurrent].map((quota) => quota?.covers(agent, session, server)),
    [true, false],
  )
  const stream = { name: 'GET', group: 'session' } as const
  assert.equal(streams?.covers(agent, stream, server), true)
  assert.equal(streams.covers(agent, { name: 'GET', group: 'read' }, { ...server, kind: 'route', name: '/a' }), false)
  assert.equal(streams.covers(agent, { name: 'subscriptions/listen', group: 'session' }, server), true)
})

test('plain services count as servers do', () => {
  const text = withQuotas('{ action: "GET:orders/v1/*", concurrent_per_user: 3 }')
  const [concurrent, streams] = callQuotas(parseConfiguration(text, 'doorward.yaml'))
  const route = { server: 'orders', kind: 'route', name: '/v1/a' } as const
  const read = { name: 'GET', group: 'read' } as const
  assert.deepEqual([concurrent?.covers(agent, read, route), streams?.covers(agent, read, route)], [true, false])
})

test('mistakes are told by their place', () => {
  assert.deepEqual(problemsOf('{ action: "tools/call:gihub/*", per_user: 5/min }'), ['limits.quotas[0].action'])
  assert.deepEqual(problemsOf('{ action: "tool/call", per_user: 5/min }'), ['limits.quotas[0].action'])
  assert.deepEqual(problemsOf('{ action: write, per_user: 5/min, workloads: ["spiffe://other.example/a", "x"] }'), [
    'limits.quotas[0].workloads[0]',
    'limits.quotas[0].workloads[1]',
  ])
  assert.deepEqual(problemsOf('{ action: write }'), ['limits.quotas[0]'])
  assert.deepEqual(problemsOf('{ action: write, bytes_per_user: 1000/min }'), ['limits.quotas[0].bytes_per_user'])
  assert.deepEqual(problemsOf('{ action: write, concurrent_per_user: 0 }'), ['limits.quotas[0].concurrent_per_user'])
})
