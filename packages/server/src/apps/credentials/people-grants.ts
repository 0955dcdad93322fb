/** What a gateway with an edge has of people's own grants: put together from its state, its issuers and its trust. */

import { toSeconds } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import type { TrustSource } from '@doorward/enforcement'
import type { EdgeSettings } from '../../config/edge-settings.ts'
import type { IssuerSettings } from '../../config/issuer-settings.ts'
import type { GrantStore } from '../../secrets/grant-store.ts'
import type { GatewaySettings } from '../gateway-settings.ts'
import type { GatewayState } from '../gateway-state.ts'
import { Consents } from './consents.ts'
import { clientPath } from '../../transports/consent-pages.ts'
import { openSignInIssuers } from './sign-in-issuers.ts'
import { UserGrants } from './user-grants.ts'

export interface PeopleGrants {
  readonly grants: UserGrants
  readonly consents: Consents
  /** Where authorization servers find what we say of ourselves. */
  readonly documentUrl: string
  /** Opens other issuers beside those that count; what it returns lets them count. Throws as `openIssuers`. */
  prepareIssuers(issuers: readonly IssuerSettings[]): Promise<() => void>
}

export interface PeopleGrantsParts {
  readonly edge: Pick<EdgeSettings, 'publicUrl'> | undefined
  readonly issuers: readonly IssuerSettings[]
  readonly store: GrantStore
  readonly trust: TrustSource & { onApply(listener: () => void): () => void }
  /** Resolves when the entry is durable. */
  readonly record: (body: JsonObject) => Promise<void>
  readonly onProblem: (error: unknown) => void
}

/** Null without an edge: then there is no page where people could grant anything. Throws as `openIssuers`. */
export async function openPeopleGrants(
  { edge, issuers, store, trust, record, onProblem }: PeopleGrantsParts,
  stack: AsyncDisposableStack,
): Promise<PeopleGrants | null> {
  if (edge === undefined) return null
  // No stepped clock of the machine makes a token or a link live longer.
  const now = () => toSeconds(trust.now())
  const grants = new UserGrants({ store, now, record, trust, onProblem })
  const signIn = (settings: readonly IssuerSettings[]) => openSignInIssuers(settings, () => trust.now())
  const signIns = await signIn(issuers)
  const consents = new Consents({ grants, issuers: signIns, publicUrl: edge.publicUrl, now, record, onProblem })
  stack.defer(trust.onApply(() => void grants.review()))
  await grants.review()
  const prepareIssuers = async (settings: readonly IssuerSettings[]) => {
    const next = await signIn(settings)
    return () => consents.take(next)
  }
  const documentUrl = `${edge.publicUrl}${clientPath}`
  return { grants, consents, documentUrl, prepareIssuers }
}

export interface GatewayPeopleParts {
  readonly settings: Pick<GatewaySettings, 'edge' | 'issuers'>
  readonly state: Pick<GatewayState, 'grantStore' | 'identity' | 'record'>
  readonly onProblem: (error: unknown) => void
}

/** As `openPeopleGrants`. */
export function openGatewayPeople(
  { settings, state, onProblem }: GatewayPeopleParts,
  stack: AsyncDisposableStack,
): Promise<PeopleGrants | null> {
  const { edge, issuers = [] } = settings
  const record = async (body: JsonObject) => void (await state.record.append({ kind: 'lifecycle', body }))
  const parts = { edge, issuers, store: state.grantStore, trust: state.identity.trust, record, onProblem }
  return openPeopleGrants(parts, stack)
}
