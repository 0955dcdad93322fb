/** Inclusion proofs: that a leaf is in a tree (RFC 6962 §2.1.1; the check is RFC 9162 §2.1.3.2). */

import { equalBytes } from '../bytes.ts'
import { DoorwardError } from '../error.ts'
import type { Sha256 } from '../primitives.ts'
import { nodeHash, rangeRoot } from './merkle-tree.ts'
import type { ReadSubtree } from './merkle-tree.ts'

/** The largest power of two smaller than `n` (n > 1), `k` of RFC 6962 §2.1. */
export function splitPoint(n: number): number {
  let k = 1
  while (k * 2 < n) k *= 2
  return k
}

/** Builds PATH(index, D[size]), leaf to root. Throws `proof_out_of_range`. */
export async function buildInclusionProof(
  sha256: Sha256,
  at: { readonly index: number; readonly size: number },
  read: ReadSubtree,
): Promise<readonly Uint8Array[]> {
  if (!Number.isSafeInteger(at.index) || at.index < 0 || at.index >= at.size) {
    throw new DoorwardError('proof_out_of_range', 'entry is not in the tree', {
      expected: `an index below ${at.size}`,
      got: `${at.index}`,
    })
  }
  const siblings: [number, number][] = []
  let [from, to] = [0, at.size]
  while (to - from > 1) {
    const middle = from + splitPoint(to - from)
    siblings.push(at.index < middle ? [middle, to] : [from, middle])
    if (at.index < middle) to = middle
    else from = middle
  }
  return Promise.all(siblings.reverse().map((range) => rangeRoot(sha256, range, read)))
}

/** True when `proof` shows that `leafHash` is leaf `index` of the tree of `size` with `root`. Never throws. */
export function verifyInclusion(
  sha256: Sha256,
  claim: {
    readonly index: number
    readonly size: number
    readonly leafHash: Uint8Array
    readonly root: Uint8Array
    readonly proof: readonly Uint8Array[]
  },
): boolean {
  const { index, size, root, proof } = claim
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) return false
  let node = index
  let last = size - 1
  let hash = claim.leafHash
  for (const sibling of proof) {
    if (last === 0 || sibling.length !== 32) return false
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(sha256, sibling, hash)
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, Math.floor(last / 2)]
    } else {
      hash = nodeHash(sha256, hash, sibling)
    }
    node = Math.floor(node / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 && equalBytes(hash, root)
}
