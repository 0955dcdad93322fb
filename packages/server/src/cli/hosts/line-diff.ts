/** One contiguous change of a text, shown as people read it: removed and added lines with a little around them. Pure. */

const CONTEXT = 3

/** Lines that begin with `  `, `- ` or `+ `; empty when the texts are equal. */
export function lineDiff(before: string, after: string): readonly string[] {
  if (before === after) return []
  const a = linesOf(before)
  const b = linesOf(after)
  const limit = Math.min(a.length, b.length)
  let head = 0
  while (head < limit && a[head] === b[head]) head++
  let tail = 0
  while (tail < limit - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++
  return [
    ...a.slice(Math.max(0, head - CONTEXT), head).map((line) => `  ${line}`),
    ...a.slice(head, a.length - tail).map((line) => `- ${line}`),
    ...b.slice(head, b.length - tail).map((line) => `+ ${line}`),
    ...a.slice(a.length - tail, a.length - tail + CONTEXT).map((line) => `  ${line}`),
  ]
}

function linesOf(text: string): readonly string[] {
  if (text === '') return []
  const lines = text.split(/\r?\n/)
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines
}
