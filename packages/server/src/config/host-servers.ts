/**
 * The MCP servers that a host's configuration names: `.mcp.json` and Claude Desktop, Cursor and Windsurf files
 * (`mcpServers`), VS Code's `mcp.json` (`servers`) and `settings.json` (`mcp.servers`).
 */

import { readFile } from 'node:fs/promises'
import { DoorwardError } from '@doorward/core'
import { z } from 'zod'
import { withoutComments } from './jsonc.ts'
import { namesSecret, secretWord } from './secret-words.ts'

/** A server as a host starts or reaches it, with a name that fits doorward.yaml. */
export interface FoundServer {
  readonly name: string
  /** The name in the host's file. */
  readonly originalName: string
  readonly launch:
    | {
        readonly kind: 'stdio'
        readonly command: readonly string[]
        readonly cwd: string | null
        readonly env: Readonly<Record<string, string>>
      }
    | { readonly kind: 'http'; readonly url: string; readonly headerNames: readonly string[] }
}

export interface SkippedServer {
  readonly originalName: string
  readonly why: string
}

const entry = z.looseObject({
  command: z.string().min(1).optional(),
  args: z.array(z.string()).default([]),
  cwd: z.string().optional(),
  env: z.record(z.string(), z.coerce.string()).default({}),
  url: z.string().optional(),
  serverUrl: z.string().optional(),
  type: z.string().optional(),
  headers: z.record(z.string(), z.string()).default({}),
})

const entries = z.record(z.string(), z.unknown())

const file = z.looseObject({
  mcpServers: entries.optional(),
  servers: entries.optional(),
  mcp: z.looseObject({ servers: entries.optional() }).optional(),
})

/** Throws `host_file_unreadable` or `host_file_invalid`. */
export async function readHostServers(
  path: string,
): Promise<{ readonly found: readonly FoundServer[]; readonly skipped: readonly SkippedServer[] }> {
  const parsed = file.safeParse(await readJson(path))
  const listed = parsed.success
    ? (parsed.data.mcpServers ?? parsed.data.servers ?? parsed.data.mcp?.servers)
    : undefined
  if (listed === undefined) {
    throw new DoorwardError('host_file_invalid', 'the file names no MCP servers', {
      where: path,
      expected: 'an object with mcpServers (Claude, Cursor) or servers (VS Code)',
    })
  }
  return judgeEntries(listed)
}

async function readJson(path: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw new DoorwardError('host_file_unreadable', 'the file cannot be read', {
      where: path,
      got: error instanceof Error ? error.message : String(error),
      next: 'name an MCP configuration such as .mcp.json with --from FILE',
    })
  }
  try {
    return JSON.parse(withoutComments(text))
  } catch (error) {
    throw new DoorwardError('host_file_invalid', 'the file is not JSON', {
      where: path,
      got: error instanceof Error ? error.message : String(error),
    })
  }
}

/** Pure: what of the listed entries can stand behind a gateway, and why the others cannot. */
export function judgeEntries(listed: Readonly<Record<string, unknown>>): {
  readonly found: readonly FoundServer[]
  readonly skipped: readonly SkippedServer[]
} {
  const found: FoundServer[] = []
  const skipped: SkippedServer[] = []
  const taken = new Set(['authority', 'gateway', 'admin'])
  for (const [originalName, value] of Object.entries(listed)) {
    const launch = launchOf(value)
    if (typeof launch === 'string') skipped.push({ originalName, why: launch })
    else found.push({ name: freshName(originalName, taken), originalName, launch })
  }
  return { found, skipped }
}

function launchOf(value: unknown): FoundServer['launch'] | string {
  const parsed = entry.safeParse(value)
  if (!parsed.success) return 'the entry has an unknown shape'
  const { command, args, cwd, env, headers } = parsed.data
  const url = parsed.data.url ?? parsed.data.serverUrl
  if (parsed.data.type === 'sse')
    return 'the HTTP+SSE transport is not spoken; use the streamable HTTP address of the server'
  if (
    command !== undefined &&
    args.includes('connect') &&
    [command, ...args].some((word) => /doorward(\.cjs)?$/.test(word))
  ) {
    return 'the entry already goes through doorward'
  }
  const words = [command, ...args, cwd, url].filter((word) => word !== undefined)
  if (words.some((word) => word.includes('${')))
    return 'only the host can fill in ${…}: write the value, then try again'
  if (command !== undefined) return stdioLaunch({ command: [command, ...args], cwd: cwd ?? null, env })
  if (url !== undefined && URL.canParse(url)) return httpLaunch(url, Object.keys(headers))
  return 'the entry has neither command nor url'
}

function stdioLaunch(
  launch: Omit<Extract<FoundServer['launch'], { kind: 'stdio' }>, 'kind'>,
): FoundServer['launch'] | string {
  const secret = secretWord(launch.command)
  return secret === null
    ? { kind: 'stdio', ...launch }
    : `its command line holds a secret (${secret}): let the server read it from a variable, and name that in env_from`
}

const loopback = new Set(['localhost', '127.0.0.1', '[::1]'])

function httpLaunch(text: string, headerNames: readonly string[]): FoundServer['launch'] | string {
  const url = new URL(text)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && loopback.has(url.hostname)))
    return 'plain HTTP is spoken only to this machine'
  if (url.username !== '' || url.password !== '' || [...url.searchParams.keys()].some((name) => namesSecret(name)))
    return 'its address holds a secret, which this version cannot send otherwise'
  return { kind: 'http', url: text, headerNames }
}

function freshName(original: string, taken: Set<string>): string {
  const stem =
    original
      .toLowerCase()
      .replaceAll(/[^a-z0-9_-]+/g, '-')
      .replaceAll(/^[-_]+|-+$/g, '')
      .slice(0, 56) || 'server'
  let name = stem
  for (let i = 2; taken.has(name); i++) name = `${stem}-${i}`
  taken.add(name)
  return name
}
