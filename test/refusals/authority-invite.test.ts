/**
 * Inviting an operator over the socket in the state folder of a running authority: the first one, or one more for a reason;
 * nothing else, to nobody else, and never unseen.
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, lstat, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { compilePolicy, isDoorwardError, workloadId } from '@doorward/core'
import { AdminClient, join as joinDomain, openIdentity } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { requestInvitation } from '../../packages/server/src/apps/authority-invitation-request.ts'
import { invitationSocket, openInvitations } from '../../packages/server/src/apps/authority-invitation.ts'
import type { Invitations } from '../../packages/server/src/apps/authority-invitation.ts'
import { askLocally, listenLocally, localLimits } from '../../packages/server/src/transports/local-socket.ts'
import {
  makeFolders,
  publicUrl,
  recordOf,
  removeFolders,
  startTestAuthority,
  trustDomain,
} from '../fixtures/authority/running.ts'
import type { Folders, TestAuthority } from '../fixtures/authority/running.ts'
import { memorySealer } from '../unit/sdk/memory-sealer.ts'

const alice = `spiffe://${trustDomain}/operator/alice`
const bob = `spiffe://${trustDomain}/operator/bob`
const self = `local:${process.getuid?.()}`
const sealer = memorySealer()

describe('an authority that runs', () => {
  let folders: Folders
  let authority: TestAuthority
  let invitations: Invitations | null
  const problems: unknown[] = []

  beforeEach(async () => {
    folders = await makeFolders()
    authority = await startTestAuthority({ folders })
    problems.length = 0
    invitations = await open()
  })
  afterEach(async () => {
    await invitations?.close()
    await authority.stop()
    await removeFolders(folders)
  })

  const open = () =>
    openInvitations({
      stateDir: folders.stateDir,
      operators: authority.running.operators,
      onProblem: (error) => problems.push(error),
    })
  const invite = (id: string, { role = 'admin', reason = null as string | null } = {}) =>
    requestInvitation(folders.stateDir, { id, role, reason })

  async function joined(id: string, joinString: string, folder = 'operator'): Promise<Identity> {
    const own = join(folders.root, folder, id.split('/').at(-1) ?? '')
    await joinDomain({ folder: own, sealer, joinString })
    return openIdentity({ folder: own, sealer })
  }

  function adminOf(identity: Identity): AdminClient {
    const { host, port } = authority.running.addresses.admin
    const expectedId = workloadId(trustDomain, 'doorward', 'authority')
    return new AdminClient(identity, { url: `https://${host}:${port}`, audience: publicUrl, expectedId })
  }

  /** An operator who has joined, and can act. */
  async function operator(id: string): Promise<Identity> {
    const { joinString } = await invite(id)
    const identity = await joined(id, joinString.reveal())
    await identity.prepare()
    return identity
  }

  /** By whoever has asked here: read when one for this id is there, which the newest signature may not cover yet. */
  async function doneHere(id: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const look = async () => {
      const entries = await recordOf(folders)
      return entries.map(({ body }) => body).filter((body) => body['by'] === self)
    }
    await until(async () => (await look()).some((body) => body['change'] === 'join-string.create' && body['id'] === id))
    return look()
  }

  const isRefused = (code: string, reason?: string) => (error: unknown) =>
    isDoorwardError(error, code) &&
    (reason === undefined || ('details' in error && (error.details as { reason?: string }).reason === reason))

  test('gives the first operator a join string that works once, on record and among the alarms', async () => {
    assert.deepEqual(await authority.running.operators.standing(), [])
    const { joinString, roles, by, expiresAt } = await invite(alice)
    assert.deepEqual([roles, by], [['admin'], self])
    const left = expiresAt - Date.now() / 1000
    assert.ok(left > 0 && left <= 600, `${left} s`)
    const identity = await joined(alice, joinString.reveal())
    await identity.prepare()
    const { alarms } = await adminOf(identity).status()
    const [alarm] = alarms as readonly Readonly<Record<string, unknown>>[]
    assert.deepEqual([alarm?.['detector'], alarm?.['subject']], ['operator_invited', alice])
    assert.match(String(alarm?.['detail']), new RegExp(`by ${self} on the machine of authority main; nobody else`))
    await assert.rejects(joined(alice, joinString.reveal(), 'again'), { code: 'join_refused' })
    const changes = await doneHere(alice)
    assert.deepEqual(
      changes.map((body) => body['change']),
      ['operator.invite', 'workload.add', 'join-string.create'],
    )
    assert.deepEqual([changes[0]?.['standing'], changes[0]?.['reason']], [[], null])
    assert.doesNotMatch(JSON.stringify(await recordOf(folders)), new RegExp(joinString.reveal().slice(-40)))
    identity.close()
  })

  test('gives it again, while nobody has joined: a join string that is lost is no end', async () => {
    const first = await invite(alice)
    const second = await invite(alice)
    assert.notEqual(first.joinString.reveal(), second.joinString.reveal())
    assert.ok((await invite(bob)).joinString.reveal() !== '')
  })

  test('refuses when an operator can act, and has changed nothing; with a reason it does it, visibly', async () => {
    const identity = await operator(alice)
    await assert.rejects(invite(bob), isRefused('conflict', 'operator_present'))
    const admin = adminOf(identity)
    await assert.rejects(admin.workload(bob), { code: 'resource_unknown' })
    await invite(bob, { reason: 'alice has left, ticket 4711' })
    assert.deepEqual((await admin.workload(bob)).document.roles, ['admin'])
    const entries = (await doneHere(bob)).filter((body) => body['change'] === 'operator.invite')
    assert.deepEqual(
      entries.map((body) => [body['id'], body['standing'], body['reason']]),
      [
        [alice, [], null],
        [bob, [alice], 'alice has left, ticket 4711'],
      ],
    )
    const { alarms } = await admin.status()
    const told = (alarms as readonly Readonly<Record<string, unknown>>[]).find((one) => one['subject'] === bob)
    assert.match(String(told?.['detail']), /although .*operator\/alice could act; the reason given: alice has left/)
    assert.ok(authority.events.some((event) => event.type === 'detection' && event.detection.subject === bob))
    identity.close()
  })

  test('does not count an operator whose machine key is locked: the same one may be invited anew', async () => {
    const identity = await operator(alice)
    const admin = adminOf(identity)
    const [instance] = (await admin.workload(alice)).instances
    await admin.lockInstance(alice, instance?.instance ?? '', 'stolen')
    identity.close()
    assert.deepEqual(await authority.running.operators.standing(), [])
    assert.deepEqual((await invite(alice)).roles, ['admin'])
  })

  test('counts an operator by a binding, and by any role that administers', async () => {
    await invitations?.close()
    await authority.stop()
    const compiled = compilePolicy({
      trustDomain,
      rbac: [],
      roles: [
        { role: 'ops', permissions: ['*'] },
        { role: 'reader', permissions: ['read'] },
      ],
      bindings: [{ role: 'ops', workloads: [`spiffe://${trustDomain}/team/*`] }],
      servers: [],
    })
    assert.ok(compiled.ok)
    const settings = { policy: compiled.policy, operatorRoles: ['ops'] }
    authority = await startTestAuthority({ folders, settings })
    invitations = await open()
    await assert.rejects(invite(alice), isRefused('conflict', 'role'))
    await assert.rejects(invite(alice, { role: 'reader' }), isRefused('conflict', 'role'))
    const bound = `spiffe://${trustDomain}/team/carol`
    await authority.running.registerWorkload({ id: bound, roles: [] }, 'test')
    const { joinString, roles } = await invite(bound, { role: 'ops' })
    assert.deepEqual(roles, [])
    const carol = await joined(bound, joinString.reveal())
    carol.close()
    assert.deepEqual(await authority.running.operators.standing(), [bound])
    await assert.rejects(invite(alice, { role: 'ops' }), isRefused('conflict', 'operator_present'))
  })

  test('makes no operator of what is registered for something else, was removed, is reserved or foreign', async () => {
    const agent = `spiffe://${trustDomain}/agent/planner`
    await authority.running.registerWorkload({ id: agent, roles: ['reader'] }, 'test')
    const identity = await operator(alice)
    const admin = adminOf(identity)
    const gone = `spiffe://${trustDomain}/operator/gone`
    await admin.addWorkload(gone, ['admin'])
    await admin.removeWorkload(gone)
    const reason = 'a test'
    await assert.rejects(invite(agent, { reason }), isRefused('conflict', 'not_operator'))
    assert.deepEqual((await admin.workload(agent)).document.roles, ['reader'])
    await assert.rejects(invite(gone, { reason }), isRefused('conflict', 'removed'))
    for (const id of [`spiffe://${trustDomain}/doorward/authority`, 'spiffe://other.example/operator/x', 'nonsense'])
      await assert.rejects(invite(id, { reason }), isRefused('request_invalid'))
    identity.close()
  })

  test('gives nothing to an operator who does not join by tokens', async () => {
    await authority.running.registerWorkload({ id: alice, roles: ['admin'], attestation: [] }, 'test')
    await assert.rejects(invite(alice), isRefused('conflict'))
  })

  test('invites nobody while it may not change anything', async () => {
    authority.step(3_600_000)
    await assert.rejects(invite(alice), isRefused('authority_unready'))
    authority.step(-3_600_000)
  })

  test('answers nothing once others could reach the socket, and says why', async () => {
    const path = invitationSocket(folders.stateDir)
    assert.equal((await lstat(path)).mode & 0o777, 0o600)
    await chmod(folders.stateDir, 0o755)
    await assert.rejects(invite(alice), { code: 'state_folder_mode' })
    await assert.rejects(askLocally(path, '{}'), { code: 'local_socket_closed' })
    await assert.rejects(open(), { code: 'state_folder_mode' })
    await chmod(folders.stateDir, 0o700)
    await chmod(path, 0o666)
    await assert.rejects(invite(alice), { code: 'invitation_lost' })
    assert.deepEqual(
      problems.map((error) => isDoorwardError(error) && error.code),
      ['state_folder_mode', 'local_socket_mode'],
    )
    await chmod(path, 0o600)
    await invite(alice)
  })

  test('answers a question that it does not understand with a refusal, and enters nothing', async () => {
    const path = invitationSocket(folders.stateDir)
    const right = { v: 1, id: alice, role: 'admin', reason: null }
    const { reason: _, ...short } = right
    const wrong = [short, { ...right, v: 2 }, { ...right, by: 'mallory' }, { ...right, id: '' }, { ...right, role: 7 }]
    for (const question of [...wrong.map((one) => JSON.stringify(one)), '[]', 'null', '{"v":1', '{}', '\u0000'])
      assert.match(await askLocally(path, question), /^\{"refused":\{"code":"request_invalid"/, question)
    await assert.rejects(invite(alice, { reason: 'x'.repeat(201) }), isRefused('request_invalid'))
    await invite(bob)
    assert.deepEqual([...new Set((await doneHere(bob)).map((body) => body['id']))], [bob])
  })

  test('is not found once it has stopped, and its socket is gone', async () => {
    await invitations?.close()
    await assert.rejects(lstat(invitationSocket(folders.stateDir)), { code: 'ENOENT' })
    await assert.rejects(invite(alice), { code: 'authority_not_running' })
  })
})

