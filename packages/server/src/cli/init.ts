/** `doorward init`: a first configuration for the servers that a host knows. Allows nothing. */

import { access, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, extname, join, resolve } from 'node:path'
import type { Command } from 'commander'
import {
  definitionKey,
  DoorwardError,
  flaggedDefinitions,
  isGrave,
  parseTrustDomain,
  proposedEffect,
  spelledOut,
} from '@doorward/core'
import type { Definition, OtherServer } from '@doorward/core'
import { inspectServer } from '../apps/inspect-server.ts'
import { readHostServers } from '../config/host-servers.ts'
import type { FoundServer, SkippedServer } from '../config/host-servers.ts'
import { parseConfiguration } from '../config/load.ts'
import { proposalText } from '../config/proposal.ts'
import type { ProposedServer, ProposedTools } from '../config/proposal.ts'
import { isPlainSetting } from '../config/secret-words.ts'
import type { CliContext } from './context.ts'
import { painter } from './output.ts'
import { flagTexts } from './servers/definition-text.ts'

interface InitOptions {
  readonly from: readonly string[]
  readonly trustDomain?: string
  readonly force: boolean
  readonly start: boolean
}

export function register(program: Command, context: CliContext): void {
  program
    .command('init')
    .description('write a configuration for the MCP servers that a host knows; it allows nothing yet')
    .option('--from <file...>', 'configuration of a host: .mcp.json, Claude Desktop, Cursor or VS Code', [])
    .option('--trust-domain <name>', 'namespace of all identities; never renamed later')
    .option('--force', 'replace an existing configuration', false)
    .option('--no-start', 'do not start the servers to list their tools')
    .addHelpText(
      'after',
      '\nExamples:\n  doorward init --from .mcp.json\n  doorward init --from ~/.cursor/mcp.json --trust-domain acme.example',
    )
    .action((options: InitOptions, command: Command) =>
      init(options, context, command.optsWithGlobals<{ config: string }>().config),
    )
}

async function init(options: InitOptions, context: CliContext, target: string): Promise<void> {
  const file = resolve(target)
  if (!options.force) await refuseExisting(file)
  const trustDomain = parseTrustDomain(options.trustDomain ?? defaultTrustDomain())
  const { found, skipped } = await collect(options.from)
  const servers: ProposedServer[] = []
  for (const server of found) {
    const others = servers.map(({ name, tools }) => ({ server: name, tools: tools?.names ?? [] }))
    servers.push(await propose(server, { start: options.start, file, others }, context))
  }
  if (context.signal.aborted) throw new DoorwardError('interrupted', 'interrupted; nothing has been written')
  const text = proposalText({ trustDomain, servers, skipped })
  parseConfiguration(text, file)
  for (const { tools } of servers)
    if (tools !== null) await write(join(dirname(file), tools.list.file), tools.list.text, options.force)
  await write(file, text, options.force)
  tell({ file, trustDomain, servers, skipped }, context)
}

async function write(file: string, text: string, replace: boolean): Promise<void> {
  try {
    await writeFile(file, text, { mode: 0o600, flag: replace ? 'w' : 'wx' })
  } catch (error) {
    throw new DoorwardError('configuration_not_written', 'the configuration cannot be written', {
      where: file,
      got: error instanceof Error ? error.message : String(error),
      next: 'name another file with --config FILE',
    })
  }
}

async function refuseExisting(file: string): Promise<void> {
  try {
    await access(file)
  } catch {
    return
  }
  throw new DoorwardError('configuration_exists', 'there is a configuration already', {
    where: file,
    next: 'name another file with --config FILE, or replace it with --force',
  })
}

function defaultTrustDomain(): string {
  const name = hostname()
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, '-')
    .replaceAll(/^-+|-+$/g, '')
  return `${name === '' ? 'local' : name.slice(0, 60)}.internal`
}

async function collect(
  files: readonly string[],
): Promise<{ found: readonly FoundServer[]; skipped: readonly SkippedServer[] }> {
  const found: FoundServer[] = []
  const skipped: SkippedServer[] = []
  for (const path of files) {
    const one = await readHostServers(resolve(path))
    skipped.push(...one.skipped)
    for (const server of one.found) {
      const taken = found.some(({ name }) => name === server.name)
      if (taken)
        skipped.push({ originalName: server.originalName, why: `another file names a server ${server.name} already` })
      else found.push(server)
    }
  }
  return { found, skipped }
}

interface Proposing {
  readonly start: boolean
  /** The configuration: servers are started in its folder, and their tools are listed beside it. */
  readonly file: string
  /** What was found before it. */
  readonly others: readonly OtherServer[]
}

async function propose(
  found: FoundServer,
  { start, file, others }: Proposing,
  context: CliContext,
): Promise<ProposedServer> {
  const { name, launch } = found
  if (launch.kind === 'http') {
    const insecure = new URL(launch.url).protocol === 'http:'
    const names = launch.headerNames.join(', ')
    const notes =
      names === '' ? [] : [`the host sends ${names}; credentials towards servers are not sent by this version`]
    return { name, server: { url: launch.url, insecure }, tools: null, notes }
  }
  const { env, envFrom, notes } = variables(launch.env)
  const server = { command: launch.command, cwd: launch.cwd, env, envFrom }
  if (!start) return { name, server, tools: null, notes }
  if (!context.json) context.err(`asking ${name} for its tools …`)
  try {
    const launched = {
      command: launch.command,
      cwd: resolve(dirname(file), launch.cwd ?? '.'),
      env: { PATH: context.environment.path, HOME: context.environment.home, ...filledIn(launch.env, context) },
    }
    const { definitions } = await inspectServer(launched, context.signal)
    const tools = proposedTools(definitions, others, `${basename(file, extname(file))}.${name}.tools.json`)
    return { name, server, tools: tools.tools, notes: [...notes, ...tools.notes] }
  } catch (error) {
    if (!(error instanceof DoorwardError)) throw error
    const secrets = envFrom.map((variable) => launch.env[variable] ?? '')
    return { name, server, tools: null, notes: [...notes, `tools unknown: ${without(secrets, failureText(error))}`] }
  }
}

