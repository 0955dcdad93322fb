/** Folders of state and keys: whose they are, and who else can read them. */

import type { Stats } from 'node:fs'
import { lstat, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import { failure, fine, findingOf, warning } from './finding.ts'
import type { Finding } from './finding.ts'

const OTHERS = 0o077
/** Beyond so many the rest is not looked at, and the answer says so. */
const maxFiles = 50_000
const maxTold = 10

export interface Folders {
  readonly stateDir: string
  readonly keyDir: string
}

/** Everything in them is the owner's alone: one owner, no access for others. Sockets and links are looked at as what they are. */
export async function fileFindings({ stateDir, keyDir }: Folders): Promise<readonly Finding[]> {
  if (process.getuid === undefined)
    return [
      {
        check: 'files',
        verdict: 'unknown',
        message: 'this system has no modes of files',
        next: 'see that nobody but the service has access to the folders of state and keys',
      },
    ]
  return (await Promise.all([folderFindings(stateDir), folderFindings(keyDir)])).flat()
}

async function folderFindings(folder: string): Promise<readonly Finding[]> {
  try {
    const root = await lstat(folder)
    const looked = await look(folder, root)
    const told = looked.findings.slice(0, maxTold)
    if (looked.findings.length > maxTold)
      told.push(
        warning('files', {
          where: folder,
          message: `${looked.findings.length - maxTold} more of the kind`,
          next: 'mend those above, and look again',
        }),
      )
    if (looked.files >= maxFiles)
      told.push({
        check: 'files',
        verdict: 'unknown',
        where: folder,
        message: `more than ${maxFiles} files: the rest was not looked at`,
        next: `find ${folder} -perm /077`,
      })
    return told.length > 0
      ? told
      : [fine('files', `${looked.files} files, open to their owner alone`, { where: folder })]
  } catch (error) {
    return [findingOf('files', 'unknown', error, `run this as the user that the deployment runs as`)]
  }
}

async function look(folder: string, root: Stats) {
  const findings: Finding[] = []
  const waiting = [folder]
  let files = 0
  const judge = (path: string, status: Stats) => {
    const found = finding(path, status, root.uid)
    if (found !== null) findings.push(found)
  }
  judge(folder, root)
  for (let next = waiting.pop(); next !== undefined && files < maxFiles; next = waiting.pop()) {
    for await (const entry of await opendir(next)) {
      if (files++ >= maxFiles) break
      const path = join(next, entry.name)
      const status = await lstat(path).catch(() => null)
      // It may have gone since: this is a running deployment.
      if (status === null || entry.isSymbolicLink()) continue
      judge(path, status)
      if (entry.isDirectory()) waiting.push(path)
    }
  }
  return { findings, files }
}

function finding(path: string, status: Stats, owner: number): Finding | null {
  if (status.uid !== owner)
    return failure('files', {
      where: path,
      message: 'it belongs to another user than its folder',
      expected: `uid ${owner}`,
      got: `uid ${status.uid}`,
      next: `chown ${owner} ${path}, once you know why`,
    })
  const open = status.mode & OTHERS
  if (open === 0 || !isExposed(status)) return null
  const mode = (status.mode & 0o7777).toString(8).padStart(4, '0')
  const wanted = status.isDirectory() ? '0700' : '0600'
  return failure('files', {
    where: path,
    message: 'others than the owner have access',
    expected: `mode ${wanted}`,
    got: `mode ${mode}`,
    next: `chmod ${wanted} ${path}`,
  })
}

/** Below a private folder a file is private whatever its own mode says; what others can write is worth a word in any case. */
function isExposed(status: Stats): boolean {
  return status.isDirectory() || (status.mode & 0o022) !== 0
}
