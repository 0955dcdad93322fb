/** MCP revision 2025-03-26: streamable HTTP; the only one with batches, which we refuse. */

import { CLIENT_METHODS_SINCE_2024_11_05, SERVER_METHODS_SINCE_2024_11_05 } from './legacy-methods.ts'
import { defineRevision } from './method.ts'

export const REVISION_2025_03_26 = defineRevision('2025-03-26', 'legacy', {
  client: [...CLIENT_METHODS_SINCE_2024_11_05],
  server: [...SERVER_METHODS_SINCE_2024_11_05],
})
