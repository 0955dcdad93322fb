/**
 * The state folder of one deployment and the folder of its keys. The state folder (0700) holds a marker with a random id; the keys
 * that encrypt what it holds lie elsewhere, under that id, so that neither is worth anything alone.
 */

import { randomBytes } from 'node:crypto'
import { chmod, mkdir, open, readdir, readFile, realpath, rename, stat } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { DoorwardError, hex } from '@doorward/core'
import { z } from 'zod'

const MARKER = 'state.json'

const marker = z.strictObject({
  version: z.literal(1),
  state_id: z.string().regex(/^[0-9a-f]{32}$/),
  trust_domain: z.string(),
})

export interface DeploymentFolder {
  readonly dir: string
  readonly stateId: string
  /** Where the keys of this state lie; never inside `dir`. */
  readonly keyDir: string
  /** True when the folder was made just now. */
  readonly created: boolean
}

export interface DeploymentFolderOptions {
  readonly dir: string
  readonly trustDomain: string
  /** Named by the configuration; null puts the keys under the user's key home. */
  readonly keyDir: string | null
  readonly keyHome: string
  /** Whether a missing folder is made; true by default. */
  readonly make?: boolean
}

/**
 * Opens the state folder, or makes it. Throws `state_missing` where it may not, `state_unreadable`, `state_foreign`, `state_half_written`,
 * `state_mode` or `key_inside_state`; nothing is changed then.
 */
export async function openDeploymentFolder(options: DeploymentFolderOptions): Promise<DeploymentFolder> {
  const names = await entriesOf(options.dir)
  const found = names === null ? null : await readMarker(options, names)
  if (found === null && options.make === false) {
    throw new DoorwardError('state_missing', 'nothing has been started with this configuration yet', {
      where: options.dir,
      next: 'start it with: doorward up',
    })
  }
  const stateId = found ?? hex(randomBytes(16))
  const keyDir = options.keyDir ?? join(options.keyHome, stateId)
  await refuseKeysInside(keyDir, options.dir)
  if (found === null) await writeMarker(options, stateId)
  return { dir: options.dir, stateId, keyDir, created: found === null }
}

async function entriesOf(dir: string): Promise<readonly string[] | null> {
  try {
    return await readdir(dir)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw new DoorwardError('state_unreadable', 'the state folder cannot be read', {
      where: dir,
      got: error instanceof Error ? error.message : String(error),
      next: 'check its owner and mode, or name another one as state.dir',
    })
  }
}

/** The state id; null for an empty folder, which is as good as none. */
async function readMarker(options: DeploymentFolderOptions, names: readonly string[]): Promise<string | null> {
  if (names.length === 0) return null
  if (!names.includes(MARKER)) {
    throw new DoorwardError('state_foreign', 'the state folder has content but no state.json', {
      where: options.dir,
      expected: 'an empty folder or one that doorward made',
      got: names.slice(0, 5).join(', '),
      next: 'name another folder as state.dir, or restore state.json from a backup',
    })
  }
  const { mode } = await stat(options.dir)
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw new DoorwardError('state_mode', 'the state folder is open to other users', {
      where: options.dir,
      expected: 'mode 0700',
      got: `mode 0${(mode & 0o777).toString(8)}`,
      next: `chmod 700 ${options.dir}`,
    })
  }
  const read = marker.safeParse(await readJson(join(options.dir, MARKER)))
  if (!read.success) {
    throw new DoorwardError('state_half_written', 'state.json is damaged or of another version', {
      where: join(options.dir, MARKER),
      next: 'restore it from a backup; without it the keys of this state cannot be found',
    })
  }
  if (read.data.trust_domain !== options.trustDomain) {
    throw new DoorwardError('state_foreign', 'the state folder belongs to another trust domain', {
      where: options.dir,
      expected: options.trustDomain,
      got: read.data.trust_domain,
      next: 'a trust domain is never renamed: name another folder as state.dir',
    })
  }
  return read.data.state_id
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch {
    return null
  }
}

async function refuseKeysInside(keyDir: string, dir: string): Promise<void> {
  const inside = relative(await resolved(dir), await resolved(keyDir))
  if (inside === '' || (!inside.startsWith('..') && !inside.startsWith('/'))) {
    throw new DoorwardError('key_inside_state', 'the keys may not lie in the folder that they encrypt', {
      where: keyDir,
      expected: `a folder outside ${dir}`,
      next: 'name another folder as state.key_dir',
    })
  }
}

/** The real path of the nearest ancestor that exists, with the rest appended. */
async function resolved(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch {
    const parent = dirname(path)
    return parent === path ? path : join(await resolved(parent), path.slice(parent.length))
  }
}

/** A crash before the rename leaves an empty folder or a stray temporary file that the next start replaces. */
async function writeMarker(options: DeploymentFolderOptions, stateId: string): Promise<void> {
  await mkdir(options.dir, { recursive: true, mode: 0o700 })
  await chmod(options.dir, 0o700)
  const file = join(options.dir, MARKER)
  const temporary = `${options.dir}.${stateId}.tmp`
  const handle = await open(temporary, 'wx', 0o600)
  try {
    const content = { version: 1, state_id: stateId, trust_domain: options.trustDomain }
    await handle.writeFile(`${JSON.stringify(content, null, 2)}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, file)
}
