/** Exports as configuration names them; their files are read here, whenever they are needed. */

import { isAbsolute, resolve } from 'node:path'
import { fromUtf8 } from '@doorward/core'
import type { Secret } from '@doorward/core'
import type { ApprovalWebhookSection } from './approval-schema.ts'
import type { AlertWebhookSection, ExportSection } from './audit-schema.ts'
import { readBoundedFile } from './certificate-file.ts'
import { readSecretFile } from './secret-file.ts'
import type { Deployment } from './settings.ts'
import { readAddress } from './settings.ts'

type ReadTls = () => Promise<{
  readonly ca: string | null
  readonly own: { readonly certificate: string; readonly key: Secret } | null
}>

interface Remote {
  readonly timeoutMilliseconds: number
  /** Null speaks without TLS. */
  readonly tls: ReadTls | null
}

/** Shapes as the sinks ask for them. */
export type ExportPlace = { readonly name: string; readonly spoolBytes: number } & (
  | ({ readonly kind: 'syslog'; readonly host: string; readonly port: number } & Remote)
  | ({ readonly kind: 'otlp'; readonly url: string; readonly authorization: (() => Promise<Secret>) | null } & Remote)
  | ({ readonly kind: 'webhook'; readonly url: string; readonly secret: () => Promise<Secret> } & Remote)
  | { readonly kind: 'file'; readonly dir: string; readonly rotateBytes: number; readonly keep: number }
)

/** A webhook that hears of findings; shape as its sink asks for it. */
export type AlertPlace = Extract<ExportPlace, { kind: 'webhook' }> &
  Pick<AlertWebhookSection, 'minimum'> & {
    /** Null for all. */
    readonly kinds: ReadonlySet<string> | null
  }

const MAX_PEM = 256 * 1024

type At = (path: string) => string

export function exportPlaces({
  configuration,
  folder,
}: Pick<Deployment, 'configuration' | 'folder'>): readonly ExportPlace[] {
  const at: At = (path) => (isAbsolute(path) ? path : resolve(folder, path))
  return configuration.audit.exports.map((one) => placeOf(one, at))
}

/** Who hears of findings. */
export function alertPlaces({
  configuration,
  folder,
}: Pick<Deployment, 'configuration' | 'folder'>): readonly AlertPlace[] {
  const at: At = (path) => (isAbsolute(path) ? path : resolve(folder, path))
  return configuration.alerts.webhooks.map(({ minimum, kinds, ...one }) => ({
    ...webhookOf(one, at),
    minimum,
    kinds: kinds === undefined ? null : new Set(kinds),
  }))
}

function webhookOf(
  one: Omit<AlertWebhookSection, 'minimum' | 'kinds'>,
  at: At,
): Extract<ExportPlace, { kind: 'webhook' }> {
  const { name, spool_bytes: spoolBytes, url } = one
  const secret = () => readSecretFile(at(one.secret_file))
  return { name, spoolBytes, kind: 'webhook', url, secret, ...remoteOf(one, isPlain(url), at) }
}

function placeOf(one: ExportSection, at: At): ExportPlace {
  const general = { name: one.name, spoolBytes: one.spool_bytes }
  switch (one.kind) {
    case 'syslog':
      return { ...general, kind: one.kind, ...readAddress(one.address), ...remoteOf(one, one.insecure, at) }
    case 'otlp': {
      const { authorization_file: file } = one
      const authorization = file === undefined ? null : () => readSecretFile(at(file))
      return { ...general, kind: one.kind, url: one.url, authorization, ...remoteOf(one, isPlain(one.url), at) }
    }
    case 'webhook':
      return webhookOf(one, at)
    case 'file':
      return { ...general, kind: one.kind, dir: at(one.dir), rotateBytes: one.rotate_bytes, keep: one.keep }
  }
}

function isPlain(url: string): boolean {
  return new URL(url).protocol === 'http:'
}

type RemoteSection = Pick<
  Exclude<ExportSection, { kind: 'file' }>,
  'timeout_seconds' | 'ca_file' | 'certificate_file' | 'key_file'
>

function remoteOf(one: RemoteSection, plain: boolean, at: At): Remote {
  return { timeoutMilliseconds: one.timeout_seconds * 1000, tls: plain ? null : () => readTls(one, at) }
}

/** Throws `file_unreadable` and `secret_file`. */
async function readTls({ ca_file, certificate_file, key_file }: RemoteSection, at: At): ReturnType<ReadTls> {
  const ca = ca_file === undefined ? null : await readPem(at(ca_file))
  if (certificate_file === undefined || key_file === undefined) return { ca, own: null }
  return { ca, own: { certificate: await readPem(at(certificate_file)), key: await readSecretFile(at(key_file)) } }
}

async function readPem(path: string): Promise<string> {
  return fromUtf8(await readBoundedFile(path, MAX_PEM))
}

/** A webhook without a name of its own. */
export function webhookPlace(one: ApprovalWebhookSection, folder: string) {
  const at: At = (path) => (isAbsolute(path) ? path : resolve(folder, path))
  return { url: one.url, secret: () => readSecretFile(at(one.secret_file)), ...remoteOf(one, isPlain(one.url), at) }
}
