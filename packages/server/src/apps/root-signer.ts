/** The recovery root at work: it signs delegations, wherever it is, and goes nowhere. */

import { DoorwardError, jwkThumbprint, openDelegation, signDelegation } from '@doorward/core'
import type { Delegation, SignedDelegation } from '@doorward/core'
import { importP256, sha256 } from '@doorward/sdk'
import { readRecoveryRoot } from '../secrets/recovery-root.ts'

/**
 * Whoever can sign for the recovery root: one file, a token, or several people together (k of n), as long as what comes out
 * verifies under the one public key that everyone has pinned. Asked once for each delegation; may take as long as people
 * take. Rejects when it does not want to sign.
 */
export interface RootSigner {
  /** RFC 7638 thumbprint of the root's public key, base64url. */
  readonly fingerprint: string
  sign(statement: Delegation): Promise<SignedDelegation>
}

/** The root in a PEM file of this machine. Throws `root_missing`, `root_mode`, `root_invalid`. */
export async function fileRootSigner(path: string): Promise<RootSigner> {
  const root = await readRecoveryRoot(path, sha256)
  if (root === null) {
    throw new DoorwardError('root_missing', 'the recovery root is not here', {
      where: path,
      next: 'name its file with --root, or sign where it is: doorward authority delegate --export FILE',
    })
  }
  const { key, fingerprint } = root
  return { fingerprint, sign: (statement) => signDelegation(statement, key, key.jwk) }
}

/** What somebody has pinned who has joined. */
export interface Pinned {
  readonly trustDomain: string
  readonly rootFingerprint: string
}

/** Refuses a root that nobody has pinned before it signs anything. Throws `root_other`. */
export function checkPinned(signer: Pick<RootSigner, 'fingerprint'>, { rootFingerprint }: Pinned): void {
  if (signer.fingerprint === rootFingerprint) return
  throw new DoorwardError('root_other', 'the recovery root is not the one of this trust domain', {
    expected: rootFingerprint,
    got: signer.fingerprint,
    next: 'name the right file with --root; this one has signed nothing',
  })
}

/**
 * Signs, and looks at what came out as everybody will. Throws `root_other`, `delegation_foreign` for a statement about another
 * trust domain, `delegation_invalid` when something else was signed, and what the signer throws.
 */
export async function signedBy(signer: RootSigner, statement: Delegation, pinned: Pinned): Promise<SignedDelegation> {
  checkPinned(signer, pinned)
  const { trustDomain, rootFingerprint } = pinned
  if (statement.trustDomain !== trustDomain) {
    throw new DoorwardError('delegation_foreign', 'the statement is about another trust domain', {
      expected: trustDomain,
      got: statement.trustDomain,
    })
  }
  const signed = await signer.sign(statement)
  const opened = openDelegation(signed, { rootFingerprint, trustDomain, now: statement.issuedAt, importP256, sha256 })
  if (!('code' in opened) && JSON.stringify(opened.delegation) === JSON.stringify(statement)) return signed
  throw new DoorwardError('delegation_invalid', 'the root has signed something else than it was asked to', {
    got: 'code' in opened ? opened.code : 'another statement',
  })
}

/** RFC 7638 thumbprint of each key of a statement, in its order. */
export function thumbprintsOf({ keys }: Delegation): readonly string[] {
  return keys.map((key) => jwkThumbprint(key, sha256))
}
