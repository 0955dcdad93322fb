/** Readers of the record: segments, entries, bundles, checkpoints and proofs. */

import { createPrivateKey, hash } from 'node:crypto'
import { crc32 as crc32Of } from 'node:zlib'
import {
  buildInclusionProof,
  completeRoot,
  encodeEntryBundle,
  encodeFrames,
  encodeLeaf,
  encodePayload,
  encodeProofExtra,
  encodeSegmentHeader,
  epochMillis,
  equalBytes,
  formatLogProof,
  leafHash,
  openCheckpoint,
  openLogProof,
  parseEntryBundle,
  parsePayload,
  rangeRoot,
  readFrame,
  scanSegment,
  signCheckpoint,
  utf8,
  verifierKey,
} from '@doorward/core'
import type { JournalFrame, NoteVerifier, ReadSubtree } from '@doorward/core'
import { ed25519LogKey } from '@doorward/enforcement'
import { must, refusedOr } from './target.ts'
import type { FuzzTarget } from './target.ts'

const sha256 = (data: Uint8Array): Uint8Array => new Uint8Array(hash('sha256', data, 'buffer'))
const crc32 = (data: Uint8Array): number => crc32Of(data)
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const ORIGIN = 'acme.example/gateway/main'
/** The same in every run, so that what was found is found again: PKCS #8 of thirty-two sevens. */
const privateKey = createPrivateKey({
  key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.alloc(32, 7)]),
  format: 'der',
  type: 'pkcs8',
})
const key = ed25519LogKey(privateKey)
const { keyId } = verifierKey(sha256, ORIGIN, key.publicKey)
const verifier: NoteVerifier = { name: ORIGIN, keyId, key: key.verify }
const SIZE = 5

const codes = new Set(
  [
    ['segment_malformed', 'tile_malformed', 'checkpoint_malformed', 'checkpoint_foreign', 'note_malformed'],
    ['note_unverified', 'proof_malformed', 'proof_invalid', 'entry_malformed'],
  ].flat(),
)
const words = [
  '\n',
  '\n\n',
  'index ',
  'extra ',
  '— ',
  ' ',
  '=',
  '0',
  '9007199254740992',
  '{"v":1',
  'DWRECORD',
  '\u0002',
]

/** By number: the first byte of an input. */
const readers: readonly (readonly [string, (bytes: Uint8Array, root: string) => void])[] = [
  ['segment', (bytes) => judgeSegment(bytes, crc32)],
  // Who bends a segment can write its sums too: the reader has to hold without them.
  ['segment without sums', (bytes) => judgeSegment(withoutSums(bytes), () => 0)],
  ['bundle', (bytes) => must(equalBytes(encodeEntryBundle(parseEntryBundle(bytes)), bytes), 'a bundle of two forms')],
  ['checkpoint', judgeCheckpoint],
  ['proof', judgeProof],
  ['payload', judgePayload],
]

async function open(): ReturnType<FuzzTarget['open']> {
  const frames = Array.from({ length: SIZE }, (_, index) => frameOf(index))
  const header = { v: 1, origin: ORIGIN, vkey: 'v', first: 0, previous: null } as const
  const segment = Buffer.concat([encodeSegmentHeader(header, crc32), encodeFrames(frames, crc32)])
  const leaves = frames.map((frame) => encodeLeaf(sha256, frame))
  const hashes = leaves.map((leaf) => leafHash(sha256, leaf))
  const read: ReadSubtree = async ({ level, index }) =>
    completeRoot(sha256, hashes.slice(index * 2 ** level, (index + 1) * 2 ** level))
  const root = await rangeRoot(sha256, [0, SIZE], read)
  const { note } = await signCheckpoint({ origin: ORIGIN, size: SIZE, root }, { name: ORIGIN, keyId, key: key.sign })
  const opening = frameOf(2)
  const proof = formatLogProof({
    index: 2,
    hashes: await buildInclusionProof(sha256, { index: 2, size: SIZE }, read),
    checkpoint: note,
    extra: encodeProofExtra({ leaf: encodeLeaf(sha256, opening), opening }),
  })
  const texts = [segment, segment, encodeEntryBundle(leaves), utf8(note), utf8(proof), opening.payload]
  const signed = Buffer.from(root).toString('base64')
  return {
    starts: texts.map((bytes, number) => new Uint8Array(Buffer.concat([Uint8Array.of(number), bytes]))),
    words: words.map(utf8),
    judge(input) {
      const [name, reader] = readers[(input[0] ?? 0) % readers.length] ?? readers[0]!
      const result = refusedOr(codes, () => reader(input.subarray(1), signed))
      return `${name} ${typeof result === 'string' ? result : 'read'}`
    },
  }
}

function frameOf(index: number): JournalFrame {
  const time = epochMillis(1000 + index)
  const payload = encodePayload('decision', time, { n: index })
  return { index, batch: index - (index % 2), time, salt: new Uint8Array(16).fill(index), payload }
}

/** Everything that is read is in the bytes, once and in order. */
function judgeSegment(bytes: Uint8Array, sum: (data: Uint8Array) => number): void {
  const { header, frames, offsets, fault } = scanSegment(bytes, sum)
  must(offsets.length === frames.length + 1, 'a frame without a place')
  must(fault !== null || offsets.at(-1) === bytes.length, 'bytes that nobody has read')
  for (const [i, frame] of frames.entries()) {
    must(frame.index === header.first + i, `entry ${frame.index} in the place of ${header.first + i}`)
    const again = readFrame(bytes, offsets[i] ?? 0, sum)
    must(again.at === 'frame' && again.end === offsets[i + 1], 'a frame that is read in two ways')
    if (frame.absent !== undefined) continue
    must(equalBytes(encodeFrames([frame], sum), bytes.subarray(offsets[i], offsets[i + 1])), 'a frame of two forms')
  }
}

/** Of the header at 12, of the frames where they begin. */
function withoutSums(bytes: Uint8Array): Uint8Array {
  if (bytes.length < 16) return bytes
  const out = bytes.slice()
  const view = new DataView(out.buffer)
  view.setUint32(12, 0)
  let at = 16 + view.getUint32(8)
  while (at + 48 <= out.length) {
    view.setUint32(at, 0)
    at += 48 + (view.getUint32(at + 4) % 0x1000000)
  }
  return out
}

/** Signatures of others may stand beside ours. */
function judgeCheckpoint(bytes: Uint8Array, signed: string): void {
  const { size, root, origin } = openCheckpoint(textOf(bytes), verifier)
  must(origin === ORIGIN && size === SIZE, 'another log or size than was signed')
  must(Buffer.from(root).toString('base64') === signed, 'another root than was signed')
}

function judgeProof(bytes: Uint8Array): void {
  const { index, time, entry, checkpoint } = openLogProof(sha256, textOf(bytes), verifier)
  const written = frameOf(index)
  must(checkpoint.size === SIZE && index < SIZE, 'another tree than was signed')
  must(time === written.time, 'another time than was written')
  must(entry === null || equalBytes(written.payload, rewritten(entry)), 'another entry than was written')
}

function judgePayload(bytes: Uint8Array): void {
  must(equalBytes(rewritten(parsePayload(bytes)), bytes), 'an entry of two forms')
}

function rewritten({ kind, time, body }: ReturnType<typeof parsePayload>): Uint8Array {
  return encodePayload(kind, time, body)
}

export const log: FuzzTarget = {
  name: 'log',
  rule: 'what is read is what was written, in order and to the last byte; what is proven was signed; all else is refused with a code',
  open,
}
