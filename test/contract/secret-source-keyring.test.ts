/** Secrets of a keyring, under the one contract, and what is of keyrings alone: the programs that read them. */

import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { inspect } from 'node:util'
import { keyringSource } from '../../packages/server/src/secrets/keyring-source.ts'
import type { SecretSource } from '../../packages/server/src/secrets/secret-source.ts'
import { openFakeKeyring, openRealKeyring } from '../fixtures/keyring.ts'
import type { FakeKeyring } from '../fixtures/keyring.ts'
import { hasTool } from '../fixtures/outside-tools.ts'
import { secretSourceContract } from './secret-source.ts'

/** Time goes by when the test says so. */
let now = 0
const wait = async () => void (now += 10_000)
const monotonic = () => now

function sourceIn({ env }: Pick<FakeKeyring, 'env'>): SecretSource {
  return keyringSource({ service: 'doorward', account: 'notes', env }, { platform: 'linux', monotonic })
}

secretSourceContract('keyring', async () => {
  const keyring = await openFakeKeyring()
  return {
    source: sourceIn(keyring),
    set: (value) => keyring.set(value),
    clear: () => keyring.clear(),
    fail: () => keyring.mood('broken'),
    mend: () => keyring.mood('well'),
    afterFailure: wait,
    wait,
    close: () => keyring.close(),
  }
})

describe('keyrings', () => {
  let keyring: FakeKeyring
  before(async () => {
    keyring = await openFakeKeyring()
  })
  after(() => keyring.close())
  beforeEach(async () => {
    now += 10_000
    await keyring.mood('well')
    await keyring.set('canary-of-the-keyring')
  })

  const code = (source: SecretSource) =>
    source.read({ fresh: true }).then(
      () => 'read',
      (error: { readonly code: string }) => error.code,
    )

  test('the program is told which entry, and nothing else; it has the session and no more of the environment', async () => {
    process.env['DOORWARD_CANARY'] = 'canary-of-the-environment'
    await sourceIn(keyring).read()
    deepEqual(new Set(await keyring.calls()), new Set(['lookup service doorward account notes']))
    ok(!(await keyring.environment()).includes('canary'))
    delete process.env['DOORWARD_CANARY']
  })

  test('it is started once for all who ask, and not again while the value is fresh', async () => {
    const source = sourceIn(keyring)
    const before = (await keyring.calls()).length
    await Promise.all(Array.from({ length: 20 }, () => source.read()))
    equal((await keyring.calls()).length - before, 1)
    await Promise.all(Array.from({ length: 20 }, () => source.read({ fresh: true })))
    ok((await keyring.calls()).length - before <= 3)
    now += 5000
    await source.read()
    ok((await keyring.calls()).length - before <= 4)
  })

  test('one that waits for its person, is not there or says too much is no value, and no error shows any', async () => {
    await keyring.mood('stuck')
    equal(await code(sourceIn(keyring)), 'secret_unavailable')
    await keyring.mood('well')
    equal(await code(sourceIn({ env: { PATH: '/nonexistent' } })), 'secret_unavailable')
    await keyring.set('x'.repeat(200_000))
    equal(await code(sourceIn(keyring)), 'secret_unavailable')
    await keyring.set('canary\0')
    await rejects(sourceIn(keyring).read(), (error) => !inspect(error).includes('canary'))
    const source = sourceIn(keyring)
    equal(await code(source), 'secret_invalid')
    const before = (await keyring.calls()).length
    equal(await code(source), 'secret_invalid')
    equal((await keyring.calls()).length, before, 'nobody asks for a second after a failure')
  })

  test('on Windows it is refused, with what to do', () => {
    const place = { service: 'doorward', account: 'notes', env: {} }
    throws(() => keyringSource(place, { platform: 'win32', monotonic }), {
      code: 'keyring_unsupported',
      next: /doorward secret put/,
    })
  })

  test('a keyring of the Secret Service is read, and is told from one that is gone', async (context) => {
    for (const name of ['secret-tool', 'gnome-keyring-daemon', 'dbus-run-session'] as const)
      if (!hasTool(context, name)) return
    const real = await openRealKeyring()
    try {
      const source = sourceIn(real)
      await real.set('canary-8c1f-Zürich-"\\-€')
      const first = await source.read({ fresh: true })
      equal(first.value.reveal(), 'canary-8c1f-Zürich-"\\-€')
      await real.set('the second value\n')
      const second = await source.read({ fresh: true })
      deepEqual([second.value.reveal(), second.version === first.version], ['the second value', false])
      await real.clear()
      equal(await code(source), 'secret_missing')
      real.end()
      now += 10_000
      equal(await code(source), 'secret_unavailable')
    } finally {
      await real.close()
    }
  })
})

describe('the keychain of macOS', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'doorward-keychain-'))
  })
  after(() => rm(folder, { recursive: true, force: true }))

  /** What `security` writes for `-g`: attributes to the one stream, the value to the other. */
  async function read(said: string, exit = 0): Promise<string> {
    const path = join(folder, 'security')
    await writeFile(path, `#!/bin/sh\necho 'keychain: "login"'\nprintf '%s\\n' '${said}' >&2\nexit ${exit}\n`)
    await chmod(path, 0o755)
    const place = { service: 'doorward', account: 'notes', env: { PATH: '/usr/bin:/bin' } }
    const source = keyringSource(place, { platform: 'darwin', monotonic, program: path })
    return source.read().then(
      ({ value }) => value.reveal(),
      (error: { readonly code: string }) => error.code,
    )
  }

  test('texts come in quotes and bytes in hexadecimal, and what could be either is refused', async () => {
    equal(await read('password: "deadbeef"'), 'deadbeef')
    equal(await read('password: "a "quoted" word"'), 'a "quoted" word')
    equal(await read('password: 0x5AC3BC72696368  "Z\\303\\274rich"'), 'Zürich')
    equal(await read('password: "a\\134b"'), 'secret_unavailable')
    equal(await read('password: '), 'secret_unavailable')
    equal(await read('security: The specified item could not be found in the keychain.', 44), 'secret_missing')
    equal(await read('security: User interaction is not allowed.', 36), 'secret_unavailable')
  })
})
