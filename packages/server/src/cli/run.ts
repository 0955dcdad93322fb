/** The words of a command line, from the command that they name to its exit code; knows no process. */

import { Command, CommanderError, Option } from 'commander'
import { version } from '../config/version.ts'
import { cliContext } from './context.ts'
import type { CliContext, ContextParts, GlobalOptions } from './context.ts'
import { reportFailure } from './failure.ts'
import type { ExitCode } from './failure.ts'
import { endWithout, keepHelp } from './usage.ts'

interface CommandModule {
  /** `whole` builds the program with every command; nothing of it is run. */
  readonly register: (program: Command, context: CliContext, whole: () => Promise<Command>) => void
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
  ['authority', 'run the authority, and replace its keys', () => import('./authority.ts')],
  ['gateway', 'run the gateway alone', () => import('./gateway.ts')],
  ['sidecar', 'an identity beside one program in any language, both directions', () => import('./sidecar.ts')],
  ['policy', 'judge, explain, test and reload the policy', () => import('./policy.ts')],
  ['servers', 'show what servers say of themselves and their tools, and approve it', () => import('./servers.ts')],
  ['grants', 'see and take away what people have granted towards servers', () => import('./grants.ts')],
  ['secret', 'keep the secrets that servers want', () => import('./secret.ts')],
  ['approvals', 'show calls that wait for a human, and answer them', () => import('./approvals.ts')],
  ['workload', 'register, show, change and remove workloads', () => import('./workload.ts')],
  ['revoke', 'deny what was issued, on open connections too', () => import('./revoke.ts')],
  ['join', 'become a workload with a join string', () => import('./join.ts')],
  ['login', 'sign in at a provider, and call on your own behalf', () => import('./login.ts')],
  ['logout', 'forget who has signed in', () => import('./logout.ts')],
  ['token', 'get an access token, and see what one says', () => import('./token.ts')],
  ['agent', 'credential files that stay fresh, for programs in any language', () => import('./agent.ts')],
  ['connect', 'be a local MCP server that calls through the gateway', () => import('./connect.ts')],
  ['tools', 'list the tools of a server that may be called', () => import('./tools.ts')],
  ['call', 'call a tool of a server', () => import('./call.ts')],
  ['probe', 'try a running deployment as an attacker would', () => import('./probe.ts')],
  ['doctor', 'find what is wrong on this machine and in the deployment', () => import('./doctor.ts')],
  ['alerts', 'what is raised now, and who hears of it', () => import('./alerts.ts')],
  ['audit', 'read, search, prove and verify the record', () => import('./audit.ts')],
  ['completion', 'print the script with which a shell completes these words', () => import('./completion.ts')],
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
    .addHelpText('after', EXAMPLES)
    .exitOverride()
}

const EXAMPLES = `
Examples:
  doorward init --from .mcp.json
  doorward up
  doorward COMMAND --help`

/** Every command with all that it has, to be read. */
async function wholeProgram(context: CliContext): Promise<Command> {
  const program = newProgram()
  const whole = () => Promise.resolve(program)
  for (const [, , load] of commands) (await load()).register(program, context, whole)
  inheritExits(program)
  return program
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

/** What the process has for its commands. */
export type Surroundings = Omit<ContextParts, 'globals'>

/** Runs the command to its end. */
export async function runCommand(argv: readonly string[], surroundings: Surroundings): Promise<ExitCode> {
  const end = argv.indexOf('--')
  // How a usage error is told, until the words are parsed.
  let globals: GlobalOptions = {
    json: argv.slice(0, end < 0 ? argv.length : end).includes('--json'),
    config: 'doorward.yaml',
  }
  const context = cliContext({ ...surroundings, globals: () => globals })
  const program = newProgram()
  const name = commandName(argv)
  const wanted = commands.find(([command]) => command === name)
  if (wanted !== undefined) (await wanted[2]()).register(program, context, () => wholeProgram(context))
  else for (const [command, summary] of commands) program.command(command).description(summary)
  program.hook('preAction', (_, action) => {
    globals = action.optsWithGlobals<GlobalOptions>()
  })
  const written = keepHelp(program, context, name === null)
  inheritExits(program)
  try {
    await program.parseAsync(withTokenId(argv), { from: 'user' })
    return context.exitCode
  } catch (error) {
    if (!(error instanceof CommanderError)) return reportFailure(error, context)
    return endWithout(error, { context, help: written(), command: name, known: wanted !== undefined })
  }
}

const TOKEN_ID = /^-[A-Za-z0-9_-]{21}$/
const VALUED: ReadonlySet<string> = new Set(['-c', '--config', '--reason', '--wait', '--as'])

/** Ids of tokens are base64url: one in 64 begins as an option does, and must be revoked like any other. */
function withTokenId(argv: readonly string[]): readonly string[] {
  const from = argv.findIndex((word, i) => word === 'token' && argv[i - 1] === 'revoke')
  if (from < 0 || argv.includes('--')) return argv
  const at = argv.findIndex((word, i) => i > from && TOKEN_ID.test(word) && !VALUED.has(argv[i - 1] ?? ''))
  return at < 0 ? argv : [...argv.slice(0, at), ...argv.slice(at + 1), '--', argv[at] ?? '']
}

/** Sub-commands refuse excess words, suggest and throw as the program does. */
function inheritExits(command: Command): void {
  for (const child of command.commands) {
    child.copyInheritedSettings(command)
    child.allowExcessArguments(false)
    child.helpCommand(false)
    inheritExits(child)
  }
}
