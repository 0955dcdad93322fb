/** As whom the processes of a server run. */

import { deepEqual, equal, rejects } from 'node:assert/strict'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { planSandbox } from '../../../packages/server/src/apps/server-sandbox.ts'
import { noEffects } from '@doorward/enforcement'
import { StdioProcess } from '../../../packages/server/src/transports/stdio.ts'
import type { StdioCommand } from '../../../packages/server/src/transports/stdio.ts'

const isRoot = process.getuid?.() === 0
const user = { uid: 54_321, gid: 54_322 }

function options(command: readonly string[]) {
  const server = { kind: 'stdio', command, cwd: '/', env: { GIVEN: 'yes' }, effects: noEffects, user } as const
  return { name: 'files', server, path: process.env['PATH'] ?? '', hidden: [] }
}

function firstLine(command: StdioCommand): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = new StdioProcess(command, 10_000, {
      onLine: (line) => {
        resolve(Buffer.from(line).toString())
        child.stop()
      },
      onLog: () => undefined,
      onExit: (reason) => reject(new Error(reason)),
    })
  })
}

test(
  'a server runs as the user that is configured, in no group of ours and with no variable of ours',
  { skip: !isRoot },
  async () => {
    const told =
      'JSON.stringify([process.getuid(), process.getgid(), process.getgroups(), Object.keys(process.env).sort()])'
    const plan = await planSandbox(options([process.execPath, '-e', `console.log(${told})`]))
    try {
      equal(plan.kind, 'user')
      deepEqual(JSON.parse(await firstLine(plan.command)), [
        user.uid,
        user.gid,
        [user.gid],
        ['GIVEN', 'HOME', 'LANG', 'PATH', 'TMPDIR'],
      ])
    } finally {
      await plan.release()
    }
  },
)

test('a user that cannot run the server is not replaced by another', { skip: !isRoot }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'doorward-user-'))
  try {
    const file = join(folder, 'server.mjs')
    await writeFile(file, '')
    await chmod(folder, 0o700)
    await rejects(planSandbox(options([process.execPath, file])), { code: 'server_user_unfit' })
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a user that cannot be had is a mistake', async () => {
  await rejects(planSandbox({ ...options([process.execPath]), uid: 1000 }), { code: 'server_user_impossible' })
})
