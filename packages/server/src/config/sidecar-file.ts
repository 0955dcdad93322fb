/** Reads `sidecar.yaml` into what a sidecar is made of, or tells every mistake with its line. */

import { dirname, resolve } from 'node:path'
import { parseTrustDomain } from '@doorward/core'
import type { TrustDomain } from '@doorward/core'
import { readCardFile } from './card-file.ts'
import { judged, readText } from './load.ts'
import type { Rate } from './rate.ts'
import { readAddress } from './settings.ts'
import type { Address } from './settings.ts'
import { sidecarProblems } from './sidecar-check.ts'
import { sidecar } from './sidecar-schema.ts'
import type { SidecarFile, SidecarInbound, SidecarOutbound } from './sidecar-schema.ts'
import type { Selectors, WorkloadEntry } from './workload-api-schema.ts'
import { readYaml } from './yaml-text.ts'

/** A Unix socket, or a port of 127.0.0.1. */
export type LocalPlace = { readonly socket: string } | { readonly port: number }

export interface AnswerLimits {
  readonly answerMilliseconds: number
  readonly streamMilliseconds: number
  /** Requests at once. */
  readonly concurrent: number
}

export interface InboundSettings {
  readonly listen: Address
  readonly audience: string
  readonly service: string
  readonly asked: AskedSettings
  readonly roles: Readonly<Record<string, readonly string[]>>
  readonly bindings: SidecarInbound['bindings']
  readonly forward: {
    readonly place: LocalPlace
    /** Null: the sidecar's own user. */
    readonly uid: number | null
    readonly answerBytes: number
    readonly limits: AnswerLimits
    /** Requests of one caller at once. */
    readonly perCallerConcurrent: number
  }
  readonly assertion: { readonly audience: string; readonly jwksFile: string | null }
  readonly bodyBytes: number
  readonly rates: { readonly global?: Rate; readonly perAddress?: Rate; readonly perCaller?: Rate }
}

/** What tools do, by name with `*` for any characters. */
export interface DeclaredEffects {
  readonly read: readonly string[]
  readonly write: readonly string[]
  readonly admin: readonly string[]
}

/** What a program is asked by. */
export type AskedSettings =
  | { readonly kind: 'routes'; readonly routes: readonly string[] }
  | { readonly kind: 'mcp'; readonly path: string; readonly effects: DeclaredEffects }
  /** `card` is a file. */
  | { readonly kind: 'a2a'; readonly path: string; readonly card: string }
  | {
      readonly kind: 'json-rpc'
      readonly path: string
      readonly methods: Readonly<Record<string, 'read' | 'write' | 'admin'>>
    }

/** Who may use an outbound listener. */
export type CallersSettings =
  | { readonly kind: 'own-user' }
  | { readonly kind: 'anybody' }
  | { readonly kind: 'listed'; readonly entries: readonly Selectors[] }

export interface OutboundSettings {
  readonly place: LocalPlace
  /** Origin. */
  readonly to: string
  /** SPIFFE ID. */
  readonly id: string
  readonly audience: string
  readonly callers: CallersSettings
  readonly bodyBytes: number
  readonly limits: AnswerLimits
}

/** Who is given the sidecar's own identity over the SPIFFE Workload API. */
export interface WorkloadApiSettings {
  readonly socket: string
  readonly entries: readonly Omit<WorkloadEntry, 'identity'>[]
}

export interface SidecarSettings {
  readonly file: string
  readonly trustDomain: TrustDomain
  readonly identity: {
    readonly folder: string
    readonly key: string
    readonly join: { readonly file: string } | { readonly env: string } | null
  }
  readonly record: { readonly folder: string; readonly checkpoints: string }
  readonly socket: string | null
  /** Of 127.0.0.1. */
  readonly metricsPort: number | null
  readonly inbound: InboundSettings | null
  readonly outbound: readonly OutboundSettings[]
  readonly workloadApi: WorkloadApiSettings | null
}

/**
 * Throws `configuration_missing`, `configuration_unreadable`, a ConfigurationError (`configuration_invalid`), and the codes of
 * `readCardFile`.
 */
export async function loadSidecar(path: string): Promise<SidecarSettings> {
  const file = resolve(path)
  const settings = readSidecar(await readText(file), file)
  if (settings.inbound?.asked.kind === 'a2a') await readCardFile(settings.inbound.asked.card)
  return settings
}

