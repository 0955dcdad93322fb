/** Where spans go, as configuration names it; its files are read here, whenever they are needed. */

import { isAbsolute, resolve } from 'node:path'
import { fromUtf8 } from '@doorward/core'
import type { Secret } from '@doorward/core'
import { readBoundedFile } from './certificate-file.ts'
import { readSecretFile } from './secret-file.ts'
import type { Deployment } from './settings.ts'

export interface TracingSettings {
  readonly url: string
  /** Above 0. */
  readonly ratio: number
  readonly serviceName: string
  /** Null speaks without TLS. */
  readonly tls: (() => Promise<{ readonly ca: string | null; readonly own: null }>) | null
  readonly authorization: (() => Promise<Secret>) | null
}

const MAX_PEM = 256 * 1024

/** Null when traces are off. */
export function tracingSettings({
  configuration,
  folder,
}: Pick<Deployment, 'configuration' | 'folder'>): TracingSettings | null {
  const { tracing: chosen } = configuration
  if (chosen === undefined || chosen.sample_ratio === 0) return null
  const { otlp_url: url, sample_ratio: ratio, ca_file: ca, authorization_file: authorization } = chosen
  const at = (file: string): string => (isAbsolute(file) ? file : resolve(folder, file))
  const readCa = async () => (ca === undefined ? null : fromUtf8(await readBoundedFile(at(ca), MAX_PEM)))
  return {
    url,
    ratio,
    serviceName: chosen.service_name,
    tls: new URL(url).protocol === 'http:' ? null : async () => ({ ca: await readCa(), own: null }),
    authorization: authorization === undefined ? null : () => readSecretFile(at(authorization)),
  }
}
