/** The folder of credential files: whole generations or nothing, whatever happens in between. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { randomBytes } from '@doorward/sdk'
import { CredentialFolder, diskEffects } from '../../../packages/server/src/apps/credential-folder.ts'
import type { FolderEffects } from '../../../packages/server/src/apps/credential-folder.ts'
import { countedEffects, filesOf, names, remains, seenByName, seenOnce } from './credential-effects.ts'

let root: string
let made = 0

before(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'doorward-credentials-')))
})
after(() => rm(root, { recursive: true, force: true }))

const fresh = () => join(root, `folder-${made++}`)
const open = (path: string, effects?: FolderEffects, wanted = names) =>
  CredentialFolder.open({ path, names: wanted, random: randomBytes, ...(effects === undefined ? {} : { effects }) })
const refusedWith = (code: string) => (error: unknown) =>
  error instanceof Error && 'code' in error && error.code === code

/** The one generation that all of it is from; null for nothing at all. */
function generationOf(seen: Readonly<Record<string, string>> | null): number | null {
  if (seen === null || Object.keys(seen).length === 0) return null
  const [first = '', ...others] = new Set(Object.values(seen))
  assert.deepEqual(others, [], 'files of two generations')
  return Number(first)
}

const withdrawn = new Map([['status', new TextEncoder().encode('0')]])

describe('what readers see', () => {
  test('a generation is in force as a whole, under plain names, for the owner alone', async () => {
    const folder = await open(fresh())
    await folder.write(filesOf(1))
    await folder.write(filesOf(2))
    assert.deepEqual(await seenByName(folder.path), Object.fromEntries(names.map((name) => [name, '2'])))
    assert.equal((await stat(folder.path)).mode & 0o777, 0o700)
    for (const name of names) assert.equal((await stat(join(folder.path, name))).mode & 0o777, 0o600)
    folder.release()
  })

  test('who followed the link before a change reads on, until the sweep', async () => {
    const folder = await open(fresh())
    await folder.write(filesOf(1))
    const followed = await realpath(join(folder.path, '..data'))
    await folder.write(filesOf(2))
    assert.equal(await readFile(join(followed, 'key'), 'utf8'), '1')
    await folder.sweep()
    await assert.rejects(readFile(join(followed, 'key')))
    assert.equal((await remains(folder.path)).length, 1)
    folder.release()
  })

  test('never more than two generations are kept', async () => {
    const folder = await open(fresh())
    for (const generation of [1, 2, 3, 4, 5]) await folder.write(filesOf(generation))
    assert.equal((await remains(folder.path)).length, 2)
    folder.release()
  })

  test('a reader at full speed beside the writer never sees two generations mixed', async () => {
    const folder = await open(fresh())
    await folder.write(filesOf(0))
    const over = new AbortController()
    const reads = { count: 0 }
    const reader = (async () => {
      let last = 0
      while (!over.signal.aborted) {
        const generation = generationOf(await seenOnce(folder.path)) ?? -1
        assert.ok(generation >= last)
        last = generation
        reads.count++
      }
    })()
    for (let generation = 1; generation <= 40; generation++) {
      const goal = reads.count + 1
      await folder.write(filesOf(generation))
      while (reads.count < goal) await new Promise((resolve) => setImmediate(resolve))
    }
    over.abort()
    await reader
    folder.release()
  })

  test('after withdrawal only what was left is there, and every other name leads nowhere', async () => {
    const folder = await open(fresh())
    await folder.write(filesOf(1))
    await folder.withdraw(withdrawn)
    assert.deepEqual(await seenByName(folder.path), { status: '0' })
    assert.equal((await remains(folder.path)).length, 1)
    folder.release()
  })
})

type Step =
  | { readonly kind: 'write' | 'withdraw' | 'sweep' }
  | { readonly kind: 'crash'; readonly change: 'write' | 'withdraw' | 'sweep'; readonly at: number }

class Crash extends Error {}

/** Effects that look at the folder after each change, and stop for good at a chosen one. */
function inspected(look: () => Promise<void>): { readonly effects: FolderEffects; crashIn(effects: number): void } {
  let left = Number.POSITIVE_INFINITY
  const effects = countedEffects(diskEffects, {
    before: () => {
      if (left-- <= 0) throw new Crash()
    },
    after: look,
  })
  return {
    effects,
    crashIn: (effects) => {
      left = effects
    },
  }
}

const change = fc.constantFrom('write', 'withdraw', 'sweep')
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: change }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('crash' as const), change, at: fc.nat(14) }) },
)

test('at every instant of every history a reader sees exactly one generation: the old one or the new one', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), async (steps) => {
      const path = fresh()
      let allowed: readonly (number | null)[] = [null]
      const look = async () => {
        for (const seen of [await seenOnce(path), await seenByName(path)])
          assert.ok(allowed.includes(generationOf(seen)), `${generationOf(seen)} is none of ${String(allowed)}`)
      }
      let inspection = inspected(look)
      let folder = await open(path, inspection.effects)
      let held: number | null = null
      let generation = 0
      for (const one of steps) {
        const kind = one.kind === 'crash' ? one.change : one.kind
        const next: number | null = kind === 'write' ? ++generation : kind === 'withdraw' ? 0 : held
        // Withdrawal ends with less rather than with the old one, even where nothing can be written any more.
        allowed = kind === 'withdraw' ? [held, next, null] : [held, next]
        if (one.kind === 'crash') inspection.crashIn(one.at)
        const run = () =>
          kind === 'write'
            ? folder.write(filesOf(next ?? 0))
            : kind === 'sweep'
              ? folder.sweep()
              : folder.withdraw(withdrawn)
        const whole = await run().then(
          () => true,
          () => false,
        )
        await look()
        held = generationOf(await seenOnce(path))
        if (whole && one.kind !== 'crash') assert.equal(held, next)
        if (one.kind !== 'crash') continue
        folder.release()
        inspection = inspected(look)
        allowed = [held]
        folder = await open(path, inspection.effects)
        assert.equal((await remains(path)).length, held === null ? 0 : 1)
      }
      folder.release()
      await rm(path, { recursive: true })
    }),
    { numRuns: 40 },
  )
})

