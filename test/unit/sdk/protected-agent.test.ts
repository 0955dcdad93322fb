/** An agent that protects itself: a message is decided once, and a card that nobody got is not on record as answered. */

import { equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { cardPath, parseSpiffeId, utf8 } from '@doorward/core'
import { isDenial } from '@doorward/enforcement'
import type { Identified, RequestHead } from '@doorward/enforcement'
import { a2aSurface } from '../../../packages/sdk/src/protect/a2a-surface.ts'
import { serveProtected } from '../../../packages/sdk/src/protect/protected-call.ts'
import { card, saying } from '../../fixtures/agent-stage.ts'

const presenter = parseSpiffeId('spiffe://test.example/agent/planner')
const principal = { subject: { kind: 'workload', id: presenter }, presenter, act: [] }
const identified: Identified = { principal } as never
const supportedInterfaces = card.supportedInterfaces.slice(0, 1)
const surface = a2aSurface({ card: { ...card, supportedInterfaces } })({
  service: 'planner',
  audience: 'https://planner.test',
  nameKey: new Uint8Array(32),
})

function judged(version: string, method: string) {
  const headers = { 'content-type': 'application/json', 'a2a-version': version }
  const head: RequestHead = { method: 'POST', path: '/a2a', query: '', headers }
  const body = utf8(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: saying('word') }))
  const call = surface.classify({ head, body, identified, onRefused: () => undefined })
  return isDenial(call) ? null : call
}

test('a message in a version that the card has is decided once, and one in another is objected to', async () => {
  const call = judged('1.0', 'SendMessage')
  // The pipeline decides again after whatever is asked for an objection.
  ok(call !== null)
  equal(call.objection, null)
  const other = judged('0.3', 'message/send')
  ok(other !== null)
  equal((await other.objection?.())?.code, 'protocol_version')
})

/** What is on record of an answer whose caller has gone, or has not, by the time that it is permitted. */
async function outcomeOf(gone: boolean): Promise<unknown> {
  const outcomes: unknown[] = []
  const written: unknown[] = []
  const head: RequestHead = { method: 'GET', path: cardPath, query: '', headers: {} }
  const call = surface.classify({ head, body: new Uint8Array(), identified, onRefused: () => undefined })
  const permit = {
    entry: { index: 1, toString: () => 'log#1' },
    use: () => ({ authorized: { classified: { call, identified, body: new Uint8Array() } }, hold: null }),
  }
  const append = async ({ body }: { readonly body: unknown }) => void outcomes.push(body)
  const pipeline = { enforce: async () => permit, overtaken: () => null, dependencies: { log: { append } } }
  const response = {
    destroyed: gone,
    getHeader: () => '2',
    setHeader: () => undefined,
    writeHead: () => response,
    end: (body: unknown) => written.push(body),
  }
  const exchange = { head, problem: null, connection: {}, request: { socket: { destroyed: gone } }, response }
  const serving = {
    pipeline,
    surface,
    audience: '',
    underWay: {},
    handler: () => undefined,
    onProblem: () => undefined,
  }
  await serveProtected(exchange as never, serving as never)
  equal(written.length, gone ? 0 : 1)
  const [{ status } = { status: 'none' }] = outcomes as readonly { readonly status: string }[]
  return status
}

test('a card whose caller has gone is on record as such, and as completed for whoever is there', async () => {
  equal(await outcomeOf(true), 'cancelled')
  equal(await outcomeOf(false), 'completed')
})
