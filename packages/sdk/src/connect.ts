/** One call that gives a program its identity: opened or joined, renewed and kept up to date until it is closed. */

import { DoorwardError, isDoorwardError, toSeconds } from '@doorward/core'
import type { Secret, SpiffeId, TrustDomain } from '@doorward/core'
import { openIdentity } from './identity.ts'
import type { Identity } from './identity.ts'
import { IdentityFolder } from './identity-folder.ts'
import { identityFetch } from './identity-fetch.ts'
import type { IdentityFetch, Peers } from './identity-fetch.ts'
import { readJoinSource } from './join-source.ts'
import type { JoinSource } from './join-source.ts'
import { join } from './join.ts'
import { keyFileSealer } from './key-home.ts'
import { LoginStore, personSource } from './login.ts'
import type { SignedInUser } from './login.ts'
import { systemRuntime } from './runtime.ts'
import type { Runtime } from './runtime.ts'
import type { Sealer } from './sealer.ts'
import { signIn } from './sign-in.ts'
import type { IdTokenSource } from './sign-in.ts'
import type { TokenOptions } from './token-source.ts'

export interface ConnectOptions {
  /** Of the identity: made when it joins, mode 0700. One folder is one identity; several processes may share it. */
  readonly folder: string
  /** What opens the folder: the path of a key file outside of it, made with the folder, or a sealer of your own. */
  readonly key: string | Sealer
  /** Needed while nobody has joined in the folder; not looked at afterwards. */
  readonly join?: JoinSource
  /**
   * True for a program that protects its own API (`protect`): it follows the whole trust state, for which its registration
   * needs an audience. False by default.
   */
  readonly callee?: boolean
  /**
   * True for a program of a person: it calls others for whoever has signed in at it (`signIn`), and nobody for itself. False by
   * default.
   */
  readonly forPerson?: boolean
  /** Who answers where. None by default: then each call says whom it expects. */
  readonly peers?: Peers
  /** Where `join: { env }` is looked up: `process.env`. Nothing reads it by itself. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Hears of failures that were survived: renewals to be tried again, streams that broke. Must not throw. */
  readonly onProblem?: (error: unknown) => void
  /** Ends joining and the first renewal. */
  readonly signal?: AbortSignal
  /** Clocks, timers and chance; the machine's by default. */
  readonly runtime?: Runtime
}

export interface ConnectedIdentity extends AsyncDisposable {
  readonly id: SpiffeId
  readonly trustDomain: TrustDomain
  /** Calls another workload over mutual TLS, with a token for its audience. */
  readonly fetch: IdentityFetch
  /** A token for the audience, bound to the current certificate: of use on connections of this identity alone. */
  token(audience: string, options?: TokenOptions): Promise<Secret>
  /** Signs a person in here, for an hour at most; of use to an identity that was connected `forPerson`. Throws as `requestLogin`. */
  signIn(idToken: IdTokenSource): Promise<SignedInUser>
  /** Seals what belongs to this identity. */
  readonly sealer: Sealer
  /** All of it: credentials, trust, TLS material. */
  readonly identity: Identity
  /** Stops renewing and following, and closes every connection. */
  close(): Promise<void>
}

/**
 * Opens the identity of the folder, or joins with the join string; resolves when it can call. From then on it renews its
 * certificate and follows the trust state by itself, until it is closed: `await using`. Throws the codes of `keyFileSealer`,
 * `readJoinSource`, `join` and `openIdentity`; `identity_scope` for a `callee` that is a caller; and why no usable
 * certificate could be had.
 */
export async function connect(options: ConnectOptions): Promise<ConnectedIdentity> {
  const { folder, key, peers = {}, onProblem = () => undefined, signal, callee = false } = options
  const sealer = typeof key === 'string' ? await keyFileSealer({ folder, keyFile: key }) : key
  const present = await new IdentityFolder(folder, sealer).readDescription()
  if (present === null) await joinAs(options, sealer)
  else if (callee && present.scope !== 'full') throw notCallee(folder)
  const { runtime = systemRuntime } = options
  const logins = new LoginStore(folder, sealer)
  const person = options.forPerson === true ? personSource(logins, () => toSeconds(runtime.wall())) : null
  const identity = await openIdentity({ folder, sealer, onProblem, runtime, ...(person === null ? {} : { person }) })
  const stopping = new AbortController()
  try {
    await identity.prepare(signal)
  } catch (error) {
    identity.close()
    throw error
  }
  const running = identity.run(stopping.signal)
  const close = async () => {
    stopping.abort()
    identity.close()
    await running
  }
  return {
    id: identity.id,
    trustDomain: identity.trustDomain,
    fetch: identityFetch({
      signed: identity,
      peers,
      authority: { url: identity.authorityUrl, id: identity.authorityId },
    }),
    token: (audience, wanted) => identity.token(audience, wanted),
    signIn: (idToken) => signIn({ identity, logins, idToken }),
    sealer,
    identity,
    close,
    [Symbol.asyncDispose]: close,
  }
}

async function joinAs({ folder, join: source, environment, callee }: ConnectOptions, sealer: Sealer): Promise<void> {
  const joinString = await readJoinSource(source, folder, environment ?? {})
  const scope = callee === true ? 'full' : 'callers'
  try {
    await join({ folder, sealer, joinString, scope })
  } catch (error) {
    throw isDoorwardError(error, 'trust_state_scope') ? notCallee(folder) : error
  }
}

function notCallee(where: string): DoorwardError {
  return new DoorwardError('identity_scope', 'this identity may not decide about callers', {
    where,
    expected: 'a workload with an audience, that joined as a callee',
    next: 'give it one, doorward workload set ID --audience URL, and join again in an empty folder',
  })
}
