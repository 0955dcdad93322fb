/** `doorward join --attest`: by what a workload proves itself, from files that are named. */

import { createPrivateKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { DoorwardError, foreignPathLength, fromUtf8, foreignTokenBytes, Secret } from '@doorward/core'
import type { Evidence } from '@doorward/sdk'
import { readBoundedFile, readCertificateFile } from '../config/certificate-file.ts'

export const evidenceKinds = ['bound-key', 'oidc', 'x509'] as const

export interface EvidenceOptions {
  /** Undefined for the token of the join string. */
  readonly attest?: (typeof evidenceKinds)[number]
  readonly tokenFile?: string
  readonly cert?: string
  readonly key?: string
}

const MAX_KEY = 64 * 1024

/** Null: the token of the join string. Throws `usage` for files that do not go with the kind, and what reading them throws. */
export async function joinEvidence({ attest, tokenFile, cert, key }: EvidenceOptions): Promise<Evidence | null> {
  if (attest !== 'oidc' && tokenFile !== undefined) throw misused('--token-file goes with --attest oidc')
  if (attest !== 'x509' && (cert !== undefined || key !== undefined))
    throw misused('--cert and --key go with --attest x509')
  if (attest === undefined) return null
  switch (attest) {
    case 'bound-key':
      return { kind: 'bound_key' }
    case 'oidc':
      if (tokenFile === undefined) throw misused('--attest oidc needs --token-file')
      return { kind: 'oidc', token: () => readToken(tokenFile) }
    case 'x509':
      if (cert === undefined || key === undefined) throw misused('--attest x509 needs --cert and --key')
      return {
        kind: 'x509_pop',
        chain: await readCertificateFile(cert, foreignPathLength),
        privateKey: await readKey(key),
      }
  }
}

/** Read at the last moment: the platform replaces it all the time. */
async function readToken(path: string): Promise<Secret> {
  return new Secret(fromUtf8(await readBoundedFile(path, foreignTokenBytes + 2)).trim())
}

async function readKey(path: string): Promise<KeyObject> {
  const bytes = await readBoundedFile(path, MAX_KEY)
  try {
    return createPrivateKey({ key: Buffer.from(bytes), format: 'pem' })
  } catch {
    throw new DoorwardError('key_unreadable', 'the key of the certificate cannot be read', {
      where: path,
      expected: 'an unencrypted private key in PEM',
    })
  } finally {
    bytes.fill(0)
  }
}

function misused(message: string): DoorwardError {
  return new DoorwardError('usage', message, { next: 'see doorward join --help' })
}
