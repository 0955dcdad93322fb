/** Consistency proofs: that a tree only grew (RFC 6962 §2.1.2; the check is RFC 9162 §2.1.4.2). */

import { equalBytes } from '../bytes.ts'
import { DoorwardError } from '../error.ts'
import type { Sha256 } from '../primitives.ts'
import { splitPoint } from './inclusion-proof.ts'
import { emptyRoot, nodeHash, rangeRoot } from './merkle-tree.ts'
import type { ReadSubtree } from './merkle-tree.ts'

/**
 * Builds PROOF(older, D[newer]). Empty when the older tree is empty or the sizes are equal.
 * Throws `proof_out_of_range`.
 */
export async function buildConsistencyProof(
  sha256: Sha256,
  sizes: { readonly older: number; readonly newer: number },
  read: ReadSubtree,
): Promise<readonly Uint8Array[]> {
  const { older, newer } = sizes
  if (!Number.isSafeInteger(older) || !Number.isSafeInteger(newer) || older < 0 || older > newer) {
    throw new DoorwardError('proof_out_of_range', 'the older tree is larger than the newer', {
      expected: `a size of at most ${newer}`,
      got: `${older}`,
    })
  }
  if (older === 0 || older === newer) return []
  return Promise.all(subproof(older, newer).map((range) => rangeRoot(sha256, range, read)))
}

function subproof(older: number, newer: number): readonly [number, number][] {
  const outer: [number, number][] = []
  let [from, to] = [0, newer]
  let complete = true
  while (older !== to) {
    const middle = from + splitPoint(to - from)
    if (older <= middle) {
      outer.push([middle, to])
      to = middle
    } else {
      outer.push([from, middle])
      from = middle
      complete = false
    }
  }
  // RFC 6962: the subtree that the verifier already knows as the older root is left out.
  return [...(complete ? [] : [[from, to] as [number, number]]), ...outer.reverse()]
}

/** True when `proof` shows that the newer tree begins with the older one. Never throws. */
export function verifyConsistency(
  sha256: Sha256,
  claim: {
    readonly older: { readonly size: number; readonly root: Uint8Array }
    readonly newer: { readonly size: number; readonly root: Uint8Array }
    readonly proof: readonly Uint8Array[]
  },
): boolean {
  const { older, newer, proof } = claim
  if (!Number.isSafeInteger(older.size) || !Number.isSafeInteger(newer.size)) return false
  if (older.size < 0 || older.size > newer.size) return false
  if (older.size === newer.size) return proof.length === 0 && equalBytes(older.root, newer.root)
  if (older.size === 0) return proof.length === 0 && equalBytes(older.root, emptyRoot(sha256))
  if (proof.length === 0 || proof.some((hash) => hash.length !== 32)) return false
  return walk(sha256, claim)
}

function walk(sha256: Sha256, { older, newer, proof }: Parameters<typeof verifyConsistency>[1]): boolean {
  let node = older.size - 1
  let last = newer.size - 1
  while (node % 2 === 1) [node, last] = [Math.floor(node / 2), Math.floor(last / 2)]
  const path = node === 0 ? [older.root, ...proof] : proof
  let olderHash = path[0]!
  let newerHash = path[0]!
  for (const hash of path.slice(1)) {
    if (last === 0) return false
    if (node % 2 === 1 || node === last) {
      olderHash = nodeHash(sha256, hash, olderHash)
      newerHash = nodeHash(sha256, hash, newerHash)
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, Math.floor(last / 2)]
    } else {
      newerHash = nodeHash(sha256, newerHash, hash)
    }
    node = Math.floor(node / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 && equalBytes(olderHash, older.root) && equalBytes(newerHash, newer.root)
}
