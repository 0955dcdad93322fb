/** What the conformance suite's 2026-07-28 scenarios ask of a server beside the rest: requests for input, and changes to hear of. */

import {
  CLIENT_CAPABILITIES_META_KEY,
  createRequestStateCodec,
  fromJsonSchema,
  inputRequired,
} from '@modelcontextprotocol/server'
import type {
  ClientCapabilities,
  InputRequiredSpec,
  McpServer,
  ServerContext,
  ServerNotifier,
} from '@modelcontextprotocol/server'
import { randomBytes } from 'node:crypto'

type Requests = NonNullable<InputRequiredSpec['inputRequests']>

const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] })
const question = (name: string, message: string, type = 'string') =>
  inputRequired.elicit({
    message,
    requestedSchema: { type: 'object', properties: { [name]: { type } as { type: 'string' } }, required: [name] },
  })
const sampling = (asked: string, maxTokens: number) =>
  inputRequired.createMessage({ messages: [{ role: 'user', content: { type: 'text', text: asked } }], maxTokens })

/** Keeps states from being altered; each process has its own key. */
export const stateCodec = createRequestStateCodec<string>({ key: randomBytes(32) })

/** Registers every tool and prompt of the 2026-07-28 server scenarios that the earlier revisions do not have. */
export function registerModern(server: McpServer, notify: () => ServerNotifier): void {
  registerAsking(server)
  registerAskingWithState(server)
  registerCapabilities(server)
  registerChanges(server, notify)
  server.registerTool(
    'test_x_mcp_header',
    { description: 'Repeats an argument in a header', inputSchema: fromJsonSchema(headerSchema) },
    () => text('accepted'),
  )
}

const headerSchema = {
  type: 'object' as const,
  properties: { region: { type: 'string' as const, 'x-mcp-header': 'Region' } },
  required: ['region'],
}

/** True when each request for input has an answer of the shape that it asked for. */
function isAnswered(ctx: ServerContext, requests: Requests): boolean {
  const responses = ctx.mcpReq.inputResponses ?? {}
  return Object.entries(requests).every(([key, request]) => {
    const answer = responses[key]
    if (typeof answer !== 'object' || answer === null) return false
    if (request.method === 'elicitation/create') return 'action' in answer && answer.action === 'accept'
    return request.method === 'roots/list' ? 'roots' in answer : 'content' in answer
  })
}

function registerAsking(server: McpServer): void {
  const asking: readonly (readonly [name: string, requests: Requests])[] = [
    ['elicitation', { user_name: question('name', 'What is your name?') }],
    ['sampling', { capital_question: sampling('What is the capital of France?', 100) }],
    ['list_roots', { client_roots: inputRequired.listRoots() }],
  ]
  for (const [name, inputRequests] of asking) {
    server.registerTool(`test_input_required_result_${name}`, { description: `Asks by ${name}` }, (ctx) =>
      isAnswered(ctx, inputRequests)
        ? text(`Answered: ${JSON.stringify(ctx.mcpReq.inputResponses)}`)
        : inputRequired({ inputRequests }),
    )
  }
  const context = { user_context: question('context', 'What context should the prompt use?') }
  server.registerPrompt('test_input_required_result_prompt', { description: 'Asks before it answers' }, (ctx) =>
    isAnswered(ctx, context)
      ? { messages: [{ role: 'user', content: { type: 'text', text: 'With the context that was given.' } }] }
      : inputRequired({ inputRequests: context }),
  )
}

function registerAskingWithState(server: McpServer): void {
  const rounds: readonly (readonly [name: string, done: string, rounds: readonly Requests[]])[] = [
    ['request_state', 'state-ok', [{ confirm: question('ok', 'Please confirm', 'boolean') }]],
    ['tampered_state', 'state verified', [{ confirm: question('ok', 'Please confirm', 'boolean') }]],
    [
      'multiple_inputs',
      'all answered',
      [
        {
          user_name: question('name', 'What is your name?'),
          greeting: sampling('Generate a greeting', 50),
          client_roots: inputRequired.listRoots(),
        },
      ],
    ],
    [
      'multi_round',
      'two rounds answered',
      [
        { step1: question('name', 'Step 1: What is your name?') },
        { step2: question('color', 'Step 2: What is your favorite color?') },
      ],
    ],
  ]
  for (const [name, done, asked] of rounds) {
    server.registerTool(`test_input_required_result_${name}`, { description: `Asks with a state` }, async (ctx) => {
      const before = Number(ctx.mcpReq.requestState<string>() ?? '-1')
      const answered = before >= 0 && isAnswered(ctx, asked[before] ?? {})
      const next = answered ? before + 1 : Math.max(before, 0)
      const inputRequests = asked[next]
      if (inputRequests === undefined) return text(done)
      return inputRequired({ inputRequests, requestState: await stateCodec.mint(String(next), ctx) })
    })
  }
}

function envelopeOf(ctx: ServerContext): Partial<Record<string, object | string>> {
  return ctx.mcpReq.envelope ?? {}
}

/** What the client has declared with this very request. */
function declaredBy(ctx: ServerContext): ClientCapabilities {
  const declared = envelopeOf(ctx)[CLIENT_CAPABILITIES_META_KEY]
  return typeof declared === 'object' ? declared : {}
}

const logLevelOf = (ctx: ServerContext) => envelopeOf(ctx)['io.modelcontextprotocol/logLevel']

function registerCapabilities(server: McpServer): void {
  const all: Requests = {
    asked_user: question('name', 'What is your name?'),
    asked_model: sampling('What is the capital of France?', 100),
    asked_roots: inputRequired.listRoots(),
  }
  const needs = { asked_user: 'elicitation', asked_model: 'sampling', asked_roots: 'roots' } as const
  server.registerTool('test_input_required_result_capabilities', { description: 'Asks what may be asked' }, (ctx) => {
    const declared = declaredBy(ctx)
    const requests = Object.entries(all).filter(([key]) => declared[needs[key as keyof typeof needs]] !== undefined)
    const inputRequests = Object.fromEntries(requests)
    return requests.length === 0 || isAnswered(ctx, inputRequests) ? text('answered') : inputRequired({ inputRequests })
  })
  const model = { asked_model: sampling('What is the capital of France?', 100) }
  server.registerTool('test_missing_capability', { description: 'Needs sampling' }, (ctx) =>
    isAnswered(ctx, model) ? text('answered') : inputRequired({ inputRequests: model }),
  )
  const name = { user_name: question('name', 'What is your name?') }
  server.registerTool('test_streaming_elicitation', { description: 'Asks, and never in a stream' }, (ctx) =>
    isAnswered(ctx, name) ? text('answered') : inputRequired({ inputRequests: name }),
  )
  server.registerTool('test_logging_tool', { description: 'Logs where a level is asked for' }, async (ctx) => {
    if (logLevelOf(ctx) !== undefined)
      await ctx.mcpReq.notify({ method: 'notifications/message', params: { level: 'info', data: 'logged' } })
    return text('done')
  })
}

function registerChanges(server: McpServer, notify: () => ServerNotifier): void {
  server.registerTool('test_trigger_tool_change', { description: 'Tells that the tools have changed' }, () => {
    notify().toolsChanged()
    return text('told')
  })
  server.registerTool('test_trigger_prompt_change', { description: 'Tells that the prompts have changed' }, () => {
    notify().promptsChanged()
    return text('told')
  })
}
