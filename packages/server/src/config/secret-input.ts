/** A secret that somebody hands over to a command: by file or standard input, or typed where nothing of it is shown. */

import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import type { Readable } from 'node:stream'
import { concat, DoorwardError, fromUtf8, Secret } from '@doorward/core'
import { readSecretFile } from './secret-file.ts'

const MAX_BYTES = 64 * 1024

export interface SecretInput {
  /** Undefined for standard input. */
  readonly file: string | undefined
  readonly stdin: Readable
  readonly signal: AbortSignal
  /** Tells a person at the terminal what is wanted. */
  readonly ask: (text: string) => void
}

/** Without the final line end. Throws `secret_file`, `secret_invalid`. */
export async function secretFrom(input: SecretInput): Promise<Secret> {
  if (input.file !== undefined) return readSecretFile(input.file)
  const bytes = isTerminal(input.stdin) ? await typed(input) : await piped(input.stdin)
  const text = textOf(bytes)?.replace(/\r?\n$/, '')
  if (text === undefined || text.includes('\0')) throw invalid('text in UTF-8', 'other bytes')
  if (text === '') throw invalid('a value on standard input, or --file', 'nothing')
  return new Secret(text)
}

function isTerminal(stdin: Readable): boolean {
  return 'isTTY' in stdin && stdin.isTTY === true
}

async function piped(stdin: Readable): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of stdin as AsyncIterable<Uint8Array | string>) {
    const bytes = typeof part === 'string' ? new TextEncoder().encode(part) : part
    length += bytes.length
    // A line end more than the value.
    if (length > MAX_BYTES + 2) throw invalid(`at most ${MAX_BYTES} bytes`, 'more')
    parts.push(bytes)
  }
  return concat(...parts)
}

/** One line; what is typed goes nowhere but here. */
async function typed({ stdin, signal, ask }: SecretInput): Promise<Uint8Array> {
  ask('type the value, then Enter; it is not shown:')
  const output = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: stdin, output, terminal: true, historySize: 0 })
  try {
    return new TextEncoder().encode(await lines.question('', { signal }))
  } finally {
    lines.close()
  }
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return fromUtf8(bytes)
  } catch {
    return undefined
  }
}

function invalid(expected: string, got: string): DoorwardError {
  return new DoorwardError('secret_invalid', 'the value cannot be kept', { expected, got })
}
