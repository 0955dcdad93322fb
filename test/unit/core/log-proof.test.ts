/** Proofs of single entries: their text, and when they are believed. */

import assert from 'node:assert/strict'
import { generateKeyPairSync, hash, randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  MAX_PROOF_CHARS,
  buildInclusionProof,
  completeRoot,
  encodeLeaf,
  encodePayload,
  encodeProofExtra,
  epochMillis,
  equalBytes,
  formatLogProof,
  fromUtf8,
  isDoorwardError,
  leafHash,
  openLogProof,
  parseLogProof,
  parseProofExtra,
  rangeRoot,
  signCheckpoint,
  toBase64,
  utf8,
  verifierKey,
} from '@doorward/core'
import type { LogProof, NoteVerifier, ReadSubtree } from '@doorward/core'
import { ed25519LogKey } from '@doorward/enforcement'

const sha256 = (data: Uint8Array): Uint8Array => new Uint8Array(hash('sha256', data, 'buffer'))
const coded = (code: string) => (error: unknown) => isDoorwardError(error, code)
const ORIGIN = 'acme.example/gateway/main'
const key = ed25519LogKey(generateKeyPairSync('ed25519').privateKey)
const { keyId } = verifierKey(sha256, ORIGIN, key.publicKey)
const verifier: NoteVerifier = { name: ORIGIN, keyId, key: key.verify }

function subtreesOver(hashes: readonly Uint8Array[]): ReadSubtree {
  return async ({ level, index }) => completeRoot(sha256, hashes.slice(index * 2 ** level, (index + 1) * 2 ** level))
}

interface Made {
  readonly proof: LogProof
  readonly text: string
  readonly receipt: string
}

interface Wanted {
  readonly size: number
  readonly index: number
  /** What the leaf says; the payload's own time by default. */
  readonly leafTime?: number
  readonly payload?: Uint8Array
  /** First byte of the leaf; 1 by default. */
  readonly version?: number
}

async function prove({ size, index, leafTime = 1000 + index, payload: given, version = 1 }: Wanted): Promise<Made> {
  const payload = given ?? encodePayload('decision', epochMillis(1000 + index), { n: index })
  const salt = randomBytes(16)
  const own = encodeLeaf(sha256, { time: epochMillis(leafTime), salt, payload })
  own[0] = version
  const leaves = Array.from({ length: size }, (_, n) => (n === index ? own : utf8(`leaf ${n}`)))
  const hashes = leaves.map((leaf) => leafHash(sha256, leaf))
  const read = subtreesOver(hashes)
  const root = await rangeRoot(sha256, [0, size], read)
  const signed = await signCheckpoint({ origin: ORIGIN, size, root }, { name: ORIGIN, keyId, key: key.sign })
  const proof = {
    index,
    hashes: await buildInclusionProof(sha256, { index, size }, read),
    checkpoint: signed.note,
    extra: encodeProofExtra({ leaf: own, opening: { salt, payload } }),
  }
  const receipt = formatLogProof({ ...proof, extra: encodeProofExtra({ leaf: own, opening: null }) })
  return { proof, text: formatLogProof(proof), receipt }
}

describe('a proof of an entry', () => {
  test('shows entry, time and place in trees of every shape', async () => {
    for (const size of [1, 2, 3, 7, 8, 9, 64, 100])
      for (const index of new Set([0, 1, size >> 1, size - 1].filter((n) => n < size))) {
        const { text } = await prove({ size, index })
        const { origin, entry, time, checkpoint } = openLogProof(sha256, text, verifier)
        assert.deepEqual([origin, entry?.body, time, checkpoint.size], [ORIGIN, { n: index }, 1000 + index, size])
      }
  })

  test('is written as C2SP tlog-proof says, and read back as it was', async () => {
    const { proof, text } = await prove({ size: 3, index: 1 })
    const lines = text.split('\n')
    assert.equal(lines[0], 'c2sp.org/tlog-proof@v1')
    assert.equal(lines[1], `extra ${toBase64(proof.extra!)}`)
    assert.deepEqual(lines.slice(2, 6), ['index 1', ...proof.hashes.map(toBase64), ''])
    assert.equal(lines.slice(6).join('\n'), proof.checkpoint)
    assert.deepEqual(parseLogProof(text), proof)
    const bare = { ...proof, extra: null }
    assert.deepEqual(parseLogProof(formatLogProof(bare)), bare)
  })

  test('without its payload is a receipt: place, time and digest, and nothing of the entry', async () => {
    const { text, receipt } = await prove({ size: 9, index: 4 })
    const whole = openLogProof(sha256, text, verifier)
    const shown = openLogProof(sha256, receipt, verifier)
    assert.equal(shown.entry, null)
    assert.deepEqual([shown.index, shown.time], [whole.index, whole.time])
    assert.ok(equalBytes(shown.digest, whole.digest))
    assert.ok(!receipt.includes(toBase64(utf8('{"v":1,"kind"')).slice(0, 12)))
  })
})

