/** Files that configuration and commands name and that other programs keep: PEM certificates (RFC 7468), key sets. Links are followed, as mounted secrets need it. */

import { open } from 'node:fs/promises'
import { joinBytes, DoorwardError, fromBase64, fromUtf8 } from '@doorward/core'

const MAX_BYTES = 256 * 1024
const CHUNK = 64 * 1024
const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END \1-----/g

/** The content of a file of at most `limit` bytes. Throws `file_unreadable`. */
export async function readBoundedFile(path: string, limit: number): Promise<Uint8Array> {
  try {
    await using file = await open(path, 'r')
    const parts: Uint8Array[] = []
    let length = 0
    for (;;) {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(CHUNK), 0, CHUNK)
      if (bytesRead === 0) return joinBytes(parts)
      parts.push(buffer.subarray(0, bytesRead))
      length += bytesRead
      if (length > limit) throw unreadable(path, `at most ${limit} bytes`, 'more')
    }
  } catch (error) {
    if (error instanceof DoorwardError) throw error
    throw unreadable(path, 'a readable file', error instanceof Error ? error.message : String(error))
  }
}

/** DER of the certificates of a PEM file, in order, at least one and at most `limit`. Throws `file_unreadable` and `certificates_invalid`. */
export async function readCertificateFile(path: string, limit: number): Promise<readonly Uint8Array[]> {
  const blocks = [...textOf(path, await readBoundedFile(path, MAX_BYTES)).matchAll(BLOCK)]
  const other = blocks.find(([, label]) => label !== 'CERTIFICATE')
  if (other !== undefined) throw invalid(path, 'certificates alone', String(other[1]).toLowerCase())
  const certificates = blocks.map(([, , body = '']) => fromBase64(body.replaceAll(/\s/g, '')))
  const sound = certificates.filter((one) => one !== null)
  if (sound.length === 0 || sound.length !== certificates.length || sound.length > limit)
    throw invalid(path, `1 to ${limit} certificates in PEM`, `${sound.length} that can be read`)
  return sound
}

function textOf(path: string, bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes)
  } catch {
    throw invalid(path, 'text', 'other bytes')
  }
}

function invalid(where: string, expected: string, got: string): DoorwardError {
  return new DoorwardError('certificates_invalid', 'the certificates of a file cannot be used', {
    where,
    expected,
    got,
  })
}

function unreadable(where: string, expected: string, got: string): DoorwardError {
  return new DoorwardError('file_unreadable', 'a file cannot be read', { where, expected, got })
}
