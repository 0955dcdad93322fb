/**
 * Header sections of llhttp's request fixtures, within a request that is right otherwise, against a real listener. What llhttp
 * finds wrong in a header section is never served; what it accepts we may refuse, because our rules for headers are stricter.
 */

import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { HeadsStage } from '../fixtures/heads-stage.ts'
import type { VectorOptions, VectorReport } from './report.ts'

const USUAL_PATH = join(import.meta.dirname, '../../../shared/vectors/llhttp/test/request')
/** Right accepts that the suite must reach. */
const MINIMUM = 21

interface HeaderCase {
  readonly id: string
  /** Lines of headers with their ends, as they stand in the fixture. Each character is a byte. */
  readonly lines: string
  readonly isWrong: boolean
}

export async function run({ path }: VectorOptions): Promise<VectorReport> {
  const folder = path ?? USUAL_PATH
  const nothing = { suite: 'heads', passed: 0, failed: 0, wrongAccepts: [], wrongRejects: [], minimum: 0 }
  if (!existsSync(folder)) return { ...nothing, notice: `no vectors at ${folder}` }
  const cases = await readCases(folder)
  const stage = await HeadsStage.open()
  try {
    return await judge(stage, cases, path === undefined ? MINIMUM : 0)
  } finally {
    await stage.close()
  }
}

async function judge(stage: HeadsStage, cases: readonly HeaderCase[], minimum: number): Promise<VectorReport> {
  const [wrongAccepts, wrongRejects] = [[] as string[], [] as { id: string; reason: string }[]]
  let [accepted, refused] = [0, 0]
  for (const { id, lines, isWrong } of cases) {
    const right = await stage.rightRequest()
    stage.forget()
    const status = await stage.answerTo(withLines(right, lines))
    const isServed = stage.reached > 0 || (status >= 200 && status < 300)
    if (isWrong && isServed) wrongAccepts.push(id)
    else if (isWrong) refused++
    else if (isServed) accepted++
    else wrongRejects.push({ id, reason: `our rules for headers are stricter: answered ${status}` })
  }
  const failed = Math.max(0, minimum - accepted)
  return { suite: 'heads', passed: accepted + refused, failed, wrongAccepts, wrongRejects, minimum }
}

/** Behind the right headers; the fixture's own host is another. */
function withLines(right: string, lines: string): string {
  const end = right.indexOf('\r\n\r\n') + 2
  return right.slice(0, end) + lines.replaceAll(/^host:[^\n]*\n/gim, '') + right.slice(end)
}

async function readCases(folder: string): Promise<readonly HeaderCase[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.md')).toSorted()
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
  return texts.flatMap((text, i) => casesOf(basename(names[i] ?? '', '.md'), text))
}

const CASE = /<!-- meta=\{"type": "request"[^>]*-->\s*```http\n([^]*?)\n```\s*```log\n([^]*?)```/g

/** Those whose fault, if there is one, lies in the header section. */
function casesOf(file: string, text: string): readonly HeaderCase[] {
  return Array.from(text.matchAll(CASE), ([, http = '', log = ''], at): HeaderCase | null => {
    const input = unescaped(http)
    const start = input.indexOf('\r\n') + 2
    const end = input.indexOf('\r\n\r\n', start - 2) + 2
    // Codes 21 and 22 are pauses, of which the second stands for another method.
    const fault = /^off=(\d+) error code=(?!2[12] )/m.exec(log)?.[1]
    const isElsewhere = fault !== undefined && (Number(fault) <= start || Number(fault) > end + 2)
    if (start < 2 || end <= start || isElsewhere) return null
    return { id: `${file} ${at + 1}`, lines: input.slice(start, end), isWrong: fault !== undefined }
  }).filter((one) => one !== null)
}

/** As llhttp's own runner reads them: lines end with CRLF, and bytes may be written as escapes. */
function unescaped(text: string): string {
  return text
    .replaceAll(/\\(?:\r\n|\r|\n)/g, '')
    .replaceAll(/\r\n|\r|\n/g, '\r\n')
    .replaceAll(/\\x([0-9a-fA-F]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
    .replaceAll(/\\([rntf])/g, (_, letter: string) => ({ r: '\r', n: '\n', t: '\t', f: '\f' })[letter] ?? '')
}
