/** Where a program finds its join string. Never among its arguments, which every process of the machine can read. */

import { readBounded } from './durable-file.ts'
import { DoorwardError, fromUtf8 } from '@doorward/core'

/** A file, or the name of an environment variable, that holds the text which `doorward workload add` made. */
export type JoinSource = { readonly file: string } | { readonly env: string }

const MAX_TEXT = 16_384

/** The join string. Throws `join_string_missing`, `file_too_large` and `file_unreadable`. */
export async function readJoinSource(
  source: JoinSource | undefined,
  folder: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  if (source === undefined)
    throw new DoorwardError('join_string_missing', 'nobody has joined in this folder, and no join string was named', {
      where: folder,
      expected: 'join: { file } or join: { env }',
      next: 'let an operator make one: doorward workload add ID --out FILE',
    })
  const text = 'file' in source ? await ofFile(source.file) : environment[source.env]
  if (text !== undefined && text.trim() !== '') return text.trim()
  throw new DoorwardError('join_string_missing', 'there is no join string where it was said to be', {
    where: 'file' in source ? source.file : `environment: the variable ${source.env}`,
    next: 'let an operator make one: doorward workload invite ID --out FILE',
  })
}

async function ofFile(path: string): Promise<string | undefined> {
  const bytes = await readBounded(path, MAX_TEXT)
  return bytes === null ? undefined : fromUtf8(bytes)
}
