/** Everything that the policy of a deployment is made of: roles and bindings, and the files that the configuration names. */

import { readdir, realpath, stat } from 'node:fs/promises'
import { isAbsolute, join, resolve } from 'node:path'
import { compilePolicy, DoorwardError, fromUtf8, isDoorwardError } from '@doorward/core'
import type { CompiledPolicy, KnownTool, PolicyFile } from '@doorward/core'
import { readBoundedFile } from './certificate-file.ts'
import { policySource } from './cross-check.ts'
import { ConfigurationError } from './problem.ts'
import type { Problem } from './problem.ts'
import type { Deployment } from './settings.ts'
import { readTools } from './tools-file.ts'
import { dotted } from './yaml-place.ts'

const MAX_FILES = 1000
/** In all; a policy of more is refused anyway. */
const MAX_BYTES = 8 * 1024 * 1024

type Keys = readonly (string | number)[]

/** Reads with at most so many files and bytes in all, and keeps what is wrong. */
interface Reading {
  readonly deployment: Deployment
  readonly problems: Problem[]
  /** Real paths of what was read. */
  readonly seen: Set<string>
  bytes: number
}

/**
 * Reads the files that the policy is made of and compiles it; Cedar text is not yet read. Throws a ConfigurationError
 * with every mistake: files that are missing, unreadable, too many or too large, and those of `compilePolicy`.
 */
export async function compiledPolicy(deployment: Deployment): Promise<CompiledPolicy> {
  const { configuration, trustDomain, file } = deployment
  const reading: Reading = { deployment, problems: [], seen: new Set(), bytes: 0 }
  const files = await allFiles(reading)
  const tools = await allTools(reading)
  if (reading.problems.length > 0) throw new ConfigurationError(file, reading.problems)
  const result = compilePolicy({ ...policySource(configuration, trustDomain), files, tools })
  if (result.ok) return result.policy
  const problems = result.problems.map(({ message, where = '', expected = null, got = null }) => ({
    line: null,
    path: where,
    message,
    expected,
    got,
  }))
  throw new ConfigurationError(file, problems)
}

async function allFiles(reading: Reading): Promise<readonly PolicyFile[]> {
  const files: PolicyFile[] = []
  for (const [i, entry] of reading.deployment.configuration.policy.files.entries()) {
    const keys = ['policy', 'files', i]
    await attempt(reading, keys, async () => {
      for (const name of await filesOf(entry, reading)) files.push(await readPolicyFile(name, reading))
    })
  }
  return files
}

async function allTools(reading: Reading): Promise<readonly KnownTool[]> {
  const tools: KnownTool[] = []
  const { configuration, folder } = reading.deployment
  for (const [server, { tools: path }] of Object.entries(configuration.servers)) {
    if (path === undefined) continue
    await attempt(reading, ['servers', server, 'tools'], async () => {
      const whole = fromFolder(folder, path)
      if (!(await stat(whole)).isFile()) throw notAFile(path, 'a JSON file')
      for (const tool of await readTools(whole, server)) tools.push(tool)
    })
  }
  return tools
}

/** What is wrong with a file is a mistake at the key that names it. */
async function attempt({ deployment, problems }: Reading, keys: Keys, read: () => Promise<void>): Promise<void> {
  try {
    await read()
  } catch (error) {
    const { message, where, expected = null, got = null } = asProblem(error)
    const said = where === undefined ? message : `${where}: ${message}`
    problems.push({ line: deployment.lineOf(keys), path: dotted(keys), message: said, expected, got })
  }
}

function asProblem(error: unknown): Pick<DoorwardError, 'message' | 'where' | 'expected' | 'got'> {
  if (isDoorwardError(error)) return error
  if (!(error instanceof Error) || !('code' in error)) throw error
  const missing = error.code === 'ENOENT'
  return new DoorwardError('file_unreadable', missing ? 'there is no such file' : 'the file cannot be read', {
    expected: 'a readable file',
    got: error.message,
  })
}

function fromFolder(folder: string, path: string): string {
  return isAbsolute(path) ? path : resolve(folder, path)
}

/** The file itself, or the Cedar files in the folder, sorted; as the configuration names them. */
async function filesOf(entry: string, { deployment }: Reading): Promise<readonly string[]> {
  const whole = fromFolder(deployment.folder, entry)
  const found = await stat(whole)
  if (found.isFile()) return [entry]
  if (!found.isDirectory()) throw notAFile(entry, 'a Cedar file or a folder of them')
  const names = (await readdir(whole)).filter((name) => name.endsWith('.cedar')).toSorted()
  return names.map((name) => join(entry, name))
}

async function readPolicyFile(name: string, reading: Reading): Promise<PolicyFile> {
  const whole = fromFolder(reading.deployment.folder, name)
  if (!(await stat(whole)).isFile()) throw notAFile(name, 'a Cedar file')
  const real = await realpath(whole)
  if (reading.seen.has(real)) throw unusable(name, 'a policy file is named twice', 'each file once', name)
  reading.seen.add(real)
  if (reading.seen.size > MAX_FILES) throw unusable(name, 'too many policy files', `at most ${MAX_FILES}`, 'more')
  const bytes = await readBoundedFile(whole, MAX_BYTES)
  reading.bytes += bytes.length
  if (reading.bytes > MAX_BYTES) throw unusable(name, 'too much policy text', `at most ${MAX_BYTES} bytes`, 'more')
  return { name, text: textOf(bytes, name) }
}

function textOf(bytes: Uint8Array, name: string): string {
  try {
    return fromUtf8(bytes)
  } catch {
    throw unusable(name, 'not text', 'UTF-8', 'other bytes')
  }
}

function notAFile(where: string, expected: string): DoorwardError {
  return unusable(where, 'the path is of something else', expected, 'neither')
}

function unusable(where: string, message: string, expected: string, got: string): DoorwardError {
  return new DoorwardError('policy_file_invalid', message, { where, expected, got })
}
