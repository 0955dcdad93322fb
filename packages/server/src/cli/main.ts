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

/** Name, one line of help, and where the command lives; only the called one is imported. */
const commands: readonly (readonly [name: string, summary: string, load: () => Promise<CommandModule>])[] = [
  [
    'init',
    'write a configuration for the MCP servers that a host knows; it allows nothing yet',
    () => import('./init.ts'),
  ],
  ['up', 'run an authority and a gateway on this machine', () => import('./up.ts')],
  ['config', 'judge the configuration', () => import('./config.ts')],
  ['authority', 'run the authority alone', () => import('./authority.ts')],
  ['gateway', 'run the gateway alone', () => import('./gateway.ts')],
  ['workload', 'register, list and remove workloads', () => import('./workload.ts')],
  ['join', 'become a workload with a join string', () => import('./join.ts')],
  ['connect', 'be a local MCP server that calls through the gateway', () => import('./connect.ts')],
  ['tools', 'list the tools of a server that may be called', () => import('./tools.ts')],
  ['call', 'call a tool of a server', () => import('./call.ts')],
  ['audit', 'read and verify the record', () => import('./audit.ts')],
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
  const wanted = commands.find(([command]) => command === name)
  if (wanted !== undefined) (await wanted[2]()).register(program, context)
  else for (const [command, summary] of commands) program.command(command).description(summary)
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
