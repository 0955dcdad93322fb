/** The bill of materials of what is published (CycloneDX 1.5), by npm's own writer. */

import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { CheckResult } from './check.ts'

interface Bom {
  readonly bomFormat?: string
  readonly components?: readonly {
    readonly name?: string
    readonly version?: string
    readonly purl?: string
    readonly hashes?: readonly unknown[]
  }[]
}

/** Writes it to `file` of the repository; without what only development needs. */
export function writeBom(root: string, file: string): CheckResult {
  const { stdout, status } = spawnSync('npm', ['sbom', '--sbom-format', 'cyclonedx', '--omit', 'dev'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  const bom = bomOf(stdout ?? '')
  if (status !== 0 || bom?.bomFormat !== 'CycloneDX')
    return {
      name: 'sbom',
      verdict: 'failed',
      summary: 'npm wrote none',
      findings: ['npm sbom failed: run npm ci, and look'],
    }
  const path = join(root, file)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, stdout)
  const findings = (bom.components ?? [])
    .filter(({ purl }) => typeof purl !== 'string' || !purl.startsWith('pkg:npm/'))
    .map(({ name = '', version = '' }) => `${name} ${version}: no package URL`)
  const summary =
    findings.length === 0 ? `${bom.components?.length ?? 0} components in ${file}` : `${findings.length} found`
  return { name: 'sbom', verdict: findings.length === 0 ? 'passed' : 'failed', summary, findings }
}

function bomOf(text: string): Bom | null {
  try {
    return JSON.parse(text) as Bom
  } catch {
    return null
  }
}
