/** Headers in which a modern client repeats the body (SEP-2243). They never authorize: they must only not disagree. */

import { fromBase64, fromUtf8, toBase64, utf8 } from '../bytes.ts'
import type { McpSubject, SubjectRule } from './method.ts'

/** The request headers that classification reads; single-valued, undefined when absent. */
export interface McpHeaders {
  /** `MCP-Protocol-Version` */
  readonly protocolVersion: string | undefined
  /** `Mcp-Method` */
  readonly method: string | undefined
  /** `Mcp-Name` */
  readonly name: string | undefined
}

const PREFIX = '=?base64?'
const SUFFIX = '?='

/** The value without outer spaces and tabs (RFC 9110 §5.6.3). */
export function trimHeader(value: string): string {
  let start = 0
  let end = value.length
  while (start < end && isSpace(value.charCodeAt(start))) start++
  while (end > start && isSpace(value.charCodeAt(end - 1))) end--
  return start === 0 && end === value.length ? value : value.slice(start, end)
}

/**
 * True when `Mcp-Name` says what the body says: present and equal where the method mirrors a param. On
 * methods that mirror nothing the header means nothing and is not looked at.
 */
export function mirrorsName(header: string | undefined, rule: SubjectRule, subject: McpSubject): boolean {
  if (rule.from !== 'param') return true
  return header !== undefined && decodeMirrored(trimHeader(header)) === subject.name
}

/** What a mirrored value stands for, or null when its base64 or UTF-8 is malformed. */
export function decodeMirrored(value: string): string | null {
  if (!value.startsWith(PREFIX) || !value.endsWith(SUFFIX) || value.length < PREFIX.length + SUFFIX.length) return value
  const bytes = fromBase64(value.slice(PREFIX.length, -SUFFIX.length))
  if (bytes === null) return null
  try {
    return fromUtf8(bytes)
  } catch {
    return null
  }
}

/** The value as a header may carry it: as it is, or in base64. */
export function encodeMirrored(value: string): string {
  const plain = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value) && !value.startsWith(PREFIX)
  return plain ? value : `${PREFIX}${toBase64(utf8(value))}${SUFFIX}`
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09
}
