/** Names of subjects and issuers (RFC 5280 §4.1.2.4), read from their DER and never from a text made of it. */

import { fromUtf8 } from '../bytes.ts'
import { expectTag, oidText, readDer, TAG } from './der.ts'
import type { DerNode } from './der.ts'

const COMMON_NAME = '2.5.4.3'

/** Every common name, in order. Throws `der_invalid` when it is not a name. */
export function commonNames(name: Uint8Array): readonly string[] {
  const { children } = expectTag(readDer(name), TAG.sequence, 'a name')
  return children.flatMap((relative) =>
    expectTag(relative, TAG.set, 'a relative name').children.flatMap((attribute) => {
      const [type, value] = expectTag(attribute, TAG.sequence, 'an attribute').children
      return oidText(expectTag(type, TAG.oid, 'a type')) === COMMON_NAME ? [textOf(value)] : []
    }),
  )
}

function textOf(value: DerNode | undefined): string {
  const tag = value?.tag === TAG.printableString ? TAG.printableString : TAG.utf8String
  return fromUtf8(expectTag(value, tag, 'a common name').content)
}
