import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  TreeEdge,
  buildConsistencyProof,
  buildInclusionProof,
  concat,
  emptyRoot,
  equalBytes,
  hex,
  isDoorwardError,
  leafHash,
  parseTile,
  encodeTile,
  encodeEntryBundle,
  parseEntryBundle,
  partialTileIds,
  rangeRoot,
  subtreesInTiles,
  tilePath,
  utf8,
  verifyConsistency,
  verifyInclusion,
} from '@doorward/core'
import type { FullTile, TileId } from '@doorward/core'

const sha256 = (data: Uint8Array): Uint8Array => hash('sha256', data, 'buffer')

// The definition of RFC 6962 §2.1, word for word: the oracle for everything incremental.
function mth(hashes: readonly Uint8Array[]): Uint8Array {
  if (hashes.length === 0) return sha256(new Uint8Array(0))
  if (hashes.length === 1) return hashes[0]!
  let k = 1
  while (k * 2 < hashes.length) k *= 2
  return sha256(concat(Uint8Array.of(1), mth(hashes.slice(0, k)), mth(hashes.slice(k))))
}

interface Grown {
  readonly edge: TreeEdge
  readonly tiles: Map<string, readonly Uint8Array[]>
  readonly hashes: Uint8Array[]
}

function grow(size: number): Grown {
  const edge = new TreeEdge(sha256)
  const tiles = new Map<string, readonly Uint8Array[]>()
  const hashes: Uint8Array[] = []
  const keep = (tile: FullTile): unknown => tiles.set(`${tile.level}/${tile.index}`, tile.hashes)
  for (let i = 0; i < size; i++) {
    hashes.push(leafHash(sha256, utf8(`leaf ${i}`)))
    edge.append(hashes[i]!).forEach(keep)
  }
  edge.partialTiles().forEach(keep)
  return { edge, tiles, hashes }
}

function reader(grown: Grown, size: number): ReturnType<typeof subtreesInTiles> {
  return subtreesInTiles(sha256, size, async (tile: TileId) => grown.tiles.get(`${tile.level}/${tile.index}`) ?? [])
}

