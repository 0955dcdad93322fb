/** Objects of A2A as far as names stand in them: the same in both revisions. */

import type { A2aShape } from './names.ts'

export const MESSAGE: A2aShape = {
  names: { taskId: 'task', contextId: 'context' },
  nameLists: { referenceTaskIds: 'task' },
}

const STATUS: A2aShape = { objects: { message: MESSAGE } }

export const TASK: A2aShape = {
  names: { id: 'task', contextId: 'context' },
  objects: { status: STATUS },
  lists: { history: MESSAGE },
}

export const STATUS_UPDATE: A2aShape = {
  names: { taskId: 'task', contextId: 'context' },
  objects: { status: STATUS },
}

export const ARTIFACT_UPDATE: A2aShape = { names: { taskId: 'task', contextId: 'context' } }

/** Params of a method about one task. */
export const TASK_ID: A2aShape = { names: { id: 'task' } }

export const SENT: A2aShape = { objects: { message: MESSAGE } }
