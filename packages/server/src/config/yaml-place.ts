/** Where in a YAML file something stands. */

import { isMap, isNode, isPair, isScalar } from 'yaml'
import type { Document, LineCounter, Node } from 'yaml'

/** 1-based. */
export interface YamlPlace {
  readonly line: number
  readonly column: number
}

/** Place of the deepest key on the path that the document has; null when it has none of them. */
export function placeOf(document: Document, lines: LineCounter, path: readonly PropertyKey[]): YamlPlace | null {
  for (let length = path.length; length > 0; length--) {
    const offset = offsetOf(document, path.slice(0, length))
    if (offset !== null) return at(lines, offset)
  }
  return null
}

/** Where the content of the document begins; null when it has none. */
export function startOf({ contents }: Document, lines: LineCounter): YamlPlace | null {
  const offset = isNode(contents) ? (contents as Node).range?.[0] : undefined
  return offset === undefined ? null : at(lines, offset)
}

function at(lines: LineCounter, offset: number): YamlPlace {
  const { line, col } = lines.linePos(offset)
  return { line, column: col }
}

function offsetOf(document: Document, path: readonly PropertyKey[]): number | null {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true)
  if (isMap(parent)) {
    const pair = parent.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === path.at(-1))
    return pair !== undefined && isScalar(pair.key) ? (pair.key.range?.[0] ?? null) : null
  }
  const node = document.getIn(path, true)
  return isNode(node) ? ((node as Node).range?.[0] ?? null) : null
}

/** `servers.files.command[0]` */
export function dotted(keys: readonly PropertyKey[]): string {
  return keys.reduce<string>(
    (text, key) => (typeof key === 'number' ? `${text}[${key}]` : text === '' ? String(key) : `${text}.${String(key)}`),
    '',
  )
}
