/** One MCP session with a server behind the gateway, for the length of a command. */

import type { Identity, McpClient } from '@doorward/sdk'
import { version } from '../config/version.ts'
import type { CliContext } from './context.ts'
import { asIdentity } from './identity-option.ts'
import type { WhoCalls } from './identity-option.ts'

export interface ServerCall extends WhoCalls {
  readonly server: string
}

/** Throws `server_unknown` before anything is opened; a refusal by authority or gateway is a failed check (exit 1). */
export async function onServer(
  context: CliContext,
  { server, ...who }: ServerCall,
  work: (identity: Identity, client: McpClient) => Promise<void>,
): Promise<void> {
  const { openMcpClient, systemRuntime } = await import('@doorward/sdk')
  const { serverEndpoint } = await import('../apps/bridge.ts')
  const endpoint = serverEndpoint(await context.deployment(), server)
  await asIdentity(context, who, async (identity) => {
    // Whoever has to sign in again hears of it before anything is sent.
    await identity.person?.current()
    const options = { fetch: identity, endpoint, runtime: systemRuntime, signal: context.signal }
    const client = await openMcpClient({ ...options, client: { name: 'doorward', version } })
    try {
      await work(identity, client)
    } finally {
      await client.close()
    }
  })
}
