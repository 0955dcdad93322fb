/** A port that is taken: the start is refused with its code, nothing is left running, and a later start succeeds. */

import { equal, ok } from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { after, before, describe, test } from 'node:test'
import type { Address } from '../../packages/server/src/config/settings.ts'
import { TestDeployment } from '../fixtures/deployment.ts'
import { startError } from '../fixtures/state-copies.ts'

describe('a port that is in use', () => {
  let system: TestDeployment
  let addresses: Readonly<Record<string, Address>>
  before(async () => {
    system = await TestDeployment.prepare({ yaml: 'servers: {}\n' })
    const { authority, gateway } = await system.deployment()
    addresses = Object.fromEntries([
      ...Object.entries(authority.listeners).map(([name, address]) => [`authority ${name}`, address]),
      ...Object.entries(gateway.listeners).map(([name, address]) => [`gateway ${name}`, address]),
    ])
  })
  after(() => system.remove())

  const listeners = ['authority main', 'authority enrol', 'gateway main', 'gateway admin', 'gateway public']
  for (const listener of listeners) {
    test(`of the ${listener} listener refuses the start, the first and every later one`, async () => {
      const address = addresses[listener]
      ok(address !== undefined)
      const occupant = createServer((socket) => socket.destroy()).listen(address.port, address.host)
      await once(occupant, 'listening')
      try {
        const error = await startError(system)
        equal(error.code, 'port_in_use')
        equal(error.where, `${address.host}:${address.port}`)
        ok(error.next !== undefined)
      } finally {
        await new Promise((resolve) => occupant.close(resolve))
      }
    })
  }

  test('a later start finishes what the refused ones began', async () => {
    await system.up()
    equal((await system.run(['workload', 'list'])).code, 0)
    equal((await system.run(['audit', 'verify'])).code, 0)
    equal(await system.interrupt(), 0)
  })
})
