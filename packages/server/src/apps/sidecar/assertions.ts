/** The sidecar's word to the program behind it, signed by a key that lives as long as the process and lies nowhere. */

import { randomBytes } from 'node:crypto'
import { chmod, rename, rm, writeFile } from 'node:fs/promises'
import { assertedParties, assertionSeconds, epochSeconds, mintAssertion, toBase64url, toSeconds } from '@doorward/core'
import type { Clock, PrincipalAssertionClaims, SpiffeId } from '@doorward/core'
import { CallFailed, generateP256, jwkThumbprint, sha256 } from '@doorward/sdk'
import type { P256KeyPair, ProtectedCall } from '@doorward/sdk'
import { safePlace } from '../../transports/workload-api/open-socket.ts'

export interface AssertedCall {
  readonly call: Pick<ProtectedCall, 'principal' | 'decision'>
  readonly method: string
  readonly target: string
  readonly body: Uint8Array
  /** Whom it is for; that of all of them by default. */
  readonly audience?: string
}

const ID_BYTES = 16

export class Assertions {
  readonly #key: P256KeyPair
  readonly #kid: string
  readonly #issuer: SpiffeId
  readonly #audience: string
  readonly #clock: Clock

  private constructor(key: P256KeyPair, own: { issuer: SpiffeId; audience: string; clock: Clock }) {
    this.#key = key
    this.#kid = jwkThumbprint(key.jwk)
    this.#issuer = own.issuer
    this.#audience = own.audience
    this.#clock = own.clock
  }

  static async open(own: { issuer: SpiffeId; audience: string; clock: Clock }): Promise<Assertions> {
    return new Assertions(await generateP256(), own)
  }

  /** JWK Set (RFC 7517 §5), and beside the keys the time by which they sign: whoever reads it knows how late it is at least. */
  get jwks(): string {
    const keys = [{ ...this.#key.jwk, kid: this.#kid, alg: 'ES256', use: 'sig' }]
    return JSON.stringify({ keys, doorward_time: this.#clock() })
  }

  /** Throws `CallFailed` for what does not fit into an assertion. */
  async of({ call, method, target, body, audience = this.#audience }: AssertedCall): Promise<string> {
    const iat = toSeconds(this.#clock())
    const claims: PrincipalAssertionClaims = {
      iss: this.#issuer.uri,
      aud: audience,
      ...assertedParties(call.principal),
      iat,
      exp: epochSeconds(iat + assertionSeconds),
      jti: toBase64url(randomBytes(ID_BYTES)),
      decision: call.decision,
      method,
      target,
      ...(body.length === 0 ? {} : { body_sha256: toBase64url(sha256(body)) }),
    }
    try {
      return await mintAssertion(claims, { kid: this.#kid, signKey: this.#key.signKey })
    } catch {
      throw new CallFailed(
        'header_limit',
        'the request target, or the chain of its caller, does not fit into an assertion',
      )
    }
  }

  /**
   * Replaces the file at once; everybody may read it, whatever the umask. Throws `local_folder_open` when somebody else could put
   * other keys there.
   */
  async write(asked: string): Promise<void> {
    const path = await safePlace(asked)
    const temporary = `${path}.${toBase64url(randomBytes(6))}.new`
    await writeFile(temporary, `${this.jwks}\n`, { mode: 0o600, flag: 'wx' })
    try {
      await chmod(temporary, 0o644)
      await rename(temporary, path)
    } catch (error) {
      await rm(temporary, { force: true })
      throw error
    }
  }
}
