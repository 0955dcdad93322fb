/**
 * Wycheproof JWS against our token grammar and ES256 verifier, the group's key trusted.
 * The cases carry no `typ` and no claims, so they run through `openCompactJws` without a type.
 */

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openCompactJws, readP256Jwk } from '@doorward/core'
import type { TokenKeySet } from '@doorward/core'
import { importP256 } from '@doorward/sdk'
import type { VectorOptions, VectorReport } from './report.ts'

const USUAL_PATH = join(import.meta.dirname, '../../../shared/vectors/wycheproof/json_web_signature_test.json')

/** The valid ES256 cases of the set. */
const MINIMUM = 2

type Jwk = Readonly<Record<string, unknown>>

interface Group {
  readonly public?: Jwk
  readonly private: Jwk
  readonly tests: readonly {
    readonly tcId: number
    readonly comment: string
    readonly jws: string
    readonly result: string
  }[]
}

interface Judged {
  readonly id: string
  readonly valid: boolean
  /** Null when accepted. */
  readonly code: string | null
  readonly algorithm: string
}

/** Runs the file; a valid ES256 case that is refused counts as failed, one of another algorithm does not. */
export async function run(options: VectorOptions): Promise<VectorReport> {
  const file = options.path ?? USUAL_PATH
  if (options.path === undefined && !existsSync(file)) {
    return {
      suite: 'jws',
      passed: 0,
      failed: 0,
      wrongAccepts: [],
      wrongRejects: [],
      minimum: 0,
      notice: `no vectors at ${file}`,
    }
  }
  const { testGroups } = JSON.parse(await readFile(file, 'utf8')) as { readonly testGroups: readonly Group[] }
  const cases = testGroups.flatMap(judgeGroup)
  const wrongAccepts = cases.filter(({ valid, code }) => !valid && code === null).map(({ id }) => id)
  const refused = cases.filter(({ valid, code }) => valid && code !== null)
  const unexpected = refused.filter(({ algorithm }) => algorithm === 'ES256').length
  const rightAccepts = cases.filter(({ valid, code }) => valid && code === null).length
  const minimum = options.path === undefined ? MINIMUM : 0
  return {
    suite: 'jws',
    passed: cases.length - wrongAccepts.length - refused.length,
    failed: wrongAccepts.length + Math.max(unexpected, minimum - rightAccepts),
    wrongAccepts,
    wrongRejects: refused.map(({ id, code, algorithm }) => ({
      id,
      reason: algorithm === 'ES256' ? `unexpected: ${code}` : `${code}: ${algorithm} is not an algorithm of our tokens`,
    })),
    minimum,
  }
}

function judgeGroup(group: Group): readonly Judged[] {
  const jwk = group.public ?? group.private
  const keys = trusted(jwk)
  const algorithm = typeof jwk['alg'] === 'string' ? jwk['alg'] : 'no algorithm'
  return group.tests.map(({ tcId, jws, result }) => {
    const opened = openCompactJws(jws, { typ: null, keys })
    return { id: `jws-${tcId}`, valid: result === 'valid', code: 'code' in opened ? opened.code : null, algorithm }
  })
}

/** The group's key under its own kid, if it is an ES256 key for signatures; the trust state lists no others. */
function trusted(jwk: Jwk): TokenKeySet {
  const { kty, crv, x, y, alg, use, kid } = jwk
  const p256 = readP256Jwk({ kty, crv, x, y })
  const key = p256 === null || alg !== 'ES256' || use !== 'sig' ? null : importP256(p256)
  return key === null ? new Map() : new Map([[String(kid), key]])
}
