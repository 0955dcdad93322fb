/** What every checkpoint store must do. Run it on each adapter. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CheckpointStore } from '@doorward/enforcement'

/** `open` returns handles on one and the same store; `fresh` gives an empty one. */
export interface CheckpointStoreSubject {
  readonly name: string
  readonly fresh: () => Promise<{ readonly open: () => CheckpointStore }>
}

const note = (n: number): string => `acme.example/log\n${n}\nroot ${n} é\n\n— acme.example/log sig${n}\n`

export function checkpointStoreContract({ name, fresh }: CheckpointStoreSubject): void {
  test(`${name}: an empty store has no newest note`, async () => {
    assert.equal(await (await fresh()).open().newest(), null)
  })

  test(`${name}: a swap from the expected note is stored, byte for byte, for every handle`, async () => {
    const { open } = await fresh()
    const store = open()
    assert.equal(await store.compareAndSwap(null, note(0)), true)
    assert.equal(await store.compareAndSwap(note(0), note(7)), true)
    assert.equal(await store.newest(), note(7))
    assert.equal(await open().newest(), note(7))
  })

  test(`${name}: a swap from anything else changes nothing`, async () => {
    const store = (await fresh()).open()
    assert.equal(await store.compareAndSwap(note(1), note(2)), false)
    assert.equal(await store.newest(), null)
    await store.compareAndSwap(null, note(1))
    for (const expected of [null, note(2), '', note(1).slice(0, -1), `${note(1)}\n`]) {
      assert.equal(await store.compareAndSwap(expected, note(3)), false)
    }
    assert.equal(await store.newest(), note(1))
  })

  test(`${name}: of concurrent swaps from the same note exactly one wins`, async () => {
    const { open } = await fresh()
    const stores = Array.from({ length: 6 }, open)
    for (let round = 0; round < 3; round++) {
      const expected = await open().newest()
      const won = await Promise.all(stores.map((store, i) => store.compareAndSwap(expected, note(round * 10 + i))))
      assert.equal(won.filter(Boolean).length, 1)
      assert.equal(await open().newest(), note(round * 10 + won.indexOf(true)))
    }
  })
}
