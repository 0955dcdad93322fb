/** Two authorities with one SPIFFE ID and one registration: each certificate says the names of the authority that has it. */

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:tls'
import { after, before, test } from 'node:test'
import { readCertificate } from '@doorward/core'
import type { PeerCertificate } from '@doorward/core'
import { sha256 } from '@doorward/sdk'
import { AuthorityPair, pairNames } from '../fixtures/authority/pair.ts'
import type { PairName } from '../fixtures/authority/pair.ts'
import { trustDomain } from '../fixtures/authority/running.ts'
import { dial, parseAnswer, talk } from '../fixtures/raw-http.ts'

const own = { main: 'main.authority.example', west: 'west.authority.example' }
const authority = `spiffe://${trustDomain}/doorward/authority`
let pair: AuthorityPair

before(async () => {
  const advertise = (name: PairName) => (ports: readonly number[]) => ({
    // Nobody dials these in this test: workloads reach the enrolment listener where it listens.
    advertise: { main: `${own[name]}:${ports[0]}`, ...(name === 'west' ? { admin: `${own.west}:${ports[1]}` } : {}) },
  })
  pair = await AuthorityPair.start({ main: advertise('main'), west: advertise('west') })
  foundedBy = pairNames.map((name) => pair.at(name).running.recoveryRoot.created)
})
after(() => pair.remove())
let foundedBy: readonly boolean[] = []

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

test('OP-12: the admin listener answers to the address that is advertised, and to no other', async () => {
  const { host, port } = pair.at('west').running.addresses.admin
  const { chain, privateKey } = pair.operator.material()
  const cert = chain.map((der) => new X509Certificate(der).toString()).join('')
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' })
  const statusFor = async (authority: string): Promise<number> => {
    const socket = await dial({ host, port, rejectUnauthorized: false, cert, key })
    const answer = await talk(socket, `GET /v1/workloads HTTP/1.1\r\nHost: ${authority}\r\n\r\n`)
    socket.destroy()
    return parseAnswer(answer).status
  }
  assert.equal(await statusFor(`${own.west}:${port}`), 401)
  assert.equal(await statusFor(`127.0.0.1:${port}`), 401)
  for (const other of [`${own.main}:${port}`, `${own.west}:1`, 'ops.example'])
    assert.equal(await statusFor(other), 421, other)
})

test('only the authority that founded the domain says that it made a root', () => {
  const made = pairNames.map((name) => pair.at(name).running.recoveryRoot.created)
  assert.deepEqual(made, [false, false], 'both have been started anew')
  assert.deepEqual(foundedBy, [true, false])
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
