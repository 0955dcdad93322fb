/** Where and of what a run is: machine, versions, revision. */

import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { repositoryRoot } from '../../../scripts/source-files.ts'
import { nginxProgram } from '../nginx.ts'
import type { ReportNumbers } from './numbers.ts'

export function machineNow(): Omit<ReportNumbers['machine'], 'loadBefore' | 'loadAfter'> {
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown processor',
    cores: availableParallelism(),
    memoryGigabytes: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()} ${process.arch}`,
  }
}

/** The versions of the proxies from npm are those of the lock file: nothing else is installed. */
export function versionsNow(othersAreHere: boolean): ReportNumbers['versions'] {
  const file = join(import.meta.dirname, '..', 'others', 'package.json')
  const { dependencies } = JSON.parse(readFileSync(file, 'utf8')) as { dependencies: Record<string, string> }
  const other = (name: string) => (othersAreHere ? (dependencies[name] ?? null) : null)
  const nginx = nginxProgram()
  return {
    'Node.js': process.versions.node,
    'OpenSSL of Node.js': process.versions.openssl,
    HAProxy: versionOf('haproxy', /version ([\d.]+)/),
    nginx: nginx === null ? null : versionOf(nginx, /nginx\/([\d.]+)/),
    'mcp-proxy': other('mcp-proxy'),
    supergateway: other('supergateway'),
  }
}

function versionOf(program: string, pattern: RegExp): string | null {
  const { stdout, stderr, error } = spawnSync(program, ['-v'], { encoding: 'utf8' })
  return error === undefined ? (pattern.exec(`${stdout}${stderr}`)?.[1] ?? null) : null
}

/** Of the sources alone: the page itself is written anew each time. */
export function revisionNow(): Pick<ReportNumbers, 'revision' | 'changed'> {
  const git = (...words: readonly string[]) => execFileSync('git', words, { cwd: repositoryRoot, encoding: 'utf8' })
  try {
    const changed = git('status', '--porcelain', '--', 'packages', 'test', 'package-lock.json').trim() !== ''
    return { revision: git('rev-parse', '--short=12', 'HEAD').trim(), changed }
  } catch {
    return { revision: 'unknown', changed: true }
  }
}