const worker = join(import.meta.dirname, 'credential-crash-worker.ts')

for (const [kind, next] of [
  ['write', 2],
  ['withdraw', 0],
] as const) {
  test(`killed at any effect of a ${kind}: the old generation or the new one, and the next start cleans up`, async () => {
    const seen = new Set<number | null>()
    for (let number = 0; ; number++) {
      const path = fresh()
      const args = ['--conditions=source', worker, path, kind, String(number)]
      const { signal, status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
      if (status === 3) break
      assert.equal(signal, 'SIGKILL', stderr)
      const held = generationOf(await seenOnce(path))
      assert.equal(generationOf(await seenByName(path)), held)
      seen.add(held)
      const folder = await open(path)
      assert.equal((await remains(path)).length, 1)
      assert.equal(generationOf(await seenOnce(path)), held)
      await folder.write(filesOf(3))
      assert.equal(generationOf(await seenByName(path)), 3)
      folder.release()
    }
    assert.deepEqual(seen, new Set([1, next]))
  })
}

describe('a disk that is full', () => {
  const full = (name: string): FolderEffects => ({
    ...diskEffects,
    writeFile: async (path, bytes) => {
      if (path.endsWith(name)) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
      await diskEffects.writeFile(path, bytes)
    },
  })

  test('leaves the old generation in force and nothing half-done', async () => {
    const path = fresh()
    const first = await open(path)
    await first.write(filesOf(1))
    first.release()
    const folder = await open(path, full('token'))
    await assert.rejects(folder.write(filesOf(2)), refusedWith('credentials_not_written'))
    assert.equal(generationOf(await seenByName(path)), 1)
    assert.equal((await remains(path)).length, 1)
    folder.release()
  })

  test('does not keep a key from being withdrawn', async () => {
    const path = fresh()
    const first = await open(path)
    await first.write(filesOf(1))
    first.release()
    const folder = await open(path, full('status'))
    await folder.withdraw(withdrawn)
    assert.deepEqual(await seenByName(path), {})
    assert.deepEqual(await remains(path), [])
    folder.release()
  })
})

describe('folders that are refused', () => {
  for (const mode of [0o750, 0o701, 0o770, 0o707]) {
    test(`mode 0${mode.toString(8)}`, async () => {
      const path = fresh()
      await mkdir(path)
      await chmod(path, mode)
      await assert.rejects(open(path), refusedWith('credentials_folder_not_private'))
      assert.deepEqual(await readdir(path), [])
    })
  }

  test('a link to a folder', async () => {
    const path = fresh()
    await mkdir(`${path}-target`, { mode: 0o700 })
    await symlink(`${path}-target`, path)
    await assert.rejects(open(path), refusedWith('credentials_folder_not_private'))
  })

  test('a folder on whose way others may write', async () => {
    const parent = fresh()
    await mkdir(parent)
    await chmod(parent, 0o777)
    await assert.rejects(open(join(parent, 'inner')), refusedWith('credentials_folder_not_private'))
    await chmod(parent, 0o1777)
    const folder = await open(join(parent, 'inner'))
    folder.release()
  })

  test('a folder of another user', async (t) => {
    if (process.getuid?.() !== 0) return t.diagnostic('only root can give a folder away')
    const path = fresh()
    await mkdir(path, { mode: 0o700 })
    await chown(path, 12_345, 12_345)
    await assert.rejects(open(path), refusedWith('credentials_folder_not_private'))
  })

  test('a file where the folder should be', async () => {
    const path = fresh()
    await writeFile(path, '')
    await assert.rejects(open(path), refusedWith('credentials_folder_unusable'))
  })

  for (const name of ['key', '..data']) {
    test(`something of somebody else at ${name}, which stays as it is`, async () => {
      const path = fresh()
      await mkdir(path, { mode: 0o700 })
      await writeFile(join(path, name), 'mine')
      await assert.rejects(open(path), refusedWith('credentials_folder_foreign'))
      await rm(join(path, name))
      await symlink('/etc', join(path, name))
      await assert.rejects(open(path), refusedWith('credentials_folder_foreign'))
      assert.deepEqual(await readdir(path), [name])
    })
  }

  test('a folder in which another process keeps files', async () => {
    const path = fresh()
    const first = await open(path)
    await assert.rejects(open(path), refusedWith('credentials_folder_in_use'))
    first.release()
    const second = await open(path)
    second.release()
  })
})

test('names that are no longer wanted go, files of others stay', async () => {
  const path = fresh()
  const first = await open(path)
  await first.write(filesOf(1))
  first.release()
  await writeFile(join(path, 'notes.txt'), 'mine')
  await symlink('..data/else', join(path, 'elsewhere'))
  const second = await open(path, diskEffects, names.slice(1))
  const left = await readdir(path)
  assert.deepEqual(
    ['key', 'certificate', 'notes.txt', 'elsewhere'].map((name) => left.includes(name)),
    [false, true, true, true],
  )
  second.release()
})
