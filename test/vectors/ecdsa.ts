/** Wycheproof ECDSA P-256 with SHA-256 against the verify key that tokens and certificates use, in both signature forms. */

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ecdsaFromDer, p256JwkOfSpki } from '@doorward/core'
import type { VerifyKey } from '@doorward/core'
import { importP256 } from '@doorward/sdk'
import type { VectorOptions, VectorReport } from './report.ts'

const USUAL_PATH = join(import.meta.dirname, '../../../shared/vectors/wycheproof')
const DER_FILE = 'ecdsa_secp256r1_sha256_test.json'
const RAW_FILE = 'ecdsa_secp256r1_sha256_p1363_test.json'

/** 174 valid DER and 173 valid r ‖ s cases. */
const MINIMUM = 347

interface Group {
  readonly publicKeyDer: string
  readonly tests: readonly {
    readonly tcId: number
    readonly msg: string
    readonly sig: string
    readonly result: string
  }[]
}

interface Judged {
  readonly id: string
  readonly valid: boolean
  readonly accepted: boolean
}

/** Runs both files of the folder; a valid case that is refused counts as failed. */
export async function run(options: VectorOptions): Promise<VectorReport> {
  const folder = options.path ?? USUAL_PATH
  if (options.path === undefined && !existsSync(folder)) {
    return {
      suite: 'ecdsa',
      passed: 0,
      failed: 0,
      wrongAccepts: [],
      wrongRejects: [],
      minimum: 0,
      notice: `no vectors at ${folder}`,
    }
  }
  const cases = [
    ...(await judgeFile(folder, DER_FILE, 'der', ecdsaFromDer)),
    ...(await judgeFile(folder, RAW_FILE, 'p1363', (raw) => raw)),
  ]
  const wrongAccepts = cases.filter(({ valid, accepted }) => !valid && accepted).map(({ id }) => id)
  const wrongRejects = cases
    .filter(({ valid, accepted }) => valid && !accepted)
    .map(({ id }) => ({ id, reason: 'unexpected: a valid signature was refused' }))
  const rightAccepts = cases.filter(({ valid, accepted }) => valid && accepted).length
  const minimum = options.path === undefined ? MINIMUM : 0
  const wrong = wrongAccepts.length + wrongRejects.length
  const failed = Math.max(wrong, minimum - rightAccepts)
  return { suite: 'ecdsa', passed: cases.length - wrong, failed, wrongAccepts, wrongRejects, minimum }
}

async function judgeFile(
  folder: string,
  file: string,
  form: string,
  toRaw: (signature: Uint8Array) => Uint8Array | null,
): Promise<readonly Judged[]> {
  const { testGroups } = JSON.parse(await readFile(join(folder, file), 'utf8')) as {
    readonly testGroups: readonly Group[]
  }
  return testGroups.flatMap(({ publicKeyDer, tests }) => {
    const key = importKey(publicKeyDer)
    return tests.map(({ tcId, msg, sig, result }) => {
      const raw = toRaw(bytesOf(sig))
      const accepted = key !== null && raw !== null && key.verify(bytesOf(msg), raw)
      return { id: `${form}-${tcId}`, valid: result === 'valid', accepted }
    })
  })
}

function importKey(publicKeyDer: string): VerifyKey | null {
  const jwk = p256JwkOfSpki(bytesOf(publicKeyDer))
  return jwk === null ? null : importP256(jwk)
}

function bytesOf(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'))
}
