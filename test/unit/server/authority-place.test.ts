/** Where the others on the store are told that an authority is, and which names its certificate has. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ownNames, placeOf } from '../../../packages/server/src/apps/authority-place.ts'

const publicUrl = 'https://authority.acme.example:8446'

function listening(main: string, admin: string) {
  const at = (host: string, port: number) => ({ address: { host, port } })
  return { main: at(main, 8446), admin: at(admin, 8447), enrol: at(main, 8448) }
}

const adminOf = (main: string, admin: string, advertise = {}) =>
  placeOf('main', { publicUrl, advertise }, listening(main, admin)).admin

test('OP-12: operators elsewhere are told of an admin listener that they can reach', () => {
  assert.equal(adminOf('0.0.0.0', '10.0.0.7'), '10.0.0.7:8447')
  assert.equal(adminOf('2001:db8::1', '2001:db8::1'), '[2001:db8::1]:8447')
  assert.equal(adminOf('127.0.0.1', '127.0.0.1'), '127.0.0.1:8447')
})

test('OP-12: what is advertised to operators is told as it is', () => {
  for (const admin of ['127.0.0.1', '0.0.0.0', '10.0.0.7'])
    assert.equal(adminOf('0.0.0.0', admin, { admin: 'ops.acme.example:9447' }), 'ops.acme.example:9447')
})

test('nobody elsewhere is sent to their own machine, nor to all addresses', () => {
  for (const loopback of ['127.0.0.1', '127.0.0.2', '::1', 'localhost'])
    assert.equal(adminOf('0.0.0.0', loopback), undefined, loopback)
  assert.equal(adminOf('127.0.0.1', '127.0.0.1', { main: 'east.acme.example:8446' }), undefined)
  for (const all of ['0.0.0.0', '::']) assert.equal(adminOf('10.0.0.7', all), undefined, all)
})

test('a certificate names the hosts by which an authority is reached, and never all addresses', () => {
  const at = (host: string) => ({ host, port: 1 })
  const listeners = { main: at('0.0.0.0'), admin: at('127.0.0.1'), enrol: at('::'), public: at('Public.acme.example') }
  const advertise = { main: 'east.acme.example:8446', enrol: '[2001:db8::1]:8448' }
  const { dnsNames, ipAddresses } = ownNames({ listeners, advertise, publicUrl })
  assert.deepEqual(dnsNames.toSorted(), [
    'authority.acme.example',
    'east.acme.example',
    'localhost',
    'public.acme.example',
  ])
  assert.deepEqual(ipAddresses.toSorted(), ['127.0.0.1', '2001:db8::1'])
})
