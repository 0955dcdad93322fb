/** Headers in which 2026-07-28 repeats arguments of a call: those that the tool's schema marks with `x-mcp-header` (SEP-2243). */

import { encodeMirrored, isJsonObject, member } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'

interface Marked {
  readonly path: readonly string[]
  /** Lower case, with its prefix. */
  readonly header: string
}

const MAX_TOOLS = 4096
const MAX_MARKED = 32
const MAX_DEPTH = 8
const HEADER = /^[A-Za-z0-9-]{1,64}$/

/** A client over standard input and output sends no headers; whoever sends for it has to know the schemas. Bounded. */
export class ToolHeaders {
  readonly #tools = new Map<string, readonly Marked[]>()

  /** Remembers the marks of the tools in a result of `tools/list`; what is malformed has none. */
  learn(result: JsonValue | undefined): void {
    const tools = isJsonObject(result) ? member(result, 'tools') : undefined
    if (!Array.isArray(tools)) return
    for (const tool of tools as readonly JsonValue[]) {
      const name = isJsonObject(tool) ? member(tool, 'name') : undefined
      if (!isJsonObject(tool) || typeof name !== 'string') continue
      const marked: Marked[] = []
      collect(member(tool, 'inputSchema'), [], marked)
      if (marked.length === 0) this.#tools.delete(name)
      else if (this.#tools.has(name) || this.#tools.size < MAX_TOOLS) this.#tools.set(name, marked)
    }
  }

  /** For one call; arguments that are missing, null or no text, number or boolean have no header. */
  of(tool: string, args: JsonObject): Readonly<Record<string, string>> {
    const headers: Record<string, string> = {}
    for (const { path, header } of this.#tools.get(tool) ?? []) {
      const value = valueAt(args, path)
      if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
        headers[header] = encodeMirrored(String(value))
    }
    return headers
  }
}

function collect(schema: JsonValue | undefined, path: readonly string[], marked: Marked[]): void {
  if (!isJsonObject(schema) || path.length > MAX_DEPTH) return
  const name = member(schema, 'x-mcp-header')
  if (path.length > 0 && typeof name === 'string' && HEADER.test(name) && marked.length < MAX_MARKED)
    marked.push({ path, header: `mcp-param-${name.toLowerCase()}` })
  const properties = member(schema, 'properties')
  if (!isJsonObject(properties)) return
  for (const key of Object.keys(properties)) collect(properties[key], [...path, key], marked)
}

function valueAt(args: JsonObject, path: readonly string[]): JsonValue | undefined {
  let value: JsonValue | undefined = args
  for (const key of path) value = isJsonObject(value) ? member(value, key) : undefined
  return value
}
