/** A copy of the sources in which one control can be disabled, to see that a test notices. */

import { spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const repository = join(import.meta.dirname, '..', '..')
const copied = ['packages', 'test', 'examples', 'scripts', 'package.json', 'tsconfig.json', 'doorward.yaml']
const ours = new Set(['@doorward', 'doorward', '.bin', '.package-lock.json'])
const TEST_MILLISECONDS = 180_000
/** A command that was built before is not the one that is edited here. */
const { DOORWARD_TEST_PROGRAM: _, ...env } = process.env

export interface Edit {
  /** From the root of the repository. */
  readonly file: string
  /** Stands exactly once in the file. */
  readonly from: string
  readonly to: string
}

export interface TestRun {
  readonly passed: boolean
  /** Names of the tests that failed. */
  readonly failed: readonly string[]
  readonly output: string
}

export class DisabledBuild {
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  static async make(): Promise<DisabledBuild> {
    const folder = await mkdtemp(join(tmpdir(), 'doorward-controls-'))
    for (const name of copied) {
      await cp(join(repository, name), join(folder, name), {
        recursive: true,
        filter: (path) => !path.endsWith('/dist'),
      })
    }
    await linkModules(folder)
    return new DisabledBuild(folder)
  }

  /** Runs `work` while the edit is in place. Throws when the text to replace is not there exactly once. */
  async disabled<T>({ file, from, to }: Edit, work: () => Promise<T>): Promise<T> {
    const path = join(this.folder, file)
    const source = await readFile(path, 'utf8')
    if (source.split(from).length !== 2) {
      throw new Error(`${file}: expected the text exactly once, got ${source.split(from).length - 1}: ${from}`)
    }
    await writeFile(
      path,
      source.replace(from, () => to),
    )
    try {
      return await work()
    } finally {
      await writeFile(path, source)
    }
  }

  /** As `disabled`, with several edits at once. */
  disabledAll<T>(edits: readonly Edit[], work: () => Promise<T>): Promise<T> {
    const [first, ...rest] = edits
    return first === undefined ? work() : this.disabled(first, () => this.disabledAll(rest, work))
  }

  /** Runs the named tests of one file. */
  run(file: string, names: readonly string[]): Promise<TestRun> {
    const patterns = names.flatMap((name) => ['--test-name-pattern', `^${escaped(name)}$`])
    const args = ['--conditions=source', '--test', '--test-reporter=tap', ...patterns, file]
    const child = spawn(process.execPath, args, {
      cwd: this.folder,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    let output = ''
    child.stdout.on('data', (part: Buffer) => (output += part.toString()))
    child.stderr.on('data', (part: Buffer) => (output += part.toString()))
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => process.kill(-(child.pid ?? 0), 'SIGKILL'), TEST_MILLISECONDS)
      child.once('error', reject)
      child.once('close', (code) => {
        clearTimeout(timer)
        const failed = [...output.matchAll(/^ *not ok \d+ - (.+?)(?: # .*)?$/gm)].map((match) => match[1] ?? '')
        resolve({ passed: code === 0, failed, output })
      })
    })
  }

  remove(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true })
  }
}

/** The installed packages, but our own from the copy. */
async function linkModules(folder: string): Promise<void> {
  const modules = join(folder, 'node_modules')
  const installed = join(repository, 'node_modules')
  await mkdir(join(modules, '@doorward'), { recursive: true })
  for (const name of await readdir(installed)) {
    if (!ours.has(name)) await symlink(join(installed, name), join(modules, name))
  }
  await symlink(join(installed, '.bin'), join(modules, '.bin'))
  for (const name of ['core', 'enforcement', 'sdk']) {
    await symlink(join(folder, 'packages', name), join(modules, '@doorward', name))
  }
  await symlink(join(folder, 'packages', 'server'), join(modules, 'doorward'))
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&')
}
