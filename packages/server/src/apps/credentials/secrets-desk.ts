/** What operators do with the secrets of a gateway: each change on record before it counts, and no value ever told. */

import { DoorwardError, isDoorwardError } from '@doorward/core'
import type { JsonObject, Secret } from '@doorward/core'
import type { RecordEntry } from '@doorward/enforcement'
import type { SecretSettings } from '../../config/secret-settings.ts'
import type { SecretSource } from '../../secrets/secret-source.ts'
import type { StoredSecret } from '../../secrets/secret-store.ts'
import type { SecretsPort } from '../../transports/secrets-routes.ts'
import type { GatewaySecrets } from './gateway-secrets.ts'

export interface SecretsDeskParts {
  readonly secrets: GatewaySecrets
  /** Resolves when the entry is durable. */
  readonly record: { append(entry: RecordEntry): Promise<unknown> }
}

export function secretsDesk({ secrets, record }: SecretsDeskParts): SecretsPort {
  const { store } = secrets
  const recording = (change: string, secret: string, by: string) => async (version: number) => {
    await record.append({ kind: 'admin', body: { change, by, secret, version: String(version) } })
  }
  const changing = (verb: 'put' | 'rotate') => async (name: string, value: Secret, by: string) => {
    checkDeclared(secrets, name)
    return document(await store[verb](name, value, recording(`secret.${verb}`, name, by)))
  }
  return {
    list: () => listOf(secrets),
    put: changing('put'),
    rotate: changing('rotate'),
    remove: async (name, by) => {
      await store.remove(name, recording('secret.remove', name, by))
      return { name }
    },
  }
}

/** What nobody may use is not kept. */
function checkDeclared(secrets: GatewaySecrets, name: string): void {
  if (secrets.isDeclared(name)) return
  throw new DoorwardError('secret_undeclared', 'the configuration has no secret of this name that is kept here', {
    where: `secrets.${name}`,
    next: `say which servers may use it, secrets: { ${name}: { servers: […] } }, then: doorward gateway reload`,
  })
}

function document({ name, version, since, changed }: StoredSecret): JsonObject {
  return { name, version: String(version), since, changed }
}

/** Declared ones by name, then what is kept and not declared any more. */
async function listOf(secrets: GatewaySecrets): Promise<readonly JsonObject[]> {
  const stored = new Map(secrets.store.list().map((one) => [one.name, one]))
  const declared = await Promise.all(
    secrets.entries().map(async ([name, settings, source]) => {
      const kept = settings.place.kind === 'store' ? stored.get(name) : undefined
      const times = kept === undefined ? {} : { since: kept.since, changed: kept.changed }
      return { name, ...scopeOf(settings), ...times, ...(await standingOf(source)) }
    }),
  )
  const known = new Set(declared.filter(({ source }) => source === 'store').map(({ name }) => name))
  const orphans = [...secrets.store.list().map(document), ...secrets.store.broken().map((name) => ({ name }))]
    .filter(({ name }) => typeof name === 'string' && !known.has(name))
    .map((one) => ({ ...one, source: 'store', servers: [], roles: null, problem: 'secret_undeclared' }))
  return [...declared.toSorted((a, b) => (a.name < b.name ? -1 : 1)), ...orphans]
}

function scopeOf({ place, servers, roles }: SecretSettings) {
  return { source: place.kind, servers: [...servers], roles: roles === null ? null : [...roles] }
}

/** Whether there is a value now, and which. */
async function standingOf(source: SecretSource): Promise<JsonObject> {
  try {
    return { version: (await source.read()).version, problem: null }
  } catch (error) {
    return { version: null, problem: isDoorwardError(error) ? error.code : 'secret_unavailable' }
  }
}
