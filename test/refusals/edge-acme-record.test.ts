/** A certificate by ACME that could not be put on record, across starts: nobody is shown it, and no other one is asked for. */

import { deepEqual, equal } from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { AcmeEdge } from '../fixtures/acme-edge.ts'
import type { EdgeCertificates } from '../../packages/server/src/apps/edge-certificate-source.ts'

let acme: AcmeEdge
beforeEach(async () => {
  acme = await AcmeEdge.open()
  acme.authority.lies.trusting = true
})
afterEach(() => acme.close())

/** As a process that runs until it is so. */
async function runUntil(certificates: EdgeCertificates, so: () => boolean): Promise<void> {
  const stopping = new AbortController()
  const ended = certificates.run(stopping.signal, () => undefined)
  const end = Date.now() + 20_000
  while (!so() && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 5))
  stopping.abort()
  await ended
  equal(so(), true, acme.problems.map(String).join('; '))
}

test('one that was never put on record is not shown after a start either, before it is on record', async () => {
  acme.deaf = true
  // Of each attempt two: the entry, and that of the failure.
  await runUntil(await acme.start(), () => acme.problems.length === 2)
  const again = await acme.start()
  equal(again.current(), null)
  await runUntil(again, () => acme.problems.length === 4)
  deepEqual([again.current(), acme.entries.length], [null, 0])
  acme.deaf = false
  const third = await acme.start()
  equal(third.current(), null)
  // However long the pause is that the failures have made: for this the authority is not asked.
  await runUntil(third, () => third.current() !== null)
  deepEqual([acme.authority.orders, acme.entries.length], [1, 1])
  const { fingerprint } = third.current() ?? {}
  equal(acme.entries[0]?.['fingerprint'], fingerprint)
  equal((await acme.start()).current()?.fingerprint, fingerprint)
})
