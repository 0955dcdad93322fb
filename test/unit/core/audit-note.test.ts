import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, hash, sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  emptyRoot,
  formatCheckpoint,
  formatVerifierKey,
  hex,
  isDoorwardError,
  openCheckpoint,
  openNote,
  parseCheckpoint,
  parseVerifierKey,
  signCheckpoint,
  signNote,
  verifierKey,
} from '@doorward/core'
import type { NoteSigner, NoteVerifier, VerifierKey } from '@doorward/core'

const sha256 = (data: Uint8Array): Uint8Array => hash('sha256', data, 'buffer')
const coded = (code: string) => (error: unknown) => isDoorwardError(error, code)

function rawPublic(key: KeyObject): Uint8Array {
  return Buffer.from(String(createPublicKey(key).export({ format: 'jwk' }).x), 'base64url')
}

function verifierOf(key: VerifierKey): NoteVerifier {
  const x = Buffer.from(key.publicKey).toString('base64url')
  const imported = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
  return {
    name: key.name,
    keyId: key.keyId,
    key: { verify: (data, signature) => verify(null, data, imported, signature) },
  }
}

function signerOf(name: string): {
  readonly signer: NoteSigner
  readonly verifier: NoteVerifier
  readonly vkey: VerifierKey
  readonly key: KeyObject
} {
  const { privateKey } = generateKeyPairSync('ed25519')
  const vkey = verifierKey(sha256, name, rawPublic(privateKey))
  const signer = { name, keyId: vkey.keyId, key: { sign: async (data: Uint8Array) => sign(null, data, privateKey) } }
  return { signer, verifier: verifierOf(vkey), vkey, key: privateKey }
}

