/** The tools that the conformance suite asks of a server, one registration per scenario. */

import { fromJsonSchema, type McpServer, type ServerContext } from '@modelcontextprotocol/server'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { redPixelPng, silentWav } from './everything-content.ts'

const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] })

/** Registers every tool of the 2025-11-25 server scenarios. */
export function registerTools(server: McpServer): void {
  registerContentTools(server)
  registerStreamingTools(server)
  registerAskingTools(server)
}

function registerContentTools(server: McpServer): void {
  const image = { type: 'image' as const, data: redPixelPng, mimeType: 'image/png' }
  server.registerTool('test_simple_text', { description: 'Returns one text' }, () =>
    text('This is a simple text response for testing.'),
  )
  server.registerTool('test_image_content', { description: 'Returns one image' }, () => ({ content: [image] }))
  server.registerTool('test_audio_content', { description: 'Returns one sound' }, () => ({
    content: [{ type: 'audio', data: silentWav, mimeType: 'audio/wav' }],
  }))
  server.registerTool('test_embedded_resource', { description: 'Returns one embedded resource' }, () => ({
    content: [
      {
        type: 'resource',
        resource: {
          uri: 'test://embedded-resource',
          mimeType: 'text/plain',
          text: 'This is an embedded resource content.',
        },
      },
    ],
  }))
  server.registerTool('test_multiple_content_types', { description: 'Returns text, image and resource' }, () => ({
    content: [
      { type: 'text', text: 'Multiple content types test:' },
      image,
      {
        type: 'resource',
        resource: {
          uri: 'test://mixed-content-resource',
          mimeType: 'application/json',
          text: JSON.stringify({ test: 'data', value: 123 }),
        },
      },
    ],
  }))
  server.registerTool('test_error_handling', { description: 'Always fails' }, () => {
    throw new Error('This tool intentionally returns an error for testing')
  })
  server.registerTool(
    'json_schema_2020_12_tool',
    { description: 'Tool with JSON Schema 2020-12 features', inputSchema: fromJsonSchema(schema2020) },
    () => text('accepted'),
  )
}

const schema2020 = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object' as const,
  $defs: {
    address: {
      $anchor: 'addressDef',
      type: 'object' as const,
      properties: { street: { type: 'string' as const }, city: { type: 'string' as const } },
    },
  },
  properties: {
    name: { type: 'string' as const },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string' as const, enum: ['phone', 'email'] },
    phone: { type: 'string' as const },
    email: { type: 'string' as const },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
}

function registerStreamingTools(server: McpServer): void {
  server.registerTool('test_tool_with_logging', { description: 'Logs three times while it runs' }, async (ctx) => {
    for (const data of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
      await ctx.mcpReq.notify({ method: 'notifications/message', params: { level: 'info', data } })
      await delay(50)
    }
    return text('Logged three times.')
  })
  server.registerTool('test_tool_with_progress', { description: 'Reports progress three times' }, async (ctx) => {
    const progressToken = ctx.mcpReq._meta?.progressToken
    for (const progress of [0, 50, 100]) {
      if (progressToken !== undefined) {
        await ctx.mcpReq.notify({
          method: 'notifications/progress',
          params: { progressToken, progress, total: 100 },
        })
      }
      await delay(50)
    }
    return text(String(progressToken ?? 'no progress token'))
  })
  server.registerTool('test_reconnection', { description: 'Closes its own stream before it answers' }, async (ctx) => {
    ctx.http?.closeSSE?.()
    await delay(100)
    return text('Answered after the stream was closed.')
  })
}

function registerAskingTools(server: McpServer): void {
  server.registerTool(
    'test_sampling',
    { description: 'Asks the client to sample', inputSchema: z.object({ prompt: z.string() }) },
    async ({ prompt }, ctx) => {
      const answer = await ctx.mcpReq.send({
        method: 'sampling/createMessage',
        params: { messages: [{ role: 'user', content: { type: 'text', text: prompt } }], maxTokens: 100 },
      })
      const first = Array.isArray(answer.content) ? answer.content[0] : answer.content
      return text(`LLM response: ${first?.type === 'text' ? first.text : 'not a text'}`)
    },
  )
  server.registerTool(
    'test_elicitation',
    { description: 'Asks the user for a name and an address', inputSchema: z.object({ message: z.string() }) },
    async ({ message }, ctx) => text(`User response: ${await elicit(ctx, message, userSchema, ['username', 'email'])}`),
  )
  server.registerTool(
    'test_elicitation_sep1034_defaults',
    { description: 'Asks with a default for every primitive type' },
    async (ctx) => text(`Elicitation completed: ${await elicit(ctx, 'Please review the defaults', defaultsSchema)}`),
  )
  server.registerTool(
    'test_elicitation_sep1330_enums',
    { description: 'Asks with every form of enumeration' },
    async (ctx) => text(`Elicitation completed: ${await elicit(ctx, 'Please choose', enumsSchema)}`),
  )
}

async function elicit(
  ctx: ServerContext,
  message: string,
  properties: Record<string, unknown>,
  required: readonly string[] = [],
): Promise<string> {
  const answer = await ctx.mcpReq.send({
    method: 'elicitation/create',
    params: { message, requestedSchema: { type: 'object', properties, required } },
  })
  return `action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`
}

const userSchema = {
  username: { type: 'string', description: "User's response" },
  email: { type: 'string', description: "User's email address" },
}

const defaultsSchema = {
  name: { type: 'string', default: 'John Doe' },
  age: { type: 'integer', default: 30 },
  score: { type: 'number', default: 95.5 },
  status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
  verified: { type: 'boolean', default: true },
}

const titledValues = [
  { const: 'value1', title: 'First Choice' },
  { const: 'value2', title: 'Second Choice' },
  { const: 'value3', title: 'Third Choice' },
]

const enumsSchema = {
  untitledSingle: { type: 'string', enum: ['option1', 'option2', 'option3'] },
  titledSingle: { type: 'string', oneOf: titledValues },
  legacyEnum: {
    type: 'string',
    enum: ['opt1', 'opt2', 'opt3'],
    enumNames: ['Option One', 'Option Two', 'Option Three'],
  },
  untitledMulti: { type: 'array', items: { type: 'string', enum: ['option1', 'option2', 'option3'] } },
  titledMulti: { type: 'array', items: { anyOf: titledValues } },
}