describe('whoever asks', () => {
  test('hears that no authority runs, where there is none and where one has died', async () => {
    const wanted = { id: alice, role: 'admin', reason: null }
    const folder = await mkdtemp(join(tmpdir(), 'doorward-invite-'))
    await assert.rejects(requestInvitation(join(folder, 'none'), wanted), { code: 'authority_not_running' })
    await assert.rejects(requestInvitation(folder, wanted), { code: 'authority_not_running' })
    await leaveSocket(invitationSocket(folder))
    await assert.rejects(requestInvitation(folder, wanted), { code: 'authority_not_running' })
    await rm(folder, { recursive: true })
  })

  test('does not ask in a folder of another user, who could answer anything', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'doorward-invite-'))
    // Only the superuser can give a folder away; to everybody else the root folder is another user's.
    const other = process.getuid?.() === 0 ? folder : '/'
    if (other === folder) await chown(folder, 65_534, 65_534)
    const wanted = { id: alice, role: 'admin', reason: null }
    await assert.rejects(requestInvitation(other, wanted), { code: 'authority_other_user' })
    await rm(folder, { recursive: true })
  })
})

describe('the local socket', () => {
  let folder: string
  let path: string
  let asked: string[]
  let socket: Awaited<ReturnType<typeof listenLocally>> | null

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'doorward-invite-'))
    path = join(folder, 'ask.sock')
    asked = []
    socket = null
  })
  afterEach(async () => {
    await socket?.close()
    await rm(folder, { recursive: true })
  })

  const listen = (limits: Partial<typeof localLimits> = {}, answer?: (text: string) => Promise<string>) =>
    listenLocally({
      path,
      limits,
      onProblem: () => undefined,
      answer: async (question) => {
        const text = Buffer.from(question).toString()
        asked.push(text)
        return answer === undefined ? `heard ${text}` : answer(text)
      },
    })

  /** Everything that comes until the connection ends. */
  function said(words: readonly (string | Buffer)[]): Promise<string> {
    return new Promise((resolve) => {
      const client = connect({ path })
      let got = ''
      client.on('data', (part) => (got += part.toString()))
      client.on('error', () => undefined)
      client.on('close', () => resolve(got))
      client.on('connect', () => words.forEach((word) => client.write(word)))
    })
  }

  test('takes one question of one connection: more of them, or one too long, is cut off unheard', async () => {
    socket = await listen()
    assert.equal(await askLocally(path, 'one'), 'heard one')
    assert.equal(await said(['first\nsecond\n']), '')
    assert.equal(await said([Buffer.alloc(localLimits.requestBytes + 1, 0x61)]), '')
    assert.equal(await said([`${'a'.repeat(localLimits.requestBytes)}\n`]), '')
    assert.deepEqual(asked, ['one'])
    assert.equal(await askLocally(path, 'a'.repeat(localLimits.requestBytes - 1)), `heard ${asked[1]}`)
  })

  test('waits neither for a question nor for its answer for ever', async () => {
    const never = () => new Promise<string>(() => undefined)
    socket = await listen({ requestMilliseconds: 100 }, never)
    assert.equal(await said(['a question without end']), '')
    await socket.close()
    socket = await listen({ answerMilliseconds: 100 }, never)
    assert.equal(await said(['a question\n']), '')
    assert.deepEqual(asked, ['a question'])
  })

  test('hears a few at once, and the next ones when those have gone', async () => {
    socket = await listen()
    const held = await Promise.all(Array.from({ length: localLimits.connections }, () => holding(path)))
    assert.equal(await said(['one more\n']), '')
    for (const one of held) one.destroy()
    await until(async () => (await said(['again\n'])) === 'heard again\n')
    assert.deepEqual(asked.includes('one more'), false)
  })

  test('replaces a socket that was left behind, and nothing else', async () => {
    await leaveSocket(path)
    socket = await listen()
    assert.equal(await askLocally(path, 'one'), 'heard one')
    await socket.close()
    await writeFile(path, 'kept')
    await assert.rejects(listen(), { code: 'local_path_taken' })
    assert.equal((await lstat(path)).isFile(), true)
    await rm(path)
    await mkdir(path)
    await assert.rejects(listen(), { code: 'local_path_taken' })
  })

  test('says so when its path is too long, and when there is no folder', async () => {
    path = join(folder, 'a'.repeat(110))
    await assert.rejects(listen(), { code: 'local_path_long' })
    path = join(folder, 'none', 'ask.sock')
    await assert.rejects(listen(), { code: 'local_socket_failed' })
  })

  test('whoever asks is not drowned in an answer, and does not take half of one', async () => {
    socket = await listen({}, () => Promise.resolve('a'.repeat(localLimits.answerBytes + 1)))
    await assert.rejects(askLocally(path, 'long'), { code: 'local_socket_failed' })
    await socket.close()
    const server = createServer((client) => client.resume().end('half of'))
    await new Promise<void>((resolve) => server.listen({ path }, () => resolve()))
    await assert.rejects(askLocally(path, 'half'), { code: 'local_socket_closed' })
    await new Promise((resolve) => server.close(resolve))
  })
})

async function holding(path: string): Promise<Socket> {
  const client = connect({ path })
  client.on('error', () => undefined)
  await new Promise((resolve) => client.once('connect', resolve))
  return client
}

/** As a process that was killed leaves it. */
async function leaveSocket(path: string): Promise<void> {
  const child = spawn(process.execPath, [
    '-e',
    "require('net').createServer().listen({ path: process.argv[1] }, () => process.kill(process.pid, 'SIGKILL'))",
    path,
  ])
  await once(child, 'close')
  assert.equal((await lstat(path)).isSocket(), true)
}

async function until(look: () => Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 200; turn++) {
    if (await look()) return
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  assert.fail('not in time')
}
