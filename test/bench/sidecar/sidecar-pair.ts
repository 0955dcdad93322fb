/** A program behind its sidecar, and a socket at which another program's sidecar takes calls to it. */

import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { outboundOf } from '../../fixtures/sidecar-stage.ts'
import type { SdkStage } from '../../fixtures/sdk-stage.ts'
import type { SidecarStart } from './sidecar-process.ts'

export interface Pair {
  readonly pids: readonly number[]
  readonly socketPath: string
  close(): Promise<void>
}

const CALLEE = 'service/orders'
const CALLER = 'agent/planner'
const WIDE = '{ global: 1000000/s, per_address: 1000000/s, per_caller: 1000000/s }'

/** Their limits are wide enough not to refuse; everything else is as it is by default. */
export async function openSidecarPair(stage: SdkStage, program: string, folder: string): Promise<Pair> {
  const [port = 0] = stage.ports
  const audience = `https://127.0.0.1:${port}`
  const socketPath = join(folder, 'orders.sock')
  const callee = await started(stage, CALLEE, {
    audiences: [audience],
    text: `inbound:
  listen: 127.0.0.1:${port}
  audience: ${audience}
  service: orders
  routes: ["GET /orders/{id}"]
  roles: { reader: ["read:orders/*"] }
  limits: ${WIDE}
  forward: { socket: ${program}, concurrent: 256, per_caller_concurrent: 256 }
`,
  })
  const caller = await started(stage, CALLER, { roles: ['reader'], text: outboundOf(socketPath, audience) })
  const children = [callee, caller]
  return {
    pids: children.map(({ pid }) => pid ?? 0),
    socketPath,
    close: async () => void (await Promise.all(children.map(ended))),
  }
}

interface Side {
  readonly text: string
  readonly roles?: readonly string[]
  readonly audiences?: readonly string[]
}

async function started(
  stage: SdkStage,
  name: string,
  { text, roles = [], audiences = [] }: Side,
): Promise<ChildProcess> {
  const place = join(stage.folders.root, `sidecar-${name.replaceAll('/', '+')}`)
  const options = await stage.options(name, { roles, audiences })
  await mkdir(place, { recursive: true, mode: 0o700 })
  const whole = `trust_domain: test.example
identity: { folder: ${place}/identity, key: ${place}/identity.key, join: { file: ${options.join.file} } }
record: { folder: ${place}/record, checkpoints: ${place}/checkpoints }
${text}`
  const child = fork(join(import.meta.dirname, 'sidecar-process.ts'), [], {
    execArgv: ['--conditions=source'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const start: SidecarStart = { text: whole, file: join(place, 'sidecar.yaml') }
  child.send(start)
  const [first] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as [unknown]
  if (typeof first !== 'object' || first === null) throw new Error(`the sidecar of ${name} does not start`)
  return child
}

const END_MILLISECONDS = 10_000

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  const late = setTimeout(() => child.kill('SIGKILL'), END_MILLISECONDS)
  child.disconnect()
  await exit
  clearTimeout(late)
}
