/** One MCP session with a server behind the gateway, for the length of a command. */

import type { Identity, McpClient } from '@doorward/sdk'
import { version } from '../config/version.ts'
import type { CliContext } from './context.ts'
import { asIdentity } from './identity-option.ts'

export interface ServerCall {
  readonly server: string
  readonly as: string | undefined
}

/** Throws `server_unknown` before anything is opened; a refusal by authority or gateway is a failed check (exit 1). */
export async function onServer(
  context: CliContext,
  { server, as }: ServerCall,
  work: (identity: Identity, client: McpClient) => Promise<void>,
): Promise<void> {
  const { openMcpClient, systemRuntime } = await import('@doorward/sdk')
  const { serverEndpoint } = await import('../apps/bridge.ts')
  const endpoint = serverEndpoint(await context.deployment(), server)
  await asIdentity(context, as, async (identity) => {
    const options = { fetch: identity, endpoint, runtime: systemRuntime, signal: context.signal }
    const client = await openMcpClient({ ...options, client: { name: 'doorward', version } })
    try {
      await work(identity, client)
    } finally {
      await client.close()
    }
  })
}
