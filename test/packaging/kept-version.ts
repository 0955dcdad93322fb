/** A deployment that stays as a version left it: configuration, state, keys and logs, and the program itself. */

import { spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { TestDeployment } from '../fixtures/deployment.ts'
import type { DeploymentOptions } from '../fixtures/deployment.ts'
import { repositoryRoot } from '../../scripts/source-files.ts'

export const versionsFolder = join(repositoryRoot, 'test', 'fixtures', 'versions')

/** What is kept of a folder, relative to it. */
export const keptParts = ['doorward.yaml', 'server.mjs', '.doorward', 'config'] as const

/** An address that no other test has, so that the ports of the configuration can stay as they are. */
export const keptConfiguration = `trust_domain: kept.example
listen: 127.0.96.1:8443
listeners: { admin: "127.0.96.1:8444", public: "127.0.96.1:8445" }
authority:
  listeners: { main: "127.0.96.1:8446", admin: "127.0.96.1:8447", enrol: "127.0.96.1:8448", public: "127.0.96.1:8449" }
servers:
  notes:
    command: [node, server.mjs]
    effects: { read: [read_*] }
roles:
  reader: ["read:notes/*"]
bindings:
  - { role: reader, workloads: ["spiffe://kept.example/agent/*"] }
`

/** The folder of a version, unpacked for a deployment of its own. */
export async function openKept(
  version: string,
  options: Omit<DeploymentOptions, 'yaml'> = {},
): Promise<TestDeployment> {
  const system = await TestDeployment.prepare({ ...options, yaml: '' })
  unpack(join(versionsFolder, version, 'folder.tar.gz'), system.folder)
  return system
}

/** The program of a version, where it finds what it depends on. */
export function keptProgram(version: string): string {
  const place = join(repositoryRoot, 'out', 'versions', version)
  mkdirSync(place, { recursive: true })
  unpack(join(versionsFolder, version, 'doorward.tgz'), place)
  // What stands there in another version than beside it.
  const beside = join(place, 'node_modules')
  try {
    symlinkSync(join(repositoryRoot, 'packages', 'server', 'node_modules'), beside)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
  return join(place, 'package', 'dist', 'main.js')
}

function unpack(file: string, into: string): void {
  const { status, stderr } = spawnSync('tar', ['-xzf', file, '-C', into, '--no-same-owner'], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${file}: ${stderr}`)
}
