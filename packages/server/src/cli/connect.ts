/** `doorward connect`: a local MCP server that is in truth one behind the gateway, and the way to tell a host of it. */

import { resolve } from 'node:path'
import type { Command } from 'commander'
import { DoorwardError, workloadId } from '@doorward/core'
import { confirmed } from './confirmation.ts'
import type { CliContext } from './context.ts'
import { asOption, asUserOption, callerText, noUserOption, onBehalfOf } from './identity-option.ts'
import type { UserOptions } from './identity-option.ts'
import { painter, printable } from './output.ts'

interface ConnectOptions extends UserOptions {
  readonly as?: string
  readonly listen?: string | true
  readonly install?: string
  readonly name?: string
  readonly configFile?: string
  readonly yes: boolean
  readonly dryRun: boolean
}

export function register(program: Command, context: CliContext): void {
  program
    .command('connect')
    .description('be a local MCP server that calls through the gateway')
    .argument('<server>', 'name under servers: in the configuration')
    .option(asOption[0], `${asOption[1]}, or the host's own, agent/<host>, with --install`)
    .option(...asUserOption)
    .option(...noUserOption)
    .option(
      '--listen [port]',
      'serve HTTP on 127.0.0.1 instead of standard input and output; whoever reaches the port calls as this identity',
    )
    .option(
      '--install <host>',
      'enter this command into the configuration of a host: claude-code, claude-desktop, cursor, vscode',
    )
    .option('--name <name>', 'name of the entry; the name of the server by default')
    .option('--config-file <path>', "the host's file, where it is not at its usual place")
    .option('--yes', 'write without asking', false)
    .option('--dry-run', 'show the change and write nothing', false)
    .addHelpText(
      'after',
      '\nExamples:\n  doorward connect files\n  doorward connect files --install claude-code\n  doorward connect files --listen 8808',
    )
    .action((server: string, options: ConnectOptions) => connect(server, options, context))
}

async function connect(server: string, options: ConnectOptions, context: CliContext): Promise<void> {
  if (options.install !== undefined) return installEntry(server, options.install, options, context)
  const { openLocalIdentity } = await import('../apps/local-identities.ts')
  const { bridgeLoopback, bridgeStdio, problemNotice, serverEndpoint } = await import('../apps/bridge.ts')
  const deployment = await context.deployment()
  const endpoint = serverEndpoint(deployment, server)
  const notice = (text: string) => context.err(`doorward connect ${server}: ${printable(text)}`)
  const problem = problemNotice(notice, () => performance.now())
  const place = { deployment, environment: context.environment }
  const identity = await openLocalIdentity(place, options.as, problem, onBehalfOf(options))
  const caller = await callerText(identity)
  if (identity.person !== null) notice(`calls as ${caller}`)
  const bridge = { identity, endpoint, notice, signal: context.signal }
  if (options.listen === undefined) {
    await bridgeStdio({ ...bridge, input: context.stdin, output: context.stdout })
    return
  }
  const port = portOf(options.listen)
  await bridgeLoopback({ ...bridge, port, onOpen: ({ url }) => tellOpen(url, caller, context) })
}

function tellOpen(url: string, identity: string, context: CliContext): void {
  if (context.json) context.out(JSON.stringify({ url, identity }))
  else {
    context.out(url)
    context.err(`as ${identity}: every program on this machine that can reach this port calls as it`)
  }
}

function portOf(listen: string | true): number {
  const port = listen === true ? 0 : Number(listen)
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port
  throw new DoorwardError('port_invalid', 'that is not a port', { expected: '0 to 65535', got: String(listen) })
}

async function installEntry(
  server: string,
  hostName: string,
  options: ConnectOptions,
  context: CliContext,
): Promise<void> {
  const { hostNamed } = await import('./hosts/host-table.ts')
  const { install, prepareInstallation } = await import('./hosts/install.ts')
  const { serverEndpoint } = await import('../apps/bridge.ts')
  const host = hostNamed(hostName)
  const deployment = await context.deployment()
  serverEndpoint(deployment, server)
  const as = options.as ?? `agent/${host.name}`
  const [command = process.execPath, ...before] = context.program
  const args = [...before.map(absoluteScript), 'connect', server, '--config', resolve(deployment.file), '--as', as]
  const file =
    options.configFile === undefined
      ? host.file({ platform: process.platform, environment: context.environment })
      : resolve(options.configFile)
  const entry = { member: host.member, name: options.name ?? server, value: host.entry({ command, args }) }
  const prepared = await prepareInstallation(file, entry)
  if (!context.json) showChange(prepared, host.title, context)
  const write =
    prepared.diff.length > 0 && !options.dryRun && (options.yes || (await confirmed(context, 'write this?')))
  if (write && options.as === undefined) await ensureIdentity(as, context)
  const backup = write ? await install(prepared, new Date()) : null
  tellInstalled(
    { file: prepared.file, changed: prepared.diff.length > 0, written: write, backup, reload: host.reload },
    context,
  )
}

/** A host is a workload of its own: it must not call as the operator. It has the roles that bindings give it. */
async function ensureIdentity(name: string, context: CliContext): Promise<void> {
  const { joinLocally, localIdentities } = await import('../apps/local-identities.ts')
  const { administer } = await import('./administration.ts')
  const deployment = await context.deployment()
  const place = { deployment, environment: context.environment }
  if ((await localIdentities(place)).includes(name)) return
  const id = workloadId(deployment.trustDomain, ...name.split('/')).uri
  await administer(context, undefined, async (client) => {
    if ((await client.findWorkload(id)) === null) await client.addWorkload(id, [])
    await joinLocally(place, (await client.invite(id)).joinString)
  })
  if (!context.json) context.err(`registered ${id}: it may do what roles and bindings in ${deployment.file} allow`)
}

/** Flags stay, the script becomes absolute: hosts start it from another folder. */
function absoluteScript(word: string): string {
  return word.startsWith('-') ? word : resolve(word)
}

function showChange(
  { file, diff }: { file: string; diff: readonly string[] },
  title: string,
  context: CliContext,
): void {
  const paint = painter(context.color)
  context.err(paint('bold', `${title}: ${file}`))
  for (const line of diff)
    context.err(paint(line.startsWith('+') ? 'green' : line.startsWith('-') ? 'red' : 'dim', printable(line)))
}

interface Told {
  readonly file: string
  readonly changed: boolean
  readonly written: boolean
  readonly backup: string | null
  readonly reload: string
}

function tellInstalled({ file, changed, written, backup, reload }: Told, context: CliContext): void {
  if (context.json) {
    context.out(JSON.stringify({ file, changed, written, backup }))
    return
  }
  if (!changed) context.out(`${file} has this entry already`)
  else if (!written) context.out('nothing was written')
  else {
    context.out(`written to ${file}${backup === null ? '' : `, the old file is ${backup}`}`)
    context.out(`next: ${reload}`)
  }
}
