/** Licences, origins and install scripts of everything that is installed. */

import { resultOf } from './check.ts'
import type { CheckResult } from './check.ts'
import type { LockedPackage } from './lock.ts'

/** Of what is published with us, and of tools: all let us do what we do and ask for no more than a notice. */
const accepted = new Set([
  'Apache-2.0',
  'MIT',
  'ISC',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'BlueOak-1.0.0',
  'Unlicense',
  '(MIT AND Zlib)',
  '(MIT OR GPL-3.0-or-later)',
])
/** Of tools alone, by name, with the reason. */
const acceptedTools: Readonly<Record<string, string>> = {
  '@modelcontextprotocol/server-everything': 'MIT and Apache-2.0 by its LICENSE; a server in tests',
  '@modelcontextprotocol/server-filesystem': 'MIT and Apache-2.0 by its LICENSE; a server in tests',
  'railroad-diagrams': 'CC0-1.0; below the checks of Kubernetes manifests, and not passed on',
  'caniuse-lite': 'CC-BY-4.0 data, used while building and not passed on',
}

export interface LicenceQuestion {
  readonly packages: readonly LockedPackage[]
  /** The licence in the package itself, where the lockfile says none; null where there is none either. */
  readonly installedLicense: (name: string) => string | null
}

export function checkLicences({ packages, installedLicense }: LicenceQuestion): CheckResult {
  const findings = packages.flatMap(({ name, version, license, dev }) => {
    const said = license === null || license.startsWith('SEE LICENSE') ? installedLicense(name) : license
    if (said !== null && accepted.has(said)) return []
    if (dev && acceptedTools[name] !== undefined) return []
    return [
      `${name} ${version}: ${said ?? 'no licence'} is not accepted; replace it, or give the reason in scripts/security/packages.ts`,
    ]
  })
  return resultOf('licences', findings, `${packages.length} packages, each with an accepted licence`)
}

const registry = 'https://registry.npmjs.org/'

/**
 * Everything is what the lockfile pins by SHA-512, from the registry, and runs no script at install; `scripted` are tools that would
 * and that we install without.
 */
export function checkOrigins(packages: readonly LockedPackage[], scripted: ReadonlySet<string>): CheckResult {
  const findings = packages.flatMap(({ name, version, integrity, resolved, hasInstallScript, dev }) => [
    ...(integrity?.startsWith('sha512-') === true ? [] : [`${name} ${version}: no SHA-512 in the lockfile`]),
    ...(resolved === null || resolved.startsWith(registry)
      ? []
      : [`${name} ${version}: comes from ${resolved}, expected ${registry}`]),
    ...(hasInstallScript && !(dev && scripted.has(name))
      ? [`${name} ${version}: runs a script when it is installed`]
      : []),
  ])
  return resultOf('origins', findings, `${packages.length} packages by SHA-512 from the registry`)
}
