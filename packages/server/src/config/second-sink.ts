/** Where the second sink of the record lies, and that it is none of the places that it is to outlive. */

import { realpath } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import { ConfigurationError } from './problem.ts'
import type { Deployment } from './settings.ts'

/** Null without one. Throws ConfigurationError when it lies in the state folder, which holds the record, or around it. */
export async function secondSink({
  configuration,
  folder,
  file,
  stateDir,
  lineOf,
}: Pick<Deployment, 'configuration' | 'folder' | 'file' | 'stateDir' | 'lineOf'>): Promise<string | null> {
  const { second_sink: named } = configuration.audit
  if (named === undefined) return null
  const dir = resolve(folder, named.dir)
  const [sink, state] = await Promise.all([realPlace(dir), realPlace(stateDir)])
  if (!isWithin(sink, state) && !isWithin(state, sink)) return dir
  const keys = ['audit', 'second_sink', 'dir']
  throw new ConfigurationError(file, [
    {
      line: lineOf(keys),
      path: keys.join('.'),
      message: 'the second sink lies together with the state, and would be lost with it',
      expected: `a folder on another disk, outside of ${stateDir}`,
      got: named.dir,
    },
  ])
}

function isWithin(path: string, folder: string): boolean {
  const way = relative(folder, path)
  return way === '' || (!isAbsolute(way) && way.split(/[/\\]/)[0] !== '..')
}

/** With symbolic links resolved, as far as there is something. */
async function realPlace(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch {
    const parent = dirname(path)
    return parent === path ? path : join(await realPlace(parent), relative(parent, path))
  }
}
