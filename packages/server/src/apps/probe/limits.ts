/** Limits that have to be met: of calls, of handshakes and connections of one address, and of bodies that come slowly. */

import { connect } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { judged, notRun, refusedBy } from './attempt.ts'
import type { Attempt, Judged } from './attempt.ts'
import { HeldConnection } from './held.ts'
import type { ProbeLimits } from './configured-limits.ts'
import { requestOf } from './request.ts'
import type { Scene } from './scene.ts'

/** Last of what is sent: afterwards this address waits. */
export function limitAttempts(scene: Scene): readonly Attempt[] {
  const row = (id: string, title: string, run: Attempt['run']): Attempt => ({
    id: `limits-${id}`,
    kind: 'limits',
    title,
    requirement: 'ADR11-DEC-8',
    run,
  })
  return [
    row('slow-body', 'a body that comes byte by byte', () => slowBody(scene)),
    row('crumbs', 'a body in thousands of pieces', () => crumbs(scene)),
    row('connections', 'connections of one address without end', () => connectionsWithoutEnd(scene)),
    row('handshakes', 'handshakes of one address without end', () => handshakesWithoutEnd(scene)),
    row('rate', 'calls without end', () => callsWithoutEnd(scene)),
  ]
}

const dripMilliseconds = 500

/** RFC 9110 §15.5.9; at most a kilobyte in a second would hold the connection for hours. */
async function slowBody(scene: Scene): Promise<Judged> {
  const head = requestOf(scene, await scene.caller.token(), { body: '', length: '65536', keep: true })
  const drip = (socket: TLSSocket) => {
    socket.write(head)
    const timer = setInterval(() => socket.write(' '), dripMilliseconds)
    socket.once('close', () => clearInterval(timer))
  }
  return refusedBy(await scene.send(scene.caller.material(), drip), ['body_slow'])
}

const pieces = 8000

/** Chunks of one byte: each costs a thousand times its size. */
async function crumbs(scene: Scene): Promise<Judged> {
  const body = `${'1\r\n \r\n'.repeat(pieces)}0\r\n\r\n`
  const changes = { body, length: null, more: [['Transfer-Encoding', 'chunked']] as const, keep: true }
  const bytes = requestOf(scene, await scene.caller.token(), changes)
  return refusedBy(await scene.send(scene.caller.material(), bytes), ['request_malformed'])
}

const mostConnections = 400
const connectMilliseconds = 120_000
const settleMilliseconds = 300
/** Of the rate of handshakes: the gateway counts by a clock of its own. */
const pacedBy = 0.8

async function connectionsWithoutEnd(scene: Scene): Promise<Judged> {
  const { connections: most, leastHandshakes } = scene.options.limits
  const expected = `at most ${most} connections of one address`
  if (most > mostConnections) return notRun(expected, `more than the ${mostConnections} that are tried`)
  const held: HeldConnection[] = []
  const deadline = performance.now() + connectMilliseconds
  // Those that go on count, not those that the rate of handshakes refuses.
  const pause = (leastHandshakes.periodSeconds * 1000) / leastHandshakes.count / pacedBy
  const opened = async () => {
    scene.options.signal.throwIfAborted()
    const connection = new HeldConnection(scene.place, scene.other.material())
    held.push(connection)
    await connection.until(() => connection.open, connectMilliseconds)
    await new Promise((resolve) => setTimeout(resolve, pause))
    return connection
  }
  try {
    while (performance.now() < deadline) {
      const connection = await opened()
      const open = held.filter((one) => one.open).length
      if (open > most) {
        await connection.until(() => false, settleMilliseconds)
        const left = held.filter((one) => one.open).length
        return judged(left <= most, expected, `${left} are open`)
      }
      if (connection.open || open < 1 || open <= most - 10) continue
      // Refused for this, and not for something else: one that closes makes room.
      held.find((one) => one.open)?.close()
      await new Promise((resolve) => setTimeout(resolve, settleMilliseconds))
      if ((await opened()).open) return judged(true, expected, `${open} are open, one more is refused`)
    }
    return notRun(expected, `only ${held.length} could be opened in time`)
  } finally {
    for (const connection of held) connection.close()
  }
}

const mostHandshakes = 4000
const handshakeMilliseconds = 10_000
/** Fewer than are closed because so many are open. */
const mostAbreast = 50

