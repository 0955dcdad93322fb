/** A request as an attacker sends it: with any certificate, any key and any header, to whoever answers. */

import type { KeyObject } from 'node:crypto'
import { request } from 'node:https'
import type { Result } from './attack.ts'
import { resultOf } from './attack.ts'

export interface Shown {
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[]
  readonly privateKey: KeyObject
}

export interface RawRequest {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

const MOST_TRIES = 5

/** Tries again what was refused because a certificate is news: whoever is called hears of each a moment after it was issued. */
export async function rawCall(url: string, shown: Shown, request: RawRequest): Promise<Result> {
  for (let tries = 1; ; tries++) {
    const result = await callOnce(url, shown, request)
    if (result.code !== 'certificate_not_issued' || tries === MOST_TRIES) return result
  }
}

/** Resolves with `connection refused` and no entry where there was no answer: then the handshake was the end of it. */
function callOnce(url: string, shown: Shown, { method = 'GET', headers = {}, body }: RawRequest): Promise<Result> {
  const cert = shown.chain.map(pemOf).join('')
  const key = shown.privateKey.export({ type: 'pkcs8', format: 'pem' })
  return new Promise((resolve) => {
    // Who answers does not matter to an attacker.
    const call = request(url, { method, headers, cert, key, agent: false, rejectUnauthorized: false }, (response) => {
      response.resume()
      const told = new Headers()
      for (const [name, value] of Object.entries(response.headers)) told.set(name, String(value))
      resolve(resultOf({ status: response.statusCode ?? 0, headers: told }))
    })
    call.once('error', () => resolve({ letThrough: false, code: 'connection refused', entry: null }))
    call.end(body)
  })
}

function pemOf(der: Uint8Array): string {
  const lines = Buffer.from(der).toString('base64').replaceAll(/.{64}/g, '$&\n')
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`
}
