/** The command line: one file per command, imported when it is called. */

import { Command, CommanderError, Option } from 'commander'
import { readEnvironment } from '../config/environment.ts'
import { cliContext } from './context.ts'
import type { CliContext } from './context.ts'
import { reportFailure } from './failure.ts'
import { version } from '../config/version.ts'

interface CommandModule {
  readonly register: (program: Command, context: CliContext) => void
}

/** Name, one line of help, and where the command lives. */
const commands: readonly (readonly [name: string, load: () => Promise<CommandModule>])[] = [
  ['init', () => import('./init.ts')],
  ['up', () => import('./up.ts')],
  ['config', () => import('./config.ts')],
  ['authority', () => import('./authority.ts')],
  ['gateway', () => import('./gateway.ts')],
  ['workload', () => import('./workload.ts')],
  ['join', () => import('./join.ts')],
  ['connect', () => import('./connect.ts')],
  ['tools', () => import('./tools.ts')],
  ['call', () => import('./call.ts')],
  ['audit', () => import('./audit.ts')],
]

function newProgram(): Command {
  return new Command('doorward')
    .description('Every call: who, for whom, by which rule; enforced and provable.')
    .version(version, '-V, --version', 'print the version')
    .addOption(new Option('-c, --config <file>', 'the configuration').default('doorward.yaml'))
    .option('--json', 'print JSON', false)
    .helpOption('-h, --help', 'show help')
    .helpCommand(false)
    .showSuggestionAfterError()
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
}

/** The first word that is not an option or the value of one. */
function commandName(argv: readonly string[]): string | null {
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? ''
    if (word === '-c' || word === '--config') i++
    else if (!word.startsWith('-')) return word
  }
  return null
}

function optionValue(argv: readonly string[], short: string, long: string): string | null {
  for (const [i, word] of argv.entries()) {
    if (word === '--') return null
    if (word === short || word === long) return argv[i + 1] ?? null
    if (word.startsWith(`${long}=`)) return word.slice(long.length + 1)
  }
  return null
}

async function run(argv: readonly string[]): Promise<number> {
  const abort = new AbortController()
  const interrupt = () => abort.abort()
  process.once('SIGINT', interrupt)
  process.once('SIGTERM', interrupt)
  const context = cliContext({
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    environment: readEnvironment(),
    json: argv.includes('--json'),
    configFile: optionValue(argv, '-c', '--config') ?? 'doorward.yaml',
    signal: abort.signal,
    program: [process.execPath, ...process.execArgv, process.argv[1] ?? ''],
  })
  const program = newProgram()
  const name = commandName(argv)
  const wanted = commands.filter(([command]) => command === name)
  for (const [, load] of wanted.length > 0 ? wanted : commands) (await load()).register(program, context)
  inheritExits(program)
  try {
    await program.parseAsync(argv, { from: 'user' })
    return typeof process.exitCode === 'number' ? process.exitCode : 0
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    return reportFailure(error, context)
  }
}

/** Sub-commands refuse excess words, suggest and throw as the program does. */
function inheritExits(command: Command): void {
  for (const child of command.commands) {
    child.copyInheritedSettings(command)
    child.allowExcessArguments(false)
    inheritExits(child)
  }
}

process.exitCode = await run(process.argv.slice(2))
