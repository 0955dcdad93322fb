/** The end of a part: when its signal says so, and not before everything is closed. */

/** Resolves when the stack is disposed of; never rejects. */
export async function stopOn(
  signal: AbortSignal,
  stack: AsyncDisposableStack,
  onProblem: (error: unknown) => void,
): Promise<void> {
  if (!signal.aborted)
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  try {
    await stack.disposeAsync()
  } catch (error) {
    onProblem(error)
  }
}
