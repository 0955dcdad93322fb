/** At which `host:port` workloads reach a listener of an authority, which is also what their requests name as host. */

import { isIP } from 'node:net'

/** Where a listener is reached when that is not where it listens. */
export type Advertised = Readonly<Partial<Record<'main' | 'enrol' | 'admin', string | undefined>>>

export interface Reached {
  /** `host:port`, where that is not where the listeners listen. */
  readonly advertise?: Advertised
  readonly publicUrl: string
}

/** What is advertised, or where it listens; who listens everywhere is reached by the host of the public URL. */
export function reachedAt(
  name: keyof Advertised,
  { advertise, publicUrl }: Reached,
  { host, port }: { readonly host: string; readonly port: number },
): string {
  const dialled = host === '0.0.0.0' || host === '::' ? new URL(publicUrl).hostname : shown(host)
  return advertise?.[name] ?? `${dialled}:${port}`
}

function shown(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host
}
