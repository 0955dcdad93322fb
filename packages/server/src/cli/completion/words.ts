/** What stands behind which words: commands, options and values, as the help of each command shows them. */

import type { Argument, Command, Option } from 'commander'

/** What follows an option, or stands as an operand: nothing, anything, a file, or one of these. */
export type Value = 'none' | 'free' | 'files' | readonly string[]

export interface Offered {
  readonly name: string
  readonly about: string
}

export interface OptionWords {
  /** `-c` and `--config`, the short one first. */
  readonly names: readonly string[]
  readonly about: string
  readonly value: Value
}

export interface CommandWords {
  /** From the program on: `doorward audit verify`. */
  readonly words: string
  readonly commands: readonly Offered[]
  /** Without those that every command has. */
  readonly options: readonly OptionWords[]
  readonly operand: Value
}

export interface Completed {
  /** Options of every command. */
  readonly shared: readonly OptionWords[]
  /** The program first, then each command before its own. */
  readonly commands: readonly CommandWords[]
}

/** What shells take as it stands: `compgen -W` would expand anything else. */
const PLAIN = /^[A-Za-z0-9_.:/+-]+$/
const FILE = /file|folder|dir|path/

function plain(word: string): string {
  if (!PLAIN.test(word)) throw new Error(`${JSON.stringify(word)} is no word that a shell can complete`)
  return word
}

function valueOf(choices: readonly string[] | undefined, placeholder: string): Value {
  if (choices !== undefined) return choices.map(plain)
  return FILE.test(placeholder) ? 'files' : 'free'
}

function optionWords(option: Option): OptionWords {
  const names = [option.short, option.long].flatMap((name) => (name === undefined ? [] : [plain(name)]))
  const placeholder = /<(.+)>/.exec(option.flags)?.[1] ?? ''
  // An optional value is only read after an equals sign or by chance: the next word is completed as if there were none.
  const value = option.required ? valueOf(option.argChoices, placeholder) : 'none'
  return { names, about: firstLine(option.description), value }
}

function operandOf(argument: Argument | undefined): Value {
  return argument === undefined ? 'none' : valueOf(argument.argChoices, argument.name())
}

function firstLine(text: string): string {
  return (text.split('\n')[0] ?? '').trim()
}

export function completedWords(program: Command): Completed {
  const optionsOf = (command: Command) => [...command.createHelp().visibleOptions(command)].map(optionWords)
  const shared = optionsOf(program)
  const isShared = ({ names }: OptionWords) => shared.some((one) => one.names.at(-1) === names.at(-1))
  const collect = (command: Command, before: string): readonly CommandWords[] => {
    const words = `${before} ${plain(command.name())}`.trim()
    const children = [...command.createHelp().visibleCommands(command)]
    return [
      {
        words,
        commands: children.map((child) => ({ name: child.name(), about: firstLine(child.description()) })),
        options: command === program ? [] : optionsOf(command).filter((option) => !isShared(option)),
        operand: operandOf(command.registeredArguments[0]),
      },
      ...children.flatMap((child) => collect(child, words)),
    ]
  }
  return { shared, commands: collect(program, '') }
}
