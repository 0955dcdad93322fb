/** What evaluation ends with when it has no value: a type error, an overflow, a missing attribute or entity. */
export class EvaluationError extends Error {
  override readonly name = 'EvaluationError'
}
