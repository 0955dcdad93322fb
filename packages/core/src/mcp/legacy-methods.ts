/** Methods of the legacy era, by the revision that brought them. Nothing was withdrawn before 2026-07-28. */

import type { ClientMethod, ServerMethod } from './method.ts'
import {
  clientNotification,
  clientRequest,
  ON_PROMPT,
  ON_REF,
  ON_RESOURCE,
  ON_SERVER,
  ON_TASK,
  ON_TOOL,
  PROMPT_LIST,
  RESOURCE_LIST,
  serverNotification,
  serverRequest,
  TASK_LIST,
  TEMPLATE_LIST,
  TOOL_LIST,
} from './method-rows.ts'

export const CLIENT_METHODS_SINCE_2024_11_05: readonly ClientMethod[] = [
  clientRequest('initialize', ON_SERVER, 'session'),
  clientRequest('ping', ON_SERVER, 'session'),
  clientRequest('logging/setLevel', ON_SERVER, 'session'),
  clientRequest('tools/list', ON_SERVER, 'session', { list: TOOL_LIST }),
  clientRequest('prompts/list', ON_SERVER, 'session', { list: PROMPT_LIST }),
  clientRequest('resources/list', ON_SERVER, 'session', { list: RESOURCE_LIST }),
  clientRequest('resources/templates/list', ON_SERVER, 'session', { list: TEMPLATE_LIST }),
  clientRequest('tools/call', ON_TOOL, 'declared', { takesArguments: true }),
  clientRequest('prompts/get', ON_PROMPT, 'read', { takesArguments: true }),
  clientRequest('resources/read', ON_RESOURCE, 'read'),
  clientRequest('resources/subscribe', ON_RESOURCE, 'read'),
  clientRequest('resources/unsubscribe', ON_RESOURCE, 'read'),
  clientRequest('completion/complete', ON_REF, 'read'),
  clientNotification('notifications/initialized', ON_SERVER),
  clientNotification('notifications/roots/list_changed', ON_SERVER),
  clientNotification('notifications/cancelled', ON_SERVER, 'requestId'),
  clientNotification('notifications/progress', ON_SERVER, 'progressToken'),
]

export const SERVER_METHODS_SINCE_2024_11_05: readonly ServerMethod[] = [
  serverRequest('ping', ON_SERVER),
  serverRequest('sampling/createMessage', ON_SERVER, 'sampling'),
  serverRequest('roots/list', ON_SERVER, 'roots'),
  serverNotification('notifications/cancelled', ON_SERVER, 'requestId'),
  serverNotification('notifications/progress', ON_SERVER, 'progressToken'),
  serverNotification('notifications/message', ON_SERVER),
  serverNotification('notifications/tools/list_changed', ON_SERVER),
  serverNotification('notifications/prompts/list_changed', ON_SERVER),
  serverNotification('notifications/resources/list_changed', ON_SERVER),
  serverNotification('notifications/resources/updated', ON_RESOURCE),
]

export const SERVER_METHODS_SINCE_2025_06_18: readonly ServerMethod[] = [
  serverRequest('elicitation/create', ON_SERVER, 'elicitation'),
]

export const CLIENT_METHODS_SINCE_2025_11_25: readonly ClientMethod[] = [
  clientRequest('tasks/get', ON_TASK, 'read'),
  clientRequest('tasks/result', ON_TASK, 'read'),
  clientRequest('tasks/cancel', ON_TASK, 'write'),
  clientRequest('tasks/list', ON_SERVER, 'session', { list: TASK_LIST }),
  clientNotification('notifications/tasks/status', ON_TASK),
]

export const SERVER_METHODS_SINCE_2025_11_25: readonly ServerMethod[] = [
  serverRequest('tasks/get', ON_TASK, 'tasks'),
  serverRequest('tasks/result', ON_TASK, 'tasks'),
  serverRequest('tasks/cancel', ON_TASK, 'tasks'),
  serverRequest('tasks/list', ON_SERVER, 'tasks'),
  serverNotification('notifications/tasks/status', ON_TASK),
  serverNotification('notifications/elicitation/complete', ON_SERVER),
]
