/**
 * A strict DER reader (X.690 §10, §11): one encoding per value, nothing before, between or after.
 *
 * OpenSSL and general ASN.1 libraries accept trailing bytes and non-minimal forms, so two readers may see two
 * certificates in the same bytes. What this reader accepts has exactly one reading.
 */

import { DoorwardError } from '../error.ts'
import { fromUtf8 } from '../bytes.ts'

/** One value: its tag octet, its whole encoding, its content and, when constructed, its parts. */
export interface DerNode {
  readonly tag: number
  readonly bytes: Uint8Array
  readonly content: Uint8Array
  readonly children: readonly DerNode[]
}

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const

const MAX_DEPTH = 16
const CONSTRUCTED = 0x20
const NO_PARTS: readonly DerNode[] = []

export function derError(message: string, offset?: number): DoorwardError {
  return new DoorwardError('der_invalid', message, offset === undefined ? {} : { where: `offset ${offset}` })
}

/** Reads one value that fills `bytes` exactly. Throws `der_invalid`. */
export function readDer(bytes: Uint8Array): DerNode {
  const node = readNode(bytes, 0, bytes.length, 0)
  if (node.bytes.length !== bytes.length) throw derError('bytes after the value', node.bytes.length)
  return node
}

function readNode(bytes: Uint8Array, start: number, limit: number, depth: number): DerNode {
  if (depth > MAX_DEPTH) throw derError(`deeper than ${MAX_DEPTH} levels`, start)
  if (start + 2 > limit) throw derError('a value without tag and length', start)
  const tag = bytes[start]!
  if ((tag & 0x1f) === 0x1f) throw derError('a tag number above 30', start)
  const { length, at } = readLength(bytes, start + 1, limit)
  const end = at + length
  if (end > limit) throw derError('a length beyond the enclosing value', start)
  const content = bytes.subarray(at, end)
  const children = (tag & CONSTRUCTED) === 0 ? NO_PARTS : readParts(bytes, at, end, depth)
  const node = { tag, bytes: bytes.subarray(start, end), content, children }
  checkUniversal(node, start)
  return node
}

function readLength(bytes: Uint8Array, at: number, limit: number): { length: number; at: number } {
  const first = bytes[at]!
  if (first < 0x80) return { length: first, at: at + 1 }
  const count = first & 0x7f
  if (count === 0 || count > 3) throw derError('an indefinite or oversized length', at)
  if (at + 1 + count > limit) throw derError('a length that is cut off', at)
  let length = 0
  for (let i = 1; i <= count; i++) length = length * 256 + bytes[at + i]!
  if (length < 0x80 || length < 2 ** (8 * (count - 1))) throw derError('a length that is not minimal', at)
  return { length, at: at + 1 + count }
}

function readParts(bytes: Uint8Array, start: number, end: number, depth: number): readonly DerNode[] {
  const parts: DerNode[] = []
  let at = start
  while (at < end) {
    const part = readNode(bytes, at, end, depth + 1)
    parts.push(part)
    at += part.bytes.length
  }
  return parts
}

/** The restrictions of X.690 §8 and §11 on universal types; context-specific tags carry no type of their own. */
function checkUniversal(node: DerNode, offset: number): void {
  if ((node.tag & 0xc0) !== 0) {
    if ((node.tag & 0xc0) !== 0x80) throw derError('an application or private tag', offset)
    return
  }
  const check = UNIVERSAL[node.tag]
  if (check === undefined) throw derError(`a type that certificates do not use (tag ${node.tag})`, offset)
  const problem = check(node)
  if (problem !== null) throw derError(problem, offset)
}

type Check = (node: DerNode) => string | null
const fine: Check = () => null

const UNIVERSAL: Readonly<Record<number, Check>> = {
  [TAG.boolean]: ({ content }) =>
    content.length === 1 && (content[0] === 0 || content[0] === 0xff) ? null : 'a boolean that is neither 00 nor FF',
  [TAG.integer]: ({ content }) => integerProblem(content),
  [0x0a]: ({ content }) => integerProblem(content),
  [TAG.bitString]: ({ content }) => bitStringProblem(content),
  [TAG.octetString]: fine,
  [TAG.null]: ({ content }) => (content.length === 0 ? null : 'a null with content'),
  [TAG.oid]: ({ content }) => oidProblem(content),
  [TAG.utf8String]: ({ content }) => utf8Problem(content),
  [TAG.printableString]: ({ content }) =>
    content.every(isPrintable) ? null : 'a PrintableString with another character',
  [TAG.ia5String]: ({ content }) => (content.every((b) => b < 0x80) ? null : 'an IA5String with a byte above 7F'),
  [TAG.utcTime]: fine,
  [TAG.generalizedTime]: fine,
  [TAG.sequence]: fine,
  [TAG.set]: (node) => setProblem(node),
}

function integerProblem(content: Uint8Array): string | null {
  if (content.length === 0) return 'an integer without content'
  if (content.length === 1) return null
  const top = content[1]! & 0x80
  const redundant = (content[0] === 0 && top === 0) || (content[0] === 0xff && top !== 0)
  return redundant ? 'an integer that is not minimal' : null
}

function bitStringProblem(content: Uint8Array): string | null {
  const unused = content[0]
  if (unused === undefined || unused > 7 || (content.length === 1 && unused !== 0))
    return 'a bit string with wrong padding'
  const last = content[content.length - 1]!
  return content.length > 1 && (last & ((1 << unused) - 1)) !== 0 ? 'a bit string with set padding bits' : null
}

function oidProblem(content: Uint8Array): string | null {
  if (content.length === 0 || (content[content.length - 1]! & 0x80) !== 0) return 'an object identifier that is cut off'
  let first = true
  for (const byte of content) {
    if (first && byte === 0x80) return 'an object identifier that is not minimal'
    first = (byte & 0x80) === 0
  }
  return null
}

function utf8Problem(content: Uint8Array): string | null {
  try {
    fromUtf8(content)
    return null
  } catch {
    return 'a UTF8String that is not UTF-8'
  }
}

function isPrintable(byte: number): boolean {
  const letter = (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122)
  return letter || (byte >= 48 && byte <= 57) || " '()+,-./:=?".includes(String.fromCharCode(byte))
}

function setProblem({ children }: DerNode): string | null {
  for (let i = 1; i < children.length; i++) {
    if (compareBytes(children[i - 1]!.bytes, children[i]!.bytes) > 0) return 'a set that is not in order'
  }
  return null
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return a.length - b.length
}

/** The dotted form of an object identifier. Throws `der_invalid` on an arc above 2^53. */
export function oidText(node: DerNode): string {
  if (node.tag !== TAG.oid) throw derError('expected an object identifier')
  const arcs: number[] = []
  let value = 0
  for (const byte of node.content) {
    value = value * 128 + (byte & 0x7f)
    if (value > Number.MAX_SAFE_INTEGER) throw derError('an object identifier with an oversized arc')
    if ((byte & 0x80) === 0) {
      arcs.push(value)
      value = 0
    }
  }
  const first = Math.min(Math.floor(arcs[0]! / 40), 2)
  return [first, arcs[0]! - first * 40, ...arcs.slice(1)].join('.')
}

/** The value if it has the tag. Throws `der_invalid`. */
export function expectTag(node: DerNode | undefined, tag: number, what: string): DerNode {
  if (node?.tag !== tag) throw derError(`expected ${what}, got ${node === undefined ? 'nothing' : `tag ${node.tag}`}`)
  return node
}
