/** x509-limbo against our certification path, and against the whole verifier, which accepts none of it: no case is an SVID. */

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { notJudged, refusalReasons, refusedSuccesses } from './limbo-exceptions.ts'
import { pathVerdict, svidVerdict } from './limbo-verdict.ts'
import type { LimboCase } from './limbo-verdict.ts'
import type { VectorOptions, VectorReport } from './report.ts'

const USUAL_PATH = join(import.meta.dirname, '../../../shared/vectors/limbo.json')

/** Every good path of the usual set that needs no intermediate, no other algorithm and no constraint. */
const MINIMUM = 13

/** Runs the file. A good path that is refused fails unless it is listed, in another set unless its code is explained. */
export async function run(options: VectorOptions): Promise<VectorReport> {
  const file = options.path ?? USUAL_PATH
  if (options.path === undefined && !existsSync(file)) {
    const nothing = { passed: 0, failed: 0, wrongAccepts: [], wrongRejects: [], minimum: 0 }
    return { suite: 'limbo', ...nothing, notice: `no vectors at ${file}` }
  }
  const { testcases } = JSON.parse(await readFile(file, 'utf8')) as { readonly testcases: readonly LimboCase[] }
  const judged = testcases.filter(({ id }) => !Object.hasOwn(notJudged, id))
  const verdicts = judged.map((limbo) => ({ limbo, code: pathVerdict(limbo) }))
  const wrongAccepts = [
    ...verdicts.filter(({ limbo, code }) => !isGood(limbo) && code === null).map(({ limbo }) => limbo.id),
    ...testcases.filter((limbo) => svidVerdict(limbo) === null).map(({ id }) => `${id} as an SVID`),
  ]
  const refused = verdicts.flatMap(({ limbo, code }) =>
    isGood(limbo) && code !== null ? [{ id: limbo.id, code }] : [],
  )
  const explained = refused.map(({ id, code }) => ({ id, reason: reasonFor(id, code, options.path === undefined) }))
  const rightAccepts = verdicts.filter(({ limbo, code }) => isGood(limbo) && code === null).length
  const minimum = options.path === undefined ? MINIMUM : 0
  const unexplained = explained.filter(({ reason }) => reason.startsWith('unexpected')).length
  return {
    suite: 'limbo',
    passed: Math.max(0, judged.length - wrongAccepts.length - refused.length),
    failed: wrongAccepts.length + Math.max(unexplained, minimum - rightAccepts),
    wrongAccepts,
    wrongRejects: explained,
    minimum,
    notice: `${rightAccepts} right accepts; ${testcases.length - judged.length} cases not judged as paths, see limbo-exceptions.ts`,
  }
}

function isGood({ expected_result }: LimboCase): boolean {
  return expected_result === 'SUCCESS'
}

function reasonFor(id: string, code: string, usual: boolean): string {
  const reason = refusalReasons[code]
  const listed = !usual || refusedSuccesses[code]?.includes(id) === true
  return reason === undefined || !listed ? `unexpected: ${code}` : `${code}: ${reason}`
}
