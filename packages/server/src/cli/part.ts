/** How a part of the system runs as a command: until it is interrupted, its supervisor is gone, or it fails. */

import { failedMessage } from '../apps/supervision.ts'
import type { SupervisorLink } from '../apps/supervision.ts'
import type { CliContext } from './context.ts'

export async function runPart(
  context: CliContext,
  link: SupervisorLink | null,
  run: (stop: AbortSignal) => Promise<void>,
): Promise<void> {
  const gone = new AbortController()
  link?.onGone(() => gone.abort())
  try {
    await run(AbortSignal.any([context.signal, gone.signal]))
  } catch (error) {
    link?.send(failedMessage(error))
    throw error
  } finally {
    if (link !== null && process.connected) process.disconnect()
  }
}
