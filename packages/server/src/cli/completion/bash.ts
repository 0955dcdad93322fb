/** The script for bash, from 3.2 on: needs neither bash-completion nor `mapfile`. */

import { assigned, quoted, valueFunction } from './shell-values.ts'
import type { Completed, CommandWords } from './words.ts'

function commandLine({ words, commands, options, operand }: CommandWords): string {
  const names = commands.map(({ name }) => name).join(' ')
  const flags = options.flatMap((option) => option.names).join(' ')
  return `    ${quoted(words)}) commands=${quoted(names)} options=${quoted(flags)}; ${assigned(operand)} ;;`
}

/**
 * Walks the words up to the one under the cursor. Readline breaks `--option=value` into three words, unless
 * COMP_WORDBREAKS says otherwise; file names are read by line, so that nothing in them is expanded.
 */
const WALK = `_doorward_files() {
  compopt -o filenames 2>/dev/null
  while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -P "$prefix" -- "$current")
}

_doorward() {
  local current=\${COMP_WORDS[COMP_CWORD]} command=doorward option= operands=0 prefix= word i
  local commands options values files shared
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ $word == '=' ]]; then continue; fi
    if [[ -n $option ]]; then option=; continue; fi
    _doorward_at "$command"
    case $word in
      --) return ;;
      -*=*) ;;
      -*) if _doorward_value "$command" "$word"; then option=$word; fi ;;
      *) if [[ " $commands " == *" $word "* ]]; then command="$command $word"; else operands=$((operands + 1)); fi ;;
    esac
  done
  if [[ $current == '=' ]]; then current=; fi
  if [[ -z $option && $current == --*=* ]]; then
    option=\${current%%=*} prefix="\${current%%=*}=" current=\${current#*=}
    _doorward_value "$command" "$option" || return
  fi
  if [[ -n $option ]]; then
    _doorward_value "$command" "$option"
  else
    _doorward_at "$command"
    if [[ $current == -* ]]; then values="$options $shared" files=
    elif [[ -n $commands ]]; then values=$commands files=
    elif ((operands > 0)); then values=; fi
  fi
  if [[ -n $files ]]; then _doorward_files
  elif [[ -n $values ]]; then COMPREPLY=($(compgen -P "$prefix" -W "$values" -- "$current")); fi
}

complete -F _doorward doorward`

export function bashScript(completed: Completed): string {
  const shared = completed.shared.flatMap(({ names }) => names).join(' ')
  return [
    '# Completes doorward in bash; written by `doorward completion bash`.',
    [
      '_doorward_at() {',
      `  commands= options= values= files= shared=${quoted(shared)}`,
      '  case $1 in',
      ...completed.commands.map(commandLine),
      '  esac',
      '}',
    ].join('\n'),
    valueFunction(completed),
    WALK,
  ].join('\n\n')
}
