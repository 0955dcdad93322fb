/** Who connects to the Workload API, by the kernel alone, and which entries of the configuration he matches. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { after, before, describe, test } from 'node:test'
import { DoorwardError } from '@doorward/core'
import { standsFor, systemPeers } from '../../../packages/server/src/apps/workload-api/peer-credentials.ts'
import { Peer, unitOf } from '../../../packages/server/src/apps/workload-api/peer-facts.ts'
import type { PeerFacts } from '../../../packages/server/src/apps/workload-api/peer-facts.ts'
import { digestLimits, ProgramDigests } from '../../../packages/server/src/apps/workload-api/program-digests.ts'
import type { Program } from '../../../packages/server/src/apps/workload-api/program-digests.ts'
import { quietRefusals } from '../../../packages/server/src/apps/workload-api/refusals.ts'
import { entriesFor, failingSelector } from '../../../packages/server/src/apps/workload-api/selectors.ts'
import type { WorkloadEntry } from '../../../packages/server/src/config/workload-api-schema.ts'

let folder: string
before(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'doorward-peers-')))
})
after(() => rm(folder, { recursive: true }))

/** Our end of a connection that another process has made. */
async function connected(): Promise<{
  readonly socket: Socket
  readonly pid: number
  readonly close: () => Promise<void>
}> {
  const path = join(folder, 'peer.sock')
  const server = createServer()
  server.listen(path)
  await once(server, 'listening')
  const script = `require('net').connect(${JSON.stringify(path)}).on('close', () => process.exit()).resume()`
  const child = spawn(process.execPath, ['-e', script], { stdio: 'ignore' })
  const [socket] = (await once(server, 'connection')) as [Socket]
  socket.on('error', () => undefined)
  const close = async () => {
    const gone = child.exitCode === null ? once(child, 'exit') : Promise.resolve()
    child.kill('SIGKILL')
    await gone
    socket.destroy()
    server.close()
  }
  return { socket, pid: child.pid ?? 0, close }
}

/** Credentials of the process in its own address, and no descriptor for the reason there. */
const fakeLibrary = `
const [errno, pid] = import.meta.url.split('?')[1].split('.').map(Number)
const getsockopt = (fd, level, name, value) => {
  if (name !== 17) return -1
  new DataView(value.buffer).setInt32(0, pid, true)
  new DataView(value.buffer).setUint32(4, 7, true)
  new DataView(value.buffer).setUint32(8, 8, true)
  return 0
}
export default { load: () => ({ func: () => getsockopt }), errno: () => errno }
`
const koffiName: string = 'koffi'

interface Koffi {
  load(path: null): {
    func(
      prototype: string,
    ): (...given: [fd: number, level: number, name: number, value: Uint8Array, length: [number]]) => number
  }
  errno(): number
}

