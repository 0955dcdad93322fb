/** The MCP hosts whose configuration we know how to extend: where the file is and what an entry looks like. */

import { dirname, join } from 'node:path'
import { win32 } from 'node:path'
import { DoorwardError } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import type { Environment } from '../../config/environment.ts'

export interface Launch {
  /** Absolute path of a program. */
  readonly command: string
  readonly args: readonly string[]
}

export interface HostPlace {
  readonly platform: NodeJS.Platform
  readonly environment: Pick<Environment, 'home' | 'keyHome' | 'appData'>
}

export interface Host {
  readonly name: string
  readonly title: string
  /** Member of the file's root object that holds the servers. */
  readonly member: string
  readonly file: (place: HostPlace) => string
  readonly entry: (launch: Launch) => JsonObject
  /** What makes the host look at the file again. */
  readonly reload: string
}

const plain = ({ command, args }: Launch): JsonObject => ({ command, args })
const typed = ({ command, args }: Launch): JsonObject => ({ type: 'stdio', command, args })

export const hosts: readonly Host[] = [
  {
    name: 'claude-code',
    title: 'Claude Code',
    member: 'mcpServers',
    // User scope: for every project of this user.
    file: ({ environment }) => join(environment.home, '.claude.json'),
    entry: typed,
    reload: 'start a new session, or look at /mcp',
  },
  {
    name: 'claude-desktop',
    title: 'Claude Desktop',
    member: 'mcpServers',
    file: (place) => inApplicationFolder(place, 'Claude', 'claude_desktop_config.json'),
    entry: plain,
    reload: 'quit Claude Desktop and start it again',
  },
  {
    name: 'cursor',
    title: 'Cursor',
    member: 'mcpServers',
    file: ({ environment }) => join(environment.home, '.cursor', 'mcp.json'),
    entry: plain,
    reload: 'enable it under Settings, MCP',
  },
  {
    name: 'vscode',
    title: 'Visual Studio Code',
    member: 'servers',
    file: (place) => inApplicationFolder(place, 'Code', 'User', 'mcp.json'),
    entry: typed,
    reload: 'run "MCP: List Servers" and start it',
  },
]

/** Where desktop applications keep their files on this platform. */
function inApplicationFolder({ platform, environment }: HostPlace, ...path: readonly string[]): string {
  const { home, keyHome, appData } = environment
  if (platform === 'win32') return win32.join(appData ?? win32.join(home, 'AppData', 'Roaming'), ...path)
  if (platform === 'darwin') return join(home, 'Library', 'Application Support', ...path)
  // Ours lies in the same folder of configurations as theirs (XDG Base Directory).
  return join(dirname(keyHome), ...path)
}

/** Throws `host_unknown`. */
export function hostNamed(name: string): Host {
  const host = hosts.find((candidate) => candidate.name === name)
  if (host !== undefined) return host
  throw new DoorwardError('host_unknown', `no host ${name} is known`, {
    expected: hosts.map((one) => one.name).join(', '),
    got: name,
  })
}
