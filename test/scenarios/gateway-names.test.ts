/** `doorward up` after its gateway was given another name: the certificate follows the configuration. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { connect } from 'node:tls'
import { readCertificate } from '@doorward/core'
import type { PeerCertificate } from '@doorward/core'
import { sha256 } from '@doorward/sdk'
import { TestDeployment, wideLimits } from '../fixtures/deployment.ts'

let system: TestDeployment

before(async () => {
  system = await TestDeployment.start({ yaml: `servers: {}\n${wideLimits}` })
})
after(() => system.remove())

/** Ends it, and starts it with this as the gateway's public URL. */
async function restartAs(publicUrl: string): Promise<void> {
  await system.interrupt()
  const lines = (await readFile(system.configFile, 'utf8'))
    .split('\n')
    .filter((line) => !line.startsWith('public_url:'))
  await writeFile(system.configFile, [`public_url: ${publicUrl}`, ...lines].join('\n'))
  system.events.length = 0
  await system.up()
}

/** What the gateway's main listener presents. */
async function presented(): Promise<PeerCertificate> {
  const { gateway } = await system.deployment()
  const socket = connect({ ...gateway.listeners.main, rejectUnauthorized: false, servername: 'any.example' })
  await once(socket, 'secureConnect')
  const read = readCertificate(new Uint8Array(socket.getPeerX509Certificate()?.raw ?? []), { sha256 })
  socket.destroy()
  assert.ok(!('problem' in read))
  assert.equal(read.spiffeId?.uri, gateway.id.uri)
  return read
}

const warnings = () => system.events.filter(({ event }) => event === 'notice' || event === 'unstartable')

test('after a change of its public URL the gateway serves with a certificate of the new name, and without the old one', async () => {
  assert.deepEqual((await presented()).dnsNames, ['localhost'])
  await restartAs('https://mcp.acme.example:8443')
  assert.deepEqual((await presented()).dnsNames, ['localhost', 'mcp.acme.example'])
  await restartAs('https://gate.acme.example:8443')
  const { dnsNames, ipAddresses } = await presented()
  assert.deepEqual([dnsNames, ipAddresses, warnings()], [['gate.acme.example', 'localhost'], ['127.0.0.1'], []])
})

test('a start that changes no name changes no certificate', async () => {
  const { serial } = await presented()
  await restartAs('https://gate.acme.example:8444')
  assert.equal((await presented()).serial, serial)
})

test('a name that another workload has is not taken from it: that is told, and the gateway serves with the names it has', async () => {
  await restartAs('https://gate.acme.example:8443')
  const { code, stderr } = await system.run(['workload', 'add', 'agent/owner', '--dns', 'owned.acme.example'])
  assert.equal(code, 0, stderr)
  await restartAs('https://owned.acme.example:8443')
  assert.deepEqual((await presented()).dnsNames, ['gate.acme.example', 'localhost'])
  const [told, ...others] = warnings()
  assert.deepEqual([told?.['part'], others], ['authority', []])
  assert.match(String(told?.['text']), /agent\/owner has owned\.acme\.example/)
})
