/** Joining where several authorities are named: any of them admits, and what is given to one is worth nothing at another. */

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { after, before, test } from 'node:test'
import { parseTrustDomain, workloadId } from '@doorward/core'
import { join, openIdentity } from '@doorward/sdk'
import { newAnchor, newLeaf } from '../../fixtures/trust-fixture.ts'
import { FakeAuthority } from './fake-authority.ts'
import type { FakePlace } from './fake-place.ts'
import { memorySealer } from './memory-sealer.ts'

const sealer = memorySealer()
const greeting = '{"hello":1}'
/** The order is each join's own: after so many, each of two places has been asked first. */
const ROUNDS = 40
const trustDomain = parseTrustDomain('test.example')
/** Says that it is the authority, under an anchor of its own. */
const impostor = await newLeaf(await newAnchor(trustDomain), workloadId(trustDomain, 'doorward', 'authority'))
let root: string
let folders = 0

before(async () => {
  root = await mkdtemp(path(tmpdir(), 'doorward-elsewhere-'))
})
after(() => rm(root, { recursive: true, force: true }))

interface Stage {
  readonly authority: FakeAuthority
  readonly first: FakePlace
  readonly second: FakePlace
  /** Joins with a string that names both. */
  readonly joinBoth: (folder?: string) => ReturnType<typeof join>
  /** Bodies that were sent to a place, oldest first. */
  readonly bodies: (place: FakePlace) => readonly string[]
}

async function withStage(options: Parameters<typeof FakeAuthority.start>[0], run: (stage: Stage) => Promise<void>) {
  const authority = await FakeAuthority.start(options)
  const second = await authority.addPlace('second')
  const [first] = authority.places
  assert.ok(first !== undefined)
  const joinString = authority.joinString({ otherAddresses: [second.enrol] })
  const joinBoth = (folder = path(root, `${++folders}`)) => join({ joinString, folder, sealer })
  const bodies = (place: FakePlace) =>
    authority.asked.filter((one) => one.place === place.name && one.listener === 'enrol').map(({ body }) => body)
  try {
    await run({ authority, first, second, joinBoth, bodies })
  } finally {
    await authority.close()
  }
}

for (const gone of ['first', 'second'] as const)
  test(`OP-12: a workload joins while the ${gone} authority that its join string names is away`, () =>
    withStage({}, async (stage) => {
      await stage[gone].close()
      const { folder } = await stage.joinBoth()
      const identity = await openIdentity({ folder, sealer })
      await identity.prepare().finally(() => identity.close())
      assert.deepEqual(stage.bodies(stage[gone]), [])
    }))

test('OP-12: when the answer that brought the certificate is lost, another authority gives one to the same key', () =>
  withStage({}, async ({ authority, joinBoth, bodies, first, second }) => {
    authority.loseAnswers = 1
    const folder = path(root, 'lost')
    assert.equal((await joinBoth(folder)).id.uri, 'spiffe://test.example/agent/one')
    const sent = [...bodies(first), ...bodies(second)].filter((body) => body !== greeting)
    const keys = sent.map((body) => JSON.stringify((JSON.parse(body) as { machine_key: object }).machine_key))
    assert.deepEqual([keys.length, new Set(keys).size], [2, 1])
  }))

test('a server that is not the authority gets the greeting and nothing more, and the workload joins at the other', () =>
  withStage({ enrolAs: impostor }, async ({ authority, first, joinBoth, bodies }) => {
    for (let round = 0; round < ROUNDS && bodies(first).length === 0; round++) {
      authority.tokenUsed = false
      await joinBoth()
    }
    assert.deepEqual(bodies(first), [greeting])
  }))

test('when nobody else is there, it is told that a server is not the authority', () =>
  withStage({ enrolAs: impostor }, async ({ first, second, joinBoth, bodies }) => {
    await second.close()
    await assert.rejects(joinBoth(), { code: 'authority_not_pinned' })
    assert.deepEqual(bodies(first), [greeting])
  }))

test('a refusal is not carried to another authority', () =>
  withStage({}, async ({ authority, first, second, joinBoth, bodies }) => {
    authority.tokenUsed = true
    await assert.rejects(joinBoth(), { code: 'join_refused' })
    assert.equal(bodies(first).length + bodies(second).length, 2)
  }))