/** What of a server is proposed as approved, and what is said about the rest. */
function proposedTools(
  definitions: readonly Definition[],
  others: readonly OtherServer[],
  file: string,
): { readonly tools: ProposedTools; readonly notes: readonly string[] } {
  const flagged = flaggedDefinitions(definitions, others)
  const grave = new Set(flagged.filter(({ flags }) => flags.some((flag) => isGrave(flag))).map(({ key }) => key))
  const sound = definitions.filter((one) => !grave.has(definitionKey(one)))
  const tools = sound.filter(({ kind }) => kind === 'tool')
  const named = (effect: 'read' | 'write') =>
    tools.filter(({ value }) => proposedEffect(value) === effect).map((tool) => tool.name)
  const [read, write] = [named('read'), named('write')]
  const notes = flagged.map(({ key, flags }) => {
    const why = [...new Set(flags.map(({ code }) => flagTexts[code]))].join(', and ')
    return `${grave.has(key) ? 'left out of what is approved: ' : ''}${spelledOut(key)} ${why}`
  })
  return {
    tools: { names: tools.map(({ name }) => name), read, write, list: { file, text: listText(sound) } },
    notes: [...toolNotes(read, write), ...notes],
  }
}

/** As `servers.<name>.tools` reads it: what the server defines, in its own words. */
function listText(definitions: readonly Definition[]): string {
  const itself = new Map(definitions.flatMap(({ kind, value }) => (kind === 'server' ? Object.entries(value) : [])))
  const [name, instructions] = [itself.get('name'), itself.get('instructions')]
  const values = (wanted: string) => definitions.filter(({ kind }) => kind === wanted).map(({ value }) => value)
  const [tools, prompts, resourceTemplates] = [values('tool'), values('prompt'), values('resource_template')]
  const document = { serverInfo: { name }, instructions, tools, prompts, resourceTemplates }
  return `${JSON.stringify(document, null, 2)}\n`
}

/** Which variables of a host's entry are written down, and which the gateway takes from its own environment. */
function variables(given: Readonly<Record<string, string>>): Pick<ProposedServer, 'notes'> & {
  readonly env: Readonly<Record<string, string>>
  readonly envFrom: readonly string[]
} {
  const env = Object.fromEntries(Object.entries(given).filter(([name, value]) => isPlainSetting(name, value)))
  const envFrom = Object.keys(given).filter((name) => !(name in env))
  const names = envFrom.join(', ')
  const notes =
    names === '' ? [] : [`set ${names} in the environment of the gateway: secrets are not copied into this file`]
  return { env, envFrom, notes }
}

/** `${NAME}` and `${env:NAME}` as hosts fill them in; what only they know stays empty. */
function filledIn(given: Readonly<Record<string, string>>, context: CliContext): Readonly<Record<string, string>> {
  const fill = (value: string) =>
    value.replaceAll(
      /\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{[^}]*\}/g,
      (_, name?: string, other?: string) =>
        name === undefined ? '' : (context.environment.variable(name) ?? other ?? ''),
    )
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [name, fill(value)]))
}

function failureText({ message, got }: DoorwardError): string {
  return got === undefined ? message : `${message}: ${got}`
}

/** What a server says of its own failure may repeat what it was given. */
function without(secrets: readonly string[], text: string): string {
  return secrets.filter((secret) => secret.length > 3).reduce((rest, secret) => rest.replaceAll(secret, '…'), text)
}

function toolNotes(read: readonly string[], write: readonly string[]): readonly string[] {
  return [
    ...(read.length === 0 ? [] : ['effects are what the server says of itself: confirm them']),
    ...(write.length === 0 ? [] : [`counted as write: ${write.join(', ')}`]),
  ]
}

function shownTools({ read, write, list }: ProposedTools): object {
  return { read, write, file: list.file }
}

interface Summary {
  readonly file: string
  readonly trustDomain: string
  readonly servers: readonly ProposedServer[]
  readonly skipped: readonly SkippedServer[]
}

function tell({ file, trustDomain, servers, skipped }: Summary, context: CliContext): void {
  if (context.json) {
    context.out(
      JSON.stringify({
        file,
        trust_domain: trustDomain,
        servers: servers.map(({ name, tools, notes }) => ({
          name,
          tools: tools === null ? null : shownTools(tools),
          notes,
        })),
        skipped,
      }),
    )
    return
  }
  const paint = painter(context.color)
  context.out(
    `${paint('green', '✓')} wrote ${file}: trust domain ${trustDomain}, ${servers.length} server${servers.length === 1 ? '' : 's'}, nothing allowed yet`,
  )
  for (const { name, tools, notes } of servers) {
    context.out(
      `  ${name}: ${tools === null ? 'tools unknown' : `${tools.read.length} tools read, ${tools.write.length} write`}`,
    )
    for (const note of notes) context.out(`    ${paint('dim', note)}`)
  }
  for (const { originalName, why } of skipped) context.out(paint('yellow', `  left out ${originalName}: ${why}`))
  context.out(`next: add roles and bindings to ${file}, then run: doorward config check && doorward up`)
}
