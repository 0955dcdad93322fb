/** One to four small changes of a byte string, mostly one; what comes out may by chance be what went in. */

import type { Chance } from './chance.ts'

type Change = (bytes: Uint8Array, chance: Chance, pieces: readonly Uint8Array[]) => Uint8Array

const interesting = Uint8Array.of(0, 1, 0x7f, 0x80, 0xff, 0x20, 0x22, 0x2c, 0x3a, 0x5b, 0x5c, 0x5d, 0x7b, 0x7d)

const changes: readonly Change[] = [
  function flipBit(bytes, chance) {
    return replaced(bytes, chance, (byte) => byte ^ (1 << chance.below(8)))
  },
  function setByte(bytes, chance) {
    return replaced(bytes, chance, () => chance.below(256))
  },
  function setInteresting(bytes, chance) {
    return replaced(bytes, chance, () => interesting[chance.below(interesting.length)] ?? 0)
  },
  function addOne(bytes, chance) {
    return replaced(bytes, chance, (byte) => byte + (chance.below(2) === 0 ? 1 : -1))
  },
  function cut(bytes, chance) {
    const from = chance.below(bytes.length + 1)
    return joined(bytes.subarray(0, from), bytes.subarray(from + 1 + chance.below(8)))
  },
  function end(bytes, chance) {
    return bytes.slice(0, chance.below(bytes.length + 1))
  },
  function insert(bytes, chance) {
    const at = chance.below(bytes.length + 1)
    const piece = Uint8Array.from({ length: 1 + chance.below(4) }, () => chance.below(256))
    return joined(bytes.subarray(0, at), piece, bytes.subarray(at))
  },
  function repeat(bytes, chance) {
    const from = chance.below(bytes.length + 1)
    const to = Math.min(bytes.length, from + 1 + chance.below(16))
    return joined(bytes.subarray(0, to), bytes.subarray(from, to), bytes.subarray(to))
  },
  function splice(bytes, chance, pieces) {
    const at = chance.below(bytes.length + 1)
    const piece = pieces.length === 0 ? new Uint8Array(0) : chance.of(pieces)
    return joined(bytes.subarray(0, at), piece, bytes.subarray(at + chance.below(piece.length + 1)))
  },
]

/** `pieces` are put in at random places: words of the format. */
export function mutate(bytes: Uint8Array, chance: Chance, pieces: readonly Uint8Array[] = []): Uint8Array {
  let out = bytes
  for (let left = 1 + chance.below(1 + chance.below(4)); left > 0; left--) out = chance.of(changes)(out, chance, pieces)
  return out
}

function replaced(bytes: Uint8Array, chance: Chance, by: (byte: number) => number): Uint8Array {
  const out = bytes.slice()
  if (out.length === 0) return out
  const at = chance.below(out.length)
  out[at] = by(out[at] ?? 0)
  return out
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}
