/** How commands speak: tables and colour where people look, JSON where programs do. */

export interface Output {
  readonly json: boolean
  readonly color: boolean
  readonly out: (line: string) => void
  readonly err: (line: string) => void
}

const codes = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1, cyan: 36 } as const
export type Paint = keyof typeof codes

/** Control characters of untrusted text, shown instead of obeyed. */
export function printable(text: string): string {
  return text.replaceAll(
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
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
