/**
 * `node --conditions=source test/packaging/keep-version.ts`, once for each version that is tagged, after `npm run build`: runs a
 * deployment of the present version, and keeps its folder and the program in `test/fixtures/versions/<version>`. All keys are made for
 * it and open nothing else.
 */

import { equal } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { repositoryRoot } from '../../scripts/source-files.ts'
import { version } from '../../packages/server/src/config/version.ts'
import { TestDeployment } from '../fixtures/deployment.ts'
import { pack } from '../fixtures/packed.ts'
import { keptConfiguration, keptParts, versionsFolder } from './kept-version.ts'
import { notesServer } from './one-call.ts'

const command = [process.execPath, join(repositoryRoot, 'packages', 'server', 'dist', 'main.js')] as const
const target = join(versionsFolder, version)
const packed = mkdtempSync(join(tmpdir(), 'doorward-kept-'))
const system = await TestDeployment.prepare({ yaml: '', command })
try {
  writeFileSync(system.configFile, keptConfiguration)
  writeFileSync(join(system.folder, 'server.mjs'), notesServer)
  await system.up()
  equal((await system.runProcess(['workload', 'add', 'agent/planner', '--out', join(system.folder, 'p.join')])).code, 0)
  equal((await system.runProcess(['join', '--file', join(system.folder, 'p.join')])).code, 0)
  equal((await system.runProcess(['call', 'notes', 'read_note', '--as', 'agent/planner'])).code, 0)
  equal((await system.runProcess(['call', 'notes', 'write_note', '--as', 'agent/planner'])).code, 1)
  await system.interrupt()
  rmSync(target, { recursive: true, force: true })
  mkdirSync(target, { recursive: true })
  // The reserve is made anew; sockets and caches belong to who runs.
  const args = [
    '-czf',
    join(target, 'folder.tar.gz'),
    '--exclude=*reserve*',
    '--exclude=*.sock',
    '--owner=0',
    '--group=0',
  ]
  equal(spawnSync('tar', [...args, '-C', system.folder, ...keptParts], { stdio: 'inherit' }).status, 0)
  const tarball = pack(packed).find(({ name }) => name === 'doorward')?.tarball ?? ''
  cpSync(tarball, join(target, 'doorward.tgz'))
  console.log(`kept ${version} in ${target}`)
} finally {
  await system.remove()
  rmSync(packed, { recursive: true, force: true })
}
