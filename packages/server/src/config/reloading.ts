/** What of a configuration a running gateway takes up, and what stands until its next start. */

import { createHash } from 'node:crypto'
import { canonicalJson } from '@doorward/core'
import type { JsonValue } from '@doorward/core'
import { changedKeys } from './changed-keys.ts'
import { ConfigurationError } from './problem.ts'
import type { Problem } from './problem.ts'
import type { Configuration } from './schema.ts'
import type { Deployment } from './settings.ts'
import { dotted } from './yaml-place.ts'

/** Taken up while everything goes on. A key that is not below one of these stands until the next start. */
const live: readonly (readonly string[])[] = [
  ['servers'],
  ['services'],
  ['agents'],
  ['secrets'],
  ['vault'],
  ['roles'],
  ['bindings'],
  ['policy'],
  ['approvals', 'groups'],
  ['approvals', 'rules'],
  ['approvals', 'wait_seconds'],
  ['approvals', 'expires_seconds'],
  ['security', 'rbac'],
  ['security', 'rate_limiting'],
  ['limits', 'networks'],
  ['limits', 'quotas'],
  ['limits', 'body_bytes'],
  ['limits', 'sessions_per_user'],
  ['limits', 'streams_per_user'],
  ['limits', 'handshakes_per_ip'],
  ['limits', 'connections_per_ip'],
  ['tracing'],
  ['detections'],
  ['alerts'],
  ['audit', 'exports'],
  ['audit', 'keep'],
  ['issuers'],
  ['decisions', 'services'],
  ['decisions', 'proxies'],
  ['edge', 'issuers'],
  ['edge', 'servers'],
  ['edge', 'clients'],
  ['edge', 'unlisted_clients'],
  ['edge', 'bearer'],
  ['edge', 'origins'],
  ['edge', 'scopes'],
  ['edge', 'request_scopes'],
  ['edge', 'dpop'],
  // The authority and the public URL of the edge are what others know it by.
  ['edge', 'certificate', 'file'],
  ['edge', 'certificate', 'key_file'],
  // Names of clients at the edge; the authority takes them up, too, at its next start.
  ['authority', 'front', 'clients'],
  ['authority', 'front', 'cimd'],
]

/** Of the section of the authority, what a gateway goes by: it is the issuer of tokens, and so is its front. */
const issuerKeys: ReadonlySet<string> = new Set([
  'authority.public_url',
  'authority.listeners.main',
  'authority.front.public_url',
  'authority.front.provider',
])

const MAX_SHOWN = 80

/**
 * Keys that a gateway takes up, the policy's among them. Throws a ConfigurationError that names, with its line, every key that
 * says something else and cannot change now.
 */
export function configurationChanges(held: Deployment, now: Deployment): readonly string[] {
  const changed = changedKeys(held.configuration, now.configuration)
  const fixed = changed.filter((keys) => !isLive(keys) && !isElsewhere(keys))
  if (fixed.length > 0) {
    const problems = fixed.map((keys) => fixedProblem(keys, held, now))
    const next = 'take these back and reload, or start the gateway again'
    throw new ConfigurationError(
      now.file,
      problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0)),
      next,
    )
  }
  // All of them: what counts is decided by these, and only what is shown is cut.
  return changed.filter(isLive).map(dotted)
}

/** Keys of other processes alone, which take them up at their next start: no reload of a gateway changes what they go by. */
export function changesElsewhere(started: Deployment, now: Deployment): readonly string[] {
  const changed = changedKeys(started.configuration, now.configuration)
  return changed.filter((keys) => isElsewhere(keys) && !isOfCommands(keys)).map(dotted)
}

function isLive(keys: readonly string[]): boolean {
  return live.some((known) => known.every((key, i) => keys[i] === key))
}

function isElsewhere(keys: readonly string[]): boolean {
  return isOfCommands(keys) || keys[0] === 'workload_api' || (keys[0] === 'authority' && !issuerKeys.has(dotted(keys)))
}

/** Read by each command when it starts, and by no process that goes on. */
function isOfCommands([first, second]: readonly string[]): boolean {
  return first === 'state' && second === 'identities_keyring'
}

/** Whether a gateway goes by it. */
export function isGatewayKey(keys: readonly string[]): boolean {
  return !isElsewhere(keys)
}

/** Sections by which an authority goes, but for what it reads anew with its policy: servers, services, and issuers but a front's. */
const authoritySections: ReadonlySet<string> = new Set([
  'trust_domain',
  'public_url',
  'listen',
  'listeners',
  'authority',
  'state',
  'security',
  'policy',
  'trust',
  'detections',
  'alerts',
])

/** Of sections that are not all the authority's, the keys that are. */
const authorityKeys: ReadonlySet<string> = new Set([
  'gateway.name',
  'audit.checkpoint_dir',
  'audit.retention',
  'audit.second_sink',
  'audit.exports',
  'limits.networks',
  'limits.quotas',
  'limits.handshakes_per_ip',
  'limits.connections_per_ip',
])

/** What a front says and does is for the edge that it gives tokens for. */
const frontKeys: ReadonlySet<string> = new Set([
  'edge.public_url',
  'edge.servers',
  'edge.clients',
  'edge.bearer',
  'edge.origins',
  'edge.scopes',
  'edge.dpop',
])

/** Whether an authority goes by it, and takes it up at its next start. */
export function isAuthorityKey(keys: readonly string[], { authority }: Pick<Configuration, 'authority'>): boolean {
  const [first = '', second = ''] = keys
  if (isOfCommands(keys)) return false
  const key = `${first}.${second}`
  if (authoritySections.has(first) || authorityKeys.has(key)) return true
  const { front } = authority
  if (front === undefined) return false
  // Other sign-ins go by `issuers` as they are read with the policy; the front by its provider as it was at the start.
  if (first === 'issuers' && (second === front.provider || second === '')) return true
  // The whole section comes or goes as one key.
  return frontKeys.has(key) || (first === 'edge' && second === '')
}

function fixedProblem(keys: readonly string[], held: Deployment, now: Deployment): Problem {
  return {
    line: now.lineOf(keys),
    path: dotted(keys),
    message:
      keys[0] === 'trust_domain' ? 'a trust domain is never renamed' : 'this stands until the gateway is started again',
    expected: shown(held.configuration, keys),
    got: shown(now.configuration, keys),
  }
}

function shown(configuration: Configuration, keys: readonly string[]): string {
  let value: unknown = configuration
  for (const key of keys) value = typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN - 1).toWellFormed()}…` : text
}

/**
 * SHA-256 of the canonical form (RFC 8785), base64url. Values of variables are left out: they may be secrets, and whoever
 * knows the rest could try them by the digest.
 */
export function configurationDigest(configuration: Configuration): string {
  const text = JSON.stringify(configuration, (key, value: unknown) => (key === 'env' ? namesIn(value) : value))
  return createHash('sha256')
    .update(canonicalJson(JSON.parse(text) as JsonValue))
    .digest('base64url')
}

function namesIn(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? Object.keys(value) : value
}
