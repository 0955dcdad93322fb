/** A2A 0.3.0: JSON-RPC methods with slashes; results say what they are in `kind`. `tasks/list` is not among its JSON-RPC methods. */

import { revisionOf } from './method.ts'
import type { A2aMethod } from './method.ts'
import type { A2aShape } from './names.ts'
import { SENT, TASK, TASK_ID } from './shapes.ts'

/**
 * A task, a message or an event: the members of one mean the same in the others. `id` is a task's name in a task alone, and
 * the others have none.
 */
const RESULT: A2aShape = {
  ...TASK,
  names: { ...TASK.names, taskId: 'task' },
  nameLists: { referenceTaskIds: 'task' },
}

const one = { lists: false, streams: false, oneOf: null } as const
const aboutTask = { params: TASK_ID, task: { path: ['id'], required: true }, result: RESULT } as const
const sending = {
  params: SENT,
  task: { path: ['message', 'taskId'], required: false },
  result: RESULT,
  group: 'write',
} as const

const methods: readonly A2aMethod[] = [
  { method: 'message/send', action: 'message/send', ...one, ...sending },
  { method: 'message/stream', action: 'message/stream', ...one, ...sending, streams: true },
  { method: 'tasks/get', action: 'tasks/get', group: 'read', ...one, ...aboutTask },
  { method: 'tasks/cancel', action: 'tasks/cancel', group: 'write', ...one, ...aboutTask },
  { method: 'tasks/resubscribe', action: 'tasks/resubscribe', group: 'read', ...one, ...aboutTask, streams: true },
]

export const A2A_0_3 = revisionOf('0.3', methods, {
  push: [
    'tasks/pushNotificationConfig/set',
    'tasks/pushNotificationConfig/get',
    'tasks/pushNotificationConfig/list',
    'tasks/pushNotificationConfig/delete',
  ],
  extendedCard: 'agent/getAuthenticatedExtendedCard',
})
