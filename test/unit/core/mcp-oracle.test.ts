/**
 * The SDK's `classifyInboundRequest` as oracle. It routes by era and does not judge methods, subjects,
 * Mcp-Name or versions, so what is compared is: the same era where both accept, the same answer where
 * the SDK rejects, and never an accept of ours where it rejects.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { classifyInboundRequest } from '@modelcontextprotocol/server'
import fc from 'fast-check'
import { REVISIONS, SUPPORTED_VERSIONS, classifyMcp } from '@doorward/core'
import type { JsonValue } from '@doorward/core'

const VERSIONS = SUPPORTED_VERSIONS
const METHODS = [...new Set(Array.from(REVISIONS.values()).flatMap((revision) => [...revision.client.keys()]))]

const version = fc.constantFrom(...VERSIONS, '2026-07-29', 'x', '')
const key = (name: string): string => `io.modelcontextprotocol/${name}`
const meta = fc.record(
  {
    [key('protocolVersion')]: fc.oneof({ weight: 4, arbitrary: version }, fc.constantFrom(7, null)),
    [key('clientCapabilities')]: fc.oneof(
      { weight: 4, arbitrary: fc.constant({}) },
      fc.constantFrom([], 'x', { sampling: {} }),
    ),
    [key('clientInfo')]: fc.constantFrom({ name: 'c', version: '1' }, { name: 'c' }),
    [key('logLevel')]: fc.constantFrom('info', 'loud'),
    progressToken: fc.constantFrom('p', 1),
  },
  { requiredKeys: [] },
)
const params = fc.record(
  {
    _meta: meta,
    name: fc.constant('n'),
    uri: fc.constant('u'),
    taskId: fc.constant('t'),
    requestId: fc.constant(1),
    progressToken: fc.constant(1),
    protocolVersion: version,
    ref: fc.constant({ type: 'ref/prompt', name: 'n' }),
    notifications: fc.constant({}),
  },
  { requiredKeys: ['name', 'uri', 'taskId', 'ref', 'notifications', 'requestId', 'progressToken'] },
)
const method = fc.constantFrom(...METHODS)
const jsonrpc = fc.constant('2.0')
const body = fc.oneof(
  { weight: 6, arbitrary: fc.record({ jsonrpc, id: fc.constantFrom(1, 'a'), method, params }) },
  { weight: 2, arbitrary: fc.record({ jsonrpc, method, params }) },
  fc.record({ jsonrpc, id: fc.constantFrom(1, 1.5, null), result: fc.constant({}) }),
  fc.record({ jsonrpc: fc.constantFrom('2.0', '1.0'), id: fc.constantFrom(1, 1.5, null, {}), method }),
  fc.record({ jsonrpc, id: fc.constant(1), method, extra: fc.constant(1) }),
  fc.constantFrom<JsonValue[]>([], 'x', null, {}, [{ jsonrpc: '2.0', id: 1, method: 'ping' }]),
)
const exchange = fc.record(
  {
    httpMethod: fc.constantFrom('POST', 'POST', 'POST', 'GET', 'DELETE'),
    body,
    header: fc.option(version, { nil: undefined }),
    mcpMethod: fc.option(method, { nil: undefined }),
  },
  { requiredKeys: ['httpMethod', 'body', 'header', 'mcpMethod'] },
)

test('eras and refusals are those of the SDK', () => {
  let refusedAlike = 0
  fc.assert(
    fc.property(exchange, ({ httpMethod, body: message, header, mcpMethod }) => {
      const theirs = classifyInboundRequest({
        httpMethod,
        body: message,
        ...(header === undefined ? {} : { protocolVersionHeader: header }),
        ...(mcpMethod === undefined ? {} : { mcpMethodHeader: mcpMethod }),
      })
      const ours = classifyMcp({
        httpMethod,
        body: message as JsonValue,
        headers: { protocolVersion: header, method: mcpMethod, name: undefined },
        session: null,
        supported: VERSIONS,
      })
      if (theirs.kind !== 'reject') {
        if (ours.kind !== 'refusal') assert.equal(ours.era, theirs.kind)
        return
      }
      assert.equal(ours.kind, 'refusal')
      // We answer initialize with a modern envelope before its headers, and notifications without a body.
      const named = typeof message === 'object' && message !== null && 'method' in message ? message : null
      const incomparable = named !== null && (named.method === 'initialize' || !('id' in named))
      // Our version check stands between the two headers.
      if (incomparable || ours.code === 'mcp_version_unsupported') return
      assert.equal(ours.http, theirs.httpStatus)
      assert.equal(ours.rpcCode, theirs.code)
      refusedAlike++
    }),
    { seed: 2026, numRuns: 2_000 },
  )
  assert.ok(refusedAlike > 200, `only ${refusedAlike} refusals were compared`)
})
