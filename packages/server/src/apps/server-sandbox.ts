/**
 * As whom server processes run: another user where we may choose one, else a sandbox that hides the state folders, else
 * as ourselves, said loudly. What is chosen is tried first: a plan that does not work is no plan.
 */

import { spawn } from 'node:child_process'
import { access, chown, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { DoorwardError } from '@doorward/core'
import type { StdioCommand } from '../transports/stdio.ts'
import type { StdioServerSettings } from './gateway-settings.ts'

export interface SandboxOptions {
  readonly name: string
  readonly server: StdioServerSettings
  readonly path: string
  /** Folders that server processes must not see. */
  readonly hidden: readonly string[]
  /** User id of the gateway; that of this process by default. */
  readonly uid?: number
}

export interface SandboxPlan {
  readonly command: StdioCommand
  /** How the process is kept apart. */
  readonly kind: 'user' | 'bwrap' | 'none'
  /** Why it is not kept apart; null when it is. */
  readonly warning: string | null
  /** Removes the process's home folder. */
  readonly release: () => Promise<void>
}

type User = NonNullable<StdioCommand['user']>

/** The user that owns nothing, by convention of Debian, Fedora, Alpine and the BSDs. */
const NOBODY: User = { uid: 65_534, gid: 65_534 }
const PROBE_MILLISECONDS = 10_000

/**
 * Makes the home folder of a server's processes and finds out how to keep them apart. Throws `server_user_impossible` and
 * `server_user_unfit`: a user that is asked for is never replaced by another one.
 */
export async function planSandbox(options: SandboxOptions): Promise<SandboxPlan> {
  const home = await mkdtemp(join(tmpdir(), `doorward-${options.name}-`))
  const release = () => rm(home, { recursive: true, force: true })
  const env = { PATH: options.path, HOME: home, TMPDIR: home, LANG: 'C.UTF-8', ...options.server.env }
  const plain: StdioCommand = { command: options.server.command, cwd: options.server.cwd, env, user: null, wrapper: [] }
  const user = options.server.user ?? NOBODY
  const isRoot = (options.uid ?? process.getuid?.()) === 0
  if (options.server.user !== undefined && !isRoot) {
    await release()
    throw userImpossible(options.name)
  }
  const missing = (await isProgram(plain))
    ? null
    : `server ${options.name}: its program ${JSON.stringify(plain.command[0])} is not there`
  if (missing !== null && isRoot) {
    // Nothing to try; should it come later, it runs as another user or not at all.
    await chown(home, user.uid, user.gid)
    return { command: { ...plain, user }, kind: 'user', warning: missing, release }
  }
  const userProblem = await tryUser(plain, home, user)
  if (userProblem === null) return { command: { ...plain, user }, kind: 'user', warning: null, release }
  if (options.server.user !== undefined) {
    await release()
    throw userUnfit(options.name, userProblem)
  }
  if (isRoot) await chown(home, 0, 0)
  const wrapper = bubblewrap(plain, options.hidden)
  const wrapProblem = await probe({ ...plain, wrapper, command: ['true'] })
  if (wrapProblem === null) return { command: { ...plain, wrapper }, kind: 'bwrap', warning: missing, release }
  const warning = `server ${options.name} runs as the gateway's own user and can read its state: ${userProblem}; bwrap: ${wrapProblem}`
  return { command: plain, kind: 'none', warning: missing === null ? warning : `${missing}; ${warning}`, release }
}

function userImpossible(server: string): DoorwardError {
  return new DoorwardError('server_user_impossible', 'only root may start processes of another user', {
    where: `servers.${server}.user`,
    expected: 'a gateway that runs as root',
    next: 'leave the user out: the server is then kept apart by a sandbox where there is one',
  })
}

function userUnfit(server: string, problem: string): DoorwardError {
  return new DoorwardError('server_user_unfit', 'the user that is configured cannot run the server', {
    where: `servers.${server}.user`,
    got: problem,
    next: 'let that user execute the program and read its files',
  })
}

/** True when the program's file exists, found as the operating system will. */
async function isProgram({ command: [program = ''], cwd, env }: StdioCommand): Promise<boolean> {
  const folders = program.includes('/') ? [''] : (env['PATH'] ?? '').split(delimiter)
  const found = await Promise.all(
    folders.map((folder) =>
      access(resolve(cwd, folder, program)).then(
        () => true,
        () => false,
      ),
    ),
  )
  return found.includes(true)
}

/** Null when another user can run the server: it can enter its folder and read its program and files. */
async function tryUser(command: StdioCommand, home: string, user: User): Promise<string | null> {
  if (process.getuid?.() !== 0) return 'only root may start processes of another user'
  await chown(home, user.uid, user.gid)
  const problem = await probe({
    ...command,
    user,
    command: [process.execPath, '-e', READABLE, command.env['PATH'] ?? '', ...command.command],
  })
  return problem === null ? null : `another user cannot run it: ${problem}`
}

/** Run by Node as the other user: the program must be executable, and arguments that name files must be readable. */
const READABLE = `
const fs = require('node:fs'), path = require('node:path')
const [searchPath, program, ...args] = process.argv.slice(1)
const places = program.includes('/') ? [program] : searchPath.split(':').map((folder) => path.join(folder, program))
const may = (file, mode) => { try { fs.accessSync(file, mode); return true } catch { return false } }
if (!places.some((file) => may(file, fs.constants.X_OK))) { console.error('it may not execute ' + program); process.exit(1) }
for (const file of args.filter((text) => !text.startsWith('-') && text.includes('/'))) {
  let missing = false
  try { fs.statSync(file) } catch (error) { missing = error.code === 'ENOENT' || error.code === 'ENOTDIR' }
  if (!missing && !may(file, fs.constants.R_OK)) { console.error('it may not read ' + file); process.exit(1) }
}
`

/** Everything as it is, without the folders that hold keys and state. */
function bubblewrap({ cwd }: StdioCommand, hidden: readonly string[]): readonly string[] {
  const covers = hidden.flatMap((folder) => ['--tmpfs', folder])
  return [
    'bwrap',
    '--die-with-parent',
    '--new-session',
    '--unshare-pid',
    '--bind',
    '/',
    '/',
    '--dev',
    '/dev',
    '--proc',
    '/proc',
    ...covers,
    '--chdir',
    cwd,
    '--',
  ]
}

/** Runs the command to its end: null when it exits with 0, else why not. */
function probe(command: StdioCommand): Promise<string | null> {
  return new Promise((resolve) => {
    const [program = '', ...args] = [...command.wrapper, ...command.command]
    const child = spawn(program, args, {
      cwd: command.cwd,
      env: { ...command.env },
      stdio: ['ignore', 'ignore', 'pipe'],
      ...command.user,
    })
    const timer = setTimeout(() => child.kill('SIGKILL'), PROBE_MILLISECONDS)
    const settle = (problem: string | null) => {
      clearTimeout(timer)
      resolve(problem)
    }
    let said = ''
    child.stderr.on('data', (chunk: Buffer) => {
      if (said.length < 300) said += chunk.toString('utf8')
    })
    child.once('error', (error: NodeJS.ErrnoException) =>
      settle(error.code === 'ENOENT' ? `${program} is not there` : (error.code ?? error.message)),
    )
    child.once('close', (code) =>
      settle(code === 0 ? null : said.trim().split('\n')[0]?.slice(0, 200) || `it ended with ${code}`),
    )
  })
}