describe('the kernel', () => {
  test('BS-6: says which process connected, and stands by it until it is gone', async () => {
    const peers = await systemPeers()
    const { socket, pid, close } = await connected()
    const credentials = peers.of(socket)
    assert.ok(credentials !== null)
    assert.deepEqual([credentials.pid, credentials.uid, credentials.gid], [pid, process.getuid?.(), process.getgid?.()])
    const peer = new Peer(credentials)
    const facts = await peer.facts()
    assert.ok(typeof facts !== 'string', JSON.stringify(facts))
    assert.equal(facts.program, await realpath(process.execPath))
    assert.equal(facts.uid, process.getuid?.())
    await close()
    assert.equal(await peer.facts(), 'the process that connected is gone')
    if (credentials.pidfd !== null) assert.ok(!standsFor(credentials.pidfd, pid))
    peer.close()
  })

  test('is asked through a library that has to be there: without it, or elsewhere than on Linux, nobody is served', async () => {
    await assert.rejects(systemPeers('linux', 'a-package-that-is-not-here'), { code: 'peer_credentials_missing' })
    await assert.rejects(systemPeers('darwin'), { code: 'peer_credentials_missing' })
  })

  test('BS-6: is believed about its age alone: whatever else keeps a descriptor away, nobody is served', async (t) => {
    const { socket, pid, close } = await connected()
    t.after(close)
    const file = join(folder, 'library.mjs')
    await writeFile(file, fakeLibrary)
    const peersOf = async (errno: number) => systemPeers('linux', `${pathToFileURL(file).href}?${errno}.${pid}`)
    assert.deepEqual((await peersOf(92)).of(socket), { pid, uid: 7, gid: 8, pidfd: null })
    for (const gone of [3, 9, 22, 61]) assert.equal((await peersOf(gone)).of(socket), null)
    for (const other of [1, 12, 23, 24]) {
      const peers = await peersOf(other)
      assert.throws(() => peers.of(socket), { code: 'peer_unknown', got: `errno ${other}` })
    }
  })

  test('BS-6: says by its number why there is no descriptor', async (t) => {
    const { socket, close } = await connected()
    t.after(close)
    const { default: koffi } = (await import(koffiName)) as { readonly default: Koffi }
    const getsockopt = koffi
      .load(null)
      .func('int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *length)')
    const fd = (Reflect.get(socket, '_handle') as { readonly fd: number }).fd
    assert.equal(getsockopt(fd, 1, 9999, new Uint8Array(4), [4]), -1)
    assert.equal(koffi.errno(), 92)
  })

  test('says nothing of a connection that is closed', async () => {
    const peers = await systemPeers()
    const { socket, close } = await connected()
    await close()
    assert.equal(peers.of(socket), null)
  })
})

describe('a process', () => {
  const credentials = { pid: 7, uid: 1000, gid: 1000, pidfd: null }

  async function fakeProcess(change: { readonly started?: number; readonly uid?: number } = {}): Promise<string> {
    const proc = join(folder, 'proc')
    const home = join(proc, '7')
    await mkdir(home, { recursive: true })
    const { started = 500, uid = 1000 } = change
    await writeFile(join(home, 'stat'), `7 (a ) name) S ${Array.from({ length: 18 }, () => 0).join(' ')} ${started} 0`)
    await writeFile(join(home, 'status'), `Name:\ta\nUid:\t0\t${uid}\t0\t0\nGid:\t0\t1000\t0\t0\n`)
    await writeFile(join(home, 'cgroup'), '1:name=x:/other\n0::/system.slice/planner.service\n')
    await rm(join(home, 'exe'), { force: true })
    await symlink(process.execPath, join(home, 'exe'))
    return proc
  }

  test('BS-6: of another start time under the same number is another one', async () => {
    const proc = await fakeProcess()
    const peer = new Peer(credentials, { proc, standsFor: () => false })
    const facts = await peer.facts()
    assert.ok(typeof facts !== 'string')
    assert.deepEqual([facts.cgroup, facts.unit], ['/system.slice/planner.service', 'planner.service'])
    await fakeProcess({ started: 501 })
    assert.equal(await peer.facts(), 'the process that connected is gone')
  })

  test('that has become another program gets nothing, though number and start time are the same', async () => {
    const proc = await fakeProcess()
    const peer = new Peer(credentials, { proc, standsFor: () => false })
    assert.ok(peer.isSame())
    await rm(join(proc, '7', 'exe'))
    await symlink('/bin/sh', join(proc, '7', 'exe'))
    assert.equal(await peer.facts(), 'the process has become another program than when it connected')
    assert.ok(!peer.isSame())
  })

  test('that has another user than when it connected gets nothing', async () => {
    const proc = await fakeProcess({ uid: 0 })
    const peer = new Peer(credentials, { proc, standsFor: () => false })
    assert.equal(await peer.facts(), 'the process has another user than when it connected')
  })

  test('whose descriptor stands for it no more is gone, whatever its number says', async () => {
    const proc = await fakeProcess()
    const peer = new Peer({ ...credentials, pidfd: 1_000_000 }, { proc, standsFor: () => false })
    assert.equal(await peer.facts(), 'the process that connected is gone')
  })

  test('is in the outermost unit, which the system has named', () => {
    assert.equal(unitOf('/system.slice/planner.service'), 'planner.service')
    assert.equal(unitOf('/system.slice/system-planner.slice/planner@1.service/sub'), 'planner@1.service')
    assert.equal(unitOf('/user.slice/user-1000.slice/user@1000.service/app.slice/planner.service'), 'user@1000.service')
    for (const none of [null, '/', '/../planner.service', '/docker/0123/planner.service', '/system.slice'])
      assert.equal(unitOf(none), null)
  })

  test('BS-6: runs the file that is there, not one of the same name or content', async () => {
    const peers = await systemPeers()
    const { socket, close } = await connected()
    const held = peers.of(socket)
    assert.ok(held !== null)
    const peer = new Peer(held)
    const facts = await peer.facts()
    assert.ok(typeof facts !== 'string')
    const [link, copy] = [join(folder, 'link'), join(folder, 'copy')]
    await symlink(process.execPath, link)
    await copyFile(process.execPath, copy)
    assert.deepEqual(
      await Promise.all([process.execPath, link, copy, join(folder, 'nothing')].map((path) => facts.isProgram(path))),
      [true, true, false, false],
    )
    const digest = createHash('sha256')
      .update(await readFile(process.execPath))
      .digest('hex')
    assert.equal(await facts.digest(), digest)
    await close()
    peer.close()
  })
})

