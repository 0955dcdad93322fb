/** MCP revision 2025-06-18: the server may ask the user (elicitation). */

import {
  CLIENT_METHODS_SINCE_2024_11_05,
  SERVER_METHODS_SINCE_2024_11_05,
  SERVER_METHODS_SINCE_2025_06_18,
} from './legacy-methods.ts'
import { defineRevision } from './method.ts'

export const REVISION_2025_06_18 = defineRevision('2025-06-18', 'legacy', {
  client: [...CLIENT_METHODS_SINCE_2024_11_05],
  server: [...SERVER_METHODS_SINCE_2024_11_05, ...SERVER_METHODS_SINCE_2025_06_18],
})