/** Whether a configuration is one of a sidecar: no other has these keys. */
export async function isSidecarFile(path: string): Promise<boolean> {
  const { document, problems } = readYaml(await readText(resolve(path)))
  if (problems.length > 0) return false
  return document.has('inbound') || document.has('outbound')
}

/** Judges the text of a configuration. Paths in it are meant from the folder of the file. */
export function readSidecar(text: string, file: string): SidecarSettings {
  const { configuration } = judged<SidecarFile>(text, file, {
    schema: sidecar,
    whole: (value) => sidecarProblems(value, dirname(file)),
  })
  const from = (path: string) => resolve(dirname(file), path)
  const { identity, record, socket, metrics, inbound, outbound, workload_api: given } = configuration
  return {
    file,
    trustDomain: parseTrustDomain(configuration.trust_domain),
    identity: { folder: from(identity.folder), key: from(identity.key), join: joinOf(identity.join, from) },
    record: { folder: from(record.folder), checkpoints: from(record.checkpoints) },
    socket: socket === undefined ? null : from(socket),
    metricsPort: metrics?.port ?? null,
    inbound: inbound === undefined ? null : inboundOf(inbound, from),
    outbound: outbound.map((entry) => outboundOf(entry, from)),
    workloadApi: given === undefined ? null : { socket: from(given.socket), entries: given.entries },
  }
}

type From = (path: string) => string

function joinOf(join: SidecarFile['identity']['join'], from: From): SidecarSettings['identity']['join'] {
  if (join?.file !== undefined) return { file: from(join.file) }
  return join?.env === undefined ? null : { env: join.env }
}

function inboundOf(section: SidecarInbound, from: From): InboundSettings {
  const { listen, audience, service, roles, bindings, forward, assertion, limits } = section
  const { global, per_address: perAddress, per_caller: perCaller } = limits
  return {
    listen: readAddress(listen),
    audience,
    service,
    asked: askedOf(section, from),
    roles,
    bindings,
    forward: {
      place: placeOf(forward, from),
      uid: forward.uid ?? null,
      answerBytes: forward.answer_bytes,
      limits: limitsOf(forward),
      // Nobody takes every place.
      perCallerConcurrent: forward.per_caller_concurrent ?? Math.ceil(forward.concurrent / 2),
    },
    assertion: {
      audience: assertion.audience ?? service,
      jwksFile: assertion.jwks_file === undefined ? null : from(assertion.jwks_file),
    },
    bodyBytes: limits.body_bytes,
    rates: {
      ...(global === undefined ? {} : { global }),
      ...(perAddress === undefined ? {} : { perAddress }),
      ...(perCaller === undefined ? {} : { perCaller }),
    },
  }
}

/** The schema lets exactly one through. */
function askedOf({ routes = [], mcp, a2a, json_rpc: rpc }: SidecarInbound, from: From): AskedSettings {
  if (mcp !== undefined) return { kind: 'mcp', ...mcp }
  if (a2a !== undefined) return { kind: 'a2a', path: a2a.path, card: from(a2a.card) }
  return rpc === undefined ? { kind: 'routes', routes } : { kind: 'json-rpc', ...rpc }
}

function outboundOf(section: SidecarOutbound, from: From): OutboundSettings {
  const { listen, to, id, audience, callers, insecure_any_local_process: anybody, limits } = section
  return {
    place: placeOf(listen, from),
    to,
    id,
    audience: audience ?? to,
    callers: anybody
      ? { kind: 'anybody' }
      : callers === undefined
        ? { kind: 'own-user' }
        : { kind: 'listed', entries: callers },
    bodyBytes: limits.body_bytes,
    limits: limitsOf(limits),
  }
}

/** The schema lets exactly one through. */
function placeOf(
  { socket, port }: { readonly socket?: string | undefined; readonly port?: number | undefined },
  from: From,
): LocalPlace {
  return socket === undefined ? { port: port ?? 0 } : { socket: from(socket) }
}

function limitsOf(section: {
  readonly answer_seconds: number
  readonly stream_seconds: number
  readonly concurrent: number
}): AnswerLimits {
  return {
    answerMilliseconds: section.answer_seconds * 1000,
    streamMilliseconds: section.stream_seconds * 1000,
    concurrent: section.concurrent,
  }
}