describe('entries', () => {
  const facts: PeerFacts = {
    pid: 7,
    uid: 1000,
    gid: 1001,
    program: '/usr/bin/planner',
    isProgram: async (path) => path === '/usr/bin/planner',
    digest: async () => 'a'.repeat(64),
    cgroup: '/system.slice/planner.service',
    unit: 'planner.service',
  }
  const right = {
    uid: 1000,
    gid: 1001,
    path: '/usr/bin/planner',
    sha256: 'a'.repeat(64),
    cgroup: '/system.slice/planner.service',
    systemd_unit: 'planner.service',
  }
  const wrong = {
    uid: 1001,
    gid: 1000,
    path: '/usr/bin/other',
    sha256: 'b'.repeat(64),
    cgroup: '/system.slice',
    systemd_unit: 'other.service',
  }

  test('match when every selector does, and fail by each alone', async () => {
    assert.equal(await failingSelector({ identity: 'a', ...right }, facts), null)
    for (const name of Object.keys(right) as (keyof typeof right)[])
      assert.equal(await failingSelector({ identity: 'a', ...right, [name]: wrong[name] }, facts), name)
  })

  test('fail by a fact that could not be read, and without any selector', async () => {
    const blind: PeerFacts = {
      ...facts,
      isProgram: async () => false,
      digest: async () => null,
      cgroup: null,
      unit: null,
    }
    for (const name of ['path', 'sha256', 'cgroup', 'systemd_unit'] as const)
      assert.equal(await failingSelector({ identity: 'a', [name]: right[name] }, blind), name)
    assert.equal(await failingSelector({ identity: 'a', hint: 'h' }, facts), 'none')
  })

  test('give each identity once, in the order of the configuration', async () => {
    const entries: readonly WorkloadEntry[] = [
      { identity: 'b', uid: 1001 },
      { identity: 'b', uid: 1000, hint: 'second' },
      { identity: 'a', gid: 1001 },
      { identity: 'b', gid: 1001 },
      { identity: 'c', gid: 1 },
    ]
    const given = await entriesFor(entries, facts)
    assert.deepEqual(
      given.map(({ identity, hint }) => [identity, hint]),
      [
        ['b', 'second'],
        ['a', undefined],
      ],
    )
  })
})

