/** The form that certificates and revocation lists share: signed part, algorithm, signature (RFC 5280 §4.1.1, §5.1.1). */

import { equalBytes } from '../bytes.ts'
import type { EpochSeconds } from '../time.ts'
import { derError, expectTag, oidText, readDer, TAG } from './der.ts'
import type { DerNode } from './der.ts'
import { ecdsaFromDer } from './ecdsa-signature.ts'

export interface SignedDer {
  readonly bytes: Uint8Array
  /** The signed part, and its fields. */
  readonly tbs: Uint8Array
  readonly fields: readonly DerNode[]
  readonly algorithm: DerNode
  /** r ‖ s; null for any algorithm but ecdsa-with-SHA256, or a signature that is not strict DER. */
  readonly signature: Uint8Array | null
}

const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'

/** Throws `der_invalid`. */
export function readSigned(der: Uint8Array, what: string): SignedDer {
  const root = readDer(der)
  const [tbs, algorithm, signature] = parts(root, 3, what)
  return {
    bytes: root.bytes,
    tbs: tbs!.bytes,
    fields: expectTag(tbs, TAG.sequence, 'the signed part').children,
    algorithm: algorithm!,
    signature: readSignature(algorithm!, expectTag(signature, TAG.bitString, 'a signature')),
  }
}

/** The algorithm stands in the signed part too, and there it must be the same (RFC 5280 §4.1.1.2). Throws `der_invalid`. */
export function expectSameAlgorithm({ algorithm }: SignedDer, inner: DerNode | undefined): void {
  if (!equalBytes(algorithm.bytes, expectTag(inner, TAG.sequence, 'an algorithm').bytes)) {
    throw derError('two different signature algorithms')
  }
}

/** The parts of a sequence of exactly so many. Throws `der_invalid`. */
export function parts(node: DerNode | undefined, count: number, what: string): readonly DerNode[] {
  const { children } = expectTag(node, TAG.sequence, what)
  if (children.length !== count) throw derError(`${what} with ${children.length} parts`)
  return children
}

function readSignature(algorithm: DerNode, signature: DerNode): Uint8Array | null {
  const children = expectTag(algorithm, TAG.sequence, 'an algorithm').children
  const oid = oidText(expectTag(children[0], TAG.oid, 'an algorithm identifier'))
  if (oid !== ECDSA_WITH_SHA256 || children.length !== 1 || signature.content[0] !== 0) return null
  return ecdsaFromDer(signature.content.subarray(1))
}

const UTC_TIME = /^\d{12}Z$/
const GENERALIZED_TIME = /^\d{14}Z$/

/** RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050 on, seconds present, Z, no fraction. Throws `der_invalid`. */
export function readTime({ tag, content }: DerNode): EpochSeconds {
  const text = String.fromCharCode(...content.subarray(0, 16))
  if (content.length > 15 || !(tag === TAG.utcTime ? UTC_TIME : GENERALIZED_TIME).test(text))
    throw derError('a time in another form')
  if (tag !== TAG.utcTime && tag !== TAG.generalizedTime) throw derError('expected a time')
  const full = tag === TAG.utcTime ? (text < '50' ? '20' : '19') + text : text
  if (tag === TAG.generalizedTime && full < '2050') throw derError('a GeneralizedTime before 2050')
  const iso = `${full.slice(0, 4)}-${full.slice(4, 6)}-${full.slice(6, 8)}T${full.slice(8, 10)}:${full.slice(10, 12)}:${full.slice(12, 14)}.000Z`
  const date = new Date(iso)
  if (Number.isNaN(date.getTime()) || date.toISOString() !== iso) throw derError('a time that does not exist')
  return (date.getTime() / 1000) as EpochSeconds
}
