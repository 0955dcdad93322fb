/** What the operator demands of a server's answers: a size, no known secrets, and the structure that was approved. */

import { checkSchema, isJsonObject, member, scanJson, toolDenialResult, withoutSecretTexts } from '@doorward/core'
import type { FilteredTexts, JsonObject, JsonValue, RequestId, Revision } from '@doorward/core'
import { denialRow } from '@doorward/enforcement'
import type { DefinitionGate, DenialCode } from '@doorward/enforcement'
import type { PendingRequest } from './call-scope.ts'

export interface OutputObligations {
  /** Bytes of one message; null for no bound of its own. */
  readonly maxBytes: number | null
  /** Known secrets are taken out of texts. */
  readonly redact: boolean
  /** `structuredContent` has to be as the approved `outputSchema` says. */
  readonly validate: boolean
}

/** Of an error that comes with a status of its own. */
export function obligedError(bytes: Uint8Array, output: OutputObligations | null): FilteredTexts {
  const scan = output?.redact === true ? scanJson(bytes) : null
  return scan?.ok === true ? withoutSecretTexts(bytes, scan.value) : { bytes, count: 0 }
}

export function isTooLarge(bytes: Uint8Array, output: OutputObligations | null): boolean {
  return output !== null && output.maxBytes !== null && bytes.length > output.maxBytes
}

interface Answered {
  readonly output: OutputObligations | null
  readonly definitions: DefinitionGate | null
  readonly request: PendingRequest
  readonly value: JsonValue
}

/** Why the result of a tool does not have its structure; null when it has, or none was approved. Never what stands in it. */
export function structureProblem({ output, definitions, request, value }: Answered): string | null {
  if (output?.validate !== true || definitions === null || request.method !== 'tools/call') return null
  const schema = member(definitions.known.value('tool', request.subject) ?? {}, 'outputSchema')
  const result = isJsonObject(value) ? member(value, 'result') : undefined
  if (schema === undefined || !isJsonObject(result) || !isComplete(result)) return null
  const content = member(result, 'structuredContent')
  if (content === undefined) return 'structuredContent is missing'
  const verdict = checkSchema(schema, content)
  if (verdict.ok) return null
  if ('undecided' in verdict) return `the output schema cannot be decided by: ${verdict.undecided}`
  return `structuredContent${verdict.where} does not fulfil ${verdict.keyword}`
}

/** Errors, and what is not yet the answer, have no structure to fulfil. */
function isComplete(result: JsonObject): boolean {
  const type = member(result, 'resultType')
  return (
    member(result, 'isError') !== true &&
    member(result, 'task') === undefined &&
    (type === undefined || type === 'complete')
  )
}

/** What the caller of a tool gets instead: models read it. */
export function toolFailure(id: RequestId, code: DenialCode, { era }: Revision): Uint8Array {
  return toolDenialResult(id, denialRow(code).text, era)
}