async function handshakesWithoutEnd(scene: Scene): Promise<Judged> {
  const { handshakes, connections } = scene.options.limits
  const { burst, count, periodSeconds } = handshakes
  const abreast = Math.max(1, Math.min(mostAbreast, Math.floor(connections / 2)))
  const expected = 'connections that are closed before their handshake'
  if (burst > mostHandshakes / 4) return notRun(expected, `${burst} at once are allowed`)
  const started = performance.now()
  for (let tried = 0; performance.now() - started < handshakeMilliseconds; tried += abreast) {
    scene.options.signal.throwIfAborted()
    const all = Array.from({ length: abreast }, () => isClosed(scene))
    const closed = (await Promise.all(all)).filter(Boolean).length
    if (closed > 0) return judged(true, expected, `refused within ${tried + abreast}`)
    const allowed = burst + (((performance.now() - started) / 1000) * count) / periodSeconds
    if (tried > 2 * allowed + abreast) return judged(false, expected, `${tried} handshakes may begin`)
  }
  return notRun(expected, 'no limit in time: this machine is slower')
}

const closedMilliseconds = 100

/** Whether the server ends the connection although nothing was said on it. */
function isClosed({ place }: Scene): Promise<boolean> {
  const socket = connect(place)
  return new Promise((resolve) => {
    let connected = false
    const settle = (closed: boolean) => {
      socket.destroy()
      resolve(closed)
    }
    // Where nobody listens nothing is refused.
    for (const event of ['error', 'end', 'close']) socket.on(event, () => settle(connected))
    socket.once('connect', () => {
      connected = true
      setTimeout(() => settle(false), closedMilliseconds)
    })
    socket.resume()
  })
}

/** As many as are sent at most; a limit beyond is not met here. */
const mostCalls = 4000
const mostMilliseconds = 60_000
/** On one connection, one after the other without waiting. */
const inARow = 25
const together = 4
/** A limit that is so much wider than the narrowest is not met before it. */
const widerBy = 4

const closedPause = 1000

async function callsWithoutEnd(scene: Scene): Promise<Judged> {
  const { calls, leastPerIp } = scene.options.limits
  const codes = [...new Set([...metFirst(calls), ...metFirst({ ...calls, limit_ip: leastPerIp })])]
  const expected = `429 by ${codes.join(' or ')}, with when to come back`
  const token = await scene.stranger.token()
  const request = Buffer.concat(Array.from({ length: inARow }, () => requestOf(scene, token, { keep: true })))
  const started = performance.now()
  let answered = 0
  while (answered < mostCalls && performance.now() - started < mostMilliseconds) {
    scene.options.signal.throwIfAborted()
    const all = Array.from({ length: together }, () => scene.sendAtOnce(scene.stranger.material(), request))
    const outcomes = await Promise.all(all)
    const answers = outcomes.flatMap((outcome) => outcome.answers)
    // The limit of handshakes has just been met.
    if (outcomes.every((outcome) => outcome.answers.length === 0 && outcome.ended === 'closed')) {
      await new Promise((resolve) => setTimeout(resolve, closedPause))
      continue
    }
    const limited = answers.find(({ headers }) => headers.get('doorward-code')?.startsWith('limit_') === true)
    answered += answers.length
    if (answers.length === 0) return judged(false, expected, 'no answer')
    if (limited === undefined) continue
    const again = limited.headers.get('retry-after') ?? ''
    const code = limited.headers.get('doorward-code') ?? 'no code'
    const told = limited.status === 429 && /^[1-9]\d*$/.test(again) && codes.includes(code)
    return judged(told, expected, `${code}, retry-after ${again || 'missing'}`)
  }
  const got = `no limit within ${answered} calls`
  return answered > 2 * refilled(calls, performance.now() - started)
    ? judged(false, expected, got)
    : notRun(expected, `${got}: those of this deployment are wider`)
}

/** Codes of the limits that may be met before the others. */
function metFirst(calls: ProbeLimits['calls']): readonly string[] {
  const narrowest = Math.min(...Object.values(calls).map(({ count }) => count))
  return Object.entries(calls).flatMap(([code, { count }]) => (count < widerBy * narrowest ? [code] : []))
}

/** How many calls the narrowest limit lets pass in the time. */
function refilled(calls: ProbeLimits['calls'], milliseconds: number): number {
  return Math.min(
    ...Object.values(calls).map(({ count, periodSeconds }) => count * (1 + milliseconds / 1000 / periodSeconds)),
  )
}
