/** Generations that can be recognised, and effects on the disk that are watched one by one. */

import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { FolderEffects } from '../../../packages/server/src/apps/credential-folder.ts'

export const names = ['key', 'certificate', 'token', 'status']

/** Every file of a generation says its number. */
export function filesOf(generation: number): ReadonlyMap<string, Uint8Array> {
  return new Map(names.map((name) => [name, new TextEncoder().encode(String(generation))]))
}

export interface Watcher {
  readonly before?: (count: number) => void | Promise<void>
  readonly after?: (count: number) => void | Promise<void>
}

/** The same effects, told before and after each, counted from 0. */
export function countedEffects(effects: FolderEffects, { before, after }: Watcher): FolderEffects {
  let count = 0
  const watched =
    <A extends readonly unknown[]>(effect: (...args: A) => Promise<void>) =>
    async (...args: A) => {
      const number = count++
      await before?.(number)
      await effect(...args)
      await after?.(number)
    }
  return {
    makeFolder: watched(effects.makeFolder),
    writeFile: watched(effects.writeFile),
    link: watched(effects.link),
    rename: watched(effects.rename),
    remove: watched(effects.remove),
    sync: watched(effects.sync),
  }
}

/** What a reader sees who follows the link once: name → content; null without a generation in force. */
export async function seenOnce(folder: string): Promise<Readonly<Record<string, string>> | null> {
  const generation = await readlink(join(folder, '..data')).catch(() => null)
  if (generation === null) return null
  const found = await readdir(join(folder, generation))
  const texts = found.map(async (name) => [name, await readFile(join(folder, generation, name), 'utf8')] as const)
  return Object.fromEntries(await Promise.all(texts))
}

/** What a reader sees who opens each plain name; absent where it leads nowhere. */
export async function seenByName(folder: string): Promise<Readonly<Record<string, string>>> {
  const texts = names.map(
    async (name) => [name, await readFile(join(folder, name), 'utf8').catch(() => undefined)] as const,
  )
  const found = (await Promise.all(texts)).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return Object.fromEntries(found)
}

/** Subfolders and half-made links of ours. */
export async function remains(folder: string): Promise<readonly string[]> {
  return (await readdir(folder)).filter((name) => name.startsWith('..') && name !== '..data')
}
