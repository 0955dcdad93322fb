/**
 * Issuing on PostgreSQL while the connection is lost at a commit: what the authority cannot know, it gives to nobody. Real
 * rules, record and database; each loss is at one verb of one certificate.
 */

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { after, before, test } from 'node:test'
import { epochSeconds, workloadId } from '@doorward/core'
import { generateP256, importP256, randomBytes, sha256, systemClock } from '@doorward/sdk'
import { openAuthorityState } from '../../packages/server/src/apps/authority-state.ts'
import { openTrust } from '../../packages/server/src/apps/authority-trust.ts'
import type { OpenedTrust } from '../../packages/server/src/apps/authority-trust.ts'
import { noVouchers } from '../../packages/server/src/authority/attest/vouchers.ts'
import { noPeople } from '../../packages/server/src/authority/people.ts'
import type { AuthorityContext } from '../../packages/server/src/authority/context.ts'
import { detectionRate } from '../../packages/server/src/authority/detection.ts'
import { EntryRate } from '../../packages/server/src/authority/entry-rate.ts'
import { voidOpenIssuance } from '../../packages/server/src/authority/issue.ts'
import type { IssueDependencies } from '../../packages/server/src/authority/issue.ts'
import { issueWithState } from '../../packages/server/src/authority/join-state.ts'
import type { IssuanceStore } from '../../packages/server/src/authority/ports.ts'
import { makeFolders, publicUrl, removeFolders, trustDomain } from '../fixtures/authority/running.ts'
import type { Folders } from '../fixtures/authority/running.ts'
import { PostgresServer } from '../fixtures/postgres.ts'
import { openPostgresProxy } from '../fixtures/postgres-proxy.ts'
import type { Loss, PostgresProxy } from '../fixtures/postgres-proxy.ts'
import { storeOptions } from '../fixtures/postgres-store.ts'

type Verb = 'intend' | 'commit' | 'release' | 'handOut'

interface Entry {
  readonly serial: string
  readonly phase: string
  readonly outcome?: string
}

const id = `spiffe://${trustDomain}/agent/planner`
const stack = new AsyncDisposableStack()
const record: Entry[] = []
let server: PostgresServer
let proxy: PostgresProxy
let folders: Folders
let context: AuthorityContext
let trust: OpenedTrust
let planned: { readonly verb: Verb; readonly loss: Loss } | null = null
/** Of the certificate whose verb was struck. */
let struck = ''

before(async () => {
  server = await PostgresServer.start()
  proxy = await openPostgresProxy(server.target)
  folders = await makeFolders()
  const database = storeOptions(server, { database: await server.createDatabase(), addresses: [proxy.target] })
  const { stateDir, keyDir } = folders
  const state = await openAuthorityState(
    { trustDomain, stateDir, keyDir, database },
    { clock: systemClock, random: randomBytes, sha256 },
    stack,
  )
  context = {
    trustDomain,
    id: workloadId(trustDomain, 'doorward', 'authority'),
    instance: state.folder.stateId,
    name: state.name,
    store: { ...state.store, issuance: losing(state.store.issuance) },
    custody: state.custody,
    log: {
      append: async (entry) => {
        const kept = await state.record.append(entry)
        if (entry.kind === 'issuance') record.push(entry.body as Entry)
        return kept
      },
    },
    detections: { rate: new EntryRate(detectionRate), tell: () => undefined },
    vouchers: noVouchers,
    people: noPeople,
    clock: systemClock,
    random: randomBytes,
    sha256,
    importP256,
    unfit: () => null,
  }
  trust = await openTrust({
    context,
    state,
    clock: systemClock,
    issuer: publicUrl,
    allowedAudience: () => true,
    outsideAudience: () => false,
    enrolAddress: () => '127.0.0.1:1',
    settleKeys: () => Promise.resolve(false),
    signal: new AbortController().signal,
    onWaiting: () => undefined,
  })
  for (const one of [context.id.uri, id])
    assert.ok(!('refused' in (await trust.authority.ensureRegistration({ id: one, roles: [] }, 'test'))))
})
after(async () => {
  await stack.disposeAsync()
  await proxy.close()
  await server.remove()
  await removeFolders(folders)
})

/** The connection is lost while the planned verb commits: before the server has heard of it, or before we hear of it. */
function losing(issuance: IssuanceStore): IssuanceStore {
  const strike = (verb: Verb, serial: string) => {
    if (planned?.verb !== verb) return
    void proxy.lose(planned.loss, 'COMMIT')
    struck = serial
    planned = null
  }
  return {
    ...issuance,
    intend: (intent, ...more) => {
      strike('intend', intent.serial)
      return issuance.intend(intent, ...more)
    },
    commit: (serial, ...more) => {
      strike('commit', serial)
      return issuance.commit(serial, ...more)
    },
    release: (serial) => {
      strike('release', serial)
      return issuance.release(serial)
    },
    handOut: (serial, ...more) => {
      strike('handOut', serial)
      return issuance.handOut(serial, ...more)
    },
  }
}

