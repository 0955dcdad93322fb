/** Hands a URL to the browser of whoever sits at this machine: one argument, no shell. */

import { spawn } from 'node:child_process'
import type { Environment } from '../config/environment.ts'

const openers: Partial<Readonly<Record<NodeJS.Platform, readonly string[]>>> = {
  darwin: ['open'],
  win32: ['rundll32', 'url.dll,FileProtocolHandler'],
  linux: ['xdg-open'],
}

/** False where nobody can look at a browser, or none starts. Only https URLs are handed on. */
export async function openBrowser(url: URL, { variable }: Pick<Environment, 'variable'>): Promise<boolean> {
  const display = (variable('DISPLAY') ?? '') !== '' || (variable('WAYLAND_DISPLAY') ?? '') !== ''
  const [program, ...before] = openers[process.platform] ?? []
  if (url.protocol !== 'https:' || program === undefined || (process.platform === 'linux' && !display)) return false
  return new Promise((resolve) => {
    const child = spawn(program, [...before, url.href], { stdio: 'ignore', detached: true, shell: false })
    child.once('error', () => resolve(false))
    child.once('spawn', () => {
      child.unref()
      resolve(true)
    })
  })
}
