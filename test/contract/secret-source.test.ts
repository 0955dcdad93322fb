/** The sources of secrets that need nothing but this machine, under the one contract. */

import { deepEqual, equal, notEqual, ok, rejects } from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Secret } from '@doorward/core'
import { aesGcmSealer, randomBytes } from '@doorward/sdk'
import { readEnvironment } from '../../packages/server/src/config/environment.ts'
import { environmentSource } from '../../packages/server/src/secrets/environment-source.ts'
import { fileSource } from '../../packages/server/src/secrets/file-source.ts'
import { SecretStore } from '../../packages/server/src/secrets/secret-store.ts'
import { secretSourceContract } from './secret-source.ts'

const key = new Secret(randomBytes(32))
const unrecorded = () => Promise.resolve()
const newFolder = () => mkdtemp(join(tmpdir(), 'doorward-secrets-'))

function openStore(folder: string, onBroken: (name: string) => void = () => undefined): Promise<SecretStore> {
  return SecretStore.open({ folder, sealer: aesGcmSealer(key, randomBytes), now: () => 1_800_000_000, onBroken })
}

secretSourceContract('own store', async () => {
  const folder = await newFolder()
  const store = await openStore(folder)
  return {
    source: store.source('github'),
    set: async (value) => {
      const verb = store.list().length === 0 ? 'put' : 'rotate'
      await store[verb]('github', new Secret(value), unrecorded)
    },
    clear: () => store.remove('github', unrecorded),
    close: () => rm(folder, { recursive: true, force: true }),
  }
})

secretSourceContract('file', async () => {
  const folder = await newFolder()
  const path = join(folder, 'token')
  return {
    source: fileSource(path),
    // As whoever mounts secrets does it: whole, and by another name.
    set: async (value) => {
      await writeFile(`${path}.new`, `${value}\n`, { mode: 0o600 })
      await rename(`${path}.new`, path)
    },
    clear: () => rm(path),
    fail: () => chmod(path, 0o644),
    mend: () => chmod(path, 0o600),
    close: () => rm(folder, { recursive: true, force: true }),
  }
})

describe('secret source: environment', () => {
  test('the value is read once, and then it is in no environment of this process', async () => {
    const env: NodeJS.ProcessEnv = { CRM_TOKEN: 'canary-of-the-environment', OTHER: 'x' }
    const environment = readEnvironment(env)
    const value = environment.take('CRM_TOKEN')
    ok(value !== undefined)
    deepEqual(Object.keys(env), ['OTHER'])
    equal(environment.variable('CRM_TOKEN'), undefined)
    equal(JSON.stringify(environment.without([])).includes('canary'), false)
    const source = environmentSource(value)
    const { value: read, version } = await source.read({ fresh: true })
    deepEqual([read.reveal(), version], ['canary-of-the-environment', 'start'])
    equal(environment.take('CRM_TOKEN')?.reveal(), 'canary-of-the-environment', 'a reload finds it again')
    equal(environment.take('MISSING'), undefined)
  })
})

describe('files with secrets', () => {
  let folder: string
  before(async () => {
    folder = await newFolder()
  })
  after(() => rm(folder, { recursive: true, force: true }))

  const code = (path: string) =>
    fileSource(path)
      .read()
      .then(
        () => 'read',
        (error: { readonly code: string }) => error.code,
      )

  test('one that others can read, or anybody else write, is refused', async () => {
    const path = join(folder, 'modes')
    await writeFile(path, 'value')
    const found = new Map<number, string>()
    for (const mode of [0o600, 0o400, 0o604, 0o620, 0o666, 0o602, 0o601]) {
      await chmod(path, mode)
      found.set(mode, await code(path))
    }
    deepEqual([...found.values()], ['read', 'read', ...Array.from({ length: 5 }, () => 'secret_mode')])
  })

  test(
    'the group may read what belongs to root, as platforms mount it',
    { skip: process.getuid?.() !== 0 && 'only root has files of root' },
    async () => {
      const path = join(folder, 'mounted')
      await writeFile(path, 'value')
      await chmod(path, 0o440)
      equal(await code(path), 'read')
      await chmod(path, 0o460)
      equal(await code(path), 'secret_mode')
    },
  )

  test('a link that is set anew to another folder, as Kubernetes does it, is another value', async () => {
    for (const name of ['one', 'two']) {
      await mkdir(join(folder, name))
      await writeFile(join(folder, name, 'token'), name, { mode: 0o400 })
    }
    const [current, token] = [join(folder, '..data'), join(folder, 'token')]
    await symlink('one', current)
    await symlink('..data/token', token)
    const source = fileSource(token)
    equal((await source.read()).value.reveal(), 'one')
    await symlink('two', `${current}.new`)
    await rename(`${current}.new`, current)
    equal((await source.read()).value.reveal(), 'two')
  })

  test('no text, nothing, too much, and no file are each refused', async () => {
    const path = join(folder, 'content')
    const found: string[] = []
    for (const content of [Buffer.from([0xff, 0xfe]), '', '\n', 'a\0b', 'x'.repeat(64 * 1024 + 1)]) {
      await writeFile(path, content, { mode: 0o600 })
      found.push(await code(path))
    }
    deepEqual(new Set(found), new Set(['secret_invalid']))
    equal(await code(folder), 'secret_unavailable')
    equal(await code(join(folder, 'nothing')), 'secret_missing')
  })
})

