/** The key of a log, from custody. */

import { DoorwardError } from '@doorward/core'
import { importEd25519 } from '@doorward/enforcement'
import type { LogKey } from '@doorward/enforcement'
import type { KeyCustody } from '../secrets/key-custody.ts'

const NAME = 'log'
const WITNESS = 'witness'

/** Opens the log's key, or makes it while the state is being founded. Throws the codes of custody. */
export async function openLogKey(keys: KeyCustody, founded: boolean): Promise<LogKey> {
  const held = founded ? await keys.need(NAME, 'ed25519') : await keys.open(NAME, 'ed25519')
  return logKeyOf(held ?? (await keys.create(NAME, 'ed25519')))
}

/** Opens the key with which this process cosigns the logs of others, or makes it. Throws the codes of custody. */
export async function openWitnessKey(keys: KeyCustody): Promise<LogKey> {
  return logKeyOf((await keys.open(WITNESS, 'ed25519')) ?? (await keys.create(WITNESS, 'ed25519')))
}

function logKeyOf(key: Awaited<ReturnType<KeyCustody['create']>>): LogKey {
  // The raw key is the tail of the SubjectPublicKeyInfo (RFC 8410 §4).
  const publicKey = key.publicKey.slice(-32)
  const verify = importEd25519(publicKey)
  if (verify === null) throw new DoorwardError('key_kind', 'expected an Ed25519 log key')
  return { sign: key, verify, publicKey }
}
