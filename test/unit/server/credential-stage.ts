/** One identity whose certificate, tokens, trust and clocks a test moves, and the folder that is kept in step with it. */

import { mkdtemp, readFile, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { epochMillis, epochSeconds, Secret } from '@doorward/core'
import type { AccessTokenClaims, DoorwardError, TrustState } from '@doorward/core'
import { CredentialSource, importP256, randomBytes, ServerRefused, sha256, svidOf, systemRuntime } from '@doorward/sdk'
import type { Runtime, Svid } from '@doorward/sdk'
import { trustViewOf } from '@doorward/enforcement'
import { CredentialFiles } from '../../../packages/server/src/apps/credential-files.ts'
import type { CredentialEvent } from '../../../packages/server/src/apps/credential-files.ts'
import { CredentialFolder } from '../../../packages/server/src/apps/credential-folder.ts'
import { generationNames } from '../../../packages/server/src/apps/credential-generation.ts'
import type { TokenRequest } from '../../../packages/server/src/apps/credential-generation.ts'
import { refusalWatch } from '../../../packages/server/src/apps/credential-standing.ts'
import { now, TrustFixture } from '../../fixtures/trust-fixture.ts'
import type { IssueOptions, TestSvid } from '../../fixtures/trust-fixture.ts'

export const name = 'agent/planner'

export class CredentialStage {
  readonly trust: TrustFixture
  readonly root: string
  readonly path: string
  readonly credentials = new CredentialSource(null)
  readonly events: CredentialEvent[] = []
  readonly watch = refusalWatch(() => this.credentials.peek())
  /** Milliseconds that have passed beyond those of the machine. */
  passed = 0
  /** What the token endpoint does instead of giving a token. */
  refusal: DoorwardError | null = null
  claims: Partial<AccessTokenClaims> = {}
  /** Changes the state that is seen. */
  seen: (state: TrustState) => TrustState = (state) => state
  #svid: TestSvid | null = null
  readonly #listeners = new Set<() => void>()
  readonly #kept = new Map<string, { readonly token: Secret; readonly until: number }>()

  private constructor(trust: TrustFixture, root: string) {
    this.trust = trust
    this.root = root
    this.path = join(root, 'files')
  }

  static async create(options: IssueOptions = {}): Promise<CredentialStage> {
    const root = await realpath(await mkdtemp(join(tmpdir(), 'doorward-credentials-')))
    const stage = new CredentialStage(await TrustFixture.create(), root)
    await stage.renew(options)
    return stage
  }

  readonly runtime: Runtime = {
    ...systemRuntime,
    wall: () => epochMillis(systemRuntime.wall() + this.passed),
    monotonic: () => systemRuntime.monotonic() + this.passed,
    chance: () => 0.5,
  }

  get svid(): Svid {
    return this.credentials.current()
  }

  /** A new certificate, as renewal brings it. */
  async renew(options: IssueOptions = {}): Promise<void> {
    this.#svid = await this.trust.issue(name, options)
    const { chain, privateKey } = this.#svid
    this.credentials.replace(svidOf(chain, privateKey, this.trust.trustDomain))
    this.announce()
  }

  announce(): void {
    for (const listener of this.#listeners) listener()
  }

  /** As the SDK keeps them: one per certificate and audience, for three quarters of its life. */
  async #token(audience: string): Promise<Secret> {
    const key = `${this.svid.fingerprint} ${audience}`
    const kept = this.#kept.get(key)
    if (kept !== undefined && this.runtime.monotonic() < kept.until) return kept.token
    if (this.refusal !== null) throw this.refusal
    if (this.#svid === null) throw new Error('no certificate')
    const iat = epochSeconds(now() + this.passed / 1000)
    const claims = { iat, exp: epochSeconds(iat + 300), ...this.claims }
    const token = new Secret(await this.trust.token(this.#svid, audience, claims))
    this.#kept.set(key, { token, until: this.runtime.monotonic() + 225_000 })
    return token
  }

  /** A process that takes the folder over. */
  async files(tokens: readonly TokenRequest[] = []): Promise<CredentialFiles> {
    const folder = await CredentialFolder.open({
      path: this.path,
      names: generationNames(tokens),
      random: randomBytes,
    })
    this.release = () => folder.release()
    const files = new CredentialFiles({
      identity: {
        id: this.trust.id(...name.split('/')),
        credentials: this.credentials,
        trust: { now: () => this.runtime.wall() },
        trustStore: {
          view: () => trustViewOf(this.seen(this.trust.state()), 1, { sha256, importP256 }),
        },
        token: (audience) => this.#token(audience),
        onMaterial: (listener) => {
          this.#listeners.add(listener)
          return () => this.#listeners.delete(listener)
        },
      },
      folder,
      tokens,
      watch: this.watch,
      runtime: this.runtime,
      report: (event) => this.events.push(event),
    })
    await files.resume()
    return files
  }

  release: () => void = () => undefined

  read(file: string): Promise<string | null> {
    return readFile(join(this.path, file), 'utf8').catch(() => null)
  }

  async status(): Promise<Readonly<Record<string, unknown>>> {
    return JSON.parse((await this.read('status.json')) ?? '{}') as Readonly<Record<string, unknown>>
  }

  /** How often a generation was written. */
  get generations(): number {
    return this.events.filter(({ type }) => type === 'written').length
  }

  async remove(): Promise<void> {
    this.release()
    await rm(this.root, { recursive: true, force: true })
  }
}

/** What the authority says when it refuses. */
export function refusedBy(code: string): ServerRefused {
  return new ServerRefused(code, code, { where: 'authority', decision: null, permission: null })
}
