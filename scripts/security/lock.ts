/** The packages that `package-lock.json` resolves, ours left out. */

export interface LockedPackage {
  readonly name: string
  readonly version: string
  /** As the lockfile says; null where the package says nothing. */
  readonly license: string | null
  /** Needed by nobody who installs what we publish. */
  readonly dev: boolean
  readonly hasInstallScript: boolean
  readonly integrity: string | null
  readonly resolved: string | null
}

interface LockEntry {
  readonly version?: string
  readonly license?: string
  readonly dev?: boolean
  readonly devOptional?: boolean
  readonly hasInstallScript?: boolean
  readonly integrity?: string
  readonly resolved?: string
  readonly link?: boolean
  readonly name?: string
}

/** Throws where the lockfile is of another version. */
export function lockedPackages(lockText: string): readonly LockedPackage[] {
  const lock = JSON.parse(lockText) as {
    readonly lockfileVersion: number
    readonly packages: Readonly<Record<string, LockEntry>>
  }
  if (lock.lockfileVersion !== 3) throw new Error(`package-lock.json is of version ${lock.lockfileVersion}, expected 3`)
  return Object.entries(lock.packages)
    .filter(([path, { link }]) => path.includes('node_modules/') && link !== true)
    .map(([path, entry]) => ({
      name: entry.name ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
      version: entry.version ?? '',
      license: entry.license ?? null,
      dev: entry.dev === true || entry.devOptional === true,
      hasInstallScript: entry.hasInstallScript === true,
      integrity: entry.integrity ?? null,
      resolved: entry.resolved ?? null,
    }))
}