describe('a proof is refused', () => {
  test('with any one bit of it flipped, shown or not', async () => {
    const { text, receipt } = await prove({ size: 6, index: 2 })
    for (const whole of [text, receipt]) {
      const bytes = utf8(whole)
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        const flipped = bytes.slice()
        flipped[bit >> 3]! ^= 1 << (bit & 7)
        assert.throws(
          () => openLogProof(sha256, fromUtf8(flipped), verifier),
          (error) => isDoorwardError(error),
          `bit ${bit}`,
        )
      }
    }
  })

  test('when it is of another log, or of another key of the same name', async () => {
    const { text } = await prove({ size: 5, index: 0 })
    const other = ed25519LogKey(generateKeyPairSync('ed25519').privateKey)
    const { keyId: otherId } = verifierKey(sha256, ORIGIN, other.publicKey)
    for (const wrong of [
      { ...verifier, name: 'acme.example/authority' },
      { ...verifier, keyId: otherId, key: other.verify },
    ])
      assert.throws(() => openLogProof(sha256, text, wrong), coded('note_unverified'))
    assert.throws(() => openLogProof(sha256, text, { ...verifier, key: other.verify }), coded('note_unverified'))
  })

  test('when index, path, leaf or payload are of another entry', async () => {
    const [one, two] = [await prove({ size: 8, index: 2 }), await prove({ size: 8, index: 3 })]
    const { leaf, opening } = parseProofExtra(one.proof.extra!)
    const other = parseProofExtra(two.proof.extra!)
    const wrong: readonly Partial<LogProof>[] = [
      { index: 3 },
      { index: 8 },
      { hashes: two.proof.hashes },
      { hashes: one.proof.hashes.slice(1) },
      { hashes: [...one.proof.hashes, ...one.proof.hashes] },
      { checkpoint: two.proof.checkpoint },
      { extra: two.proof.extra },
      { extra: encodeProofExtra({ leaf, opening: other.opening }) },
      { extra: encodeProofExtra({ leaf, opening: { ...opening!, salt: other.opening!.salt } }) },
    ]
    for (const part of wrong)
      assert.throws(
        () => openLogProof(sha256, formatLogProof({ ...one.proof, ...part }), verifier),
        coded('proof_invalid'),
        JSON.stringify(part),
      )
  })

  test('when the leaf was signed but is not that of the payload, or of no entry at all', async () => {
    for (const wanted of [{ leafTime: 7 }, { payload: utf8('{}') }]) {
      const { text } = await prove({ size: 4, index: 1, ...wanted })
      assert.throws(() => openLogProof(sha256, text, verifier), coded('proof_invalid'))
    }
  })

  test('when a leaf of another version was signed: nobody knows what it says', async () => {
    const { text, receipt } = await prove({ size: 4, index: 1, version: 2 })
    for (const each of [text, receipt])
      assert.throws(() => openLogProof(sha256, each, verifier), coded('proof_invalid'))
  })

  test('without the leaf: nothing says which entry it is about', async () => {
    const { proof } = await prove({ size: 4, index: 1 })
    const bare = formatLogProof({ ...proof, extra: null })
    assert.throws(() => openLogProof(sha256, bare, verifier), coded('proof_malformed'))
  })
})

