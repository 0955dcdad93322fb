/** `doorward completion`: a script with which a shell completes commands, options and their values. */

import { Argument } from 'commander'
import type { Command } from 'commander'
import { bashScript } from './completion/bash.ts'
import { fishScript } from './completion/fish.ts'
import { completedWords } from './completion/words.ts'
import type { Completed } from './completion/words.ts'
import { zshScript } from './completion/zsh.ts'
import type { CliContext } from './context.ts'

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript } as const satisfies Readonly<
  Record<string, (completed: Completed) => string>
>
type Shell = keyof typeof scripts

const HELP = `
The script is of this version: write it anew after an upgrade.

Examples:
  doorward completion bash > ~/.local/share/bash-completion/completions/doorward
  doorward completion zsh > "\${fpath[1]}/_doorward"
  doorward completion fish > ~/.config/fish/completions/doorward.fish`

/** `whole` builds the program with every command, as its help shows them. */
export function register(program: Command, context: CliContext, whole: () => Promise<Command>): void {
  program
    .command('completion')
    .description('print the script with which a shell completes the words of doorward')
    .addArgument(new Argument('<shell>', 'for which shell').choices(Object.keys(scripts)))
    .addHelpText('after', HELP)
    .action(async (name: Shell) => {
      const script = scripts[name](completedWords(await whole()))
      context.out(context.json ? JSON.stringify({ name, script }) : script)
    })
}
