/**
 * The recovery root on disk: the one key that everyone pins, beside the key-encryption key and outside the state.
 *
 * It is not sealed: it has to work on the day when the machine and its key-encryption key are lost. It should leave
 * the machine after the first start; without it everything runs until the delegation is due again.
 */

import { createPrivateKey } from 'node:crypto'
import { dirname } from 'node:path'
import { DoorwardError, fromUtf8, jwkThumbprint, utf8 } from '@doorward/core'
import type { Sha256 } from '@doorward/core'
import { checkPrivate } from '@doorward/sdk'
import { makePrivateFolder, readIfPresent, writeDurably } from './durable-file.ts'
import { asP256, generatePrivateKey, signingKeyOf } from './signing-key.ts'
import type { P256SigningKey } from './signing-key.ts'

export interface RecoveryRoot {
  readonly key: P256SigningKey
  /** RFC 7638 thumbprint, base64url: what everyone pins. */
  readonly fingerprint: string
  readonly path: string
}

const MAX_FILE = 2048

/** Makes the root, P-256, as PKCS #8 PEM with mode 0600. Throws `root_exists`, `root_mode`. */
export async function createRecoveryRoot(path: string, sha256: Sha256): Promise<RecoveryRoot> {
  if ((await readIfPresent(path, MAX_FILE)) !== null) {
    throw new DoorwardError('root_exists', 'a recovery root is there already', { where: path })
  }
  await makePrivateFolder(dirname(path))
  await checkPrivate(dirname(path), 'root_mode')
  const privateKey = generatePrivateKey('p256')
  await writeDurably(path, utf8(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()))
  return rootOf(path, asP256(signingKeyOf('p256', privateKey)), sha256)
}

/** The root, or null when it has left the machine. Throws `root_mode`, `root_invalid`. */
export async function readRecoveryRoot(path: string, sha256: Sha256): Promise<RecoveryRoot | null> {
  const bytes = await readIfPresent(path, MAX_FILE)
  if (bytes === null) return null
  await checkPrivate(path, 'root_mode')
  try {
    return rootOf(path, asP256(signingKeyOf('p256', createPrivateKey(fromUtf8(bytes)))), sha256)
  } catch {
    throw new DoorwardError('root_invalid', 'the recovery root cannot be read', {
      where: path,
      expected: 'a P-256 private key in PKCS #8 PEM',
      next: 'put the file back as it was, or move it away: it is needed only when the delegation is due',
    })
  }
}

function rootOf(path: string, key: P256SigningKey, sha256: Sha256): RecoveryRoot {
  return { path, key, fingerprint: jwkThumbprint(key.jwk, sha256) }
}
