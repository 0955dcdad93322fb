/** Processes of servers: what does not start is told, and what has been started ends with its process. */

import { deepEqual, equal, match } from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { StdioProcess } from '../../../packages/server/src/transports/stdio.ts'

interface Ran {
  readonly lines: readonly string[]
  readonly exits: readonly string[]
}

/** Until the process is gone. */
async function run(command: readonly string[], cwd = '/'): Promise<Ran> {
  const lines: string[] = []
  const exits: string[] = []
  const started = new StdioProcess({ command, cwd, env: {}, user: null, wrapper: [] }, 4096, {
    onLine: (line) => lines.push(Buffer.from(line).toString('utf8')),
    onLog: () => undefined,
    onExit: (reason) => exits.push(reason),
  })
  deepEqual(exits, [])
  started.write(new TextEncoder().encode('{}'))
  await started.gone
  started.stop()
  return { lines, exits }
}

test('what cannot be started is told when it ends, however Node.js says so', async () => {
  const impossible = [
    [['/no/such/program'], '/'],
    // Node.js throws these, where it tells the first as an event.
    [['/etc/hostname/program'], '/'],
    [['/bin/true', 'x'.repeat(200_000)], '/'],
    [['/bin/true'], '/etc/hostname'],
  ] as const
  for (const [command, cwd] of impossible) {
    const { exits } = await run(command, cwd)
    equal(exits.length, 1)
    match(exits[0] ?? '', /^its program "\/[a-z/]+" /)
  }
})

test('what a process has started ends when the process ends by itself', async () => {
  const { lines, exits } = await run(['/bin/sh', '-c', 'sleep 60 >/dev/null 2>&1 & echo $!; exit 3'])
  deepEqual(exits, ['it ended with exit code 3'])
  const child = Number(lines[0])
  for (const deadline = performance.now() + 5000; isAlive(child); await sleep(20))
    if (performance.now() > deadline) throw new Error('it lives on')
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

test('a line that its reader throws at ends the process, and nothing else', async () => {
  const exits: string[] = []
  const command = ['/bin/sh', '-c', 'echo 1; exec sleep 60']
  const started = new StdioProcess({ command, cwd: '/', env: {}, user: null, wrapper: [] }, 4096, {
    onLine: () => {
      throw new RangeError('too much')
    },
    onLog: () => undefined,
    onExit: (reason) => exits.push(reason),
  })
  await started.gone
  deepEqual(exits, ['it sent a line that cannot be taken'])
})
