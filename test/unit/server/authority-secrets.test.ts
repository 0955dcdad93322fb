/** Key file, sealing, custody and state folder: what opens, and what is refused with nothing changed. */

import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseTrustDomain, Secret, utf8 } from '@doorward/core'
import { aesGcmSealer, importP256, randomBytes, sha256 } from '@doorward/sdk'
import { KeyCustody } from '../../../packages/server/src/secrets/key-custody.ts'
import { createRecoveryRoot, readRecoveryRoot } from '../../../packages/server/src/secrets/recovery-root.ts'
import { asP256 } from '../../../packages/server/src/secrets/signing-key.ts'
import { openStateFolder } from '../../../packages/server/src/secrets/state-folder.ts'
import type { StateFolderOptions } from '../../../packages/server/src/secrets/state-folder.ts'

async function withFolder(run: (root: string) => Promise<void>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'doorward-secrets-'))
  try {
    await run(root)
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

function optionsIn(root: string, more: Partial<StateFolderOptions> = {}): StateFolderOptions {
  return {
    folder: join(root, 'state'),
    kind: 'authority',
    trustDomain: parseTrustDomain('test.example'),
    keyFile: join(root, 'keys', 'authority.key'),
    keyOutsideOf: [],
    random: randomBytes,
    ...more,
  }
}

async function openAndRelease(options: StateFolderOptions): Promise<{ stateId: string; founded: boolean }> {
  const opened = await openStateFolder(options)
  opened.release()
  return { stateId: opened.stateId, founded: opened.founded }
}

/** Every file with its content, to see that a refusal changes nothing. */
async function contentOf(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return Promise.all(files.toSorted().map(async (path) => `${path} ${(await readFile(path)).toString('hex')}`))
}

test('the first start makes folder and key for the owner alone; the second opens the same state', () =>
  withFolder(async (root) => {
    const options = optionsIn(root)
    const first = await openStateFolder(options)
    assert.equal(first.founded, false)
    for (const [path, mode] of [
      [options.folder, 0o700],
      [join(root, 'keys'), 0o700],
      [options.keyFile, 0o600],
      [join(options.folder, 'state.json'), 0o600],
    ] as const) {
      assert.equal((await stat(path)).mode & 0o777, mode, path)
    }
    await first.complete()
    first.release()
    assert.deepEqual(await openAndRelease(options), { stateId: first.stateId, founded: true })
  }))

test('a founding that stopped goes on with the same state and key', () =>
  withFolder(async (root) => {
    const options = optionsIn(root)
    const first = await openAndRelease(options)
    const key = await readFile(options.keyFile)
    assert.deepEqual(await openAndRelease(options), { ...first, founded: false })
    assert.deepEqual(await readFile(options.keyFile), key)
  }))

test('a marker without a key, as a crash between them leaves it, gets its key', () =>
  withFolder(async (root) => {
    const options = optionsIn(root)
    await mkdir(options.folder, { mode: 0o700 })
    const marker = {
      v: 1,
      kind: 'authority',
      trust_domain: 'test.example',
      state_id: '0123456789abcdef',
      stage: 'founding',
      key_check: null,
    }
    await writeFile(join(options.folder, 'state.json'), JSON.stringify(marker), { mode: 0o600 })
    assert.equal((await openAndRelease(options)).stateId, '0123456789abcdef')
  }))

test('a missing, wrong, foreign, damaged or too open key file is refused and nothing changes', () =>
  withFolder(async (root) => {
    const options = optionsIn(root)
    await openAndRelease(options)
    const other = optionsIn(join(root, 'other'))
    await openAndRelease(other)
    const right = await readFile(options.keyFile, 'utf8')
    const before = await contentOf(options.folder)
    const refused = async (code: string, content: string | null, mode = 0o600) => {
      await rm(options.keyFile)
      if (content !== null) {
        await writeFile(options.keyFile, content)
        await chmod(options.keyFile, mode)
      }
      await assert.rejects(openStateFolder(options), { code })
      assert.deepEqual(await contentOf(options.folder), before)
      await writeFile(options.keyFile, right)
      await chmod(options.keyFile, 0o600)
    }
    await refused('key_file_missing', null)
    await refused('key_file_wrong', await readFile(other.keyFile, 'utf8'))
    await refused('key_file_wrong', right.replace(/[^.]+\n$/, `${'A'.repeat(43)}\n`))
    await refused('key_file_wrong', right.slice(0, 30))
    await refused('key_file_wrong', '')
    await refused('key_file_mode', right, 0o640)
    await openAndRelease(options)
  }))

test('a key inside the state folder is refused, by path and by link', () =>
  withFolder(async (root) => {
    const inside = optionsIn(root, { keyFile: join(root, 'state', 'key') })
    await assert.rejects(openStateFolder(inside), { code: 'key_inside_state' })
    await mkdir(join(root, 'deployment', 'keys'), { recursive: true, mode: 0o700 })
    await symlink(join(root, 'deployment', 'keys'), join(root, 'elsewhere'))
    const linked = {
      folder: join(root, 'second'),
      keyFile: join(root, 'elsewhere', 'key'),
      keyOutsideOf: [join(root, 'deployment')],
    }
    await assert.rejects(openStateFolder(optionsIn(root, linked)), { code: 'key_inside_state' })
    await openAndRelease(optionsIn(root, { folder: join(root, 'third'), keyFile: join(root, 'third-keys', 'key') }))
  }))

test('a folder that is foreign, damaged, too open, of another kind or trust domain is refused and left as it is', () =>
  withFolder(async (root) => {
    const options = optionsIn(root)
    await mkdir(options.folder, { mode: 0o700 })
    await writeFile(join(options.folder, 'notes.txt'), 'mine')
    const foreign = await contentOf(options.folder)
    await assert.rejects(openStateFolder(options), { code: 'state_foreign' })
    assert.deepEqual(await contentOf(options.folder), foreign)
    await rm(join(options.folder, 'notes.txt'))
    await openAndRelease(options)
    const before = await contentOf(options.folder)
    await assert.rejects(openStateFolder({ ...options, kind: 'gateway' }), { code: 'state_kind' })
    await assert.rejects(openStateFolder({ ...options, trustDomain: 'other.example' }), { code: 'state_trust_domain' })
    await chmod(options.folder, 0o750)
    await assert.rejects(openStateFolder(options), { code: 'state_folder_mode' })
    await chmod(options.folder, 0o700)
    assert.deepEqual(await contentOf(options.folder), before)
    const marker = join(options.folder, 'state.json')
    await rename(marker, `${marker}.kept`)
    await writeFile(marker, (await readFile(`${marker}.kept`, 'utf8')).slice(0, 40))
    await assert.rejects(openStateFolder(options), { code: 'state_damaged' })
  }))

test('a second instance on one folder is refused until the first lets go', () =>
  withFolder(async (root) => {
    const options = optionsIn(root)
    const first = await openStateFolder(options)
    await assert.rejects(openStateFolder(options), { code: 'state_in_use' })
    first.release()
    await openAndRelease(options)
  }))

test('sealed bytes open with the same key and context alone, unaltered', async () => {
  const sealer = aesGcmSealer(new Secret(randomBytes(32)), randomBytes)
  const sealed = await sealer.seal(utf8('content'), 'key/p256/a')
  assert.deepEqual(await sealer.open(sealed, 'key/p256/a'), new Uint8Array(utf8('content')))
  assert.notDeepEqual(await sealer.seal(utf8('content'), 'key/p256/a'), sealed)
  await assert.rejects(sealer.open(sealed, 'key/p256/b'), { code: 'seal_broken' })
  await assert.rejects(aesGcmSealer(new Secret(randomBytes(32)), randomBytes).open(sealed, 'key/p256/a'), {
    code: 'seal_broken',
  })
  for (let i = 1; i < sealed.length; i++) {
    const altered = sealed.slice()
    altered[i]! ^= 1
    await assert.rejects(sealer.open(altered, 'key/p256/a'), { code: 'seal_broken' })
  }
  await assert.rejects(sealer.open(Uint8Array.of(2, ...sealed.subarray(1)), 'key/p256/a'), { code: 'seal_version' })
  for (const length of [0, 1, 12, 20, 28]) {
    await assert.rejects(sealer.open(sealed.subarray(0, length), 'key/p256/a'), (error: { code: string }) =>
      error.code.startsWith('seal_'),
    )
  }
})

test('CA-6: custody gives back the key that it made, once per name and kind, and keeps no clear text', () =>
  withFolder(async (root) => {
    const sealer = aesGcmSealer(new Secret(randomBytes(32)), randomBytes)
    const custody = new KeyCustody(join(root, 'keys'), sealer)
    const made = asP256(await custody.create('anchor-1', 'p256'))
    await custody.create('log', 'ed25519')
    await assert.rejects(custody.create('anchor-1', 'p256'), { code: 'key_exists' })
    await assert.rejects(custody.create('../x', 'p256'), { code: 'key_name' })
    const again = new KeyCustody(join(root, 'keys'), sealer)
    const opened = asP256(await again.need('anchor-1', 'p256'))
    assert.deepEqual(opened.jwk, made.jwk)
    assert.ok(importP256(made.jwk)?.verify(utf8('x'), await opened.sign(utf8('x'))))
    assert.deepEqual(await again.names(), ['anchor-1', 'log'])
    await rename(join(root, 'keys', 'anchor-1.key'), join(root, 'keys', 'anchor-2.key'))
    await assert.rejects(new KeyCustody(join(root, 'keys'), sealer).open('anchor-2', 'p256'), { code: 'seal_broken' })
    await assert.rejects(new KeyCustody(join(root, 'keys'), sealer).open('log', 'p256'), { code: 'seal_broken' })
    await assert.rejects(again.need('none', 'p256'), { code: 'key_missing' })
    await chmod(join(root, 'keys', 'log.key'), 0o644)
    await assert.rejects(new KeyCustody(join(root, 'keys'), sealer).open('log', 'ed25519'), { code: 'key_mode' })
    await again.destroy('log')
    assert.equal(await again.open('log', 'ed25519'), null)
  }))

test('CA-6: a key that is destroyed while it is opened is there or not, and never kept', () =>
  withFolder(async (root) => {
    const sealer = aesGcmSealer(new Secret(randomBytes(32)), randomBytes)
    const folder = join(root, 'keys')
    const custody = new KeyCustody(folder, sealer)
    for (let round = 0; round < 100; round++) {
      const name = `key-${round}`
      await new KeyCustody(folder, sealer).create(name, 'ed25519')
      const looks = Array.from({ length: 8 }, () => new KeyCustody(folder, sealer).open(name, 'ed25519'))
      await Promise.all([...looks, custody.open(name, 'ed25519'), custody.destroy(name)])
      assert.equal(await custody.open(name, 'ed25519'), null)
    }
    const slow = new KeyCustody(folder, {
      ...sealer,
      open: async (...sealed) => {
        await slow.destroy('late')
        return sealer.open(...sealed)
      },
    })
    await custody.create('late', 'ed25519')
    await slow.open('late', 'ed25519')
    assert.equal(await slow.open('late', 'ed25519'), null)
  }))

test('the recovery root is made once, read back, missed without an error and refused when open to others', () =>
  withFolder(async (root) => {
    const path = join(root, 'away', 'recovery-root.pem')
    assert.equal(await readRecoveryRoot(path, sha256), null)
    const made = await createRecoveryRoot(path, sha256)
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    assert.equal((await readRecoveryRoot(path, sha256))?.fingerprint, made.fingerprint)
    await assert.rejects(createRecoveryRoot(path, sha256), { code: 'root_exists' })
    await chmod(path, 0o644)
    await assert.rejects(readRecoveryRoot(path, sha256), { code: 'root_mode' })
    await chmod(path, 0o600)
    await writeFile(path, 'not a key')
    await assert.rejects(readRecoveryRoot(path, sha256), { code: 'root_invalid' })
  }))
