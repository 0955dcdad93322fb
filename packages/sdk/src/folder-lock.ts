/**
 * One process at a time: a lock file made with O_EXCL that names its holder, so that the lock of a dead one is broken.
 *
 * Two processes that break a dead lock in the same instant, while a third takes it, can end up both holding it; the
 * work under the lock must therefore stay correct when done twice, and asks `held` before it commits.
 */

import { randomBytes } from 'node:crypto'
import { link, open, readFile, rename, rm } from 'node:fs/promises'
import { DoorwardError, fromUtf8, isDoorwardError, utf8 } from '@doorward/core'
import { isErrno } from './durable-file.ts'
import type { ProcessIdentity, ProcessProbe } from './process-identity.ts'
import type { Runtime } from './runtime.ts'

export interface LockOptions {
  readonly path: string
  readonly runtime: Runtime
  readonly processes: ProcessProbe
  /** How long to wait for another holder; 10 s by default. */
  readonly waitMilliseconds?: number
}

export interface HeldLock {
  /** True while the lock file still names this holder. */
  held(): Promise<boolean>
}

interface LockText extends ProcessIdentity {
  readonly nonce: string
}

const DEFAULT_WAIT = 10_000
const POLL = 50

/** Runs `work` under the lock. Throws `lock_timeout` when a living process keeps it for longer than the wait. */
export async function underLock<T>(options: LockOptions, work: (lock: HeldLock) => Promise<T>): Promise<T> {
  const text = JSON.stringify({
    ...options.processes.self(),
    nonce: randomBytes(12).toString('hex'),
  } satisfies LockText)
  await take(options, text)
  const held = async () => (await current(options.path)) === text
  try {
    return await work({ held })
  } finally {
    if (await held()) await rm(options.path, { force: true })
  }
}

async function take(options: LockOptions, text: string): Promise<void> {
  const deadline = options.runtime.monotonic() + (options.waitMilliseconds ?? DEFAULT_WAIT)
  for (;;) {
    if (await create(options.path, text)) return
    const holder = await current(options.path)
    if (holder !== null && isDead(holder, options.processes)) await breakLock(options.path, holder)
    else if (options.runtime.monotonic() >= deadline) throw timeout(options.path, holder)
    else await options.runtime.sleep(POLL * (0.5 + options.runtime.chance()))
  }
}

async function create(path: string, text: string): Promise<boolean> {
  // Written aside and linked, because a lock that exists but is still empty could not be told from a torn one.
  const aside = `${path}.${randomBytes(6).toString('hex')}`
  const file = await open(aside, 'wx', 0o600)
  try {
    await file.writeFile(utf8(text))
  } finally {
    await file.close()
  }
  try {
    await link(aside, path)
    return true
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false
    throw error
  } finally {
    await rm(aside, { force: true })
  }
}

async function current(path: string): Promise<string | null> {
  try {
    return fromUtf8(await readFile(path))
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null
    if (isDoorwardError(error)) return ''
    throw error
  }
}

function isDead(holder: string, processes: ProcessProbe): boolean {
  const identity = readLock(holder)
  return identity === null || !processes.isAlive(identity)
}

function readLock(text: string): ProcessIdentity | null {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) return null
    const { pid, boot, started } = value as Readonly<Record<string, unknown>>
    const fits =
      typeof pid === 'number' &&
      Number.isSafeInteger(pid) &&
      pid > 0 &&
      typeof boot === 'string' &&
      typeof started === 'string'
    return fits ? { pid, boot, started } : null
  } catch {
    return null
  }
}

/** Takes a dead lock away, and puts back what was moved by mistake when a living process was quicker. */
async function breakLock(path: string, dead: string): Promise<void> {
  const aside = `${path}.${randomBytes(6).toString('hex')}`
  try {
    await rename(path, aside)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return
    throw error
  }
  if ((await current(aside)) !== dead) await link(aside, path).catch(() => undefined)
  await rm(aside, { force: true })
}

function timeout(path: string, holder: string | null): DoorwardError {
  const pid = holder === null ? null : (readLock(holder)?.pid ?? null)
  return new DoorwardError('lock_timeout', 'another process holds the lock for too long', {
    where: path,
    expected: 'the lock to be free within seconds',
    got: pid === null ? 'a holder that comes and goes' : `held by process ${pid}`,
    next: 'look at that process; the lock is freed when it ends',
  })
}
