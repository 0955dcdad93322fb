/** Damaged, foreign and half-written state is refused with its code; what is put back starts again with nothing lost. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { chmod, cp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { TestDeployment } from '../fixtures/deployment.ts'
import { startError, whileDamaged } from '../fixtures/state-copies.ts'

interface Case {
  readonly what: string
  readonly code: string
  /** Below the deployment's folder; K stands for the folder of the keys. */
  readonly paths: readonly string[]
  readonly damage: (paths: readonly string[]) => Promise<unknown>
  readonly words?: readonly string[]
}

const gone = ([path = '']: readonly string[]) => rm(path, { recursive: true })
const half = ([path = '']: readonly string[]) => truncate(path, 30)
const open = ([path = '']: readonly string[]) => chmod(path, 0o755)
const foreign = ([path = '']: readonly string[]) => edit(path, (text) => text.replace('test.example', 'other.example'))
const edit = async (path: string, change: (text: string) => string) =>
  writeFile(path, change(await readFile(path, 'utf8')))
const becomes =
  (bytes: Uint8Array | string) =>
  ([path = '']: readonly string[]) =>
    writeFile(path, bytes)
const flip =
  (offset: number) =>
  async ([path = '']: readonly string[]) => {
    const bytes = await readFile(path)
    bytes.writeUInt8((bytes.at(offset) ?? 0) ^ 1, offset < 0 ? bytes.length + offset : offset)
    await writeFile(path, bytes)
  }
/** The first path becomes a copy of the second. */
const other = ([path = '', from = '']: readonly string[]) => cp(from, path)

const older = async ([path = '', from = '']: readonly string[]) => {
  await rm(path, { recursive: true })
  await cp(from, path, { recursive: true })
}

const S = '.doorward'
const A = `${S}/authority`
const G = `${S}/gateway`
const authority = ['authority', 'run']
const gateway = ['gateway', 'run']

const cases: readonly Case[] = [
  { what: 'a state folder without its marker', code: 'state_foreign', paths: [`${S}/state.json`], damage: gone },
  { what: 'a half-written marker', code: 'state_half_written', paths: [`${S}/state.json`], damage: half },
  { what: 'the state of another trust domain', code: 'state_foreign', paths: [`${S}/state.json`], damage: foreign },
  { what: 'a state folder that others can read', code: 'state_mode', paths: [S], damage: open },
  {
    what: 'a file in its place',
    code: 'state_unreadable',
    paths: [S],
    damage: async (paths) => (await gone(paths), becomes('x')(paths)),
  },

  {
    what: 'an authority folder without its marker',
    code: 'state_foreign',
    paths: [`${A}/state.json`],
    damage: gone,
    words: ['up'],
  },
  {
    what: 'the folder of another kind',
    code: 'state_kind',
    paths: [`${A}/state.json`, `${G}/state.json`],
    damage: other,
    words: authority,
  },
  { what: 'a deleted store', code: 'store_missing', paths: [`${A}/authority.db`], damage: gone, words: ['up'] },
  {
    what: 'a damaged anchor key',
    code: 'seal_broken',
    paths: [`${A}/keys/anchor-*`],
    damage: flip(-5),
    words: authority,
  },
  {
    what: 'a truncated record of the authority',
    code: 'record_rollback',
    paths: [`${A}/record/segments/*`],
    damage: ([path = '']) => truncate(path, 300),
    words: authority,
  },

  {
    what: 'a gateway folder without its marker',
    code: 'state_foreign',
    paths: [`${G}/state.json`],
    damage: gone,
    words: gateway,
  },
  { what: 'a damaged log key', code: 'seal_broken', paths: [`${G}/keys/log.key`], damage: flip(-5), words: gateway },
  {
    what: 'an older copy of the record',
    code: 'record_rollback',
    paths: [`${G}/record`, 'older'],
    damage: older,
    words: ['up'],
  },
  {
    what: 'a changed byte in the record',
    code: 'record_corrupt',
    paths: [`${G}/record/segments/*`],
    damage: flip(200),
    words: gateway,
  },
  {
    what: 'a half-written identity',
    code: 'identity_folder_invalid',
    paths: [`${G}/identity/identity.json`],
    damage: half,
    words: gateway,
  },

  {
    what: 'an operator with half an identity',
    code: 'identity_folder_invalid',
    paths: [`${S}/identities/operator/*/identity.json`],
    damage: half,
    words: ['workload', 'list'],
  },

  {
    what: 'a missing key file of the authority',
    code: 'key_file_missing',
    paths: ['K/authority.key'],
    damage: gone,
    words: ['up'],
  },
  {
    what: 'the key file of another state',
    code: 'key_file_wrong',
    paths: ['K/authority.key', 'K/gateway-main.key'],
    damage: other,
    words: authority,
  },
  {
    what: 'a key file that others can read',
    code: 'key_file_mode',
    paths: ['K/authority.key'],
    damage: ([path = '']) => chmod(path, 0o644),
    words: authority,
  },
  {
    what: 'a missing key file of the identities',
    code: 'key_file_missing',
    paths: ['K/identities.key'],
    damage: gone,
    words: ['workload', 'list'],
  },
  {
    what: 'neither log nor second copy of the gateway',
    code: 'record_missing',
    paths: [`${G}/record`, 'K/test.example%2Fgateway%2Fmain.checkpoint'],
    damage: (paths) => Promise.all(paths.map((path) => gone([path]))),
    words: gateway,
  },
]

