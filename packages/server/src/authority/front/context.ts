/** What every rule of the front works with. */

import { edgeClientId, toBase64url, userName, utf8 } from '@doorward/core'
import type { IssuerClaims, RandomBytes, Sha256 } from '@doorward/core'
import type { AuthorityContext } from '../context.ts'
import type { KeySlots } from '../key-slots.ts'
import { newestDenial } from '../newest-denial.ts'
import type { SignInRefusal } from '../people.ts'
import type { FrontClients } from './client.ts'
import type { FrontResource } from './request.ts'
import type { FrontGrant } from './store.ts'

/** The provider at which people sign in. Neither verb throws for what it does. */
export interface FrontProvider {
  /** Where the browser goes, or why the provider cannot be asked. */
  begin(asked: {
    readonly state: string
    readonly nonce: string
    readonly challenge: string
  }): Promise<URL | SignInRefusal>
  /** Who has signed in, by what the browser has brought back. */
  finish(answer: {
    readonly parameters: ReadonlyMap<string, string>
    readonly nonce: string
    readonly verifier: string
  }): Promise<IssuerClaims | SignInRefusal>
}

export interface FrontSettings {
  /** `iss`: origin, without trailing slash. */
  readonly publicUrl: string
  readonly resources: readonly FrontResource[]
  /** Tokens that are bound to no key are given. */
  readonly bearer: boolean
  /** The edge demands a scope for what is done; elsewhere scopes narrow nothing. */
  readonly scopesNarrow: boolean
  readonly refreshSeconds: number
  /** 0: asked each time. */
  readonly consentSeconds: number
  /** What the edge calls a client; null for one that it does not let in. */
  readonly clientName: (clientId: string) => string | null
}

export interface FrontContext extends Pick<AuthorityContext, 'store' | 'log' | 'clock' | 'unfit' | 'trustDomain'> {
  readonly settings: FrontSettings
  readonly clients: FrontClients
  readonly provider: FrontProvider
  readonly slots: Pick<KeySlots, 'tokenKey'>
  readonly random: RandomBytes
  readonly sha256: Sha256
  /** What was issued to this identity before is denied, as published; 0 for nobody. */
  readonly deniedBefore: (id: string) => number
  readonly epoch: () => number
  /** Denies tokens by the names that denials have for them, and publishes that; those that could not be denied. Never rejects. */
  readonly denyTokens: (names: readonly string[], reason: string) => Promise<readonly string[]>
  /** Somebody has used what was used before; `undenied` are live tokens of it that go on. */
  readonly reused: (grant: Pick<FrontGrant, 'id'>, detail: string, undenied: readonly string[]) => Promise<void>
}

export function hashOf({ sha256 }: Pick<FrontContext, 'sha256'>, text: string): string {
  return toBase64url(sha256(utf8(text)))
}

export function randomText({ random }: Pick<FrontContext, 'random'>, bytes = 32): string {
  return toBase64url(random(bytes))
}

/**
 * Why nothing counts any more that a person has given a client: either was denied since, also by an authority whose denial is not
 * published yet, a recovery has begun another epoch, or the edge does not let the client in. Null when it counts. Whoever dates
 * something by it takes the time before: what is denied after this answer is denied with everything that was dated before.
 */
export async function endedBecause(
  context: FrontContext,
  { request, person, ...made }: Pick<FrontGrant, 'request' | 'person'> & { readonly epoch: number },
): Promise<string | null> {
  const { settings, trustDomain, epoch } = context
  const name = settings.clientName(request.clientId)
  if (name === null) return 'the client is not let in'
  const [user, client] = [userName(person.user), edgeClientId(trustDomain, name).uri]
  if (person.signedInAt < (await newestDenial(context, user))) return 'the person was denied'
  if (person.signedInAt < (await newestDenial(context, client))) return 'the client was denied'
  return made.epoch < epoch() ? 'another epoch has begun' : null
}