describe('what is told', () => {
  test('refusals are told once and then counted, of however many kinds they are', () => {
    const told: { readonly count: number }[] = []
    const refusals = quietRefusals((event) => told.push(event))
    const refuse = (uid: number) =>
      refusals.add({ type: 'refused', method: 'FetchX509SVID', pid: 1, uid, program: null, reason: 'no entry matches' })
    for (let i = 0; i < 1000; i++) refuse(7)
    assert.deepEqual(
      told.map(({ count }) => count),
      [1],
    )
    for (let uid = 100; uid < 1100; uid++) refuse(uid)
    assert.ok(told.length <= 66)
    refusals.close()
    assert.equal(
      told.reduce((sum, { count }) => sum + count, 0),
      2000,
    )
  })

  test('problems are told once of each code and then counted, and refusals leave room for them', () => {
    const told: (readonly [string, number])[] = []
    const refusals = quietRefusals((event) => {
      if (event.type === 'problem') told.push([(event.error as Error).message, event.count])
    })
    const refused = { type: 'refused', method: 'M', pid: 1, program: null, reason: 'no entry matches' } as const
    for (let uid = 0; uid < 200; uid++) refusals.add({ ...refused, uid })
    for (let i = 1; i <= 1000; i++) {
      refusals.add({ type: 'problem', error: new DoorwardError('peer_unknown', `peer ${i}`) })
      refusals.add({ type: 'problem', error: new Error(`fault ${i}`) })
    }
    assert.deepEqual(told, [['peer 1', 1]])
    refusals.close()
    assert.deepEqual(told, [
      ['peer 1', 1],
      ['fault 1000', 1999],
    ])
  })
})

describe('digests of programs', () => {
  /** Reads that end when they are told to. */
  function slowReads(): {
    readonly digests: ProgramDigests
    readonly begun: Program[]
    readonly end: (at: number, digest?: string | null) => Promise<void>
  } {
    const begun: Program[] = []
    const ends: ((digest: string | null) => void)[] = []
    const digests = new ProgramDigests((program) => {
      begun.push(program)
      return new Promise((resolve) => ends.push(resolve))
    })
    return {
      digests,
      begun,
      end: async (at, digest = 'd') => {
        ends[at]?.(digest)
        await new Promise((resolve) => setImmediate(resolve))
      },
    }
  }
  const program = (ino: number, uid = 1000): Program => ({
    path: `/${ino}`,
    file: { dev: 1n, ino: BigInt(ino), size: 1n, mtimeNs: 1n, ctimeNs: 1n } as Program['file'],
    uid,
  })

  test('are read one of each user and four at once, however many programs connect', async () => {
    const { digests, begun, end } = slowReads()
    const all = [1, 2, 3].flatMap((uid) => [program(uid * 10, uid), program(uid * 10 + 1, uid)])
    const others = [4, 5].map((uid) => program(uid * 10, uid))
    const given = [...all, ...others].map((one) => digests.of(one))
    assert.deepEqual(
      begun.map(({ uid }) => uid),
      [1, 2, 3, 4],
    )
    await end(1)
    assert.deepEqual(
      begun.slice(4).map(({ path }) => path),
      ['/21'],
    )
    for (let at = 0; at < 8; at++) await end(at)
    assert.equal(begun.length, 8)
    assert.deepEqual(
      await Promise.all(given),
      Array.from({ length: 8 }, () => 'd'),
    )
  })

  test('of a user of whom too many wait are refused, and nobody else', async () => {
    const { digests, begun, end } = slowReads()
    const waiting = Array.from({ length: digestLimits.waiting + 1 }, (_, ino) => digests.of(program(ino)))
    await assert.rejects(digests.of(program(99)), { code: 'programs_waiting' })
    const other = digests.of(program(99, 1001))
    assert.equal(begun.length, 2)
    for (let at = 0; at < digestLimits.waiting + 2; at++) await end(at)
    assert.deepEqual(new Set(await Promise.all([...waiting, other])), new Set(['d']))
  })

  test('that failed for one process are tried for the next, and those that were read are remembered', async () => {
    const { digests, begun, end } = slowReads()
    const [first, second] = [digests.of(program(1)), digests.of(program(1))]
    await end(0, null)
    assert.equal(await first, null)
    assert.equal(begun.length, 2)
    await end(1)
    assert.equal(await second, 'd')
    assert.equal(await digests.of(program(1, 1001)), 'd')
    assert.equal(begun.length, 2)
  })
})
