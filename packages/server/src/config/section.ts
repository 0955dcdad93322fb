/** A map of the configuration with known keys. */

import { z } from 'zod'

/** Strict: a key that is not in the shape is a mistake, told together with the keys that are. */
export function section<T extends z.core.$ZodLooseShape>(shape: T) {
  const known = Object.keys(shape).join(', ')
  return z.strictObject(shape, {
    error: ({ code }) => (code === 'unrecognized_keys' ? `unknown key; expected ${known}` : undefined),
  })
}
