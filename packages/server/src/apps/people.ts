/** Whom an authority believes when it is told who somebody is: put together from configuration. */

import { toSeconds } from '@doorward/core'
import type { Clock } from '@doorward/core'
import type { RecordEntry } from '@doorward/enforcement'
import { noVouchers } from '../authority/attest/vouchers.ts'
import type { AuthorityContext } from '../authority/context.ts'
import type { People, SignInIssuer } from '../authority/people.ts'
import type { IssuerSettings } from '../config/issuer-settings.ts'
import { verifyIdToken } from '../issuers/id-token.ts'
import type { AuthoritySettings } from './authority-settings.ts'
import { openVouchers } from './authority-vouchers.ts'
import { openIssuers } from './issuers.ts'
import type { OpenedIssuer } from './issuers.ts'
import { named } from './policy-reload-entries.ts'
import type { BesideChange } from './policy-reload.ts'

export interface Believed extends Pick<AuthorityContext, 'vouchers'> {
  readonly people: LivePeople
}

/** Who vouches for workloads and for people. Throws as `openVouchers` and `openIssuers`. */
export async function openBelieved(
  { vouchers, issuers = [] }: Pick<AuthoritySettings, 'vouchers' | 'issuers'>,
  clock: Clock,
): Promise<Believed> {
  const people = new LivePeople(clock)
  const first = await people.prepare(issuers)
  first.apply()
  return { vouchers: vouchers === undefined ? noVouchers : await openVouchers(vouchers), people }
}

type Log = (entry: RecordEntry) => Promise<unknown>

/** Those issuers that have a sign-in, as they are now. */
export class LivePeople implements People {
  readonly #clock: Clock
  #opened: readonly OpenedIssuer[] = []
  #issuers: readonly SignInIssuer[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get issuers(): readonly SignInIssuer[] {
    return this.#issuers
  }

  /** Opens others beside those that count. Throws as `openIssuers`. */
  async prepare(
    settings: readonly IssuerSettings[],
  ): Promise<{ readonly changed: Changed; readonly apply: () => void }> {
    const before = this.#opened
    const { issuers: next } = await openIssuers(settings, this.#clock, before)
    return {
      changed: changedIssuers(before, next),
      apply: () => {
        this.#opened = next
        this.#issuers = next.flatMap((issuer) => this.#signIn(issuer))
      },
    }
  }

  /** As a part takes them up with its policy. `restart`: keys that the part does not take up, of which the record has those of issuers. */
  async change(
    { issuers, restart }: { readonly issuers: readonly IssuerSettings[]; readonly restart: readonly string[] },
    by: string,
    log: Log,
  ): Promise<BesideChange> {
    const { changed, apply } = await this.prepare(issuers)
    const { added, removed, changed: other } = changed
    const isSame = added.length + removed.length + other.length === 0
    const standing = restart.filter((key) => key.startsWith('issuers.'))
    const body = {
      change: 'issuers.change',
      by,
      added: named(added),
      removed: named(removed),
      changed: named(other),
      ...(standing.length === 0 ? {} : { needs_restart: named(standing) }),
    }
    return {
      keys: isSame ? [] : ['issuers'],
      commit: async () => void (isSame || (await log({ kind: 'admin', body }))),
      apply,
    }
  }

  #signIn({ login, ...issuer }: OpenedIssuer): readonly SignInIssuer[] {
    if (login === null) return []
    const { clientId, workloads, lifetimeSeconds, maxAgeSeconds, device: mayLackNonce } = login
    const now = () => toSeconds(this.#clock())
    const verify = (idToken: string, nonce: string) =>
      verifyIdToken(issuer, idToken, { clientId, nonce, mayLackNonce, maxAgeSeconds, now: now() })
    return [{ name: issuer.name, issuer: issuer.issuer, workloads, lifetimeSeconds, maxAgeSeconds, verify }]
  }
}

interface Changed {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly changed: readonly string[]
}

/** By the names of configuration. */
function changedIssuers(before: readonly OpenedIssuer[], after: readonly OpenedIssuer[]): Changed {
  const [old, next] = [textsOf(before), textsOf(after)]
  return {
    added: [...next.keys()].filter((name) => !old.has(name)),
    removed: [...old.keys()].filter((name) => !next.has(name)),
    changed: [...next].flatMap(([name, text]) => (old.has(name) && old.get(name) !== text ? [name] : [])),
  }
}

function textsOf(issuers: readonly OpenedIssuer[]): ReadonlyMap<string, string> {
  return new Map(issuers.map(({ name, text, login }) => [name, JSON.stringify([text, login])]))
}
