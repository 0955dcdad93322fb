/** Files that the system hands to a service: systemd puts them into a folder of the unit and names it in `CREDENTIALS_DIRECTORY`. */

import { isAbsolute, join } from 'node:path'

const NAMED = /^\$CREDENTIALS_DIRECTORY\/([A-Za-z0-9][A-Za-z0-9._-]{0,254})$/
const FILE_KEY = /^(?:file|[a-z]+(?:_[a-z]+)*_file)$/

/**
 * The document with `$CREDENTIALS_DIRECTORY/NAME` replaced in the keys that name a file: `file` and all that end in `_file`. Where the
 * system has handed nothing over, the text stays, and whoever reads the file is told that there is none.
 */
export function withCredentials(document: unknown, folder: string | undefined): unknown {
  if (folder === undefined || !isAbsolute(folder)) return document
  if (Array.isArray(document)) return document.map((value) => withCredentials(value, folder))
  if (typeof document !== 'object' || document === null) return document
  return Object.fromEntries(
    Object.entries(document).map(([key, value]: [string, unknown]) => {
      const [, name] = (FILE_KEY.test(key) && typeof value === 'string' && NAMED.exec(value)) || []
      return [key, name === undefined ? withCredentials(value, folder) : join(folder, name)]
    }),
  )
}

/**
 * Whether others can read the file or change it. Mode 0440 of root is accepted where its group is root's or one of ours, which is how
 * systemd and Kubernetes hand a secret to a service that is not root.
 */
export function openToOthers({ mode, uid, gid }: FileOwner, groups: readonly number[] = ownGroups()): boolean {
  // Windows has no such modes.
  if (process.platform === 'win32') return false
  const isHandedOver = uid === 0 && (mode & 0o777) === 0o440 && (gid === 0 || groups.includes(gid))
  return (mode & 0o077) !== 0 && !isHandedOver
}

interface FileOwner {
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

function ownGroups(): readonly number[] {
  return [...(process.getgroups?.() ?? []), process.getgid?.() ?? 0]
}