function newKey(): Uint8Array {
  return new Uint8Array(
    generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ type: 'spki', format: 'der' }),
  )
}

/** A workload's machine key that is bound already, and one certificate after another for it. */
async function instanceOfPlanner(): Promise<() => ReturnType<typeof issueWithState>> {
  const { jwk } = await generateP256()
  const now = epochSeconds(Math.floor(Date.now() / 1000))
  const instance = Buffer.from(randomBytes(8)).toString('hex')
  const binding = { instance, machineKey: jwk, attestedBy: 'join_token', now, limit: 64, reason: 'test' }
  await context.store.instances.bind(id, binding)
  const dependencies: IssueDependencies = {
    context,
    slots: trust.slots,
    publish: () => trust.publisher.publish(),
    deniedBefore: () => 0,
  }
  return () =>
    issueWithState(dependencies, { id, instance, publicKey: newKey(), occasion: 'return', predecessor: null })
}

const issuing = {
  release: () => Promise.resolve(() => trust.authority.issueOwn(newKey())),
  handOut: instanceOfPlanner,
}

const outcomesOf = (serial: string) =>
  record.filter((entry) => entry.serial === serial && entry.phase === 'outcome').map(({ outcome }) => outcome)

async function isDenied(serial: string): Promise<boolean> {
  const denials = await context.store.denials.list(epochSeconds(Math.floor(Date.now() / 1000)))
  return denials.some(({ kind, value }) => kind === 'serial' && value === serial)
}

const stateOf = async (serial: string) => (await context.store.issuance.findBySerial(serial))?.state

interface Case {
  readonly verb: Exclude<Verb, 'intend'>
  readonly loss: Loss
  /** What the store has in the end. */
  readonly state: 'void' | 'released'
  /** On record, in this order. */
  readonly outcomes: readonly string[]
}

const cases: readonly Case[] = [
  { verb: 'commit', loss: 'request', state: 'void', outcomes: ['void'] },
  { verb: 'commit', loss: 'answer', state: 'void', outcomes: ['void'] },
  { verb: 'release', loss: 'request', state: 'void', outcomes: ['issued', 'void'] },
  { verb: 'release', loss: 'answer', state: 'released', outcomes: ['issued', 'void'] },
  { verb: 'handOut', loss: 'request', state: 'void', outcomes: ['issued', 'void'] },
  { verb: 'handOut', loss: 'answer', state: 'released', outcomes: ['issued', 'void'] },
]

for (const { verb, loss, state, outcomes } of cases) {
  test(`CA-5: a ${verb} whose ${loss} to commit is lost gives the certificate to nobody: its serial is void on record and denied, and the next try gets another`, async () => {
    const issue = await issuing[verb === 'handOut' ? 'handOut' : 'release']()
    planned = { verb, loss }
    await assert.rejects(issue(), { code: 'store_unavailable' })
    assert.equal(await stateOf(struck), state)
    assert.deepEqual(outcomesOf(struck), outcomes)
    assert.equal(await isDenied(struck), true)
    const next = await issue()
    assert.ok(!('refused' in next), JSON.stringify(next))
    assert.notEqual(next.serial, struck)
    assert.deepEqual([await stateOf(next.serial), outcomesOf(next.serial)], ['released', ['issued']])
    assert.equal(await isDenied(next.serial), false)
  })
}

test('CA-5: an intent whose answer is lost was signed by nobody: it stays without outcome until the next start, which voids and denies it', async () => {
  planned = { verb: 'intend', loss: 'answer' }
  await assert.rejects(trust.authority.issueOwn(newKey()), { code: 'store_unavailable' })
  assert.deepEqual([await stateOf(struck), outcomesOf(struck)], ['intended', []])
  assert.equal(await voidOpenIssuance(context), 1)
  assert.deepEqual([await stateOf(struck), outcomesOf(struck), await isDenied(struck)], ['void', ['void'], true])
})

test('CA-5: no serial was intended twice or issued twice, and none is released that the record does not know as issued', async () => {
  const of = (phase: string, outcome?: string) =>
    record.filter((entry) => entry.phase === phase && entry.outcome === outcome).map(({ serial }) => serial)
  for (const serials of [of('intent'), of('outcome', 'issued')]) assert.equal(new Set(serials).size, serials.length)
  const issued = new Set(of('outcome', 'issued'))
  for (const { serial } of await context.store.issuance.live(epochSeconds(Math.floor(Date.now() / 1000))))
    assert.ok(issued.has(serial), serial)
})
