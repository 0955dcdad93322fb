/** The key of the identities in a keyring: it opens what it opened in its file, and nothing stands in for it. */

import { equal, ok, rejects } from 'node:assert/strict'
import { access, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { inspect } from 'node:util'
import { parseSpiffeId } from '@doorward/core'
import { prepareLocalKey } from '../../../packages/server/src/apps/local-identities.ts'
import type { ClientPlace } from '../../../packages/server/src/apps/local-identities.ts'
import { readEnvironment } from '../../../packages/server/src/config/environment.ts'
import { loadConfiguration } from '../../../packages/server/src/config/load.ts'
import { deploymentOf } from '../../../packages/server/src/config/settings.ts'
import { openFakeKeyring, openRealKeyring } from '../../fixtures/keyring.ts'
import type { FakeKeyring } from '../../fixtures/keyring.ts'
import { hasTool } from '../../fixtures/outside-tools.ts'

const id = parseSpiffeId('spiffe://test.example/agent/planner')
const inKeyring = 'state: { identities_keyring: { account: notes } }\n'

/** A deployment in a folder of its own, as a command finds it. */
async function placeIn(folder: string, env: Readonly<Record<string, string>>, state = ''): Promise<ClientPlace> {
  const file = join(folder, 'doorward.yaml')
  await writeFile(file, `trust_domain: test.example\n${state}`)
  const environment = { ...readEnvironment({ HOME: folder, ...env }), keyHome: join(folder, 'config') }
  return { deployment: deploymentOf(await loadConfiguration(file)), environment }
}

async function keyFileIn(folder: string): Promise<string> {
  const [state = ''] = await readdir(join(folder, 'config'))
  return join(folder, 'config', state, 'identities.key')
}

async function makeIdentity(folder: string) {
  const { thumbprint } = await prepareLocalKey(await placeIn(folder, {}), id)
  const file = await keyFileIn(folder)
  return { thumbprint, file, key: await readFile(file, 'utf8') }
}

describe('the key of the identities in a keyring', () => {
  let keyring: FakeKeyring
  let folder: string
  let made: Awaited<ReturnType<typeof makeIdentity>>
  before(async () => {
    keyring = await openFakeKeyring()
  })
  after(() => keyring.close())
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'doorward-identities-'))
    made = await makeIdentity(folder)
    await keyring.mood('well')
    await keyring.set(made.key)
    await rm(made.file)
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  const opened = async (state = inKeyring) =>
    (await prepareLocalKey(await placeIn(folder, keyring.env, state), id)).thumbprint

  /** With the code; the error shows no key, and no file has been made in place of the keyring. */
  async function refused(code: string, where: RegExp): Promise<void> {
    await rejects(opened(), (error: Record<string, unknown>) => {
      equal(error['code'], code)
      ok(
        ['expected', 'got', 'next'].every((member) => (error[member] ?? '') !== ''),
        inspect(error),
      )
      ok(where.test(String(error['where'])), inspect(error))
      ok(!inspect(error).includes(made.key.trim().split('.')[2] ?? '?'))
      return true
    })
    if (code !== 'key_twice') await rejects(access(made.file))
  }

  test('what a file has opened is opened by the keyring, to which the key was moved', async () => {
    equal(await opened(), made.thumbprint)
    ok((await keyring.calls()).includes('lookup service doorward account notes'))
  })

  test('a keyring that is locked, or that nobody keeps, opens nothing, and no file is read or made in its place', async () => {
    equal(await opened(), made.thumbprint)
    await keyring.mood('stuck')
    await refused('key_unavailable', /keyring doorward\/notes/)
    await keyring.mood('broken')
    await refused('key_unavailable', /keyring doorward\/notes/)
    await keyring.mood('well')
    await keyring.clear()
    await refused('key_missing', /keyring doorward\/notes/)
  })

  test('a key that is in the keyring and in a file as well is refused, whichever it is', async () => {
    equal(await opened(), made.thumbprint)
    await writeFile(made.file, made.key, { mode: 0o600 })
    await refused('key_twice', /identities\.key/)
    await keyring.mood('broken')
    await rejects(opened(), { code: 'key_unavailable' })
  })

  test('what is not the key of this state is refused', async () => {
    const other = await mkdtemp(join(tmpdir(), 'doorward-identities-'))
    await keyring.set((await makeIdentity(other)).key)
    await refused('key_file_wrong', /keyring doorward\/notes/)
    await keyring.set('a password')
    await refused('key_file_wrong', /keyring doorward\/notes/)
    await rm(other, { recursive: true })
  })

  test('without the setting no keyring is asked, and no new key is made for what there is', async () => {
    const asked = (await keyring.calls()).length
    await rejects(opened(''), { code: 'key_file_missing' })
    equal((await keyring.calls()).length, asked)
  })

  test('the Secret Service gives it, and when it is gone nothing opens', async (context) => {
    for (const name of ['secret-tool', 'gnome-keyring-daemon', 'dbus-run-session'] as const)
      if (!hasTool(context, name)) return
    const real = await openRealKeyring()
    try {
      await real.set(made.key)
      const place = await placeIn(folder, real.env, inKeyring)
      equal((await prepareLocalKey(place, id)).thumbprint, made.thumbprint)
      real.end()
      await rejects(prepareLocalKey(place, id), { code: 'key_unavailable' })
    } finally {
      await real.close()
    }
  })
})
