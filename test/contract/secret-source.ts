/** What every source of secrets must do, run on each adapter. */

import { deepEqual, equal, notEqual, ok, rejects } from 'node:assert/strict'
import { inspect } from 'node:util'
import { after, before, describe, test } from 'node:test'
import type { SecretSource } from '../../packages/server/src/secrets/secret-source.ts'

/** One adapter with something behind it that the suite may change. */
export interface SourceStage {
  readonly source: SecretSource
  /** Puts the value there, whether or not there is one. */
  set(value: string): Promise<void>
  /** Takes it away; undefined where that cannot be. */
  readonly clear?: () => Promise<void>
  /** Makes whatever is behind it fail, and mends it; undefined where nothing can fail. */
  readonly fail?: () => Promise<void>
  readonly mend?: () => Promise<void>
  /** After a rejection, until it is asked again. */
  readonly afterFailure?: () => Promise<unknown>
  /** Lets caches run out. */
  readonly wait?: () => Promise<unknown>
  close(): Promise<void>
}

const CANARY = 'canary-8c1f-Zürich-"\\-€'

export function secretSourceContract(name: string, open: () => Promise<SourceStage>): void {
  describe(`secret source: ${name}`, () => {
    let stage: SourceStage
    before(async () => {
      stage = await open()
    })
    after(() => stage.close())

    test('gives the value that is there, whole, with a version that says nothing of it', async () => {
      await stage.set(CANARY)
      const { value, version } = await stage.source.read({ fresh: true })
      equal(value.reveal(), CANARY)
      ok(/^[\x21-\x7e]{1,64}$/.test(version), version)
      ok(!version.includes('canary'))
    })

    test('shows no value, however it is printed', async () => {
      const read = await stage.source.read()
      for (const text of [inspect(read), JSON.stringify(read), inspect(stage.source, { depth: 9 }), String(read.value)])
        ok(!text.includes('canary'), text)
    })

    test('gives the same version for the same value, to all who ask at once', async () => {
      const reads = await Promise.all(Array.from({ length: 20 }, () => stage.source.read()))
      deepEqual(new Set(reads.map(({ version }) => version)).size, 1)
    })

    test('a value that is replaced is seen by the next read, under another version', async () => {
      const before = await stage.source.read()
      await stage.set('the second value')
      const { value, version } = await stage.source.read({ fresh: true })
      equal(value.reveal(), 'the second value')
      notEqual(version, before.version)
      equal((await stage.source.read()).version, version)
    })

    test('a value of 64 KiB is a value', async () => {
      await stage.set('x'.repeat(64 * 1024))
      equal((await stage.source.read({ fresh: true })).value.reveal().length, 64 * 1024)
    })

    test('while it is replaced, every read is one value or the other', async () => {
      const values = ['a'.repeat(3000), 'b'.repeat(3000)]
      await stage.set(values[0] ?? '')
      const writing = (async () => {
        for (let n = 1; n <= 10; n++) await stage.set(values[n % 2] ?? '')
      })()
      for (let n = 0; n < 30; n++)
        ok(values.includes((await stage.source.read({ fresh: true })).value.reveal()), 'neither')
      await writing
    })

    test('what is taken away is no value any more', async (context) => {
      if (stage.clear === undefined) return context.diagnostic('nothing can be taken away there')
      await stage.set(CANARY)
      await stage.source.read({ fresh: true })
      await stage.clear()
      await rejects(stage.source.read({ fresh: true }), (error: Error & { code?: string }) => {
        equal(error.code, 'secret_missing')
        ok(!inspect(error).includes('canary'))
        return true
      })
      await stage.set(CANARY)
      await stage.afterFailure?.()
      equal((await stage.source.read({ fresh: true })).value.reveal(), CANARY)
    })

    test('a source that fails is told, never bridged by an older value beyond its cache, and comes back', async (context) => {
      if (stage.fail === undefined) return context.diagnostic('nothing can fail there')
      await stage.fail()
      await stage.wait?.()
      await rejects(stage.source.read({ fresh: true }), /./)
      await rejects(stage.source.read(), (error: Error & { code?: string }) => {
        ok(error.code?.startsWith('secret_'), String(error.code))
        ok(!inspect(error).includes('canary'))
        return true
      })
      await stage.mend?.()
      await stage.wait?.()
      equal((await stage.source.read({ fresh: true })).value.reveal(), CANARY)
    })
  })
}
