/** How commands speak: tables and colour where people look, JSON where programs do. */

export interface Output {
  readonly json: boolean
  readonly color: boolean
  readonly out: (line: string) => void
  readonly err: (line: string) => void
}

const codes = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1, cyan: 36 } as const
export type Paint = keyof typeof codes

/** Characters that terminals obey, and those that reorder what is read. */
const obeyed = '\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069'
const anyObeyed = new RegExp(`[${obeyed}]`, 'g')
const anyObeyedButOurs = new RegExp(`\\u001b\\[(?:0|${Object.values(codes).join('|')})m|\\n|[${obeyed}]`, 'g')

function shown(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** Control characters of untrusted text, shown instead of obeyed. In JSON text the result means the same. */
export function printable(text: string): string {
  return text.replaceAll(anyObeyed, shown)
}

/**
 * The last look at whole lines: whatever a command forgot to make printable is shown, line ends and the colours of
 * `painter` stay.
 */
export function harmless(lines: string): string {
  return lines.replaceAll(anyObeyedButOurs, (found) => (found === '\n' || found.length > 1 ? found : shown(found)))
}

export function painter(color: boolean): (paint: Paint, text: string) => string {
  return (paint, text) => (color ? `\u001b[${codes[paint]}m${text}\u001b[0m` : text)
}

function width(text: string): number {
  // oxlint-disable-next-line no-control-regex -- strips the colour codes that painter() adds
  return text.replaceAll(/\u001b\[[0-9;]*m/g, '').length
}

/** Columns padded to their widest cell; the last one is left as it is. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], color: boolean): string {
  const paint = painter(color)
  const all = [head.map((cell) => paint('bold', cell)), ...rows]
  const widths = head.map((_, column) => Math.max(...all.map((row) => width(row[column] ?? ''))))
  return all
    .map((row) =>
      row
        .map((cell, column) =>
          column === row.length - 1 ? cell : cell + ' '.repeat(Math.max(0, (widths[column] ?? 0) - width(cell))),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
