/** MCP revision 2024-11-05: the first, with the HTTP+SSE transport. */

import { CLIENT_METHODS_SINCE_2024_11_05, SERVER_METHODS_SINCE_2024_11_05 } from './legacy-methods.ts'
import { defineRevision } from './method.ts'

export const REVISION_2024_11_05 = defineRevision('2024-11-05', 'legacy', {
  client: [...CLIENT_METHODS_SINCE_2024_11_05],
  server: [...SERVER_METHODS_SINCE_2024_11_05],
})
