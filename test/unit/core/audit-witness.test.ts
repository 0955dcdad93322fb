/** Witnesses: cosignatures of C2SP tlog-cosignature, and what a witness makes of a submission of C2SP tlog-witness. */

import assert from 'node:assert/strict'
import { generateKeyPairSync, hash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  TreeEdge,
  buildConsistencyProof,
  cosign,
  cosignaturesIn,
  cosignaturesOf,
  epochSeconds,
  formatAddCheckpoint,
  formatVerifierKey,
  isDoorwardError,
  judgeSubmission,
  leafHash,
  openCheckpoint,
  parseAddCheckpoint,
  parseNote,
  parseVerifierKey,
  signCheckpoint,
  utf8,
  verifierKey,
  witnessKey,
} from '@doorward/core'
import type { NoteSigner, NoteVerifier, ReadSubtree, SignedCheckpoint, VerifierKey } from '@doorward/core'
import { ed25519LogKey } from '@doorward/enforcement'

const sha256 = (data: Uint8Array): Uint8Array => hash('sha256', data, 'buffer')
const coded = (code: string) => (error: unknown) => isDoorwardError(error, code)
const at = epochSeconds(1_790_000_000)

interface Party {
  readonly signer: NoteSigner
  readonly verifier: NoteVerifier
  readonly vkey: VerifierKey
}

function party(make: typeof verifierKey | typeof witnessKey, name: string): Party {
  const key = ed25519LogKey(generateKeyPairSync('ed25519').privateKey)
  const vkey = make(sha256, name, key.publicKey)
  const named = { name, keyId: vkey.keyId }
  return { vkey, signer: { ...named, key: key.sign }, verifier: { ...named, key: key.verify } }
}

const log = party(verifierKey, 'acme.example/gateway/main')
const witness = party(witnessKey, 'acme.example/authority')
const stranger = party(witnessKey, 'acme.example/stranger')

/** A log with these entries: its checkpoint at each size, and proofs between them. */
function treeOf(entries: readonly string[]) {
  const leaves = entries.map((entry) => leafHash(sha256, utf8(entry)))
  const rootOf = (from: number, to: number) => {
    const edge = new TreeEdge(sha256)
    for (const leaf of leaves.slice(from, to)) edge.append(leaf)
    return edge.root()
  }
  const read: ReadSubtree = async ({ level, index }) => rootOf(index * 2 ** level, (index + 1) * 2 ** level)
  return {
    checkpoint: (size: number) => signCheckpoint({ origin: log.signer.name, size, root: rootOf(0, size) }, log.signer),
    proof: (older: number, newer: number) => buildConsistencyProof(sha256, { older, newer }, read),
  }
}

const named = (count: number, word = 'entry') => Array.from({ length: count }, (_, i) => `${word} ${i}`)
const tree = treeOf(named(40))
const other = treeOf([...named(10), ...named(30, 'another')])

test('a cosignature is framed as the specification shows it: key id, seconds, signature', () => {
  const note =
    'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n' +
    '— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n'
  const { text, signatures } = parseNote(note)
  const [{ name, keyId, signature }] = signatures as [(typeof signatures)[number]]
  const told: Uint8Array[] = []
  const verify = (data: Uint8Array) => told.push(data) > 0
  const [found] = cosignaturesOf(note, [{ name, keyId, key: { verify } }], at)
  assert.deepEqual([found?.witness, found?.time], ['witness.example.com/w1', 1_679_315_147])
  assert.deepEqual(told, [utf8(`cosignature/v1\ntime 1679315147\n${text}`)])
  assert.equal(signature.length, 72)
  assert.ok(note.endsWith(`\n${found?.line}`))
})

test('a checkpoint that is cosigned opens as before, and shows who has cosigned it and when', async () => {
  const { note } = await tree.checkpoint(7)
  const { text } = parseNote(note)
  const line = await cosign(text, witness.signer, at)
  const cosigned = `${note}${line}${await cosign(text, stranger.signer, at)}`
  assert.equal(openCheckpoint(cosigned, log.verifier).size, 7)
  const expected = [{ witness: witness.signer.name, time: at, line }]
  assert.deepEqual(cosignaturesOf(cosigned, [witness.verifier], at), expected)
  assert.deepEqual(cosignaturesIn(line, { text, witnesses: [witness.verifier], now: at }), expected)
})

test('a cosignature counts for its text, its time and its witness alone', async () => {
  const [{ note }, later] = await Promise.all([tree.checkpoint(7), tree.checkpoint(8)])
  const line = await cosign(parseNote(note).text, witness.signer, at)
  const count = (text: string, verifiers = [witness.verifier], now = at) => cosignaturesOf(text, verifiers, now).length
  assert.equal(count(`${note}${line}`), 1)
  assert.equal(count(`${later.note}${line}`), 0)
  assert.equal(count(`${note}${line}`, [stranger.verifier]), 0)
  assert.equal(count(`${note}${line}`, [{ ...stranger.verifier, name: witness.signer.name }]), 0)
  assert.equal(count(`${note}${line}`, [witness.verifier], epochSeconds(at - 1)), 0)
  // The log's own key does not cosign, and a witness's key signs no checkpoint.
  assert.equal(count(note, [log.verifier]), 0)
  assert.throws(() => openCheckpoint(`${note}${line}`, witness.verifier), coded('note_unverified'))
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: 71 }), fc.integer({ min: 1, max: 255 }), async (place, bits) => {
      const [, name = '', base64 = ''] = line.trim().split(' ')
      const bytes = Buffer.from(base64, 'base64')
      bytes[4 + place]! ^= bits
      assert.equal(
        count(`${note}— ${name} ${bytes.toString('base64')}\n`, [witness.verifier], epochSeconds(2 ** 50)),
        0,
      )
    }),
    { seed: 20_261_122 },
  )
})

