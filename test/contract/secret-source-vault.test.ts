/** Secrets of a vault, under the one contract, and what is of vaults alone: their tokens, their moods, and how often they are asked. */

import { deepEqual, equal, ok, rejects } from 'node:assert/strict'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { openVault } from '../../packages/server/src/apps/credentials/open-vault.ts'
import type { OpenVault } from '../../packages/server/src/apps/credentials/open-vault.ts'
import type { VaultSettings } from '../../packages/server/src/config/secret-settings.ts'
import { openVaultFixture } from '../fixtures/vault.ts'
import type { VaultFixture } from '../fixtures/vault.ts'
import { secretSourceContract } from './secret-source.ts'

const place = { mount: 'secret', path: 'app/crm', field: 'token' } as const
const newFolder = () => mkdtemp(join(tmpdir(), 'doorward-vault-'))

interface Stage {
  readonly vault: VaultFixture
  readonly folder: string
  readonly opened: (more?: Partial<VaultSettings>) => OpenVault
  readonly hand: (token: string) => Promise<void>
  close(): Promise<void>
}

async function open(): Promise<Stage> {
  const [vault, folder] = [await openVaultFixture(), await newFolder()]
  const all: OpenVault[] = []
  const hand = async (token: string) => {
    await writeFile(join(folder, 'token.new'), `${token}\n`, { mode: 0o600 })
    await rename(join(folder, 'token.new'), join(folder, 'token'))
  }
  await hand(vault.issue())
  await writeFile(join(folder, 'secret-id'), vault.secretId, { mode: 0o600 })
  return {
    vault,
    folder,
    hand,
    opened: (more = {}) => {
      const one = openVault({
        url: vault.url,
        namespace: null,
        ca: vault.ca,
        auth: { kind: 'token', file: join(folder, 'token') },
        cacheMilliseconds: 0,
        allowPrivateAddresses: true,
        ...more,
      })
      all.push(one)
      return one
    },
    close: async () => {
      for (const one of all) one.vault.close()
      await vault.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

secretSourceContract('vault', async () => {
  const stage = await open()
  const { vault, opened } = stage
  return {
    source: opened({ cacheMilliseconds: 200 }).secrets.source(place),
    set: async (value) => vault.write('app/crm', { token: value }),
    clear: async () => vault.remove('app/crm'),
    afterFailure: () => sleep(1100),
    fail: async () => void (vault.mood = 'sealed'),
    mend: async () => void (vault.mood = 'well'),
    wait: () => sleep(1100),
    close: () => stage.close(),
  }
})

describe('vaults', () => {
  let stage: Stage
  let vault: VaultFixture
  before(async () => {
    stage = await open()
    vault = stage.vault
  })
  after(() => stage.close())
  beforeEach(async () => {
    vault.mood = 'well'
    vault.ttl = 3600
    vault.namespace = undefined
    vault.write('app/crm', { token: 'canary-of-the-vault', port: 5432 })
    await stage.hand(vault.issue())
    vault.asked.length = 0
  })

  const reads = () => vault.asked.filter(({ line }) => line.includes('/data/')).length

  const told = (read: Promise<unknown>) =>
    read.then(
      () => 'read',
      (error: Error & { readonly code: string; readonly got?: string }) => {
        ok(!/canary/.test(inspect(error)), inspect(error))
        return `${error.code} ${error.got ?? ''}`.trim()
      },
    )

  test('each mood is a refusal with its reason, and tells no token', async () => {
    const found: Record<string, string> = {}
    for (const mood of ['sealed', 'standby', 'overrun', 'silent', 'garbled', 'redirecting', 'huge'] as const) {
      vault.mood = mood
      found[mood] = await told(stage.opened().secrets.source(place).read())
      ok(found[mood].startsWith('secret_unavailable'), `${mood}: ${found[mood]}`)
    }
    ok(found['sealed']?.includes('503') && found['overrun']?.includes('429'), JSON.stringify(found))
    ok(found['redirecting']?.includes('redirect'))
  })

  test('what is not there, is deleted, or is no text is told apart', async () => {
    const { secrets } = stage.opened()
    ok((await told(secrets.source({ ...place, path: 'app/none' }).read())).startsWith('secret_missing'))
    ok((await told(secrets.source({ ...place, field: 'none' }).read())).startsWith('secret_missing'))
    ok((await told(secrets.source({ ...place, field: 'port' }).read())).startsWith('secret_unavailable'))
  })

  test('a value is as old as its cache and no older; all who ask at once ask once', async () => {
    const { secrets } = stage.opened({ cacheMilliseconds: 300 })
    const source = secrets.source(place)
    await Promise.all(Array.from({ length: 50 }, () => source.read()))
    equal(reads(), 1)
    vault.write('app/crm', { token: 'canary-two' })
    equal((await source.read()).value.reveal(), 'canary-of-the-vault')
    equal((await source.read({ fresh: true })).value.reveal(), 'canary-two')
    vault.write('app/crm', { token: 'canary-three' })
    await sleep(350)
    equal((await source.read()).value.reveal(), 'canary-three')
  })

  test('one that fails is not asked by every call', async () => {
    const source = stage.opened().secrets.source(place)
    vault.mood = 'sealed'
    for (let n = 0; n < 50; n++) await told(source.read())
    ok(vault.asked.length <= 3, String(vault.asked.length))
  })

  test('a token file that is replaced counts at once, and one that is refused is asked for no second time', async () => {
    const source = stage.opened().secrets.source(place)
    await source.read()
    vault.revokeAll()
    ok((await told(source.read())).includes('403'))
    equal(reads(), 2)
    await stage.hand(vault.issue())
    await sleep(1100)
    equal((await source.read()).value.reveal(), 'canary-of-the-vault')
  })

  test('a token is renewed at half of its life, used or not', async () => {
    vault.ttl = 2
    await stage.hand(vault.issue())
    const source = stage.opened().secrets.source(place)
    await source.read()
    await sleep(3500)
    equal(await told(source.read()), 'read')
    ok(vault.asked.some(({ line }) => line === 'POST /v1/auth/token/renew-self'))
  })

  test('by AppRole: one login for all, another when the token is refused, none with a secret id that is withdrawn', async () => {
    const auth = {
      kind: 'approle',
      mount: 'approle',
      roleId: vault.roleId,
      secretIdFile: join(stage.folder, 'secret-id'),
    } as const
    const source = stage.opened({ auth }).secrets.source(place)
    const logins = () => vault.asked.filter(({ line }) => line.endsWith('/login')).length
    await Promise.all(Array.from({ length: 20 }, () => source.read()))
    equal(logins(), 1)
    vault.revokeAll()
    equal((await source.read()).value.reveal(), 'canary-of-the-vault')
    equal(logins(), 2)
    vault.revokeAll()
    vault.secretId = 'canary-secret-id-2'
    ok((await told(source.read())).startsWith('secret_unavailable'))
    await writeFile(join(stage.folder, 'secret-id'), vault.secretId, { mode: 0o600 })
    await sleep(1100)
    equal(await told(source.read()), 'read', 'the new secret id counts without a start')
  })

  test('the namespace is said, and without it nobody is let in', async () => {
    vault.namespace = 'team-a'
    ok((await told(stage.opened().secrets.source(place).read())).includes('403'))
    equal(await told(stage.opened({ namespace: 'team-a' }).secrets.source(place).read()), 'read')
    deepEqual(vault.asked.at(-1)?.namespace, 'team-a')
  })

  test('an authority that is not named, a private address that is not allowed, and a vault that is gone are refused', async () => {
    const read = (more: Partial<VaultSettings>) => told(stage.opened(more).secrets.source(place).read())
    ok((await read({ ca: null })).startsWith('secret_unavailable'))
    ok((await read({ allowPrivateAddresses: false })).startsWith('secret_unavailable'))
    ok((await read({ url: 'https://localhost:1' })).startsWith('secret_unavailable'))
    equal(vault.asked.length, 0)
  })

  test('without a token file nothing is asked', async () => {
    const source = stage.opened({ auth: { kind: 'token', file: join(stage.folder, 'none') } }).secrets.source(place)
    await rejects(source.read(), { code: 'secret_missing' })
    equal(vault.asked.length, 0)
  })
})
