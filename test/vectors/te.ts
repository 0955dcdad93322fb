/**
 * Malformed Transfer-Encoding lines against a real listener, each with a Content-Length that is right and with one that is not:
 * every request is refused, nothing reaches the server, and right requests are served all the while.
 */

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { HeadsStage } from '../fixtures/heads-stage.ts'
import type { VectorOptions, VectorReport } from './report.ts'

const USUAL_PATH = join(import.meta.dirname, '../../../shared/vectors/smuggling-te-gadgets-668.json')
const TOGETHER = 8
/** Two requests per line; after so many lines a right one. */
const CANARY_EVERY = 40
/** Right requests served between the others. */
const MINIMUM = 17

interface Gadget {
  readonly name: string
  /** Each character is a byte. */
  readonly te_line_latin1: string
}

export async function run({ path }: VectorOptions): Promise<VectorReport> {
  const file = path ?? USUAL_PATH
  const nothing = { suite: 'te', passed: 0, failed: 0, wrongAccepts: [], wrongRejects: [], minimum: 0 }
  if (!existsSync(file)) return { ...nothing, notice: `no vectors at ${file}` }
  const gadgets = JSON.parse(await readFile(file, 'utf8')) as readonly Gadget[]
  const stage = await HeadsStage.open()
  try {
    return await attack(stage, gadgets, path === undefined ? MINIMUM : 1)
  } finally {
    await stage.close()
  }
}

async function attack(stage: HeadsStage, gadgets: readonly Gadget[], minimum: number): Promise<VectorReport> {
  const wrongAccepts: string[] = []
  let [served, refused, right] = [0, 0, '']
  for (let at = 0; at < gadgets.length; at += TOGETHER) {
    if (at % CANARY_EVERY === 0) {
      right = await stage.rightRequest()
      if ((await stage.answerTo(right)) === 200) served++
      stage.forget()
    }
    const requests = gadgets.slice(at, at + TOGETHER).flatMap((gadget) => requestsOf(gadget, right))
    const answers = await Promise.all(requests.map(({ text }) => stage.answerTo(text)))
    const passed = requests.filter((_, i) => isSuccess(answers[i] ?? 0)).map(({ id }) => id)
    // Which one it was cannot be told from outside.
    if (passed.length === 0 && stage.reached > 0) passed.push(`one of ${requests.map(({ id }) => id).join(', ')}`)
    wrongAccepts.push(...passed)
    refused += requests.length - passed.length
  }
  const missing = Math.max(0, minimum - served)
  return { suite: 'te', passed: refused + served, failed: missing, wrongAccepts, wrongRejects: [], minimum }
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300
}

/** The right request with the line beside its length, and as chunks behind a length that ends before them. */
function requestsOf({ name, te_line_latin1: line }: Gadget, right: string) {
  const end = right.indexOf('\r\n\r\n')
  const [head, body] = [right.slice(0, end), right.slice(end + 4)]
  const chunks = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
  const shorter = head.replace(/\r\nContent-Length: \d+/i, '\r\nContent-Length: 4')
  return [
    { id: `${name}, length and line`, text: `${head}\r\n${line}\r\n\r\n${body}` },
    { id: `${name}, line and length`, text: `${shorter}\r\n${line}\r\n\r\n${chunks}` },
  ]
}
