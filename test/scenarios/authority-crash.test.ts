/** An authority killed while it issues: the next start voids and denies what has no outcome, and keeps what was released. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { epochSeconds } from '@doorward/core'
import { readEntries } from '../../packages/server/src/audit/read.ts'
import { openAuthorityStore } from '../../packages/server/src/storage/sqlite/authority-store.ts'
import { makeFolders, removeFolders, startTestAuthority } from '../fixtures/authority/running.ts'
import type { Folders } from '../fixtures/authority/running.ts'

let folders: Folders

before(async () => {
  folders = await makeFolders()
  const first = await startTestAuthority({ folders })
  await first.stop()
})
after(() => removeFolders(folders))

function crashAt(point: string): void {
  const script = new URL('../fixtures/authority/crashing-issue.ts', import.meta.url).pathname
  const { signal, stderr } = spawnSync(process.execPath, ['--conditions=source', script, folders.root, point], {
    encoding: 'utf8',
  })
  assert.equal(signal, 'SIGKILL', stderr)
}

interface Picture {
  readonly denied: ReadonlySet<string>
  readonly mirrored: number
}

async function picture(): Promise<Picture> {
  const store = openAuthorityStore(join(folders.stateDir, 'authority.db'), { create: false })
  const material = await store.trust.material(epochSeconds(Date.now() / 1000))
  store.close()
  return {
    denied: new Set(material.denials.filter(({ kind }) => kind === 'serial').map(({ value }) => value)),
    mirrored: material.issued.length,
  }
}

/** Serials on record: those intended, and those with an outcome. */
async function recorded(): Promise<{ intended: Set<string>; outcome: Map<string, string[]> }> {
  const intended = new Set<string>()
  const outcome = new Map<string, string[]>()
  for await (const { entry } of readEntries(join(folders.stateDir, 'record'))) {
    if (entry.kind !== 'issuance') continue
    const { phase, serial, outcome: how } = entry.body as { phase: string; serial: string; outcome?: string }
    if (phase === 'intent') intended.add(serial)
    if (phase === 'outcome') outcome.set(serial, [...(outcome.get(serial) ?? []), String(how)])
  }
  return { intended, outcome }
}

const points = {
  'after-intend': 'void',
  'before-record-intent': 'void',
  'after-record-intent': 'void',
  'before-sign': 'void',
  'after-sign': 'void',
  'after-commit': 'void',
  'before-record-outcome': 'void',
  'after-record-outcome': 'void',
  'before-release': 'void',
  'after-release': 'released',
  'before-publish': 'released',
  'after-publish': 'released',
} as const

for (const [point, expected] of Object.entries(points)) {
  test(`CA-5: killed ${point}: the serial is ${expected}`, async () => {
    const earlier = await picture()
    crashAt(point)
    const again = await startTestAuthority({ folders })
    await again.stop()
    const now = await picture()
    // The restarted authority issues itself one certificate in any case.
    assert.equal(now.denied.size - earlier.denied.size, expected === 'void' ? 1 : 0)
    assert.equal(now.mirrored - earlier.mirrored, expected === 'void' ? 1 : 2)
    assert.equal(
      again.events.filter((event) => event.type === 'warning' && event.code === 'issuance_voided').length,
      expected === 'void' ? 1 : 0,
    )
    const { intended, outcome } = await recorded()
    for (const serial of intended) assert.ok(outcome.has(serial), `${serial} has no outcome on record`)
    for (const serial of now.denied)
      assert.ok(outcome.get(serial)?.includes('void'), `${serial} is denied but not void on record`)
  })
}

test('no serial was ever used twice', async () => {
  const { outcome } = await recorded()
  assert.ok(outcome.size > Object.keys(points).length)
  for (const [serial, outcomes] of outcome) assert.ok(outcomes.filter((how) => how === 'issued').length <= 1, serial)
})
