/** Where the person in the browser proves who they are before anything is kept in their name. */

import type { Clock } from '@doorward/core'
import type { IssuerSettings } from '../../config/issuer-settings.ts'
import { readSecretFile } from '../../config/secret-file.ts'
import type { Issuer } from '../../issuers/issuer.ts'
import type { SignInClient } from '../../transports/sign-in-provider.ts'
import { fetchOptions, openIssuers } from '../issuers.ts'

export interface SignInIssuer {
  readonly issuer: Issuer
  readonly client: SignInClient
  /** What people are believed by: one with another text is another issuer. */
  readonly text: string
}

/** By the text of `iss`; issuers without `consent` are not among them. Throws as `openIssuers`. */
export async function openSignInIssuers(
  settings: readonly IssuerSettings[],
  clock: Clock,
): Promise<ReadonlyMap<string, SignInIssuer>> {
  const found = new Map<string, SignInIssuer>()
  for (const one of settings) {
    if (one.consent === null) continue
    const { clientId, clientSecretFile } = one.consent
    const { issuers } = await openIssuers([one], clock)
    const secret = clientSecretFile === null ? null : () => readSecretFile(clientSecretFile)
    const client = { clientId, secret, access: await fetchOptions(one.access) }
    for (const issuer of issuers)
      found.set(issuer.issuer, { issuer, client, text: JSON.stringify([issuer.text, one.consent]) })
  }
  return found
}
