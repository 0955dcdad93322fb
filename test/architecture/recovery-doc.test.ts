/** docs/recovery.md: its stages and codes are those of the code. */

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { stagesOf } from '../../packages/server/src/authority/ceremony.ts'
import { sourceFiles } from '../../scripts/source-files.ts'

const text = await readFile(new URL('../../docs/recovery.md', import.meta.url), 'utf8')

/** First cells of the table below a heading or sentence, without marks. */
function firstCells(before: string): readonly string[] {
  const rows = text
    .slice(text.indexOf(before))
    .split('\n')
    .filter((line) => line.startsWith('|'))
  const cells = rows.map((row) => (row.split('|')[1] ?? '').replaceAll('`', '').trim())
  const start = cells.findIndex((cell) => /^-+$/.test(cell)) + 1
  const end = cells.findIndex((cell, index) => index > start && /^-+$/.test(cell))
  return cells.slice(start, end < 0 ? undefined : end - 1)
}

describe('docs/recovery.md', () => {
  test('names the stages of a recovery, in their order', () => {
    const stages = stagesOf({ kind: 'recover', emergency: false, reissue: true, retire: false })
    assert.deepEqual(firstCells('It asks for the name'), stages.slice(0, -1))
  })

  test('explains codes that the sources have', () => {
    const sources = sourceFiles().filter(({ path }) => path.startsWith('packages/'))
    const codes = firstCells('## If this goes wrong')
    assert.ok(codes.length > 5)
    for (const code of codes)
      assert.ok(sources.some((file) => file.text.includes(`'${code}'`)) || code === 'conflict', code)
  })
})
