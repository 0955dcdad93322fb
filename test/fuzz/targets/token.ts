/** Tokens: header, claims and text around them, signed with the right key; read again by nothing of ours. */

import { createPublicKey, verify } from 'node:crypto'
import { epochClaim, scanJson, utf8, verifyToken } from '@doorward/core'
import { forge, goodClaims, goodHeader, makeSigner } from '../../unit/core/token-fixture.ts'
import { bytesOf, latin1, must } from './target.ts'
import type { FuzzTarget } from './target.ts'

const words = [
  ['"alg":"none"', '"alg":"HS256",', '"typ":"JWT",', '"crit":["exp"],', '"jwk":{},', '"kid":"other",'],
  ['"roles":["admin"],', '"exp":9999999999,', '"act":{"sub":"x"},', '"aud":["a"],', '1e400', '__proto__', '"sub":'],
  ['\n', '.', '=', '-', '_', ' ', '%2e', 'eyJhbGciOiJub25lIn0', '"b64":false,'],
]
  .flat()
  .map(utf8)

function start(header: object, claims: object, after = ''): Uint8Array {
  return utf8(`${JSON.stringify(header)}\n${JSON.stringify(claims)}\n${after}`)
}

/** An input is a header, claims, and what stands behind the token, a line each: the key of a run is not in it. */
async function open(): ReturnType<FuzzTarget['open']> {
  const { key, check } = await makeSigner()
  const publicKey = createPublicKey(key.privateKey)
  return {
    starts: [
      start(goodHeader, goodClaims),
      start(goodHeader, { ...goodClaims, aud: `${goodClaims.aud}-other` }),
      start(goodHeader, goodClaims, '.AA'),
    ],
    words,
    judge(input) {
      const [header = '', payload = '', after = ''] = latin1(input).split('\n')
      const token = `${forge(header, bytesOf(payload), key.privateKey)}${after}`
      const verdict = verifyToken(token, check)
      if (!verdict.ok) return verdict.code
      must(after === '', 'accepted with more behind it')
      const [first, second, signature = ''] = token.split('.')
      const signed = { key: publicKey, dsaEncoding: 'ieee-p1363' } as const
      must(verify('sha256', utf8(`${first}.${second}`), signed, Buffer.from(signature, 'base64url')), 'not signed')
      judgeHeader(utf8(header))
      judgeClaims(bytesOf(payload), verdict.claims.act !== undefined)
      return 'accepted'
    },
  }
}

function readJson(bytes: Uint8Array): unknown {
  must(scanJson(bytes).ok, 'accepted, although two parsers may read it differently')
  return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
}

function judgeHeader(bytes: Uint8Array): void {
  const header = readJson(bytes) as typeof goodHeader
  const { alg, typ, kid } = header
  must(alg === goodHeader.alg && typ === goodHeader.typ && kid === goodHeader.kid, 'another header')
  must(Object.keys(header).length === 3, 'a header with more than is known')
}

function judgeClaims(bytes: Uint8Array, hasActor: boolean): void {
  const read = readJson(bytes) as typeof goodClaims
  const { iss, aud, sub, client_id: client, cnf, iat, exp, [epochClaim]: epoch } = read
  must(iss === goodClaims.iss && aud === goodClaims.aud, 'of another issuer or for another audience')
  must(cnf['x5t#S256'] === goodClaims.cnf['x5t#S256'], 'of another holder')
  // A gateway may hear of a new epoch later than a caller.
  must(epoch >= goodClaims[epochClaim], 'of an epoch that has ended')
  must(sub === client || hasActor, 'for another than who shows it, without an actor')
  must(exp > iat && exp - iat <= 300 && exp > goodClaims.iat, 'of another time')
}

export const token: FuzzTarget = {
  name: 'token',
  rule: 'what is accepted is signed, whole, for here and now and its holder, with no header but the three; nothing throws',
  open,
}
