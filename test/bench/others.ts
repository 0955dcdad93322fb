/** Proxies from npm that put a stdio server on HTTP without any control: what the same calls cost through them. */

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { timerSleep } from '@doorward/sdk'
import { freePorts } from '../fixtures/deployment.ts'

export type OtherName = 'mcp-proxy' | 'supergateway'

export interface Other {
  readonly name: OtherName
  readonly port: number
  readonly pid: number
  close(): Promise<void>
}

const folder = join(import.meta.dirname, 'others')
const server = join(import.meta.dirname, 'stdio-server.ts')
const INSTALL_MILLISECONDS = 300_000
const START_MILLISECONDS = 30_000
export const otherPath = '/mcp'

/** Installs what package-lock.json in `others` names, without scripts, if it is not there. False when the registry cannot be reached. */
export async function installOthers(milliseconds = INSTALL_MILLISECONDS): Promise<boolean> {
  if (othersInstalled()) return true
  const words = ['ci', '--ignore-scripts', '--no-audit', '--no-fund']
  return promisify(execFile)('npm', words, { cwd: folder, timeout: milliseconds }).then(
    () => true,
    () => false,
  )
}

/** Whether that has been done. */
export function othersInstalled(): boolean {
  return existsSync(join(folder, 'node_modules', '.package-lock.json'))
}

/** Over plain HTTP, which is what they speak by default. */
export async function startOther(name: OtherName): Promise<Other> {
  const [port = 0] = await freePorts(1)
  const program = join(folder, 'node_modules', '.bin', name)
  const child = spawn(process.execPath, [program, ...wordsOf(name, String(port))], { stdio: 'ignore' })
  const ended = new AbortController()
  const gone = once(child, 'exit').then(() => ended.abort())
  const close = async (): Promise<void> => {
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), 5000)
    await gone
    clearTimeout(timer)
  }
  try {
    await answers(port, ended.signal)
  } catch (error) {
    await close()
    throw error
  }
  return { name, port, pid: child.pid ?? 0, close }
}

function wordsOf(name: OtherName, port: string): readonly string[] {
  if (name === 'mcp-proxy') {
    const place = ['--host', '127.0.0.1', '--port', port, '--server', 'stream', '--streamEndpoint', otherPath]
    return [...place, '--', process.execPath, server]
  }
  const place = ['--port', port, '--outputTransport', 'streamableHttp', '--streamableHttpPath', otherPath]
  return ['--stdio', `${process.execPath} ${server}`, '--stateful', '--logLevel', 'none', ...place]
}

async function answers(port: number, gone: AbortSignal): Promise<void> {
  const until = performance.now() + START_MILLISECONDS
  while (!gone.aborted && performance.now() < until) {
    const answered = await fetch(`http://127.0.0.1:${port}${otherPath}`, { signal: AbortSignal.timeout(2000) }).then(
      async (response) => (await response.body?.cancel(), true),
      () => false,
    )
    if (answered) return
    await timerSleep(100, gone)
  }
  throw new Error('a proxy for comparison did not start')
}
