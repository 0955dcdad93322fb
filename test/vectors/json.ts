/** JSONTestSuite against `scanJson`: every `n_` refused, every `y_` accepted but for the two that repeat a key. */

import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { scanJson, type JsonScan } from '@doorward/core'
import type { VectorOptions, VectorReport } from './report.ts'

const USUAL_PATH = join(import.meta.dirname, '../../../shared/vectors/jsontestsuite')

/** Of the 95 `y_` cases, those that must be accepted. */
const MINIMUM = 93

/** Valid by RFC 8259, refused by us, by id. */
const REFUSED_ON_PURPOSE: ReadonlyMap<string, string> = new Map([
  ['y_object_duplicated_key', 'a repeated key is read differently by different parsers'],
  ['y_object_duplicated_key_and_value', 'a repeated key is read differently by different parsers'],
])

interface Case {
  readonly id: string
  readonly scan: JsonScan
}

/**
 * Runs the suite; a wrong reject without a listed reason counts as failed. `i_` cases, where an
 * implementation may choose, are listed in the notice with the choice.
 */
export async function run(options: VectorOptions): Promise<VectorReport> {
  const folder = options.path ?? USUAL_PATH
  const cases = await readCases(folder, options.path !== undefined)
  if (cases === null) {
    return {
      suite: 'json',
      passed: 0,
      failed: 0,
      wrongAccepts: [],
      wrongRejects: [],
      minimum: 0,
      notice: `no vectors at ${folder}`,
    }
  }
  const valid = cases.filter(({ id }) => id.startsWith('y_'))
  const invalid = cases.filter(({ id }) => id.startsWith('n_'))
  const open = cases.filter(({ id }) => id.startsWith('i_'))
  const wrongAccepts = invalid.filter(({ scan }) => scan.ok).map(({ id }) => id)
  const refused = valid.flatMap(({ id, scan }) => (scan.ok ? [] : [{ id, code: scan.code }]))
  const wrongRejects = refused.map(({ id, code }) => ({
    id,
    reason: REFUSED_ON_PURPOSE.get(id) ?? `unexpected: ${code}`,
  }))
  const minimum = options.path === undefined ? MINIMUM : 0
  const rightAccepts = valid.length - refused.length
  const unexpected = refused.filter(({ id }) => !REFUSED_ON_PURPOSE.has(id)).length
  return {
    suite: 'json',
    passed: valid.length + invalid.length - wrongAccepts.length - wrongRejects.length,
    failed: wrongAccepts.length + Math.max(unexpected, minimum - rightAccepts),
    wrongAccepts,
    wrongRejects,
    minimum,
    notice: open.map(({ id, scan }) => `${id}: ${scan.ok ? 'accepted' : scan.code}`).join('\n'),
  }
}

/** Null when the usual folder is absent; a path that somebody gave has to exist. */
async function readCases(path: string, given: boolean): Promise<readonly Case[] | null> {
  if (!given && !existsSync(path)) return null
  const names = path.endsWith('.json') ? [''] : await readdir(path)
  const files = names.filter((name) => name === '' || name.endsWith('.json')).toSorted()
  return Promise.all(
    files.map(async (name) => {
      const file = join(path, name)
      return { id: basename(file, '.json'), scan: scanJson(await readFile(file)) }
    }),
  )
}