describe("the gateway's own store of secrets", () => {
  let folder: string
  before(async () => {
    folder = await newFolder()
  })
  after(() => rm(folder, { recursive: true, force: true }))

  test('what is put is there after a start, and no version is ever given twice', async () => {
    const store = await openStore(folder)
    const first = await store.put('a', new Secret('one'), unrecorded)
    await store.remove('a', unrecorded)
    const second = await store.put('a', new Secret('two'), unrecorded)
    notEqual(first.version, second.version)
    await store.put('b', new Secret('canary-in-the-store'), unrecorded)
    await store.remove('b', unrecorded)
    const again = await openStore(folder)
    deepEqual(again.list(), store.list())
    equal((await again.source('a').read()).value.reveal(), 'two')
    ok((await again.put('b', new Secret('three'), unrecorded)).version > 3)
  })

  test('a change that cannot be recorded is none', async () => {
    const store = await openStore(folder)
    const before = store.list()
    const full = () => Promise.reject(new Error('the disk is full'))
    await rejects(store.rotate('a', new Secret('lost'), full), /full/)
    await rejects(store.remove('a', full), /full/)
    await rejects(store.put('c', new Secret('lost'), full), /full/)
    deepEqual(store.list(), before)
    equal((await store.source('a').read()).value.reveal(), 'two')
  })

  test('fifty changes at once are one after the other, each with a version of its own', async () => {
    const store = await openStore(folder)
    const versions: number[] = []
    const told = await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        store.rotate('a', new Secret(`value ${n}`), async (version) => void versions.push(version)),
      ),
    )
    deepEqual(
      told.map(({ version }) => version),
      versions,
    )
    equal(new Set(versions).size, 50)
    equal((await store.source('a').read()).value.reveal(), 'value 49')
    await store.rotate('a', new Secret('two'), unrecorded)
  })

  test('no value is in a file as it is, or in base64', async () => {
    const store = await openStore(folder)
    await store.rotate('a', new Secret('canary-in-the-store'), unrecorded)
    for (const name of await readdir(folder)) {
      const text = await readFile(join(folder, name), 'latin1')
      for (const form of ['canary', Buffer.from('canary-in-the-store').toString('base64')])
        ok(!text.includes(form), name)
    }
    await store.rotate('a', new Secret('two'), unrecorded)
  })

  test('a file that was altered, or is another secret’s, does not open: it is refused, told, and can be removed', async () => {
    const path = join(folder, 'a.secret')
    const sound = await readFile(path)
    const altered = Buffer.from(sound)
    altered[altered.length - 20]! ^= 1
    for (const content of [altered, await readFile(join(folder, 'b.secret')), Buffer.alloc(0)]) {
      await writeFile(path, content)
      const broken: string[] = []
      const store = await openStore(folder, (name) => broken.push(name))
      deepEqual(broken, ['a'])
      await rejects(store.source('a').read(), { code: 'secret_broken' })
      equal((await store.source('b').read()).value.reveal(), 'three')
    }
    const store = await openStore(folder)
    await store.remove('a', unrecorded)
    await rejects(store.source('a').read(), { code: 'secret_missing' })
  })

  test('names are names, and nothing is put twice or replaced where nothing is', async () => {
    const store = await openStore(folder)
    for (const name of ['../a', 'A', '', '.a', 'a/b', 'a'.repeat(64)])
      await rejects(store.put(name, new Secret('x'), unrecorded), { code: 'secret_name' })
    await rejects(store.put('b', new Secret('x'), unrecorded), { code: 'secret_exists' })
    await rejects(store.rotate('d', new Secret('x'), unrecorded), { code: 'secret_missing' })
    await rejects(store.remove('d', unrecorded), { code: 'secret_missing' })
  })
})
