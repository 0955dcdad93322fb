/** MCP exchanges and the table of methods, for the tests of classification. */

import assert from 'node:assert/strict'
import { LEGACY_VERSIONS, SUPPORTED_VERSIONS, classifyMcp } from '@doorward/core'
import type { Classified, JsonObject, JsonValue, McpExchange, McpRefusal, McpSubject } from '@doorward/core'

export const MODERN = '2026-07-28'
export const LEGACY = ['2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25']
export const BOTH = SUPPORTED_VERSIONS

export interface Setting {
  readonly httpMethod?: string
  readonly version?: string
  readonly mcpMethod?: string
  readonly mcpName?: string
  readonly session?: string
  readonly supported?: readonly string[]
}

export function classify(body: JsonValue | undefined, setting: Setting = {}): Classified | McpRefusal {
  const exchange: McpExchange = {
    httpMethod: setting.httpMethod ?? 'POST',
    headers: { protocolVersion: setting.version, method: setting.mcpMethod, name: setting.mcpName },
    body,
    session: setting.session === undefined ? null : { version: setting.session },
    supported: setting.supported ?? LEGACY_VERSIONS,
  }
  return classifyMcp(exchange)
}

export const request = (method: string, params?: JsonObject): JsonObject =>
  params === undefined ? { jsonrpc: '2.0', id: 7, method } : { jsonrpc: '2.0', id: 7, method, params }
export const notification = (method: string, params: JsonObject = {}): JsonObject => ({
  jsonrpc: '2.0',
  method,
  params,
})

export const envelope = (version: JsonValue = MODERN): JsonObject => ({
  'io.modelcontextprotocol/protocolVersion': version,
  'io.modelcontextprotocol/clientCapabilities': {},
})

/** A modern request whose headers say what its body says. */
export function modern(method: string, params: JsonObject, setting: Setting = {}): Classified | McpRefusal {
  const name = params['name'] ?? params['uri'] ?? params['taskId']
  return classify(request(method, { ...params, _meta: envelope() }), {
    version: MODERN,
    mcpMethod: method,
    ...(typeof name === 'string' ? { mcpName: name } : {}),
    supported: BOTH,
    ...setting,
  })
}

export function refusal(
  outcome: Classified | McpRefusal,
): readonly [string, number, number | null, string | number | null] {
  assert.equal(outcome.kind, 'refusal')
  return [outcome.code, outcome.http, outcome.rpcCode, outcome.id]
}

export interface Row {
  readonly kind: 'request' | 'notification'
  readonly params: JsonObject
  readonly subject: McpSubject
  readonly listOf?: string
  readonly legacy: readonly string[]
  readonly modern?: boolean
}

export const onServer: McpSubject = { kind: 'server', name: '' }
export const tool: McpSubject = { kind: 'tool', name: 'read_file' }
export const prompt: McpSubject = { kind: 'prompt', name: 'greet' }
export const resource: McpSubject = { kind: 'resource', name: 'file:///a' }
export const task: McpSubject = { kind: 'task', name: 't1' }
export const NEWEST = ['2025-11-25']

/** mcp.md §1, written down a second time. */
export const TABLE: Readonly<Record<string, Row>> = {
  'server/discover': { kind: 'request', params: {}, subject: onServer, legacy: [], modern: true },
  initialize: {
    kind: 'request',
    params: { protocolVersion: '2025-11-25', capabilities: {} },
    subject: onServer,
    legacy: LEGACY,
  },
  ping: { kind: 'request', params: {}, subject: onServer, legacy: LEGACY },
  'logging/setLevel': { kind: 'request', params: { level: 'info' }, subject: onServer, legacy: LEGACY },
  'tools/list': { kind: 'request', params: {}, subject: onServer, listOf: 'tool', legacy: LEGACY, modern: true },
  'prompts/list': { kind: 'request', params: {}, subject: onServer, listOf: 'prompt', legacy: LEGACY, modern: true },
  'resources/list': {
    kind: 'request',
    params: {},
    subject: onServer,
    listOf: 'resource',
    legacy: LEGACY,
    modern: true,
  },
  'resources/templates/list': {
    kind: 'request',
    params: {},
    subject: onServer,
    listOf: 'resource',
    legacy: LEGACY,
    modern: true,
  },
  'tools/call': {
    kind: 'request',
    params: { name: 'read_file', arguments: { path: '/a' } },
    subject: tool,
    legacy: LEGACY,
    modern: true,
  },
  'prompts/get': { kind: 'request', params: { name: 'greet' }, subject: prompt, legacy: LEGACY, modern: true },
  'resources/read': { kind: 'request', params: { uri: 'file:///a' }, subject: resource, legacy: LEGACY, modern: true },
  'resources/subscribe': { kind: 'request', params: { uri: 'file:///a' }, subject: resource, legacy: LEGACY },
  'resources/unsubscribe': { kind: 'request', params: { uri: 'file:///a' }, subject: resource, legacy: LEGACY },
  'completion/complete': {
    kind: 'request',
    params: { ref: { type: 'ref/prompt', name: 'greet' } },
    subject: prompt,
    legacy: LEGACY,
    modern: true,
  },
  'subscriptions/listen': {
    kind: 'request',
    params: { notifications: {} },
    subject: onServer,
    legacy: [],
    modern: true,
  },
  'tasks/get': { kind: 'request', params: { taskId: 't1' }, subject: task, legacy: NEWEST, modern: true },
  'tasks/cancel': { kind: 'request', params: { taskId: 't1' }, subject: task, legacy: NEWEST, modern: true },
  'tasks/update': { kind: 'request', params: { taskId: 't1' }, subject: task, legacy: [], modern: true },
  'tasks/result': { kind: 'request', params: { taskId: 't1' }, subject: task, legacy: NEWEST },
  'tasks/list': { kind: 'request', params: {}, subject: onServer, listOf: 'task', legacy: NEWEST },
  'notifications/initialized': { kind: 'notification', params: {}, subject: onServer, legacy: LEGACY },
  'notifications/cancelled': { kind: 'notification', params: { requestId: 3 }, subject: onServer, legacy: LEGACY },
  'notifications/progress': { kind: 'notification', params: { progressToken: 'p' }, subject: onServer, legacy: LEGACY },
  'notifications/roots/list_changed': { kind: 'notification', params: {}, subject: onServer, legacy: LEGACY },
  'notifications/tasks/status': { kind: 'notification', params: { taskId: 't1' }, subject: task, legacy: NEWEST },
}
