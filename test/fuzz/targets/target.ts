/** A reader of hostile bytes, and what must hold for each of its inputs. */

import { isDoorwardError } from '@doorward/core'

export interface FuzzTarget {
  readonly name: string
  /** What must be true of every input. */
  readonly rule: string
  open(): Promise<OpenTarget>
}

export interface OpenTarget {
  readonly starts: readonly Uint8Array[]
  /** Words of the format. */
  readonly words: readonly Uint8Array[]
  /** What the reader makes of the input, in few words; throws where the rule is broken. */
  readonly judge: (input: Uint8Array) => string
}

/** The rule is broken. */
export class Broken extends Error {
  override name = 'Broken'
}

export function must(holds: boolean, what: string): void {
  if (!holds) throw new Broken(what)
}

/** The value, or the code of the refusal. Any other throw is a fault of the reader. */
export function refusedOr<Value>(codes: ReadonlySet<string>, read: () => Value): { readonly value: Value } | string {
  try {
    return { value: read() }
  } catch (error) {
    if (isDoorwardError(error) && codes.has(error.code)) return error.code
    throw error
  }
}

export const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
export const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'))
