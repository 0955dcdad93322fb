/** The script for fish: one line for each command and option, under the condition that its command was written. */

import type { Completed, CommandWords, OptionWords, Value } from './words.ts'

/** In fish only these two are escaped between single quotes. */
function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}

function valueFlags(value: Value): string {
  if (value === 'none') return ''
  if (value === 'files') return ' -r -F'
  return value === 'free' ? ' -x' : ` -x -a ${quoted(value.join(' '))}`
}

function optionLine(at: string, { names, about, value }: OptionWords): string {
  const flags = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`))
  return `complete -c doorward${at} ${flags.join(' ')}${valueFlags(value)} -d ${quoted(about)}`
}

function commandLines({ words, commands, options, operand }: CommandWords): readonly string[] {
  const at = ` -n ${quoted(`__doorward_at ${quoted(words)}`)}`
  const free = ` -n ${quoted(`__doorward_at ${quoted(words)} first`)}`
  return [
    ...commands.map(({ name, about }) => `complete -c doorward${at} -a ${name} -d ${quoted(about)}`),
    ...options.map((option) => optionLine(at, option)),
    ...(operand === 'files' ? [`complete -c doorward${at} -F`] : []),
    ...(typeof operand === 'string' ? [] : [`complete -c doorward${free} -a ${quoted(operand.join(' '))}`]),
  ]
}

/** The command that was written, told by the words before the cursor; `first`: no operand was written yet. */
const AT = `function __doorward_at
    set -l command doorward
    set -l operands 0
    set -l skip 0
    set -l tokens (commandline -opc)
    set -e tokens[1]
    for word in $tokens
        if test $skip -eq 1
            set skip 0
            continue
        end
        switch $word
            case --
                return 1
            case '-*=*'
            case '-*'
                contains -- $word $__doorward_shared
                or contains -- "$command $word" $__doorward_valued
                and set skip 1
            case '*'
                if contains -- "$command $word" $__doorward_commands
                    set command "$command $word"
                else
                    set operands (math $operands + 1)
                end
        end
    end
    test "$command" = "$argv[1]"
    and test "$argv[2]" != first -o $operands -eq 0
end`

function valued(options: readonly OptionWords[]): readonly string[] {
  return options.flatMap(({ names, value }) => (value === 'none' ? [] : names))
}

export function fishScript({ shared, commands }: Completed): string {
  const list = (name: string, entries: readonly string[]) => `set -g ${name} ${entries.map(quoted).join(' ')}`
  return [
    '# Completes doorward in fish; written by `doorward completion fish`.',
    [
      list('__doorward_shared', valued(shared)),
      list(
        '__doorward_commands',
        commands.slice(1).map(({ words }) => words),
      ),
      list(
        '__doorward_valued',
        commands.flatMap(({ words, options }) => valued(options).map((name) => `${words} ${name}`)),
      ),
    ].join('\n'),
    AT,
    ['complete -c doorward -f', ...shared.map((option) => optionLine('', option))].join('\n'),
    ...commands.flatMap((command) => commandLines(command).join('\n') || []),
  ].join('\n\n')
}
