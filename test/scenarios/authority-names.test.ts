/** Two authorities with one SPIFFE ID and one registration: each certificate says the names of the authority that has it. */

import assert from 'node:assert/strict'
import { connect } from 'node:tls'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { readCertificate } from '@doorward/core'
import type { PeerCertificate } from '@doorward/core'
import { sha256 } from '@doorward/sdk'
import { AuthorityPair, pairNames } from '../fixtures/authority/pair.ts'
import type { PairName } from '../fixtures/authority/pair.ts'
import { trustDomain } from '../fixtures/authority/running.ts'

const own = { main: 'main.authority.example', west: 'west.authority.example' }
const authority = `spiffe://${trustDomain}/doorward/authority`
let pair: AuthorityPair

before(async () => {
  const advertise = (name: PairName) => (ports: readonly number[]) => ({
    // Nobody dials it in this test: workloads reach the enrolment listener where it listens.
    advertise: { main: `${own[name]}:${ports[0]}` },
  })
  pair = await AuthorityPair.start({ main: advertise('main'), west: advertise('west') })
})
after(() => pair.remove())

/** What its listener presents now. */
async function presented(name: PairName): Promise<PeerCertificate> {
  const { host, port } = pair.at(name).running.addresses.main
  const socket = connect({ host, port, rejectUnauthorized: false, servername: 'any.example' })
  await once(socket, 'secureConnect')
  const read = readCertificate(new Uint8Array(socket.getPeerX509Certificate()?.raw ?? []), { sha256 })
  socket.destroy()
  assert.ok(!('problem' in read))
  return read
}

async function eachHasItsOwn(): Promise<void> {
  for (const name of pairNames) {
    const { dnsNames, ipAddresses, spiffeId } = await presented(name)
    assert.equal(spiffeId?.uri, authority)
    assert.deepEqual([dnsNames.toSorted(), ipAddresses], [['localhost', own[name]], ['127.0.0.1']], name)
  }
}

test('OP-12: an authority that starts takes no name from the certificate of another, nor gives it one', async () => {
  await eachHasItsOwn()
  const before = await presented('main')
  await pair.at('main').running.renew()
  assert.notEqual((await presented('main')).serial, before.serial)
  await eachHasItsOwn()
})

test('OP-12: after restarts in any order the next certificate of each still has its names', async () => {
  for (const name of pairNames) {
    await pair.stop(name)
    await pair.start(name)
    for (const one of pairNames) await pair.at(one).running.renew()
    await eachHasItsOwn()
  }
})

test('the DNS names of all authorities are kept from other workloads, whichever has started last', async () => {
  const held = await pair.store.registrations.find(authority)
  assert.deepEqual([held?.dnsNames, held?.ipAddresses], [['localhost', own.main, own.west], []])
  for (const [index, name] of Object.values(own).entries()) {
    const id = `spiffe://${trustDomain}/agent/claims-${index}`
    const registered = pair.at('main').running.registerWorkload({ id, roles: [], dnsNames: [name] }, 'test')
    await assert.rejects(registered, { code: 'conflict' })
  }
})
