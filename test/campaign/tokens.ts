/** Tokens bent in text, header, claims and signature: none but the real one is accepted. */

import { epochClaim, fromBase64url, mintToken, toBase64url, utf8, verifyToken } from '@doorward/core'
import { seeded } from '../fuzz/chance.ts'
import type { Chance } from '../fuzz/chance.ts'
import { mutate } from '../fuzz/mutate.ts'
import { forge, goodClaims, goodHeader, kid, makeSigner, verdictOf } from '../unit/core/token-fixture.ts'
import type { Signer } from '../unit/core/token-fixture.ts'
import { Findings, Tally } from './part.ts'
import type { Assignment, Part, PartReport } from './part.ts'

const textWords = ['.', '=', '==', '-', '_', '+', '/', ' ', '\n', '%2e', 'AA', 'eyJhbGciOiJub25lIn0'].map(utf8)
const jsonWords = [
  '"alg":"none"',
  '"alg":"HS256",',
  '"typ":"JWT",',
  '"crit":["exp"],',
  '"jwk":{},',
  '"kid":"other",',
  '"b64":false,',
  '"roles":["admin"],',
  '"exp":9999999999,',
  '"act":{"sub":"x"},',
  '"aud":["a"],',
  '1e400',
  '__proto__',
  '"sub":',
].map(utf8)
const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

async function run({ seed, goOn }: Assignment): Promise<PartReport> {
  const signer = await makeSigner()
  const sign = (claims: typeof goodClaims) => mintToken(claims, { kid, signKey: signer.key.signKey })
  const good = await sign(goodClaims)
  const other = await sign({ ...goodClaims, aud: `${goodClaims.aud}-other`, jti: 'other' })
  const [chance, findings, codes] = [seeded(seed), new Findings(), new Tally()]
  if (verdictOf(good, signer.check) !== 'accepted') findings.add('the right token is refused')
  let done = 0
  for (; goOn(done) && !findings.any; done++) {
    try {
      if (done % 10 === 0) judgeSigned(signer, chance, { findings, codes })
      else judgeBent(bend(good, other, chance), good, { signer, findings, codes })
    } catch (error) {
      findings.add(`threw ${String(error)} at ${done}`)
    }
  }
  return { done, findings: findings.list, facts: { verdicts: String(codes) } }
}

interface Books {
  readonly findings: Findings
  readonly codes: Tally
}

function judgeBent(bent: string, good: string, { signer, findings, codes }: Books & { readonly signer: Signer }): void {
  if (bent === good) return
  const verdict = verdictOf(bent, signer.check)
  codes.add(verdict)
  if (verdict === 'accepted') findings.add(`accepted: ${bent}`)
}

/** Claims bent before they are signed with the right key: what is accepted must still be for here, now and this holder. */
function judgeSigned({ key, check }: Signer, chance: Chance, { findings, codes }: Books): void {
  const payload = mutate(utf8(JSON.stringify(goodClaims)), chance, jsonWords)
  const token = forge(goodHeader, payload, key.privateKey)
  const verdict = verifyToken(token, check)
  codes.add(verdict.ok ? 'signed, harmlessly different' : `signed ${verdict.code}`)
  if (!verdict.ok) return
  const { iss, aud, sub, client_id, cnf, iat, exp, [epochClaim]: epoch } = verdict.claims
  const same =
    iss === goodClaims.iss &&
    aud === goodClaims.aud &&
    cnf['x5t#S256'] === goodClaims.cnf['x5t#S256'] &&
    // A gateway may hear of a new epoch later than a caller.
    epoch >= goodClaims[epochClaim] &&
    (sub === client_id || verdict.claims.act !== undefined) &&
    exp > iat &&
    exp - iat <= 300
  if (!same) findings.add(`accepted: ${token}`)
}

function bend(good: string, other: string, chance: Chance): string {
  const kind = chance.below(4)
  if (kind === 0) return latin1(mutate(utf8(good), chance, textWords))
  const parts = good.split('.')
  if (kind === 1) {
    const at = chance.below(3)
    parts[at] = chance.below(2) === 0 ? (other.split('.')[at] ?? '') : respelled(parts[at] ?? '', chance)
    return parts.join('.')
  }
  const at = kind === 2 ? chance.below(2) : 2
  const bytes = fromBase64url(parts[at] ?? '') ?? new Uint8Array(0)
  parts[at] = toBase64url(mutate(bytes, chance, jsonWords))
  return parts.join('.')
}

/** Another character somewhere: the last one of a part may spell the same bytes. */
function respelled(part: string, chance: Chance): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const at = chance.below(2) === 0 ? part.length - 1 : chance.below(part.length)
  return part.slice(0, at) + alphabet[chance.below(alphabet.length)] + part.slice(at + 1)
}

export const tokens: Part = {
  name: 'tokens',
  rule: 'no token but those that were signed is accepted, a signed one only for here, now and its holder, and nothing throws',
  count: 500_000,
  maximumSeconds: 400,
  run,
}