describe('signed note', () => {
  // The published example of the Go checksum database's note package, where the format comes from.
  const NEUMANN = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'
  const NOTE =
    'If you think cryptography is the answer to your problem,\n' +
    "then you don't know what your problem is.\n" +
    '\n' +
    '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n'

  test('the published note opens with the published key', () => {
    const key = parseVerifierKey(sha256, NEUMANN)
    assert.equal(formatVerifierKey(key), NEUMANN)
    assert.ok(openNote(NOTE, [verifierOf(key)]).startsWith('If you think cryptography'))
  })

  test('every single changed character of a note closes it or is not part of what it says', () => {
    const verifier = verifierOf(parseVerifierKey(sha256, NEUMANN))
    const text = openNote(NOTE, [verifier])
    for (let i = 0; i < NOTE.length; i++) {
      const changed = NOTE.slice(0, i) + (NOTE[i] === 'x' ? 'y' : 'x') + NOTE.slice(i + 1)
      assert.throws(() => assert.equal(openNote(changed, [verifier]), text), `position ${i}`)
    }
  })

  test('a note signed here verifies with node:crypto alone, byte by byte as the specification says', async () => {
    const { signer, key } = signerOf('example.com/log42')
    const note = await signNote('hello\n\nworld\n', signer)
    const [text, line] = [note.slice(0, note.lastIndexOf('\n\n') + 1), note.slice(note.lastIndexOf('\n\n') + 2)]
    assert.equal(text, 'hello\n\nworld\n')
    const match = /^\u2014 example\.com\/log42 (\S+)\n$/.exec(line)
    const bytes = Buffer.from(match![1]!, 'base64')
    assert.equal(bytes.length, 68)
    const id = sha256(Buffer.concat([Buffer.from('example.com/log42\n'), Buffer.of(1), rawPublic(key)])).subarray(0, 4)
    assert.equal(bytes.subarray(0, 4).toString('hex'), hex(id))
    assert.ok(verify(null, Buffer.from(text), createPublicKey(key), bytes.subarray(4)))
  })

  test('an unknown key is ignored, alone it does not open, a known key that is wrong rejects all', async () => {
    const [a, b] = [signerOf('a'), signerOf('b')]
    const signed = await signNote('text\n', a.signer)
    const second = (await signNote('text\n', b.signer)).split('\n').at(-2)!
    const both = `${signed}${second}\n`
    assert.equal(openNote(both, [a.verifier]), 'text\n')
    assert.equal(openNote(both, [b.verifier]), 'text\n')
    assert.throws(() => openNote(signed, [b.verifier]), coded('note_unverified'))
    assert.throws(() => openNote(signed, []), coded('note_unverified'))
    const forged = `${signed}${(await signNote('other\n', b.signer)).split('\n').at(-2)!}\n`
    assert.equal(openNote(forged, [a.verifier]), 'text\n')
    assert.throws(() => openNote(forged, [a.verifier, b.verifier]), coded('note_unverified'))
    const namesake = signerOf('a')
    assert.throws(() => openNote(signed, [namesake.verifier]), coded('note_unverified'))
  })

  test('what is not exactly a note is malformed', () => {
    const good = NOTE
    const bad = [
      '',
      '\n',
      good.slice(0, -1),
      good.replace('\n\n', '\n'),
      `${good}\n`,
      good.replace('— ', '- '),
      good.replace('PeterNeumann', 'Peter+Neumann'),
      good.replace('PeterNeumann', 'Peter\u00a0Neumann'),
      good.replace('x08go', 'x08g*'),
      good.replace('then', 'then\r'),
      good.replace('then', 'then\t'),
      good.replace('then', 'then\ud800'),
      good + good.split('\n').at(-2)!.concat('\n').repeat(64),
      `${'x'.repeat(140_000)}\n\n— a AAAAAAAA\n`,
    ]
    for (const note of bad) {
      assert.throws(
        () => openNote(note, [verifierOf(parseVerifierKey(sha256, NEUMANN))]),
        coded('note_malformed'),
        JSON.stringify(note).slice(0, 90),
      )
    }
  })

  test('a verifier key with a wrong id, type or name is refused', () => {
    for (const vkey of [
      NEUMANN.replace('c74f20a3', 'c74f20a4'),
      NEUMANN.replace('c74f20a3', 'C74F20A3'),
      NEUMANN.replace('+AR', '+Ag'),
      NEUMANN.replace('Peter', 'Paul'),
      NEUMANN.slice(0, -4),
      `x ${NEUMANN}`,
      '',
    ]) {
      assert.throws(() => parseVerifierKey(sha256, vkey), coded('vkey_malformed'), vkey)
    }
    for (const name of ['', 'a b', 'a+b', 'a\nb', 'a\u2003b', 'a\u0085b']) {
      assert.throws(() => verifierKey(sha256, name, new Uint8Array(32)), coded('vkey_malformed'))
    }
  })

  test('opening arbitrary text never accepts and never fails otherwise than with a code', () => {
    const verifier = verifierOf(parseVerifierKey(sha256, NEUMANN))
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.nat(NOTE.length), (text, at) => {
        for (const note of [text, NOTE.slice(0, at) + text + NOTE.slice(at)]) {
          if (note === NOTE) continue
          try {
            assert.equal(openNote(note, [verifier]), openNote(NOTE, [verifier]))
          } catch (error) {
            assert.ok(isDoorwardError(error, 'note_malformed') || isDoorwardError(error, 'note_unverified'))
          }
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('checkpoint', () => {
  test('a checkpoint is three lines, and comes back', async () => {
    const { signer, verifier } = signerOf('acme.example/authority')
    const root = emptyRoot(sha256)
    const text = formatCheckpoint({ origin: 'acme.example/authority', size: 0, root })
    assert.equal(text, 'acme.example/authority\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n')
    const signed = await signCheckpoint({ origin: 'acme.example/authority', size: 20_852_163, root }, signer)
    const opened = openCheckpoint(signed.note, verifier)
    assert.deepEqual([opened.origin, opened.size, hex(opened.root)], ['acme.example/authority', 20_852_163, hex(root)])
  })

  test('a checkpoint of another origin under the same key is foreign', async () => {
    const { signer, verifier } = signerOf('acme.example/authority')
    const signed = await signCheckpoint({ origin: 'acme.example/gateway/a', size: 1, root: emptyRoot(sha256) }, signer)
    assert.throws(() => openCheckpoint(signed.note, verifier), coded('checkpoint_foreign'))
  })

  test('sizes and roots have one written form', () => {
    const root = '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
    parseCheckpoint(`o\n9007199254740991\n${root}\n`)
    for (const text of [
      `\n1\n${root}\n`,
      `o\n01\n${root}\n`,
      `o\n-1\n${root}\n`,
      `o\n1.0\n${root}\n`,
      `o\n1e3\n${root}\n`,
      `o\n\n${root}\n`,
      `o\n9007199254740992\n${root}\n`,
      `o\n1\n${root.slice(0, -1)}\n`,
      `o\n1\n${root.slice(4)}\n`,
      'o\n1\n\n',
      `o\n1\n${root}`,
      `o\n1\n${root}\nextension\n`,
      'o\n1\n',
    ]) {
      assert.throws(() => parseCheckpoint(text), coded('checkpoint_malformed'), JSON.stringify(text))
    }
  })

  test('the published example of tlog-checkpoint parses', () => {
    const text = 'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n'
    assert.equal(formatCheckpoint(parseCheckpoint(text)), text)
  })
})
