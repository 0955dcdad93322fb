import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compareConformance, differences, scenarioOf } from './compare.ts'
import { startEverythingServer } from './everything-server.ts'

test('the fixture passes 84 checks of 33 scenarios directly, and two runs do not differ', async () => {
  const server = await startEverythingServer({ port: 0 })
  try {
    const { first, second, differences: found } = await compareConformance(server.url, server.url)
    assert.deepEqual([first.scenarios, first.passed, first.failed], [33, 84, 0])
    assert.deepEqual([second.scenarios, second.passed, second.failed], [33, 84, 0])
    assert.deepEqual(found, [])
  } finally {
    await server.close()
  }
})

test('a check that is missing, added or of another status is a difference', () => {
  const first = new Map([['ping', new Map([['ping SUCCESS', 1]])]])
  const second = new Map([['ping', new Map([['ping FAILURE', 1]])]])
  assert.deepEqual(differences(first, second), [
    { scenario: 'ping', check: 'ping', status: 'FAILURE', first: 0, second: 1 },
    { scenario: 'ping', check: 'ping', status: 'SUCCESS', first: 1, second: 0 },
  ])
  assert.equal(differences(first, new Map()).length, 1)
  assert.deepEqual(differences(first, first), [])
})

test('a check that occurs twice instead of once is a difference', () => {
  const once = new Map([['ping', new Map([['ping SUCCESS', 1]])]])
  const twice = new Map([['ping', new Map([['ping SUCCESS', 2]])]])
  assert.deepEqual(differences(once, twice), [
    { scenario: 'ping', check: 'ping', status: 'SUCCESS', first: 1, second: 2 },
  ])
})

test('the scenario is read from the name of its result folder', () => {
  assert.equal(scenarioOf('server-tools-list-2026-11-22T01-18-24-475Z'), 'tools-list')
  assert.throws(() => scenarioOf('tools-list'))
})
