/** MCP revision 2025-11-25: experimental tasks in both directions; the last with sessions. */

import {
  CLIENT_METHODS_SINCE_2024_11_05,
  CLIENT_METHODS_SINCE_2025_11_25,
  SERVER_METHODS_SINCE_2024_11_05,
  SERVER_METHODS_SINCE_2025_06_18,
  SERVER_METHODS_SINCE_2025_11_25,
} from './legacy-methods.ts'
import { defineRevision } from './method.ts'

export const REVISION_2025_11_25 = defineRevision('2025-11-25', 'legacy', {
  client: [...CLIENT_METHODS_SINCE_2024_11_05, ...CLIENT_METHODS_SINCE_2025_11_25],
  server: [...SERVER_METHODS_SINCE_2024_11_05, ...SERVER_METHODS_SINCE_2025_06_18, ...SERVER_METHODS_SINCE_2025_11_25],
})