describe('merkle tree', () => {
  // Inputs and roots of the Certificate Transparency reference tests for RFC 6962.
  const INPUTS = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f']
  const ROOTS = [
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
    'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
    'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
    '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
    'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
    '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
  ]

  test('the roots of RFC 6962 reference trees come out', () => {
    const edge = new TreeEdge(sha256)
    assert.equal(hex(edge.root()), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    assert.deepEqual(edge.root(), emptyRoot(sha256))
    for (const [i, input] of INPUTS.entries()) {
      edge.append(leafHash(sha256, Buffer.from(input, 'hex')))
      assert.equal(hex(edge.root()), ROOTS[i])
    }
  })

  test('the incremental root equals the definition for every size to 300', () => {
    const edge = new TreeEdge(sha256)
    const hashes: Uint8Array[] = []
    for (let i = 0; i < 300; i++) {
      hashes.push(leafHash(sha256, utf8(`${i}`)))
      edge.append(hashes[i]!)
      assert.ok(equalBytes(edge.root(), mth(hashes)), `size ${i + 1}`)
    }
  })

  test('an edge restored from its partial tiles grows as if it had never stopped', () => {
    const check = (size: number, more: number): void => {
      const grown = grow(size)
      const widths = partialTileIds(size)
      const levels: Uint8Array[][] = []
      for (const { level, index, width } of widths) {
        const hashes = grown.tiles.get(`${level}/${index}`)!
        assert.equal(hashes.length, width)
        levels[Number(level)] = [...hashes]
      }
      const restored = TreeEdge.restore(
        sha256,
        size,
        Array.from(levels, (each) => each ?? []),
      )
      assert.deepEqual(restored.root(), grown.edge.root())
      for (let i = 0; i < more; i++) {
        const leaf = leafHash(sha256, utf8(`more ${i}`))
        assert.deepEqual(restored.append(leaf), grown.edge.append(leaf))
      }
      assert.deepEqual(restored.root(), grown.edge.root())
    }
    for (const size of [0, 1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537]) check(size, 3)
    fc.assert(fc.property(fc.integer({ min: 0, max: 2000 }), fc.integer({ min: 0, max: 300 }), check), { numRuns: 20 })
  })

  test('an edge is not restored from tiles of the wrong width', () => {
    assert.throws(
      () => TreeEdge.restore(sha256, 3, [[emptyRoot(sha256)]]),
      (e) => isDoorwardError(e, 'tree_wrong_shape'),
    )
  })
})

describe('tiles', () => {
  test('paths are those of C2SP tlog-tiles', () => {
    assert.equal(tilePath({ level: 0, index: 0, width: 256 }), 'tile/0/000')
    assert.equal(tilePath({ level: 1, index: 1_234_067, width: 256 }), 'tile/1/x001/x234/067')
    assert.equal(tilePath({ level: 0, index: 273, width: 112 }), 'tile/0/273.p/112')
    assert.equal(tilePath({ level: 'entries', index: 1000, width: 7 }), 'tile/entries/x001/000.p/7')
  })

  test('partial tiles of 70,000 and of 256 are those of the specification', () => {
    assert.deepEqual(partialTileIds(70_000), [
      { level: 0, index: 273, width: 112 },
      { level: 1, index: 1, width: 17 },
      { level: 2, index: 0, width: 1 },
    ])
    assert.deepEqual(partialTileIds(256), [{ level: 1, index: 0, width: 1 }])
    assert.deepEqual(partialTileIds(0), [])
  })

  test('every subtree found in tiles equals the definition', async () => {
    const grown = grow(1300)
    for (const [from, to] of [
      [0, 1300],
      [0, 256],
      [256, 512],
      [1024, 1300],
      [1280, 1300],
      [512, 1024],
      [1299, 1300],
    ] as const) {
      assert.ok(equalBytes(await rangeRoot(sha256, [from, to], reader(grown, 1300)), mth(grown.hashes.slice(from, to))))
    }
  })

  test('a tile or bundle that is cut is refused', () => {
    const malformed = (e: unknown): boolean => isDoorwardError(e, 'tile_malformed')
    const tile = encodeTile([emptyRoot(sha256), emptyRoot(sha256)])
    assert.equal(parseTile(tile).length, 2)
    assert.throws(() => parseTile(tile.subarray(0, 63)), malformed)
    assert.throws(() => parseTile(new Uint8Array(0)), malformed)
    assert.throws(() => parseTile(new Uint8Array(257 * 32)), malformed)
    const bundle = encodeEntryBundle([utf8('a'), utf8('bc')])
    assert.deepEqual([...bundle], [0, 1, 97, 0, 2, 98, 99])
    assert.deepEqual(
      parseEntryBundle(bundle).map((leaf) => Buffer.from(leaf).toString()),
      ['a', 'bc'],
    )
    for (let cut = 0; cut < bundle.length; cut++) {
      if (cut !== 3) assert.throws(() => parseEntryBundle(bundle.subarray(0, cut)), malformed)
    }
  })
})

describe('proofs', () => {
  const roots = new Map<number, Uint8Array>()
  const small = grow(64)
  for (let n = 0; n <= 64; n++) roots.set(n, mth(small.hashes.slice(0, n)))

  test('every inclusion proof of every tree to 64 leaves verifies, and for no other index', async () => {
    for (let size = 1; size <= 64; size++) {
      for (let index = 0; index < size; index++) {
        const proof = await buildInclusionProof(sha256, { index, size }, reader(small, size))
        const claim = { index, size, leafHash: small.hashes[index]!, root: roots.get(size)!, proof }
        assert.ok(verifyInclusion(sha256, claim), `${index} of ${size}`)
        for (let other = 0; other < size; other++) {
          if (other !== index)
            assert.ok(!verifyInclusion(sha256, { ...claim, index: other }), `${index} as ${other} of ${size}`)
        }
        assert.ok(!verifyInclusion(sha256, { ...claim, leafHash: emptyRoot(sha256) }))
        assert.ok(!verifyInclusion(sha256, { ...claim, proof: [...proof, emptyRoot(sha256)] }))
        if (proof.length > 0) assert.ok(!verifyInclusion(sha256, { ...claim, proof: proof.slice(0, -1) }))
      }
    }
  })

  test('every consistency proof between trees to 64 leaves verifies, and for no other root', async () => {
    for (let newer = 0; newer <= 64; newer++) {
      for (let older = 0; older <= newer; older++) {
        const proof = await buildConsistencyProof(sha256, { older, newer }, reader(small, newer))
        const claim = {
          older: { size: older, root: roots.get(older)! },
          newer: { size: newer, root: roots.get(newer)! },
          proof,
        }
        assert.ok(verifyConsistency(sha256, claim), `${older} to ${newer}`)
        const wrong = leafHash(sha256, utf8('wrong'))
        assert.ok(!verifyConsistency(sha256, { ...claim, older: { size: older, root: wrong } }))
        // From the empty tree everything is an extension: RFC 9162 leaves that newer root unproven.
        if (older > 0) assert.ok(!verifyConsistency(sha256, { ...claim, newer: { size: newer, root: wrong } }))
        assert.ok(!verifyConsistency(sha256, { ...claim, proof: [...proof, wrong] }))
        if (proof.length > 0) assert.ok(!verifyConsistency(sha256, { ...claim, proof: proof.slice(1) }))
      }
    }
  })

  test('proofs of larger trees verify, and stop verifying when any bit changes', async () => {
    const size = 3000
    const grown = grow(size)
    const root = grown.edge.root()
    const spot = fc.tuple(fc.integer({ min: 1, max: size - 1 }), fc.nat(), fc.nat())
    await fc.assert(
      fc.asyncProperty(spot, async ([at, where, bit]) => {
        const inclusion = await buildInclusionProof(sha256, { index: at, size }, reader(grown, size))
        const included = { index: at, size, leafHash: grown.hashes[at]!, root, proof: inclusion }
        assert.ok(verifyInclusion(sha256, included))
        assert.ok(!verifyInclusion(sha256, { ...included, proof: flip(inclusion, where, bit) }))
        const consistency = await buildConsistencyProof(sha256, { older: at, newer: size }, reader(grown, size))
        const older = { size: at, root: mth(grown.hashes.slice(0, at)) }
        const grew = { older, newer: { size, root }, proof: consistency }
        assert.ok(verifyConsistency(sha256, grew))
        assert.ok(!verifyConsistency(sha256, { ...grew, proof: flip(consistency, where, bit) }))
      }),
      { numRuns: 60 },
    )
  })

  test('a proof outside the tree is refused, a claim outside it is false', async () => {
    const outside = (e: unknown): boolean => isDoorwardError(e, 'proof_out_of_range')
    await assert.rejects(buildInclusionProof(sha256, { index: 4, size: 4 }, reader(small, 4)), outside)
    await assert.rejects(buildConsistencyProof(sha256, { older: 5, newer: 4 }, reader(small, 4)), outside)
    const leaf = small.hashes[0]!
    for (const index of [-1, 1, 0.5, Number.NaN, 2 ** 60]) {
      assert.equal(verifyInclusion(sha256, { index, size: 1, leafHash: leaf, root: leaf, proof: [] }), false)
    }
  })
})

function flip(proof: readonly Uint8Array[], where: number, bit: number): readonly Uint8Array[] {
  return proof.map((hash, i) => {
    if (i !== where % proof.length) return hash
    const changed = Uint8Array.from(hash)
    changed[(bit >> 3) % 32]! ^= 1 << (bit & 7)
    return changed
  })
}
