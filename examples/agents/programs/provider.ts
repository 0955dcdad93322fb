/**
 * Stands for the company's provider (OpenID Connect): one that signs in whoever asks. What counts is what it gives: an ID token for
 * the nonce that it was asked with. The authority knows its keys, and believes nothing else of it.
 */

import { generateKeyPairSync, sign } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

export const clientId = 'shop-laptops'

export interface Provider extends AsyncDisposable {
  readonly url: string
  /** JWKS, for `jwks_file` of the authority's configuration. */
  readonly keys: string
  idToken(person: string, nonce: string): string
}

export async function startProvider(issuer: string): Promise<Provider> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const kid = 'provider-1'
  const idToken = (person: string, nonce: string) => {
    const iat = Math.floor(Date.now() / 1000)
    const groups = person === 'alice' ? ['purchasing'] : []
    const claims = { iss: issuer, sub: person, aud: clientId, iat, exp: iat + 300, auth_time: iat, nonce, groups }
    const signed = [{ alg: 'ES256', kid }, claims].map((part) => encoded(JSON.stringify(part))).join('.')
    return `${signed}.${sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
  }
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const { person, nonce } = JSON.parse(body) as { readonly person: string; readonly nonce: string }
      response.end(idToken(person, nonce))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    keys: JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' }] }),
    idToken,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function encoded(part: string): string {
  return Buffer.from(part).toString('base64url')
}
