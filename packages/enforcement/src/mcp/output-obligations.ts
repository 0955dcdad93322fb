/** What the operator demands of a server's answers: a size, no known secrets, and the structure that was approved. */

import { checkSchema, isJsonObject, member, scanJson, toolDenialResult, withoutSecretTexts } from '@doorward/core'
import type { FilteredTexts, JsonObject, JsonValue, RequestId, Revision } from '@doorward/core'
import { denialRow } from '../denial.ts'
import type { DefinitionGate } from '../definitions/definition-gate.ts'
import type { DenialCode } from '../denial.ts'
import type { PendingRequest } from './call-scope.ts'

export interface OutputObligations {
  /** Bytes of one message; null for no bound of its own. */
  readonly maxBytes: number | null
  /** Known secrets are taken out of texts. */
  readonly redact: boolean
  /** Takes out of a text what the server was given by us; nothing by default. */
  readonly withoutKnown?: (text: string) => string
  /** `structuredContent` has to be as the approved `outputSchema` says. */
  readonly validate: boolean
}

/** Of an error that comes with a status of its own. */
export function obligedError(bytes: Uint8Array, output: OutputObligations | null): FilteredTexts {
  const scan = output?.redact === true ? scanJson(bytes) : null
  return scan?.ok === true ? withoutSecretTexts(bytes, scan.value, output?.withoutKnown) : { bytes, count: 0 }
}

export function isTooLarge(bytes: Uint8Array, output: OutputObligations | null): boolean {
  return output !== null && output.maxBytes !== null && bytes.length > output.maxBytes
}

interface Answered {
  readonly output: OutputObligations | null
  readonly definitions: DefinitionGate | null
  readonly request: Pick<PendingRequest, 'method' | 'subject'>
  readonly owner: string
  readonly value: JsonValue
}

/**
 * Why the result of a tool does not have its structure; null when it has, or none was approved. Never what stands in it. A task
 * that a call has begun is remembered: its result is the tool's, whichever request it comes with.
 */
export function structureProblem({ output, definitions, request, owner, value }: Answered): string | null {
  if (output?.validate !== true || definitions === null) return null
  const result = isJsonObject(value) ? member(value, 'result') : undefined
  if (!isJsonObject(result)) return null
  switch (request.method) {
    case 'tools/call': {
      const taskId = taskBegun(result)
      if (taskId !== null) definitions.tasks.begun(owner, taskId, request.subject)
      return misfit(definitions, request.subject, result)
    }
    case 'tasks/result':
      return taskMisfit({ definitions, owner, taskId: request.subject }, result)
    case 'tasks/get':
      return endedMisfit({ definitions, owner, taskId: request.subject }, result)
    default:
      return null
  }
}

interface OfTask {
  readonly definitions: DefinitionGate
  readonly owner: string
  readonly taskId: string
}

/** As `structureProblem`, of a notification that tells of a task: one that has ended has its result in it (SEP-2663). */
export function toldTaskProblem(
  output: OutputObligations | null,
  { definitions, ...of }: Omit<OfTask, 'definitions'> & { readonly definitions: DefinitionGate | null },
  params: JsonValue | undefined,
): string | null {
  if (output?.validate !== true || definitions === null || !isJsonObject(params)) return null
  return endedMisfit({ definitions, ...of }, params)
}

function endedMisfit(of: OfTask, task: JsonObject): string | null {
  const result = member(task, 'result')
  if (result === undefined) return null
  return isJsonObject(result) ? taskMisfit(of, result) : 'the result of the task cannot be read'
}

/** A task of which the tool is not known, such as one from before the last start, has the structure of none. */
function taskMisfit({ definitions, owner, taskId }: OfTask, result: JsonObject): string | null {
  const tool = definitions.tasks.toolOf(owner, taskId)
  if (tool !== null) return misfit(definitions, tool, result)
  const all = definitions.known.approved()
  if (member(result, 'isError') === true || !all.some(({ value }) => member(value, 'outputSchema') !== undefined))
    return null
  return 'it is not known of which tool the task is'
}

function misfit({ known }: DefinitionGate, tool: string, result: JsonObject): string | null {
  const schema = member(known.value('tool', tool) ?? {}, 'outputSchema')
  if (schema === undefined || member(result, 'isError') === true) return null
  const content = member(result, 'structuredContent')
  if (content === undefined) return isComplete(result) ? 'structuredContent is missing' : null
  const verdict = checkSchema(schema, content)
  if (verdict.ok) return null
  if ('undecided' in verdict) return `the output schema cannot be decided by: ${verdict.undecided}`
  return `structuredContent${verdict.where} does not fulfil ${verdict.keyword}`
}

/** What is not yet the answer has no structure to fulfil, where it shows none. */
function isComplete(result: JsonObject): boolean {
  const type = member(result, 'resultType')
  return taskBegun(result) === null && (type === undefined || type === 'complete')
}

/** The task that stands for the result: of the newer era by its type, of 2025-11-25 by the member that it has. */
export function taskBegun(result: JsonObject): string | null {
  const task = member(result, 'task')
  const named = member(result, 'resultType') === 'task' ? result : isJsonObject(task) ? task : {}
  const taskId = member(named, 'taskId')
  return typeof taskId === 'string' ? taskId : null
}

/** What the caller of a tool gets instead: models read it. */
export function toolFailure(id: RequestId, code: DenialCode, { era }: Revision): Uint8Array {
  return toolDenialResult(id, denialRow(code).text, era)
}
