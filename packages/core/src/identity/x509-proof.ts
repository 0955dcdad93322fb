/** What the holder of a certificate signs, to prove its key over one connection and for one machine key. */

import { concat, utf8 } from '../bytes.ts'

const PREFIX = 'doorward x509 proof of possession 1\n'

/** `thumbprint` is the machine key's (RFC 7638), `exported` the keying material of the connection for enrolment. */
export function x509ProofBytes(thumbprint: string, exported: Uint8Array): Uint8Array {
  return concat(utf8(`${PREFIX}${thumbprint}\n`), exported)
}
