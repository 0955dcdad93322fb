/** Short ways to write a row of a revision's table. */

import type { ClientMethod, ListRule, MethodGroup, ServerMethod, SubjectRule } from './method.ts'

export const ON_SERVER: SubjectRule = { from: 'server' }
export const ON_TOOL: SubjectRule = { from: 'param', field: 'name', kind: 'tool' }
export const ON_PROMPT: SubjectRule = { from: 'param', field: 'name', kind: 'prompt' }
export const ON_RESOURCE: SubjectRule = { from: 'param', field: 'uri', kind: 'resource' }
export const ON_TASK: SubjectRule = { from: 'param', field: 'taskId', kind: 'task' }
export const ON_REF: SubjectRule = { from: 'ref' }
export const ON_FILTER: SubjectRule = { from: 'filter' }

type ClientOptions = Partial<Pick<ClientMethod, 'list' | 'takesArguments'>>

export function clientRequest(
  method: string,
  subject: SubjectRule,
  group: MethodGroup | 'declared',
  { list, takesArguments = false }: ClientOptions = {},
): ClientMethod {
  return { method, kind: 'request', subject, group, list, takesArguments, refersTo: undefined }
}

export function clientNotification(
  method: string,
  subject: SubjectRule,
  refersTo?: ClientMethod['refersTo'],
): ClientMethod {
  return { method, kind: 'notification', subject, group: 'session', list: undefined, takesArguments: false, refersTo }
}

export function serverRequest(
  method: string,
  subject: SubjectRule,
  capability?: ServerMethod['capability'],
): ServerMethod {
  return { method, kind: 'request', subject, capability, refersTo: undefined }
}

export function serverNotification(
  method: string,
  subject: SubjectRule,
  refersTo?: ServerMethod['refersTo'],
): ServerMethod {
  return { method, kind: 'notification', subject, capability: undefined, refersTo }
}

export const TOOL_LIST: ListRule = { items: 'tools', name: 'name', kind: 'tool' }
export const PROMPT_LIST: ListRule = { items: 'prompts', name: 'name', kind: 'prompt' }
export const RESOURCE_LIST: ListRule = { items: 'resources', name: 'uri', kind: 'resource' }
export const TEMPLATE_LIST: ListRule = { items: 'resourceTemplates', name: 'uriTemplate', kind: 'resource' }
export const TASK_LIST: ListRule = { items: 'tasks', name: 'taskId', kind: 'task' }
