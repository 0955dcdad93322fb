/** What follows an option, as one table that bash and zsh read alike. */

import type { Completed, OptionWords, Value } from './words.ts'

/** One word of a shell, whatever is in it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** Sets `values` or `files`. */
export function assigned(value: Value): string {
  if (value === 'files') return 'files=yes'
  return typeof value === 'string' ? ':' : `values=${quoted(value.join(' '))}`
}

/** `_doorward_value COMMAND OPTION` sets what may follow; it fails where the option takes nothing. */
export function valueFunction({ shared, commands }: Completed): string {
  const lines = (options: readonly OptionWords[], pattern: (name: string) => string) =>
    options
      .filter(({ value }) => value !== 'none')
      .map(({ names, value }) => `    ${names.map(pattern).join(' | ')}) ${assigned(value)} ;;`)
  return [
    '_doorward_value() {',
    '  values= files=',
    '  case "$1 $2" in',
    ...lines(shared, (name) => `*${quoted(` ${name}`)}`),
    ...commands.flatMap(({ words, options }) => lines(options, (name) => quoted(`${words} ${name}`))),
    '    *) return 1 ;;',
    '  esac',
    '}',
  ].join('\n')
}
