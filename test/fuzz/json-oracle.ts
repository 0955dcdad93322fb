/**
 * What the JSON scanner must say, by other means: JSON.parse for the grammar, and for what it lets through a count of
 * the members that the text spells against those that are left in the value.
 */

import { DEFAULT_JSON_LIMITS } from '@doorward/core'

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const forbidden = new Set(['__proto__', 'constructor', 'prototype'])
const strings = /"(?:[^"\\]|\\.)*"/g

/** True when a strict reader accepts the bytes. */
export function isStrictJson(bytes: Uint8Array): boolean {
  let text: string
  let value: unknown
  try {
    text = decoder.decode(bytes)
    value = JSON.parse(text)
  } catch {
    return false
  }
  if (bytes.length > DEFAULT_JSON_LIMITS.maxBytes) return false
  const spelled = text.replaceAll(strings, '').split(':').length - 1
  const seen = survey(value)
  return (
    seen.keys === spelled &&
    seen.keys <= DEFAULT_JSON_LIMITS.maxKeys &&
    seen.depth <= DEFAULT_JSON_LIMITS.maxDepth &&
    seen.wellFormed
  )
}

interface Survey {
  keys: number
  depth: number
  /** No lone surrogates, no forbidden keys. */
  wellFormed: boolean
}

function survey(value: unknown): Survey {
  if (typeof value === 'string') return { keys: 0, depth: 0, wellFormed: value.isWellFormed() }
  if (typeof value !== 'object' || value === null) return { keys: 0, depth: 0, wellFormed: true }
  const total: Survey = { keys: 0, depth: 0, wellFormed: true }
  for (const [key, member] of Object.entries(value)) {
    const inner = survey(member)
    total.keys += inner.keys
    total.depth = Math.max(total.depth, inner.depth)
    total.wellFormed &&= inner.wellFormed
    if (Array.isArray(value)) continue
    total.keys++
    total.wellFormed &&= key.isWellFormed() && !forbidden.has(key)
  }
  total.depth++
  return total
}
