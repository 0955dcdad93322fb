/** A2A 1.0: methods named as in its Protocol Buffers; results are told apart by the one member that they have. */

import { revisionOf } from './method.ts'
import type { A2aMethod } from './method.ts'
import type { A2aShape } from './names.ts'
import { ARTIFACT_UPDATE, MESSAGE, SENT, STATUS_UPDATE, TASK, TASK_ID } from './shapes.ts'

const SENT_RESULT: A2aShape = { objects: { task: TASK, message: MESSAGE } }
const EVENT: A2aShape = {
  objects: { task: TASK, message: MESSAGE, statusUpdate: STATUS_UPDATE, artifactUpdate: ARTIFACT_UPDATE },
}

const one = { lists: false, streams: false, oneOf: null } as const
const aboutTask = { params: TASK_ID, task: { path: ['id'], required: true } } as const
const sending = { params: SENT, task: { path: ['message', 'taskId'], required: false }, group: 'write' } as const
const events = { result: EVENT, oneOf: Object.keys(EVENT.objects ?? {}), streams: true } as const

const methods: readonly A2aMethod[] = [
  {
    method: 'SendMessage',
    action: 'message/send',
    ...one,
    ...sending,
    result: SENT_RESULT,
    oneOf: Object.keys(SENT_RESULT.objects ?? {}),
  },
  { method: 'SendStreamingMessage', action: 'message/stream', ...one, ...sending, ...events },
  { method: 'GetTask', action: 'tasks/get', group: 'read', ...one, ...aboutTask, result: TASK },
  {
    method: 'ListTasks',
    action: 'tasks/list',
    group: 'read',
    ...one,
    params: { names: { contextId: 'context' } },
    task: null,
    result: { lists: { tasks: TASK } },
    lists: true,
  },
  { method: 'CancelTask', action: 'tasks/cancel', group: 'write', ...one, ...aboutTask, result: TASK },
  { method: 'SubscribeToTask', action: 'tasks/resubscribe', group: 'read', ...one, ...aboutTask, ...events },
]

export const A2A_1_0 = revisionOf('1.0', methods, {
  push: [
    'CreateTaskPushNotificationConfig',
    'GetTaskPushNotificationConfig',
    'ListTaskPushNotificationConfigs',
    'DeleteTaskPushNotificationConfig',
  ],
  extendedCard: 'GetExtendedAgentCard',
})
