/** Starts that must be refused: each names its reason, changes nothing, and the next right start succeeds. */

import assert from 'node:assert/strict'
import { cp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { parseTrustDomain } from '@doorward/core'
import { makeFolders, removeFolders, startTestAuthority } from '../fixtures/authority/running.ts'
import type { Folders } from '../fixtures/authority/running.ts'
import { joined } from '../fixtures/authority/workload.ts'

const day = 86_400_000
let folders: Folders

before(async () => {
  folders = await makeFolders()
  const first = await startTestAuthority({ folders })
  await joined(first, 'spiffe://test.example/agent/first')
  await first.stop()
})
after(() => removeFolders(folders))

/** Refused with the code while `broken` holds, and started again once it is mended. */
async function refusedWhile(code: string, broken: () => Promise<() => Promise<void>>): Promise<void> {
  const mend = await broken()
  try {
    await assert.rejects(startTestAuthority({ folders }), { code })
  } finally {
    await mend()
  }
  const again = await startTestAuthority({ folders })
  await again.stop()
}

function without(path: string): () => Promise<() => Promise<void>> {
  return async () => {
    await rename(path, `${path}.away`)
    return async () => {
      await rm(path, { recursive: true, force: true })
      await rename(`${path}.away`, path)
    }
  }
}

function replaced(path: string, content: string): () => Promise<() => Promise<void>> {
  return async () => {
    const mend = await without(path)()
    await writeFile(path, content, { mode: 0o600 })
    return mend
  }
}

test('a second authority on the same folder is refused while the first runs', async () => {
  const first = await startTestAuthority({ folders })
  await assert.rejects(startTestAuthority({ folders }), { code: 'state_in_use' })
  await first.stop()
  await (await startTestAuthority({ folders })).stop()
})

test('a port in use is refused and leaves the folder free', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => taken.once('listening', resolve))
  const address = { host: '127.0.0.1', port: (taken.address() as AddressInfo).port }
  const free = { host: '127.0.0.1', port: 0 }
  const listeners = { main: free, admin: address, enrol: free, public: free }
  await assert.rejects(startTestAuthority({ folders, settings: { listeners } }), { code: 'port_in_use' })
  taken.close()
  await (await startTestAuthority({ folders })).stop()
})

test('a missing store, key, record copy or marker is refused', async () => {
  await refusedWhile('store_missing', without(join(folders.stateDir, 'authority.db')))
  await refusedWhile('key_missing', without(join(folders.stateDir, 'keys')))
  await refusedWhile('key_file_missing', without(join(folders.keyDir, 'authority.key')))
  await refusedWhile('state_foreign', without(join(folders.stateDir, 'state.json')))
  await refusedWhile(
    'record_copy_missing',
    without(join(folders.keyDir, `${encodeURIComponent('test.example/authority')}.checkpoint`)),
  )
})

test('a damaged store or marker is refused and stays as it is', async () => {
  const store = join(folders.stateDir, 'authority.db')
  const content = 'x'.repeat(5000)
  await refusedWhile('store_corrupt', async () => {
    const mend = await replaced(store, content)()
    return async () => {
      assert.equal(await readFile(store, 'utf8'), content)
      await mend()
    }
  })
  await refusedWhile('state_damaged', replaced(join(folders.stateDir, 'state.json'), '{"v":1,'))
})

test('a record of an earlier day is refused: its second copy knows better', async () => {
  const copy = join(folders.root, 'backup')
  await cp(join(folders.stateDir, 'record'), copy, { recursive: true })
  const later = await startTestAuthority({ folders })
  await joined(later, 'spiffe://test.example/agent/later')
  await later.stop()
  await refusedWhile('record_rollback', async () => {
    const mend = await without(join(folders.stateDir, 'record'))()
    await cp(copy, join(folders.stateDir, 'record'), { recursive: true })
    return mend
  })
})

test('another trust domain is refused', async () => {
  const settings = { trustDomain: parseTrustDomain('other.example') }
  await assert.rejects(startTestAuthority({ folders, settings }), { code: 'state_trust_domain' })
})

test('without the recovery root it runs until the delegation is due, then warns, then is refused; the root heals it', async () => {
  const away = await makeFolders()
  await (await startTestAuthority({ folders: away })).stop()
  const root = join(away.keyDir, 'recovery-root.pem')
  await rename(root, `${root}.away`)
  const warnings = async (offset: number) => {
    const authority = await startTestAuthority({ folders: away, offset })
    await authority.stop()
    assert.equal(authority.running.recoveryRoot.present, false)
    return authority.events.flatMap((event) => (event.type === 'warning' ? [event.code] : []))
  }
  assert.deepEqual(await warnings(19 * day), [])
  assert.deepEqual(await warnings(21 * day), ['delegation_due'])
  await assert.rejects(startTestAuthority({ folders: away, offset: 31 * day }), { code: 'delegation_expired' })
  await rename(`${root}.away`, root)
  await (await startTestAuthority({ folders: away, offset: 31 * day })).stop()
  await removeFolders(away)
})