describe('bad state', () => {
  let system: TestDeployment
  let keys: string
  before(async () => {
    system = await TestDeployment.start({ yaml: 'servers: {}\n' })
    await system.interrupt()
    await cp(join(system.folder, G, 'record'), join(system.folder, 'older'), { recursive: true })
    await system.up()
    ;(await system.identity('agent/x')).close()
    await system.interrupt()
    const home = join(system.folder, 'config', 'doorward')
    keys = join(home, (await readdir(home))[0] ?? '')
  })
  after(() => system.remove())

  const resolved = async (path: string): Promise<string> => {
    let folder = system.folder
    for (const part of path.split('/')) {
      const name = part.endsWith('*') ? (await readdir(folder)).find((one) => one.startsWith(part.slice(0, -1))) : part
      folder = part === 'K' ? keys : join(folder, name ?? part)
    }
    return folder
  }

  for (const { what, code, paths, damage, words } of cases) {
    test(`${what} is refused as ${code}`, async () => {
      const found = await Promise.all(paths.map(resolved))
      const error = await whileDamaged(system, { paths: found, damage: () => damage(found) }, () =>
        startError(system, words),
      )
      equal(error.code, code)
      ok(error.where !== undefined && error.next !== undefined, JSON.stringify(error))
    })
  }
  test('keys in the state folder are refused before anything is written', async () => {
    const text = await readFile(system.configFile, 'utf8')
    await writeFile(system.configFile, `${text}state: { dir: fresh, key_dir: fresh/keys }\n`)
    equal((await startError(system)).code, 'key_inside_state')
    equal((await readdir(system.folder)).includes('fresh'), false)
    await writeFile(system.configFile, text)
  })

  test('after all of this it starts as if nothing had been, and a second start on the folder is refused', async () => {
    const before = await system.record('authority')
    await system.up()
    const second = await startError(system)
    equal(second.code, 'state_in_use')
    const listed = await system.run(['workload', 'list', '--json'])
    match(listed.stdout, /spiffe:\/\/test\.example\/agent\/x"/)
    const verified = await system.run(['audit', 'verify', '--json'])
    equal(verified.code, 0, verified.stdout)
    const now = await system.record('authority')
    deepEqual(now.slice(0, before.length), before)
    equal(await system.interrupt(), 0)
  })
})
