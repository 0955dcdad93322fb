/** The official MCP clients, 2.4 and 1.32, behind one face. */

import { registerHooks } from 'node:module'

// A dependency of both has TypeScript under the export condition with which this repository runs its own sources.
registerHooks({
  resolve: (specifier, context, next) =>
    next(
      specifier,
      /^eventsource(-parser)?(\/|$)/.test(specifier)
        ? { ...context, conditions: context.conditions.filter((one) => one !== 'source') }
        : context,
    ),
})
const { Client: ClientV2 } = await import('@modelcontextprotocol/client')
const { StdioClientTransport: StdioV2 } = await import('@modelcontextprotocol/client/stdio')
const { Client: ClientV1 } = await import('@modelcontextprotocol/sdk/client/index.js')
const { StdioClientTransport: StdioV1 } = await import('@modelcontextprotocol/sdk/client/stdio.js')
const { CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema } =
  await import('@modelcontextprotocol/sdk/types.js')

export type Result = Readonly<Record<string, unknown>>
type Progress = (progress: { progress: number }) => void

export interface Launch {
  readonly command: string
  readonly args: string[]
  readonly env: Record<string, string>
}

/** What the tests ask of either client. */
export interface Peer {
  listTools(): Promise<{ tools: { name: string }[] }>
  callTool(
    call: { name: string; arguments?: Record<string, unknown> },
    options?: { onprogress?: Progress; signal?: AbortSignal },
  ): Promise<Result>
  listResources(): Promise<{ resources: { uri: string }[] }>
  readResource(read: { uri: string }): Promise<{ contents: readonly object[] }>
  listPrompts(): Promise<{ prompts: { name: string }[] }>
  getPrompt(get: { name: string; arguments?: Record<string, string> }): Promise<{ messages: readonly object[] }>
  serverName(): string | undefined
  close(): Promise<void>
}

const sampled = { role: 'assistant', model: 'none', content: { type: 'text', text: 'sampled here' } } as const
const elicited = { action: 'decline' } as const
const rooted = { roots: [{ uri: 'file:///srv/example', name: 'example' }] }
const capabilities = { sampling: {}, elicitation: {}, roots: { listChanged: true } }

export async function openV2(launch: Launch, mode: 'legacy' | 'auto'): Promise<Peer> {
  const client = new ClientV2({ name: 'official-v2', version: '1' }, { capabilities, versionNegotiation: { mode } })
  client.setRequestHandler('sampling/createMessage', async () => sampled)
  client.setRequestHandler('elicitation/create', async () => elicited)
  client.setRequestHandler('roots/list', async () => rooted)
  await client.connect(new StdioV2({ ...launch, stderr: 'inherit' }))
  return {
    listTools: () => client.listTools(),
    callTool: (call, options) => client.callTool(call, options),
    listResources: () => client.listResources(),
    readResource: (read) => client.readResource(read),
    listPrompts: () => client.listPrompts(),
    getPrompt: (get) => client.getPrompt(get),
    serverName: () => client.getServerVersion()?.name,
    close: () => client.close(),
  }
}

export async function openV1(launch: Launch): Promise<Peer> {
  const client = new ClientV1({ name: 'official-v1', version: '1' }, { capabilities })
  client.setRequestHandler(CreateMessageRequestSchema, async () => sampled)
  client.setRequestHandler(ElicitRequestSchema, async () => elicited)
  client.setRequestHandler(ListRootsRequestSchema, async () => rooted)
  await client.connect(new StdioV1({ ...launch, stderr: 'inherit' }))
  return {
    listTools: () => client.listTools(),
    callTool: (call, options) => client.callTool(call, undefined, options),
    listResources: () => client.listResources(),
    readResource: (read) => client.readResource(read),
    listPrompts: () => client.listPrompts(),
    getPrompt: (get) => client.getPrompt(get),
    serverName: () => client.getServerVersion()?.name,
    close: () => client.close(),
  }
}
