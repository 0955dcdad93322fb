/** The loads in full: the gateway of a running system, and nothing else on the machine. */

import { collidingIds, handshakeFlood, idleConnections, slowClients } from '../load/loads.ts'
import type { LoadOptions } from '../load/loads.ts'
import { LoadStage } from '../load/load-stage.ts'
import type { Assignment, Part, PartReport } from './part.ts'

const MEASURE_MILLISECONDS = 10_000
const CLIENTS = 200
const CALLERS = 8

async function inFull(
  { count, goOn }: Assignment,
  run: (options: LoadOptions) => Promise<PartReport>,
): Promise<PartReport> {
  const load = await LoadStage.open(CALLERS)
  try {
    return await run({ load, count, goOn, timed: true, measureMilliseconds: MEASURE_MILLISECONDS })
  } finally {
    await load.close()
  }
}

const always =
  'every live call is answered, with its own answer; the record has as many decisions as clients saw; nothing denied reaches the server'

export const loadParts: readonly Part[] = [
  {
    name: 'load-idle',
    rule: `beside that many idle connections p99 of live calls is at most doubled, and the gateway has at most 1.5 GiB; ${always}`,
    count: 10_000,
    maximumSeconds: 300,
    run: (assignment) => inFull(assignment, idleConnections),
  },
  {
    name: 'load-handshakes',
    rule: `for that many seconds of a flood of handshakes at ten times the capacity, p99 of established callers is at most tripled; ${always}`,
    count: 60,
    maximumSeconds: 120,
    run: (assignment) => inFull(assignment, handshakeFlood),
  },
  {
    name: 'load-slow',
    rule: `beside that many clients that send heads and bodies byte by byte, or nothing; ${always}`,
    count: 3000,
    maximumSeconds: 120,
    run: (assignment) => inFull(assignment, slowClients),
  },
  {
    name: 'load-ids',
    rule: `that many calls of ${CLIENTS} clients with the same JSON-RPC ids; ${always}`,
    count: 100_000,
    maximumSeconds: 600,
    run: (assignment) => inFull(assignment, (options) => collidingIds({ ...options, clients: CLIENTS })),
  },
]
