/** Two authorities on one database: with either of them away, operators administer and workloads join all the same. */

import assert from 'node:assert/strict'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { join as path } from 'node:path'
import { epochSeconds, parseJoinString } from '@doorward/core'
import { join, openIdentity } from '@doorward/sdk'
import { authorityAdmin } from '../../packages/server/src/cli/administration.ts'
import { AuthorityPair, pairNames, pairSealer, poll } from '../fixtures/authority/pair.ts'
import { recordOf, trustDomain } from '../fixtures/authority/running.ts'

/** In front of an enrolment listener: breaks the next connection when the server speaks for the n-th time. */
class Breaker {
  readonly #server: Server
  readonly #state: { turn: number }
  target = 0

  private constructor(state: { turn: number }) {
    this.#state = state
    this.#server = createServer((client) => this.#relay(client))
  }

  /** The state is one for several: the one that is asked first breaks. */
  static async listen(state: { turn: number }): Promise<Breaker> {
    const breaker = new Breaker(state)
    await new Promise<void>((resolve) => breaker.#server.listen(0, '127.0.0.1', resolve))
    return breaker
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  close(): void {
    this.#server.close()
  }

  #relay(client: Socket): void {
    const { turn } = this.#state
    this.#state.turn = 0
    const server = connect(this.target, '127.0.0.1')
    const end = () => [client, server].forEach((socket) => socket.destroy())
    for (const socket of [client, server]) socket.on('error', end).on('close', end)
    let turns = 0
    let asked = false
    client.on('data', (data) => {
      asked = true
      server.write(data)
    })
    server.on('data', (data) => {
      if (asked) turns++
      asked = false
      if (turn > 0 && turns >= turn) end()
      else client.write(data)
    })
  }
}

const state = { turn: 0 }
const id = (name: string) => `spiffe://${trustDomain}/${name}`
let breakers: readonly [Breaker, Breaker]
let pair: AuthorityPair

before(async () => {
  breakers = [await Breaker.listen(state), await Breaker.listen(state)]
  const behind = (breaker: Breaker) => (ports: readonly number[]) => {
    breaker.target = ports[2] ?? 0
    return { advertise: { enrol: breaker.address } }
  }
  pair = await AuthorityPair.start({ main: behind(breakers[0]), west: behind(breakers[1]) })
})
after(async () => {
  await pair.remove()
  for (const breaker of breakers) breaker.close()
})

test('a join string names every authority', async () => {
  for (const [index, name] of pairNames.entries()) {
    const named = async () => {
      const { joinString } = await pair.adminAt(name).invite(pair.operator.id.uri)
      const { address, otherAddresses } = parseJoinString(joinString.reveal())
      return otherAddresses === undefined ? undefined : [address, ...otherAddresses]
    }
    const addresses = breakers.map(({ address }) => address)
    // Each hears of the other by its next trust state.
    assert.deepEqual(await poll(named, `both at ${name}`), index === 0 ? addresses : addresses.toReversed())
  }
})

test('OP-12: wherever the connection to one authority breaks, the workload joins at the other, as one instance', async () => {
  const turns = [1, 2, 3, 4, 5]
  for (const turn of turns) {
    state.turn = turn
    const identity = await pair.joined(`agent/broken-${turn}`)
    assert.deepEqual([identity.id.uri, state.turn], [id(`agent/broken-${turn}`), 0])
    assert.equal((await pair.store.instances.list(identity.id.uri)).length, 1, `turn ${turn}`)
  }
  const entries = (await Promise.all(pairNames.map((name) => recordOf(pair.folders[name])))).flat()
  const occasions = turns.map((turn) =>
    entries
      .map(({ body }) => body as Readonly<Record<string, unknown>>)
      .filter((body) => body['id'] === id(`agent/broken-${turn}`) && body['phase'] === 'intent')
      .map((body) => String(body['occasion']))
      .toSorted()
      .join(),
  )
  // Before the evidence was sent, and after it was spent.
  assert.ok(occasions.includes('join') && occasions.includes('join,return'), occasions.join(' '))
})

test('OP-12: with one authority away, the operator administers at the other, and a join string of either admits', async () => {
  const { operator, issuer } = pair
  const { url: adminUrl, expectedId } = pair.endpointAt('main')
  const told = pairNames.map((name) => new URL(pair.endpointAt(name).url).host)
  assert.deepEqual(
    operator.trustStore.authorities().map(({ admin }) => admin),
    told,
  )
  const early = await pair.adminAt('main').addWorkload(id('agent/early'), [])
  const { joinString } = await pair.adminAt('main').invite(early.document.id)
  await pair.stop('main')

  const listeners = { main: nowhere, admin: nowhere, enrol: nowhere, public: nowhere }
  const admin = authorityAdmin(operator, { authority: { id: expectedId, publicUrl: issuer, adminUrl, listeners } })
  assert.equal((await admin.status())['self'], 'west')
  await admin.addWorkload(id('agent/late'), [])
  const invitation = await admin.invite(id('agent/late'))
  for (const [name, text] of [
    ['early', joinString],
    ['late', invitation.joinString],
  ] as const) {
    const folder = path(pair.folders.west.root, name)
    await join({ folder, sealer: pairSealer, joinString: text.reveal() })
    const identity = await openIdentity({ folder, sealer: pairSealer })
    await identity.prepare().finally(() => identity.close())
  }
  const live = await pair.store.issuance.live(epochSeconds(Math.floor(Date.now() / 1000)), id('agent/late'))
  assert.equal(live.length, 1)
})

const nowhere = { host: '127.0.0.1', port: 0 }
