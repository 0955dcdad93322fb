/** The key of a log, from custody. */

import { DoorwardError } from '@doorward/core'
import { importEd25519 } from '@doorward/enforcement'
import type { LogKey } from '@doorward/enforcement'
import type { KeyCustody } from '../secrets/key-custody.ts'

const NAME = 'log'

/** Opens the log's key, or makes it while the state is being founded. Throws the codes of custody. */
export async function openLogKey(keys: KeyCustody, founded: boolean): Promise<LogKey> {
  const held = founded ? await keys.need(NAME, 'ed25519') : await keys.open(NAME, 'ed25519')
  const key = held ?? (await keys.create(NAME, 'ed25519'))
  // The raw key is the tail of the SubjectPublicKeyInfo (RFC 8410 §4).
  const publicKey = key.publicKey.slice(-32)
  const verify = importEd25519(publicKey)
  if (verify === null) throw new DoorwardError('key_kind', 'expected an Ed25519 log key')
  return { sign: key, verify, publicKey }
}
