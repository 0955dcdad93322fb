/** Whom an authority believes when it is told who somebody is: put together from configuration. */

import { toSeconds } from '@doorward/core'
import type { Clock } from '@doorward/core'
import { noVouchers } from '../authority/attest/vouchers.ts'
import type { AuthorityContext } from '../authority/context.ts'
import type { People } from '../authority/people.ts'
import type { IssuerSettings } from '../config/issuer-settings.ts'
import { verifyIdToken } from '../issuers/id-token.ts'
import type { AuthoritySettings } from './authority-settings.ts'
import { openVouchers } from './authority-vouchers.ts'
import { openIssuers } from './issuers.ts'

/** Who vouches for workloads and for people. Throws as `openVouchers` and `openIssuers`. */
export async function openBelieved(
  { vouchers, issuers = [] }: Pick<AuthoritySettings, 'vouchers' | 'issuers'>,
  clock: Clock,
): Promise<Pick<AuthorityContext, 'vouchers' | 'people'>> {
  return {
    vouchers: vouchers === undefined ? noVouchers : await openVouchers(vouchers),
    people: await openPeople(issuers, clock),
  }
}

/** Those issuers that have a sign-in. Throws as `openIssuers`. */
async function openPeople(settings: readonly IssuerSettings[], clock: Clock): Promise<People> {
  const { issuers } = await openIssuers(settings, clock)
  return {
    issuers: issuers.flatMap(({ login, ...issuer }) => {
      if (login === null) return []
      const { clientId, workloads, lifetimeSeconds, maxAgeSeconds, device: mayLackNonce } = login
      const verify = (idToken: string, nonce: string) =>
        verifyIdToken(issuer, idToken, { clientId, nonce, mayLackNonce, maxAgeSeconds, now: toSeconds(clock()) })
      return [{ name: issuer.name, issuer: issuer.issuer, workloads, lifetimeSeconds, maxAgeSeconds, verify }]
    }),
  }
}
