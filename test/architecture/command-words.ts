/** Whether a command line that a document shows is one that the command has: its words and its options. */

import type { Command } from 'commander'

/** What stands for a word that the reader fills in. */
const PLACEHOLDER = /^(?:<.*|\[.*|[A-Z][A-Z_-]*(?:\||$).*|…|\.\.\.|\$.*|.*…)/u

/** The command lines within a line of a shell, each from the word after `doorward`. */
export function commandLines(line: string): readonly (readonly string[])[] {
  const shell = line.replace(/\s#\s.*$/, '').replaceAll(/"[^"]*"|'[^']*'/g, 'QUOTED')
  return shell.split(/\|\||&&|[|;&`()]|\s>|\s</).flatMap((part) => {
    const words = part.trim().split(/\s+/)
    const at = words.findIndex((word) => /^(?:doorward|(?:.*\/)?bin\/doorward)$/.test(word))
    return at < 0 || !words.slice(0, at).every(leads) ? [] : [words.slice(at + 1)]
  })
}

/** Prompts, environment and what runs another command; anything else means that `doorward` is no command here. */
function leads(word: string): boolean {
  return /^(?:.*[$#>]|npx|sudo|exec|time|nohup|-\w+|[A-Z_]+=.*)$/.test(word)
}

/** What is wrong with the words after `doorward`; null when they exist. */
export function unknownWord(program: Command, words: readonly string[]): string | null {
  let command = program
  let options = new Set(optionsOf(program))
  let free = false
  for (const [i, word] of words.entries()) {
    if (word === '--') return null
    if (word.startsWith('-') && word.length > 1) {
      for (const name of optionNames(word)) if (!options.has(name)) return `${command.name()} has no option ${name}`
      continue
    }
    if (free || isValue(words[i - 1], command, program)) continue
    const next = command.commands.find((one) => one.name() === word || one.aliases().includes(word))
    if (next !== undefined) {
      command = next
      options = new Set([...options, ...optionsOf(next)])
    } else if (command.commands.length > 0 && !PLACEHOLDER.test(word)) return `${command.name()} has no command ${word}`
    else free = true
  }
  return null
}

/** `--json`, `--cas=…`, `-c<file>`; `--a|--b` and `--a/--b` are two. */
function optionNames(word: string): readonly string[] {
  return word
    .split(/[|/](?=--)/)
    .map((one) => /^--[a-z][a-z0-9-]*|^-[a-zA-Z]/.exec(one)?.[0] ?? one)
    .filter((one) => one !== '--' && !one.includes('…'))
}

function optionsOf(command: Command): readonly string[] {
  return ['-h', '--help', ...command.options.flatMap(({ long, short }) => [long ?? '', short ?? ''])]
}

/** Whether the word before takes this one. */
function isValue(before: string | undefined, command: Command, program: Command): boolean {
  if (before?.startsWith('-') !== true || before.includes('=')) return false
  const option = [...command.options, ...program.options].find(({ long, short }) => long === before || short === before)
  return option !== undefined && (option.required || option.optional)
}

/** Every option of every command. */
export function allOptions(command: Command): ReadonlySet<string> {
  return new Set([...optionsOf(command), ...command.commands.flatMap((child) => [...allOptions(child)])])
}
