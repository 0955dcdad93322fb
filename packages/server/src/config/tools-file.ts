/** The list of a server's tools in a file: what `tools/list` answers, as it is or as `doorward tools SERVER --json` prints it. */

import { DoorwardError, isJsonObject, listedDefinitions, member, scanJson, serverDefinitions } from '@doorward/core'
import type { Definition, JsonObject, JsonValue, KnownTool } from '@doorward/core'
import { readBoundedFile } from './certificate-file.ts'

const limits = { maxBytes: 4 * 1024 * 1024, maxDepth: 64, maxKeys: 200_000, prototypeKeys: 'keep' } as const
const MAX_TOOLS = 10_000
const MAX_NAME = 1024

/**
 * Tools with their input schemas, in the order of the file; what else is said of them is not looked at. Throws
 * `file_unreadable` and `tools_invalid`, which says where in the file.
 */
export async function readTools(path: string, server: string): Promise<readonly KnownTool[]> {
  const listed = listOf(await readJson(path), path, server)
  const names = new Set<string>()
  return listed.map((tool, i) => {
    const where = `${path} tools[${i}]`
    const { name, inputSchema } = toolOf(tool, where)
    if (names.has(name)) throw invalid(where, 'each tool once', JSON.stringify(name.slice(0, 60)))
    names.add(name)
    return { server, name, inputSchema }
  })
}

/**
 * What the file says as approved: its tools as they are listed, and where it has them `prompts`, `resourceTemplates`,
 * `serverInfo` and `instructions`, each as the server answers. Throws as `readTools` does.
 */
export async function readDefinitions(path: string, server: string): Promise<readonly Definition[]> {
  await readTools(path, server)
  const value = await readJson(path)
  return [
    ...serverDefinitions(value),
    ...['tools/list', 'prompts/list', 'resources/templates/list'].flatMap(
      (method) => listedDefinitions(method, value) ?? [],
    ),
  ]
}

async function readJson(path: string): Promise<JsonValue> {
  const bytes = await readBoundedFile(path, limits.maxBytes)
  const scan = scanJson(bytes, limits)
  if (scan.ok) return scan.value
  throw invalid(`${path}:${placeOf(bytes, scan.offset)}`, 'JSON', `${scan.code}: ${scan.message}`)
}

function listOf(value: JsonValue, path: string, server: string): readonly JsonValue[] {
  const document = isJsonObject(value) ? value : {}
  const tools = member(document, 'tools')
  const of = member(document, 'server')
  if (typeof of === 'string' && of !== server)
    throw invalid(path, `the tools of ${server}`, `those of ${of.slice(0, 63)}`)
  if (typeof member(document, 'nextCursor') === 'string')
    throw invalid(path, 'all pages of the list in one', 'a page with nextCursor')
  if (!Array.isArray(tools)) throw invalid(path, 'an object with tools, as tools/list answers', 'another value')
  if (tools.length > MAX_TOOLS) throw invalid(path, `at most ${MAX_TOOLS} tools`, String(tools.length))
  return tools as readonly JsonValue[]
}

function toolOf(tool: JsonValue, where: string): { readonly name: string; readonly inputSchema: JsonObject } {
  const name = isJsonObject(tool) ? member(tool, 'name') : undefined
  const inputSchema = isJsonObject(tool) ? member(tool, 'inputSchema') : undefined
  if (typeof name !== 'string' || name === '' || name.length > MAX_NAME)
    throw invalid(where, `a name of 1 to ${MAX_NAME} characters`, 'another value')
  if (inputSchema === undefined || !isJsonObject(inputSchema))
    throw invalid(where, 'an inputSchema', inputSchema === undefined ? 'none' : 'another value')
  return { name, inputSchema }
}

/** `<line>:<column>` of a byte, from 1. */
function placeOf(bytes: Uint8Array, offset: number): string {
  const lines = new TextDecoder().decode(bytes.subarray(0, offset)).split('\n')
  return `${lines.length}:${(lines.at(-1) ?? '').length + 1}`
}

function invalid(where: string, expected: string, got: string): DoorwardError {
  return new DoorwardError('tools_invalid', 'the list of tools cannot be used', { where, expected, got })
}
