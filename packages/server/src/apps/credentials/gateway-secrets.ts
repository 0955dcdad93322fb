/** The secrets of a gateway that runs: which there are, who may use each, and where its value comes from. */

import { isDoorwardError, PartyRoles, toSeconds } from '@doorward/core'
import type { Clock, CompiledPolicy, JsonObject, Principal } from '@doorward/core'
import type { RecordEntry } from '@doorward/enforcement'
import type { SecretPlace, SecretSettings, VaultSettings } from '../../config/secret-settings.ts'
import { environmentSource } from '../../secrets/environment-source.ts'
import { fileSource } from '../../secrets/file-source.ts'
import { keyringSource } from '../../secrets/keyring-source.ts'
import type { SecretSource, SecretVersion } from '../../secrets/secret-source.ts'
import type { SecretStore } from '../../secrets/secret-store.ts'
import type { UpstreamFailure } from '../../transports/server-credential.ts'
import { openVault } from './open-vault.ts'
import type { OpenVault } from './open-vault.ts'

export type SecretsByName = Readonly<Record<string, SecretSettings>>

export interface GatewaySecretsParts {
  readonly settings: SecretsByName
  /** Null where none of them is in a vault. */
  readonly vault: VaultSettings | null
  readonly store: SecretStore
  /** Resolves when the entry is durable. */
  readonly record: { append(entry: RecordEntry): Promise<unknown> }
  readonly clock: Clock
  /** What decides now. */
  readonly policy: () => Pick<CompiledPolicy, 'bindings' | 'subjects'>
}

/** Of a secret that is to be used. */
export interface SecretWish {
  readonly name: string
  /** For which server or service. */
  readonly server: string
  /** Of the call; null where the gateway asks for itself. */
  readonly principal: Principal | null
  /** Caches are passed over. */
  readonly fresh?: boolean
}

export interface UsedSecret extends SecretVersion {
  readonly name: string
}

interface Known {
  readonly settings: SecretSettings
  readonly roles: ReadonlySet<string> | null
  readonly source: SecretSource
}

export class GatewaySecrets {
  readonly #parts: GatewaySecretsParts
  #known: ReadonlyMap<string, Known> = new Map()
  #vault: OpenVault | null = null
  #vaultText = 'null'
  #roles: { readonly of: object; readonly parties: PartyRoles } | null = null

  constructor(parts: GatewaySecretsParts) {
    this.#parts = parts
    this.take(parts.settings, parts.vault)
  }

  close(): void {
    this.#vault?.vault.close()
  }

  get store(): SecretStore {
    return this.#parts.store
  }

  /** From now on these are the secrets. What comes from where it came from goes on as it is. */
  take(settings: SecretsByName, vault: VaultSettings | null): void {
    const sameVault = JSON.stringify(vault) === this.#vaultText
    if (!sameVault) this.#openVault(vault)
    const before = this.#known
    this.#known = new Map(
      Object.entries(settings).map(([name, one]): [string, Known] => {
        const same = before.get(name)
        const source =
          same !== undefined && isSamePlace(same.settings.place, one.place) && (sameVault || one.place.kind !== 'vault')
            ? same.source
            : this.#open(name, one.place)
        return [name, { settings: one, roles: one.roles === null ? null : new Set(one.roles), source }]
      }),
    )
  }

  /** By name, with the source of each. */
  entries(): readonly (readonly [string, SecretSettings, SecretSource])[] {
    return [...this.#known].map(([name, { settings, source }]) => [name, settings, source] as const)
  }

  nowSeconds(): number {
    return toSeconds(this.#parts.clock())
  }

  /** What is used beside calls, before it is. Rejects when it cannot be recorded. */
  recordOwnUse(server: string, use: JsonObject): Promise<void> {
    return this.recordAct({ event: 'secret.use', server, ...use })
  }

  /** Rejects when it cannot be recorded. */
  async recordAct(body: JsonObject): Promise<void> {
    await this.#parts.record.append({ kind: 'lifecycle', body })
  }

  isDeclared(name: string): boolean {
    return this.#known.get(name)?.source.kind === 'store'
  }

  /** The value for that server and caller, or why there is none. */
  async use({ name, server, principal, fresh = false }: SecretWish): Promise<UsedSecret | UpstreamFailure> {
    const known = this.#known.get(name)
    if (known === undefined || !known.settings.servers.includes(server))
      return { code: 'credential_withheld', explanation: `the secret ${name} is not meant for ${server}` }
    if (!this.#mayUse(known, principal))
      return { code: 'credential_withheld', explanation: `the secret ${name} is not meant for this caller` }
    try {
      return { name, ...(await known.source.read({ fresh })) }
    } catch (error) {
      const why = isDoorwardError(error) ? `${error.code}: ${error.message}${gotOf(error.got)}` : 'its source failed'
      return { code: 'credential_unavailable', explanation: `the secret ${name}: ${why}` }
    }
  }

  /** Every party has one of the roles: as policy asks it, acting for another yields no more than each of them has. */
  #mayUse({ roles }: Known, principal: Principal | null): boolean {
    return roles === null || (principal !== null && this.haveRole(principal, roles))
  }

  haveRole(principal: Principal, roles: ReadonlySet<string>): boolean {
    const policy = this.#parts.policy()
    if (this.#roles?.of !== policy) this.#roles = { of: policy, parties: new PartyRoles(policy) }
    return this.#roles.parties.allHave(principal, roles)
  }

  #openVault(settings: VaultSettings | null): void {
    this.#vault?.vault.close()
    this.#vault = settings === null ? null : openVault(settings)
    this.#vaultText = JSON.stringify(settings)
  }

  #open(name: string, place: SecretPlace): SecretSource {
    switch (place.kind) {
      case 'store':
        return this.#parts.store.source(name)
      case 'file':
        return fileSource(place.path)
      case 'environment':
        return environmentSource(place.value)
      case 'keyring':
        return keyringSource(place, { platform: process.platform, monotonic: () => performance.now() })
      case 'vault':
        if (this.#vault === null) throw new TypeError('a secret of a vault that is not configured')
        return this.#vault.secrets.source(place)
    }
  }
}

function gotOf(got: string | undefined): string {
  return got === undefined ? '' : ` (${got})`
}

/** The value of a variable is that of the start. */
function isSamePlace(one: SecretPlace, other: SecretPlace): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
