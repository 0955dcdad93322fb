/** What the configuration says about approving what a server says of itself, and about its answers. */

import { resolve } from 'node:path'
import type { Definition } from '@doorward/core'
import type { ServerSection } from './schema.ts'
import { readDefinitions } from './tools-file.ts'

export interface DefinitionSettings {
  readonly approval: 'required' | 'on-first-use' | 'off'
  /** Taken as approved where approval is required and nothing was approved before. */
  readonly listed: readonly Definition[]
  readonly output: { readonly maxBytes: number | null; readonly redact: boolean; readonly validate: boolean }
}

/** Throws the codes of the list of tools. */
export async function definitionSettings(
  section: Pick<ServerSection, 'approval' | 'tools' | 'output'>,
  { folder, name }: { readonly folder: string; readonly name: string },
): Promise<DefinitionSettings> {
  const { approval, tools, output } = section
  const { max_bytes: maxBytes = null, redact, validate } = output
  const listed =
    approval === 'required' && tools !== undefined ? await readDefinitions(resolve(folder, tools), name) : []
  return { approval, listed, output: { maxBytes, redact, validate } }
}
