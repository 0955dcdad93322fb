/** `authority status`, `delegate`, `rotate` and `recover` as commands: what they tell, and what they refuse. */

import assert from 'node:assert/strict'
import { copyFile, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { AdminClient, sha256 } from '@doorward/sdk'
import type { CeremonyView, Identity } from '@doorward/sdk'
import { openLocalIdentity } from '../../packages/server/src/apps/local-identities.ts'
import { readEnvironment } from '../../packages/server/src/config/environment.ts'
import { createRecoveryRoot } from '../../packages/server/src/secrets/recovery-root.ts'
import { TestDeployment, wideLimits } from '../fixtures/deployment.ts'
import type { RunResult } from '../fixtures/deployment.ts'

let system: TestDeployment
let operator: Identity
let admin: AdminClient

before(async () => {
  system = await TestDeployment.start({ yaml: wideLimits })
  const { authority } = await system.deployment()
  const place = { deployment: await system.deployment(), environment: readEnvironment({ ...system.env }) }
  operator = await openLocalIdentity(place)
  await operator.prepare()
  admin = new AdminClient(operator, {
    url: authority.adminUrl,
    audience: authority.publicUrl,
    expectedId: authority.id,
  })
})
after(async () => {
  operator.close()
  await system.remove()
})

function last(result: RunResult): Record<string, unknown> {
  return JSON.parse(result.stdout.trim().split('\n').at(-1) ?? '{}') as Record<string, unknown>
}

function codeOf(result: RunResult): string {
  return (last(result)['error'] as { readonly code: string }).code
}

const run = (...words: string[]) => system.run(['authority', ...words, '--json'])

async function rootFile(): Promise<string> {
  const home = join(system.folder, 'config', 'doorward')
  const [state = ''] = await readdir(home)
  return join(home, state, 'recovery-root.pem')
}

/** After a recovery the certificate of before is worth nothing, ours included. */
async function newest(): Promise<CeremonyView | null> {
  await operator.prepare()
  return admin.newestCeremony().catch(() => null)
}

async function poll(look: () => Promise<boolean>, what: string): Promise<void> {
  for (let turn = 0; turn < 400; turn++) {
    if (await look()) return
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  assert.fail(`not in time: ${what}`)
}

const untilStage = (stage: string) => poll(async () => (await newest())?.stage === stage, stage)

describe('authority status', () => {
  test('tells authorities, delegation, slots with what comes next, followers and whether the root is at hand', async () => {
    const result = await run('status')
    assert.equal(result.code, 0, result.stderr)
    const status = last(result)
    assert.deepEqual((status['recovery_root'] as Record<string, unknown>)['at_hand'], true)
    assert.equal((status['delegation'] as Record<string, unknown>)['version'], 1)
    const [authority] = status['authorities'] as readonly Record<string, unknown>[]
    assert.deepEqual([authority?.['name'], authority?.['live'], authority?.['delegated']], ['main', true, true])
    const slots = status['slots'] as readonly Record<string, unknown>[]
    assert.deepEqual(slots.map(({ purpose, state }) => `${String(purpose)} ${String(state)}`).toSorted(), [
      'anchor active',
      'jwt-svid active',
      'token active',
    ])
    for (const { next } of slots) assert.equal((next as Record<string, unknown>)['step'], 'retire')
    assert.equal(status['ceremony'], null)
  })

  test('for people it is a page without control characters', async () => {
    const { code, stdout } = await system.run(['authority', 'status'])
    assert.equal(code, 0)
    assert.match(stdout, /main +runs +named by the root/)
    // oxlint-disable-next-line no-control-regex -- nothing may move a terminal
    assert.doesNotMatch(stdout, /[\u0000-\u0009\u000b-\u001f]/)
  })

  test('is closed to whoever is no operator, and that is on the record', async () => {
    await system.identity('agent/planner')
    for (const words of [['status'], ['rotate'], ['delegate', '--yes'], ['recover', '--reason', 'mine', '--yes']]) {
      const result = await run(...words, '--as', 'agent/planner')
      assert.equal(result.code, 1, result.stdout + result.stderr)
      assert.equal(codeOf(result), 'policy_denied')
    }
    const denied = async () =>
      (await system.record('authority')).filter(
        ({ entry }) => entry.kind === 'decision' && entry.body['code'] === 'policy_denied',
      )
    await poll(async () => (await denied()).length >= 4, 'four denials on record')
    assert.equal(await newest(), null)
  })
})

describe('authority delegate', () => {
  test('CA-4: renews the delegation with the root that is here', async () => {
    const result = await run('delegate', '--yes')
    assert.equal(result.code, 0, result.stdout + result.stderr)
    assert.deepEqual([last(result)['event'], last(result)['version']], ['delegated', 2])
  })

  test('asks before it signs', async () => {
    const result = await run('delegate')
    assert.deepEqual([result.code, codeOf(result)], [2, 'confirmation_needed'])
  })

  test('signs where the root is, without the network: export, sign, import', async () => {
    const away = join(system.folder, 'away')
    const root = join(away, 'root.pem')
    await createRecoveryRoot(join(away, 'unused.pem'), sha256)
    await copyFile(await rootFile(), root)
    const [wanted, signed] = [join(system.folder, 'wanted.json'), join(system.folder, 'signed.json')]
    assert.equal((await run('delegate', '--export', wanted)).code, 0)
    const nowhere = join(away, 'doorward.yaml')
    await writeFile(nowhere, 'trust_domain: nowhere.example\n')
    const signing = await run('delegate', '--sign', wanted, '--root', root, '--out', signed, '--yes')
    assert.equal(signing.code, 0, signing.stdout + signing.stderr)
    assert.doesNotMatch(await readFile(signed, 'utf8'), /PRIVATE/)
    const imported = await run('delegate', '--import', signed)
    assert.deepEqual([imported.code, last(imported)['version']], [0, 3])
    // It was for that one version.
    const again = await run('delegate', '--import', signed)
    assert.deepEqual([again.code, codeOf(again)], [1, 'conflict'])
  })

  test('a root that is not the pinned one is refused before it signs, and what another one has signed after', async () => {
    const { path } = await createRecoveryRoot(join(system.folder, 'other', 'root.pem'), sha256)
    const here = await run('delegate', '--root', path, '--yes')
    assert.deepEqual([here.code, codeOf(here)], [2, 'root_other'])
    const [wanted, signed] = [join(system.folder, 'wanted-2.json'), join(system.folder, 'signed-2.json')]
    await run('delegate', '--export', wanted)
    const honest = JSON.parse(await readFile(wanted, 'utf8')) as Record<string, unknown>
    const elsewhere = await run('delegate', '--sign', wanted, '--root', path, '--yes')
    assert.deepEqual([elsewhere.code, codeOf(elsewhere)], [2, 'root_other'])
    // A file that does not say which root it needs is signed by whatever root is named, for nothing.
    const { root: _root, ...rest } = honest
    await writeFile(wanted, JSON.stringify(rest))
    assert.equal((await run('delegate', '--sign', wanted, '--root', path, '--out', signed, '--yes')).code, 0)
    const imported = await run('delegate', '--import', signed)
    assert.deepEqual([imported.code, codeOf(imported)], [1, 'delegation_refused'])
  })

  test('without the root here it says where to sign', async () => {
    const root = await rootFile()
    const kept = await readFile(root)
    await rm(root)
    const result = await run('delegate', '--yes')
    assert.deepEqual([result.code, codeOf(result)], [2, 'root_missing'])
    await writeFile(root, kept, { mode: 0o600 })
  })
})

describe('authority rotate and recover', () => {
  test('a recovery waits for a root that signs elsewhere; meanwhile a second ceremony is refused', async () => {
    const waiting = run('recover', '--reason', 'a drill', '--elsewhere', '--yes')
    await untilStage('delegate')
    for (const words of [['rotate'], ['recover', '--reason', 'again', '--yes']]) {
      const second = await run(...words)
      assert.deepEqual([second.code, codeOf(second)], [1, 'conflict'], second.stdout)
    }
    const [wanted, signed] = [join(system.folder, 'wanted-3.json'), join(system.folder, 'signed-3.json')]
    assert.equal((await run('delegate', '--export', wanted)).code, 0)
    assert.equal(
      (await run('delegate', '--sign', wanted, '--root', await rootFile(), '--out', signed, '--yes')).code,
      0,
    )
    assert.equal((await run('delegate', '--import', signed)).code, 0)
    const recovered = await waiting
    assert.equal(recovered.code, 0, recovered.stdout + recovered.stderr)
    assert.equal(last(recovered)['verdict'], 'proven')
  })

  test('a recovery that has published nothing can be given up, by whoever may start one', async () => {
    const waiting = run('recover', '--reason', 'a false alarm', '--elsewhere', '--yes')
    await untilStage('delegate')
    const given = await run('recover', '--abandon')
    assert.equal(given.code, 0, given.stdout + given.stderr)
    const ended = await waiting
    assert.deepEqual([ended.code, codeOf(ended)], [1, 'recovery_failed'])
    const late = await run('recover', '--abandon')
    assert.deepEqual([late.code, codeOf(late)], [1, 'resource_unknown'])
  })

  test('a recovery that somebody else has started is seen through by whoever resumes it', async () => {
    const waiting = run('recover', '--reason', 'the operator leaves', '--elsewhere', '--yes')
    await untilStage('delegate')
    const resumed = await run('recover', '--resume')
    assert.equal(resumed.code, 0, resumed.stdout + resumed.stderr)
    assert.equal(last(resumed)['verdict'], 'proven')
    // The first one was there all the time: one of the two has tried the old keys, both know how it went.
    const first = await waiting
    assert.deepEqual([first.code, last(first)['verdict']], [0, 'proven'], first.stdout + first.stderr)
  })

  test('asks before it does anything', async () => {
    const unsure = await run('recover', '--reason', 'unsure')
    assert.deepEqual([unsure.code, codeOf(unsure)], [2, 'confirmation_needed'])
    const without = await run('recover', '--yes')
    assert.deepEqual([without.code, codeOf(without)], [2, 'usage'])
  })

  test('a report that is there already is not written over, and nothing is begun', async () => {
    const file = join(system.folder, 'report.txt')
    await writeFile(file, 'of before')
    const before = await newest()
    const result = await run('recover', '--reason', 'x', '--yes', '--report', file)
    assert.deepEqual([result.code, codeOf(result)], [2, 'file_not_written'])
    assert.equal((await newest())?.id, before?.id)
  })

  test('an authority that nobody knows cannot be rotated or left out', async () => {
    for (const words of [
      ['rotate', '--only', 'nobody'],
      ['recover', '--reason', 'x', '--exclude', 'nobody', '--yes'],
    ]) {
      const result = await run(...words)
      assert.deepEqual([result.code, codeOf(result)], [1, 'resource_unknown'], result.stdout)
    }
  })
})
