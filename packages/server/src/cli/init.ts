/** `doorward init`: a first configuration for the servers that a host knows. Allows nothing. */

import { access, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { DoorwardError, parseTrustDomain } from '@doorward/core'
import { inspectServer } from '../apps/inspect-server.ts'
import { readHostServers } from '../config/host-servers.ts'
import type { FoundServer, SkippedServer } from '../config/host-servers.ts'
import { parseConfiguration } from '../config/load.ts'
import { proposalText } from '../config/proposal.ts'
import type { ProposedServer } from '../config/proposal.ts'
import type { CliContext } from './context.ts'
import { painter } from './output.ts'

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
  for (const server of found) servers.push(await propose(server, options.start, context))
  const text = proposalText({ trustDomain, servers, skipped })
  parseConfiguration(text, file)
  await writeFile(file, text, { mode: 0o600, flag: options.force ? 'w' : 'wx' })
  tell({ file, trustDomain, servers, skipped }, context)
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

const looksSecret = /token|key|secret|password|passwd|credential|auth/i

async function propose(found: FoundServer, start: boolean, context: CliContext): Promise<ProposedServer> {
  const { name, launch } = found
  if (launch.kind === 'http') {
    const url = new URL(launch.url)
    const insecure = url.protocol === 'http:'
    const notes =
      launch.headerNames.length === 0
        ? []
        : [`the host sends ${launch.headerNames.join(', ')}; credentials towards servers are not sent by this version`]
    return { name, server: { url: launch.url, insecure }, tools: null, notes }
  }
  const secretNames = Object.keys(launch.env).filter((variable) => looksSecret.test(variable))
  const env = Object.fromEntries(Object.entries(launch.env).filter(([variable]) => !secretNames.includes(variable)))
  const server = { command: launch.command, cwd: launch.cwd, env, envFrom: secretNames }
  const notes =
    secretNames.length === 0
      ? []
      : [`set ${secretNames.join(', ')} in the environment of the gateway: secrets are not copied into this file`]
  if (!start) return { name, server, tools: null, notes }
  context.err(`asking ${name} for its tools …`)
  try {
    const tools = await inspectServer({
      command: launch.command,
      cwd: launch.cwd ?? process.cwd(),
      env: { PATH: context.environment.path, HOME: context.environment.home, ...launch.env },
    })
    const read = tools.filter((tool) => tool.readOnly && !tool.destructive).map((tool) => tool.name)
    const write = tools.filter((tool) => !read.includes(tool.name)).map((tool) => tool.name)
    return { name, server, tools: { read, write }, notes: [...notes, ...toolNotes(read, write)] }
  } catch (error) {
    if (!(error instanceof DoorwardError)) throw error
    return {
      name,
      server,
      tools: null,
      notes: [...notes, `tools unknown: ${error.message}${error.got === undefined ? '' : `: ${error.got}`}`],
    }
  }
}

function toolNotes(read: readonly string[], write: readonly string[]): readonly string[] {
  return [
    ...(read.length === 0 ? [] : ['effects are what the server says of itself: confirm them']),
    ...(write.length === 0 ? [] : [`counted as write: ${write.join(', ')}`]),
  ]
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
        servers: servers.map(({ name, tools, notes }) => ({ name, tools, notes })),
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
