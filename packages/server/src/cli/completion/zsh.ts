/** The script for zsh: an autoloaded `_doorward`, or text to evaluate once `compinit` has run. */

import { assigned, quoted, valueFunction } from './shell-values.ts'
import type { Completed, CommandWords, Offered, OptionWords } from './words.ts'

/** `name:what it is`, as `_describe` reads it. */
function described(entries: readonly Offered[]): string {
  return `(${entries.map(({ name, about }) => quoted(`${name}:${about}`)).join(' ')})`
}

function flags(options: readonly OptionWords[]): string {
  return described(options.flatMap(({ names, about }) => names.map((name) => ({ name, about }))))
}

function commandLines({ words, commands, options, operand }: CommandWords): string {
  return [
    `    ${quoted(words)})`,
    `      below=${described(commands)}`,
    `      flags=${flags(options)}`,
    `      ${assigned(operand)} ;;`,
  ].join('\n')
}

/** `path`, `words`, `commands` and `options` are zsh's own names and stay untouched. */
const WALK = `_doorward() {
  local command=doorward option= word values files
  local -i operands=0 i
  local -a below flags shared
  for ((i = 2; i < CURRENT; i++)); do
    word=\${words[i]}
    if [[ -n $option ]]; then option=; continue; fi
    _doorward_at "$command"
    case $word in
      (--) _default; return ;;
      (-*=*) ;;
      (-*) if _doorward_value "$command" "$word"; then option=$word; fi ;;
      (*) if (( \${below[(I)$word:*]} )); then command="$command $word"; else operands+=1; fi ;;
    esac
  done
  if [[ -z $option && $PREFIX == --*=* ]]; then
    option=\${PREFIX%%=*}
    compset -P '*='
  fi
  if [[ -n $option ]]; then
    _doorward_value "$command" "$option" || return 1
  else
    _doorward_at "$command"
    if [[ $PREFIX == -* ]]; then
      flags+=($shared)
      _describe -o option flags
      return
    fi
    if (( $#below )); then
      _describe command below
      return
    fi
    if (( operands > 0 )); then values=; fi
  fi
  if [[ -n $files ]]; then _files; elif [[ -n $values ]]; then compadd -- \${=values}; fi
}

if [[ $funcstack[1] == _doorward ]]; then _doorward "$@"; else compdef _doorward doorward; fi`

export function zshScript(completed: Completed): string {
  return [
    '#compdef doorward\n# Completes doorward in zsh; written by `doorward completion zsh`.',
    [
      '_doorward_at() {',
      '  below=() flags=() values= files=',
      `  shared=${flags(completed.shared)}`,
      '  case $1 in',
      ...completed.commands.map(commandLines),
      '  esac',
      '}',
    ].join('\n'),
    valueFunction(completed),
    WALK,
  ].join('\n\n')
}
