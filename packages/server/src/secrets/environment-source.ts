/** Secrets of the environment in which the gateway was started: read once, and then not there any more. */

import type { Secret } from '@doorward/core'
import type { SecretSource } from './secret-source.ts'

/** It changes with the next start, and not before. */
export function environmentSource(value: Secret): SecretSource {
  return { kind: 'environment', read: async () => ({ value, version: 'start' }) }
}
