/** The sidecar's manifest: its configuration starts in folders as a node makes them for the pod, and not without what the pod adds to them. */

import { equal, match, ok } from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { repositoryRoot } from '../../scripts/source-files.ts'
import { program as main } from '../fixtures/deployment.ts'
import { openSdkStage } from '../fixtures/sdk-stage.ts'
import type { SdkStage } from '../fixtures/sdk-stage.ts'
import { askLocally } from '../fixtures/sidecar-stage.ts'

interface Mounting {
  readonly name: string
  readonly command?: readonly string[]
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string; readonly subPath?: string }[]
}

interface Pod {
  readonly securityContext: { readonly runAsUser: number; readonly fsGroup: number }
  readonly initContainers: readonly Mounting[]
  readonly containers: readonly Mounting[]
}

const manifests = parseAllDocuments(readFileSync(join(repositoryRoot, 'deploy', 'kubernetes', 'sidecar.yaml'), 'utf8'))
const ofKind = (kind: string) => manifests.find((document) => document.get('kind') === kind)
const pod = ofKind('StatefulSet')?.toJS().spec.template.spec as Pod
const configuration = String(ofKind('ConfigMap')?.getIn(['data', 'sidecar.yaml']))
const { runAsUser: uid, fsGroup } = pod.securityContext
const sidecar = pod.containers.find(({ name }) => name === 'sidecar')
const skip = process.getuid?.() !== 0 && 'only root can make folders of root and give processes to others'
/** Of `emptyDir`, and of a file system: both belong to root, and `fsGroup` may write to them. */
const volumeMode = 0o2777
const persistentMode = 0o2775

let stage: SdkStage
const places: string[] = []
const running: ChildProcess[] = []
before(async () => {
  if (skip === false) stage = await openSdkStage()
})
after(async () => {
  for (const child of running) if (child.exitCode === null) child.kill('SIGKILL')
  if (skip === false) await stage.close()
  for (const place of places) rmSync(place, { recursive: true, force: true })
})

function volume(path: string, mode: number): void {
  mkdirSync(path, { recursive: true })
  chownSync(path, 0, fsGroup)
  chmodSync(path, mode)
}

/** What the sidecar's container sees. A part of a volume that is mounted has owner and mode of its own: here it is put in its place. */
async function podFolders(prepared: boolean, port: number): Promise<{ readonly root: string; readonly file: string }> {
  const root = mkdtempSync(join(tmpdir(), 'doorward-pod-'))
  places.push(root)
  chmodSync(root, 0o755)
  const shared = join(root, 'volumes', 'sockets')
  volume(shared, volumeMode)
  for (const { command = [], volumeMounts } of pod.initContainers) {
    const [{ mountPath } = { mountPath: '' }] = volumeMounts
    const [program = '', ...args] = command.map((word) => word.replace(mountPath, shared))
    if (prepared) equal(spawnSync(program, args, { uid, gid: fsGroup }).status, 0)
  }
  for (const { name, mountPath, subPath } of sidecar?.volumeMounts ?? []) {
    const at = join(root, mountPath)
    mkdirSync(dirname(at), { recursive: true })
    if (name === 'sockets' && prepared) renameSync(join(shared, subPath ?? ''), at)
    else volume(at, name === 'state' || name === 'keys' ? persistentMode : volumeMode)
  }
  const audience = `https://127.0.0.1:${port}`
  const { join: given } = await stage.options(`service/orders${port}`, { audiences: [audience] })
  const secret = join(root, 'run', 'doorward', 'join', 'orders.join')
  copyFileSync(given.file, secret)
  chownSync(secret, 0, fsGroup)
  chmodSync(secret, 0o440)
  const file = join(root, 'etc', 'doorward', 'sidecar.yaml')
  const text = configuration
    .replace('acme.example', 'test.example')
    .replace('0.0.0.0:9443', `127.0.0.1:${port}`)
    .replace('https://orders.doorward.svc:9443', audience)
    .replaceAll(/ \/(?=run|var)/g, ` ${root}/`)
  writeFileSync(file, text)
  return { root, file }
}

function started(file: string): ChildProcess {
  const args = ['--conditions=source', main, 'sidecar', 'run', '--config', file, '--json']
  const child = spawn(process.execPath, args, {
    uid,
    gid: fsGroup,
    env: { PATH: process.env['PATH'], HOME: '/var/lib/doorward' },
    stdio: 'pipe',
  })
  running.push(child)
  return child
}

/** Everything that was said until it is ready, or until it has ended. */
function saidBy(child: ChildProcess): Promise<string> {
  const lines: string[] = []
  return new Promise((resolve) => {
    child.once('close', () => resolve(lines.join('\n')))
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line)
        if (line.includes('"ready"')) resolve(lines.join('\n'))
      })
    }
  })
}

test('it starts, joins, serves, and hands its keys to the program', { skip }, async () => {
  const { root, file } = await podFolders(true, stage.ports[0] ?? 0)
  const child = started(file)
  match(await saidBy(child), /"ready"/)
  const own = join(root, 'run', 'orders', 'sidecar.sock')
  equal((await askLocally(own, '/readyz')).status, 200)
  const { keys } = JSON.parse(readFileSync(join(root, 'run', 'orders', 'principal.jwks.json'), 'utf8')) as {
    readonly keys: readonly object[]
  }
  ok(keys.length === 1)
  child.kill('SIGTERM')
  const [code] = (await once(child, 'close')) as [number | null]
  equal(code, 0)
})

test('where sockets and keys lie in the volume itself, it does not start', { skip }, async () => {
  const { file } = await podFolders(false, stage.ports[1] ?? 0)
  const child = started(file)
  match(await saidBy(child), /local_folder_open/)
  if (child.exitCode === null) await once(child, 'close')
  equal(child.exitCode, 2)
})