describe('malformed', () => {
  test('texts are named as such', async () => {
    const { proof, text } = await prove({ size: 4, index: 1 })
    const wrong: readonly string[] = [
      '',
      '\n\n',
      text.replace('@v1', '@v2'),
      ` ${text}`,
      `\ufeff${text}`,
      text.replaceAll('\n', '\r\n'),
      text.replace('extra ', 'extra  '),
      text.replace('extra ', 'Extra '),
      text.replace(/extra .*/, 'extra '),
      text.replace(/extra .*/, 'extra AB=='),
      text.replace('index 1', 'index 01'),
      text.replace('index 1', 'index -1'),
      text.replace('index 1', 'the index 1'),
      text.replace('index 1', 'index 1 '),
      text.replace('index 1', 'index 1e0'),
      text.replace('index 1', 'index 9007199254740993'),
      text.replace('index 1', 'index 1\nindex 1'),
      text.replace('index 1\n', ''),
      text.replace(toBase64(proof.hashes[0]!), toBase64(randomBytes(31))),
      text.replace(toBase64(proof.hashes[0]!), `${toBase64(proof.hashes[0]!)} `),
      formatLogProof({ ...proof, hashes: Array.from({ length: 54 }, () => randomBytes(32)) }),
      text.slice(0, text.indexOf('\n\n')),
      `${text}${'\n'.repeat(MAX_PROOF_CHARS)}`,
    ]
    for (const each of wrong)
      assert.throws(() => parseLogProof(each), coded('proof_malformed'), JSON.stringify(each.slice(0, 200)))
  })

  test('texts are bounded, and everything up to the bounds is read', async () => {
    const { proof } = await prove({ size: 4, index: 1 })
    const hashes = Array.from({ length: 53 }, () => new Uint8Array(32))
    assert.equal(parseLogProof(formatLogProof({ ...proof, hashes })).hashes.length, 53)
    const room = MAX_PROOF_CHARS - formatLogProof({ ...proof, checkpoint: '' }).length
    const longest = formatLogProof({ ...proof, checkpoint: 'x'.repeat(room) })
    assert.equal(parseLogProof(longest).checkpoint.length, room)
    assert.throws(() => parseLogProof(`${longest}x`), coded('proof_malformed'))
  })

  test('extra data is named as such', () => {
    const leaf = toBase64(new Uint8Array(41))
    const salt = toBase64(new Uint8Array(16))
    const wrong = [
      '',
      'null',
      '[]',
      '"a"',
      '{',
      '{}',
      `{"v":2,"leaf":"${leaf}"}`,
      `{"v":1}`,
      `{"v":1,"leaf":7}`,
      `{"v":1,"leaf":"${leaf}A"}`,
      `{"v":1,"leaf":"${toBase64(new Uint8Array(40))}"}`,
      `{"v":1,"leaf":"${leaf}","salt":"${salt}"}`,
      `{"v":1,"leaf":"${leaf}","payload":"AAAA"}`,
      `{"v":1,"leaf":"${leaf}","salt":"${salt}","payload":""}`,
      `{"v":1,"leaf":"${leaf}","salt":"AAAA","payload":"AAAA"}`,
      `{"v":1,"leaf":"${leaf}","salt":"${salt}","payload":"${toBase64(new Uint8Array(262_145))}"}`,
      `{"leaf":"${leaf}","v":1}`,
      `{"v":1,"leaf":"${leaf}","more":1}`,
      `{"v":1,"leaf":"${leaf}","leaf":"${leaf}"}`,
      ` {"v":1,"leaf":"${leaf}"}`,
    ]
    for (const each of wrong)
      assert.throws(() => parseProofExtra(utf8(each)), coded('proof_malformed'), each.slice(0, 200))
    assert.throws(() => parseProofExtra(Uint8Array.of(0xff)), coded('proof_malformed'))
    assert.equal(parseProofExtra(utf8(`{"v":1,"leaf":"${leaf}"}`)).opening, null)
  })

  test('whatever comes, it is either read back as it was or an error of ours', async () => {
    const { text } = await prove({ size: 4, index: 1 })
    const lines = fc.constantFrom(...text.split('\n'), '', 'index 0', 'extra AAAA', 'c2sp.org/tlog-proof@v1')
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(lines, { maxLength: 12 }).map((some) => some.join('\n')),
      fc
        .array(fc.oneof(lines, fc.string()), { maxLength: 12 })
        .map((some) => `c2sp.org/tlog-proof@v1\n${some.join('\n')}`),
    )
    const ours = (work: () => void): void => {
      try {
        work()
      } catch (error) {
        assert.ok(isDoorwardError(error), String(error))
      }
    }
    fc.assert(
      fc.property(texts, (some) => {
        ours(() => assert.equal(formatLogProof(parseLogProof(some)), some))
        ours(() => void openLogProof(sha256, some, verifier))
        ours(() => void parseProofExtra(utf8(some)))
      }),
      { numRuns: 2000 },
    )
  })
})