test('keys of logs and of witnesses are told apart', () => {
  const written = formatVerifierKey(witness.vkey)
  assert.equal(formatVerifierKey(parseVerifierKey(sha256, written, 'cosignature')), written)
  assert.throws(() => parseVerifierKey(sha256, written), coded('vkey_malformed'))
  assert.throws(() => parseVerifierKey(sha256, formatVerifierKey(log.vkey), 'cosignature'), coded('vkey_malformed'))
  const { publicKey } = witness.vkey
  assert.notDeepEqual(witnessKey(sha256, 'x', publicKey).keyId, verifierKey(sha256, 'x', publicKey).keyId)
})

async function submitted(older: number, newer: number, from = tree): Promise<string> {
  const [{ note }, proof] = await Promise.all([from.checkpoint(newer), from.proof(older, newer)])
  return formatAddCheckpoint({ oldSize: older, proof, note })
}

function judged(body: string, remembered: SignedCheckpoint | null, verifier = log.verifier) {
  return judgeSubmission(sha256, parseAddCheckpoint(body), { verifier, remembered })
}

function sizeElsewhere(verdict: ReturnType<typeof judged>): number | null {
  return verdict.at === 'elsewhere' ? verdict.size : null
}

test('every checkpoint that follows from the one that is remembered may be cosigned', async () => {
  for (const older of [0, 1, 2, 7, 8, 31, 40])
    for (const newer of [0, 1, 3, 8, 9, 32, 40].filter((size) => size >= older)) {
      const remembered = older === 0 ? null : await tree.checkpoint(older)
      const verdict = judged(await submitted(older, newer), remembered)
      assert.equal(verdict.at, 'follows', `${older} to ${newer}`)
      assert.ok(verdict.at === 'follows' && verdict.checkpoint.size === newer)
    }
  assert.equal(judged(await submitted(0, 5), await tree.checkpoint(0)).at, 'follows')
})

test('a log that is cut, forked or put back gets nothing', async () => {
  const remembered = await tree.checkpoint(20)
  assert.deepEqual(sizeElsewhere(judged(await submitted(12, 15), remembered)), 20)
  assert.deepEqual(sizeElsewhere(judged(await submitted(0, 30), remembered)), 20)
  assert.deepEqual(sizeElsewhere(judged(await submitted(12, 30), remembered)), 20)
  assert.deepEqual(sizeElsewhere(judged(await submitted(5, 9), null)), 0)
  assert.equal(judged(await submitted(20, 20, other), remembered).at, 'forked')
  assert.equal(judged(await submitted(20, 30, other), remembered).at, 'unproven')
  assert.equal(judged(await submitted(20, 30), await other.checkpoint(20)).at, 'unproven')
  const foreign = party(verifierKey, log.signer.name)
  assert.equal(judged(await submitted(20, 30), remembered, foreign.verifier).at, 'unsigned')
  const elsewhere = { ...log.verifier, name: 'acme.example/gateway/other' }
  assert.equal(judged(await submitted(20, 30), remembered, elsewhere).at, 'unsigned')
})

test('what is not of the form is malformed', async () => {
  const body = await submitted(20, 30)
  const [, first = ''] = body.split('\n')
  for (const bad of [
    '',
    'old 20',
    body.replace('old 20', 'old 020'),
    body.replace('old 20', 'old -1'),
    body.replace('old 20', 'old 99999999999999999'),
    body.replace('old 20', 'older 20'),
    body.replace(first, first.slice(4)),
    body.replace(first, ''.padEnd(64, `${first}\n`.slice(0, 1))),
    `old 20\n${`${first}\n`.repeat(64)}\n${body}`,
  ])
    assert.throws(() => parseAddCheckpoint(bad), coded('witness_request_malformed'), JSON.stringify(bad.slice(0, 40)))
  const remembered = await tree.checkpoint(20)
  const at = (bad: string) => judged(bad, remembered).at
  assert.equal(at(body.replace('acme', 'ac\u0001me')), 'malformed')
  assert.equal(at(body.slice(0, body.indexOf('\n\n') + 2)), 'malformed')
  assert.equal(
    judged(await submitted(0, 3).then((text) => text.replace('old 0', 'old 4')), await tree.checkpoint(4)).at,
    'malformed',
  )
  assert.equal(judged(await submitted(1, 3).then((text) => text.replace('old 1', 'old 0')), null).at, 'malformed')
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 200 }), fc.nat({ max: 400 }), async (noise, place) => {
      const bent = body.slice(0, place) + noise + body.slice(place + noise.length)
      try {
        const verdict = judged(bent, remembered)
        assert.ok(
          verdict.at !== 'follows' ||
            parseAddCheckpoint(bent).note.startsWith(parseNote(parseAddCheckpoint(body).note).text),
        )
      } catch (error) {
        assert.ok(coded('witness_request_malformed')(error))
      }
    }),
    { seed: 20_261_122, numRuns: 300 },
  )
})
