/** What is approved of a server, kept: sealed, on record, and only as it was shown. */

import { deepEqual, equal, notDeepEqual, ok, rejects } from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { definitionsDigest, Secret } from '@doorward/core'
import type { Definition } from '@doorward/core'
import type { ApprovalMode } from '@doorward/enforcement'
import { aesGcmSealer, randomBytes, sha256 } from '@doorward/sdk'
import { memoryRecord } from '../../../packages/enforcement/src/record/memory-record.ts'
import { definitionFile } from '../../../packages/server/src/apps/definition-file.ts'
import { ServerDefinitions } from '../../../packages/server/src/apps/server-definitions.ts'

const tool = (name: string, description: string): Definition => ({ kind: 'tool', name, value: { name, description } })
const itself: Definition = { kind: 'server', name: '', value: { name: 's' } }
const first = [itself, tool('a', 'one')]
const second = [itself, tool('a', 'two')]
const third = [itself, tool('a', 'three')]

let folder: string
const sealer = aesGcmSealer(new Secret(randomBytes(32)), randomBytes)
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'doorward-definitions-'))
})
after(() => rm(folder, { recursive: true }))

const fileOf = (server: string) =>
  definitionFile({
    stateDir: folder,
    markDir: join(folder, 'marks'),
    origin: 'test.example/gateway/main',
    server,
    sealer,
  })

async function open(server: string, mode: ApprovalMode, says: () => readonly Definition[]) {
  const record = memoryRecord('test.example/gateway/main')
  const file = fileOf(server)
  const opened = new ServerDefinitions({
    server,
    mode,
    approved: (await file.read()) ?? [],
    file,
    record,
    inspect: async () => says(),
    onProblem: () => undefined,
    pauseMilliseconds: 0,
  })
  return { opened, record, file }
}

test('what is approved is on record with who and which digest, and is there after the next start', async () => {
  const { opened, record } = await open('kept', 'required', () => first)
  const { digest } = await opened.view()
  await opened.approve(digest, 'operator/alice')
  deepEqual(
    record.entries.map(({ kind, body }) => [
      kind,
      body['change'],
      body['by'],
      body['digest'],
      body['was'],
      body['items'],
    ]),
    [['admin', 'servers.approve', 'operator/alice', digest, null, 2]],
  )
  const again = await open('kept', 'required', () => second)
  equal(definitionsDigest(again.opened.known.approved(), sha256), digest)
  equal(again.opened.known.see(tool('a', 'two')), false)
  deepEqual(
    again.opened.findings().map(({ detector, subject, severity }) => [detector, subject, severity]),
    [['definition_changed', 'server kept', 'high']],
  )
})

test('what changes between showing and approving is not approved', async () => {
  let says = first
  const { opened, record } = await open('raced', 'required', () => says)
  const { digest } = await opened.view()
  says = second
  await rejects(opened.approve(digest, 'operator/alice'), { code: 'definitions_changed' })
  deepEqual([record.entries.length, opened.known.approvedCount], [0, 0])
})

test('what callers are shown and the gateway is not is shown to the operator as well', async () => {
  const { opened } = await open('hidden', 'required', () => first)
  opened.known.see(tool('b', 'for callers alone'))
  opened.known.see(tool('a', 'another face'))
  const { defined, twofold } = await opened.view()
  ok(defined.some(({ name }) => name === 'b'))
  deepEqual(twofold, ['tool a'])
})

test('what is seen first is kept and on record, together', async () => {
  const { opened, record, file } = await open('first', 'on-first-use', () => [])
  for (const one of first) equal(opened.known.see(one), true)
  await opened.close()
  deepEqual(
    record.entries.map(({ kind, body }) => [kind, body['event'], body['items']]),
    [['lifecycle', 'definitions.first_use', 2]],
  )
  deepEqual(await file.read(), first)
})

test('a file that was altered, or that is of another server, does not open', async () => {
  const { opened, file } = await open('sealed', 'required', () => first)
  await opened.approve((await opened.view()).digest, 'operator/alice')
  const path = join(folder, 'definitions', 'sealed.sealed')
  const bytes = await readFile(path)
  await writeFile(join(folder, 'definitions', 'other.sealed'), bytes)
  await rejects(fileOf('other').read(), { code: 'definitions_unreadable' })
  bytes[40] = (bytes[40] ?? 0) ^ 1
  await writeFile(path, bytes)
  await rejects(file.read(), { code: 'definitions_unreadable' })
})

