/** MCP revision 2026-07-28: no handshake and no sessions, metadata on every request, no client notifications over HTTP. */

import { defineRevision } from './method.ts'
import {
  clientRequest,
  ON_FILTER,
  ON_PROMPT,
  ON_REF,
  ON_RESOURCE,
  ON_SERVER,
  ON_TASK,
  ON_TOOL,
  PROMPT_LIST,
  RESOURCE_LIST,
  serverNotification,
  TEMPLATE_LIST,
  TOOL_LIST,
} from './method-rows.ts'

/** `tasks/*` belong to the extension `io.modelcontextprotocol/tasks` (SEP-2663). */
export const REVISION_2026_07_28 = defineRevision('2026-07-28', 'modern', {
  client: [
    clientRequest('server/discover', ON_SERVER, 'session'),
    clientRequest('tools/list', ON_SERVER, 'session', { list: TOOL_LIST }),
    clientRequest('prompts/list', ON_SERVER, 'session', { list: PROMPT_LIST }),
    clientRequest('resources/list', ON_SERVER, 'session', { list: RESOURCE_LIST }),
    clientRequest('resources/templates/list', ON_SERVER, 'session', { list: TEMPLATE_LIST }),
    clientRequest('tools/call', ON_TOOL, 'declared', { takesArguments: true }),
    clientRequest('prompts/get', ON_PROMPT, 'read', { takesArguments: true }),
    clientRequest('resources/read', ON_RESOURCE, 'read'),
    clientRequest('completion/complete', ON_REF, 'read'),
    clientRequest('subscriptions/listen', ON_FILTER, 'session'),
    clientRequest('tasks/get', ON_TASK, 'read'),
    clientRequest('tasks/update', ON_TASK, 'write'),
    clientRequest('tasks/cancel', ON_TASK, 'write'),
  ],
  // The server asks through results (`input_required`), never with requests of its own.
  server: [
    serverNotification('notifications/cancelled', ON_SERVER, 'requestId'),
    serverNotification('notifications/progress', ON_SERVER, 'progressToken'),
    serverNotification('notifications/message', ON_SERVER),
    serverNotification('notifications/subscriptions/acknowledged', ON_SERVER),
    serverNotification('notifications/tools/list_changed', ON_SERVER),
    serverNotification('notifications/prompts/list_changed', ON_SERVER),
    serverNotification('notifications/resources/list_changed', ON_SERVER),
    serverNotification('notifications/resources/updated', ON_RESOURCE),
    serverNotification('notifications/tasks', ON_TASK),
  ],
})
