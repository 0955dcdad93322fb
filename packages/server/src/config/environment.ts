/** The only reader of the process environment. */

import { homedir, userInfo } from 'node:os'
import { join } from 'node:path'
import { Secret } from '@doorward/core'

export interface Environment {
  /** Where keys lie, away from any state folder: `$XDG_CONFIG_HOME/doorward` or `~/.config/doorward`. */
  readonly keyHome: string
  readonly home: string
  readonly user: string
  readonly color: boolean
  /** Search path for server commands; nothing else of the environment reaches them. */
  readonly path: string
  readonly appData: string | undefined
  /** The value of a variable that the configuration names in `env_from`. */
  readonly variable: (name: string) => string | undefined
  /** The value of a variable that is a secret: from then on it is not in the environment, but here. */
  readonly take: (name: string) => Secret | undefined
  /** The whole environment for a process of our own, without some variables. */
  readonly without: (names: readonly string[]) => Readonly<Record<string, string>>
}

function userName(env: NodeJS.ProcessEnv): string {
  try {
    return userInfo().username
  } catch {
    return env['USER'] ?? 'operator'
  }
}

/** Where the system has put the credentials of this service (systemd.exec(5)); undefined where it has not. */
export function credentialsDirectory(env: NodeJS.ProcessEnv = process.env): string | undefined {
  return env['CREDENTIALS_DIRECTORY'] || undefined
}

export function readEnvironment(env: NodeJS.ProcessEnv = process.env): Environment {
  const home = env['HOME'] ?? homedir()
  const taken = new Map<string, Secret>()
  return {
    keyHome: join(env['XDG_CONFIG_HOME'] || join(home, '.config'), 'doorward'),
    home,
    user:
      userName(env)
        .toLowerCase()
        .replaceAll(/[^a-z0-9._-]/g, '-') || 'operator',
    color: (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb',
    path: env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
    appData: env['APPDATA'],
    variable: (name) => env[name],
    take: (name) => {
      const value = env[name]
      if (value !== undefined) taken.set(name, new Secret(value))
      delete env[name]
      return taken.get(name)
    },
    without: (names) =>
      Object.fromEntries(
        Object.entries(env).filter(
          (entry): entry is [string, string] => entry[1] !== undefined && !names.includes(entry[0]),
        ),
      ),
  }
}
