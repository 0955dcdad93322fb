/** Where the value of a named secret comes from: the port, and what all of its adapters demand of a value. */

import { DoorwardError, Secret, fromUtf8 } from '@doorward/core'

export interface SecretVersion {
  readonly value: Secret
  /** Another text for each value, which tells nothing of it: for the record. At most 64 characters of visible ASCII. */
  readonly version: string
}

/** How a secret is held, for operators. */
export type SecretKind = 'store' | 'file' | 'environment' | 'vault' | 'keyring'

/**
 * One secret. `read` gives the value as it is now: a completed change is seen by the next `read`, but for a cache of the
 * adapter, whose age is bounded by configuration and which `fresh` passes over. A value that cannot be had now is a rejection
 * (`secret_missing`, `secret_unavailable`, `secret_invalid`, `secret_mode`, `secret_broken`), within bounded time, never an
 * older value. Safe for concurrent use. No error says anything of a value.
 */
export interface SecretSource {
  readonly kind: SecretKind
  read(options?: { readonly fresh?: boolean }): Promise<SecretVersion>
}

export const secretBytes = 64 * 1024

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/

export function isSecretName(name: string): boolean {
  return NAME.test(name)
}

/** The text of a value without its final line end. Throws `secret_invalid` for one that is empty, too long, or no text. */
export function secretText(bytes: Uint8Array, where: string): Secret {
  const value = withoutLineEnd(bytes)
  if (value.length > secretBytes) throw invalid(where, `at most ${secretBytes} bytes`, 'more')
  const text = textOf(value)
  if (text === undefined || text.includes('\0')) throw invalid(where, 'text in UTF-8', 'other bytes')
  if (text === '') throw invalid(where, 'a value', 'nothing')
  return new Secret(text)
}

function withoutLineEnd(bytes: Uint8Array): Uint8Array {
  if (bytes.at(-1) !== 10) return bytes
  return bytes.subarray(0, bytes.at(-2) === 13 ? -2 : -1)
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return fromUtf8(bytes)
  } catch {
    return undefined
  }
}

function invalid(where: string, expected: string, got: string): DoorwardError {
  return new DoorwardError('secret_invalid', 'the value of a secret cannot be used', { where, expected, got })
}

export function secretMissing(where: string, next: string): DoorwardError {
  return new DoorwardError('secret_missing', 'there is no value of this secret', { where, next })
}

export function secretUnavailable(where: string, got: string): DoorwardError {
  return new DoorwardError('secret_unavailable', 'the value of a secret cannot be had now', { where, got })
}