test('a server that shows more than can be told apart has nothing more approved, and memory is bounded', async () => {
  const { opened } = await open('flood', 'required', () => first)
  for (let i = 0; i < 5000; i++) opened.known.see(tool(`t${i}`, 'x'))
  const { keys, more } = opened.known.differing()
  deepEqual([keys.length, more, opened.known.differingDefinitions().length], [4096, true, 256])
  const { opened: lenient } = await open('flood2', 'on-first-use', () => first)
  for (let i = 0; i < 5000; i++) lenient.known.see(tool(`t${i}`, 'x'))
  equal(lenient.known.approvedCount, 4096)
  equal(lenient.known.standing('tool', 't4999'), 'unapproved')
  await lenient.close()
  const { opened: large } = await open('flood3', 'on-first-use', () => first)
  equal(large.known.see(tool('one', 'x'.repeat(70_000))), false)
  for (let i = 0; i < 200; i++) large.known.see(tool(`t${i}`, 'x'.repeat(60_000)))
  ok(JSON.stringify(large.known.approved()).length < 2_200_000)
  ok(JSON.stringify(large.known.differingDefinitions()).length < 1_200_000)
  await large.close()
})

const places = (server: string) => ({
  file: join(folder, 'definitions', `${server}.sealed`),
  mark: join(folder, 'marks', `test.example%2Fgateway%2Fmain.${server}.definitions`),
})

test('an older file that is put back, another of the same number, and one that is gone are known as such', async () => {
  const { file } = await open('older', 'required', () => first)
  const at = places('older')
  await file.write(first)
  const [olderFile, olderMark] = [await readFile(at.file), await readFile(at.mark)]
  await file.write(second)
  const newest = await readFile(at.file)
  deepEqual(await fileOf('older').read(), second)
  await writeFile(at.file, olderFile)
  await rejects(fileOf('older').read(), { code: 'definitions_rolled_back', got: 'approval 1' })
  await rm(at.file)
  await rejects(fileOf('older').read(), { code: 'definitions_rolled_back', got: 'no file' })
  // Two processes may have written the same number; only one of them is remembered.
  await writeFile(at.file, olderFile)
  await writeFile(at.mark, olderMark)
  const other = fileOf('older')
  await other.read()
  await other.write(third)
  await writeFile(at.file, newest)
  await rejects(fileOf('older').read(), { code: 'definitions_rolled_back', got: 'another of the same number' })
})

test('a crash between the file and its number leaves what was approved, and the number follows', async () => {
  const { file } = await open('crashed', 'required', () => first)
  const at = places('crashed')
  await file.write(first)
  const before = await readFile(at.mark)
  await file.write(second)
  await writeFile(at.mark, before)
  deepEqual(await fileOf('crashed').read(), second)
  await file.read()
  notDeepEqual(await readFile(at.mark), before)
})

test('a number of another server, or an altered one, does not open', async () => {
  const { file } = await open('marked', 'required', () => first)
  await file.write(first)
  const at = places('marked')
  await writeFile(at.mark, await readFile(places('crashed').mark))
  await rejects(fileOf('marked').read(), { code: 'definitions_unreadable' })
})

test('what is approved while another instance of the server is made ready counts there, too, and later writes keep it', async () => {
  const { opened: serving, file } = await open('reloaded', 'required', () => second)
  await serving.approve((await serving.view()).digest, 'operator/alice')
  const record = memoryRecord('test.example/gateway/main')
  const ready = (approved: readonly Definition[]) =>
    new ServerDefinitions({
      server: 'reloaded',
      mode: 'required',
      approved,
      file,
      record,
      inspect: async () => third,
      onProblem: () => undefined,
      pauseMilliseconds: 0,
    })
  const next = ready((await file.read()) ?? [])
  await ready(third).approve(definitionsDigest(third, sha256), 'operator/bob')
  for (const one of [serving, next]) deepEqual(one.known.approved(), third)
  await next.close()
  await file.write(first)
  deepEqual(next.known.approved(), third)
})

test('what the instance before has learned is added to what the one after has, and takes nothing away', async () => {
  const { opened: before, file } = await open('learned', 'on-first-use', () => [])
  equal(before.known.see(tool('a', 'one')), true)
  const after = new ServerDefinitions({
    server: 'learned',
    mode: 'on-first-use',
    approved: (await file.read()) ?? [],
    file,
    record: memoryRecord('test.example/gateway/main'),
    inspect: async () => [],
    onProblem: () => undefined,
  })
  equal(after.known.see(tool('b', 'one')), true)
  await after.close()
  await before.close()
  deepEqual(
    (await fileOf('learned').read())?.map(({ name }) => name),
    ['b', 'a'],
  )
})
