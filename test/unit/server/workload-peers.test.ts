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
import { after, before, describe, test } from 'node:test'
import { standsFor, systemPeers } from '../../../packages/server/src/apps/workload-api/peer-credentials.ts'
import { Peer, unitOf } from '../../../packages/server/src/apps/workload-api/peer-facts.ts'
import type { PeerFacts } from '../../../packages/server/src/apps/workload-api/peer-facts.ts'
import { Refusals } from '../../../packages/server/src/apps/workload-api/refusals.ts'
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
    assert.ok(await peer.isSame())
    await rm(join(proc, '7', 'exe'))
    await symlink('/bin/sh', join(proc, '7', 'exe'))
    assert.equal(await peer.facts(), 'the process has become another program than when it connected')
    assert.ok(!(await peer.isSame()))
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

test('refusals are told once and then counted, of however many kinds they are', () => {
  const told: { readonly reason: string; readonly count: number }[] = []
  const refusals = new Refusals((event) => told.push(event))
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
