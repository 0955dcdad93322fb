/** The loads: what each does to the gateway, what it finds, and what it has measured. */

import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { dial, talk } from '../fixtures/raw-http.ts'
import type { LoadStage } from './load-stage.ts'
import { quantile } from './live-caller.ts'
import type { LiveCaller } from './live-caller.ts'

export interface LoadOptions {
  readonly load: LoadStage
  readonly count: number
  /** False once it should end; told how much has been done. */
  readonly goOn: (done: number) => boolean
  /** Whether latencies are judged: only where nothing else runs on the machine. */
  readonly timed: boolean
  /** How long calls are measured without and with load; milliseconds. */
  readonly measureMilliseconds: number
}

export interface LoadReport {
  readonly done: number
  readonly findings: readonly string[]
  readonly facts: Readonly<Record<string, string | number>>
}

const LIVE = 8
const PAUSE_MILLISECONDS = 10
const GIBIBYTES = 2 ** 30

/** p99 of calls in milliseconds over some time, a pause after each: the gateway is not busy with them. */
async function measured(live: readonly LiveCaller[], milliseconds: number): Promise<number> {
  const from = live.map(({ latencies }) => latencies.length)
  const until = performance.now() + milliseconds
  await Promise.all(live.map((one) => one.callWhile(() => performance.now() < until, PAUSE_MILLISECONDS)))
  return quantile(
    live.flatMap(({ latencies }, i) => latencies.slice(from[i])),
    0.99,
  )
}

function slowed(what: string, [before, during]: readonly [number, number], most: number): readonly string[] {
  if (during <= most * before) return []
  return [`p99 of live calls ${what}: ${during.toFixed(1)} ms, without ${before.toFixed(1)} ms; at most ${most} times`]
}

const inMilliseconds = (value: number) => `${value.toFixed(1)} ms`

async function withLive(
  options: LoadOptions,
  run: (live: readonly LiveCaller[]) => Promise<LoadReport>,
): Promise<LoadReport> {
  const { load } = options
  await load.begin()
  const live = await Promise.all(Array.from({ length: LIVE }, (_, i) => load.live(i)))
  await measured(live, options.measureMilliseconds / 2)
  const { done, findings, facts } = await run(live)
  for (const one of live) one.close()
  return { done, findings: [...findings, ...(await load.findings(live))], facts }
}

const REFRESH_MILLISECONDS = 20_000
const TOGETHER = 16
/** Between calls while others connect: a minute without one would end the connection. */
const SELDOM_MILLISECONDS = 5000
/** A gateway whose loop lags takes no connections for a moment; a client comes again. */
const COMES_AGAIN = 20
const COMES_AGAIN_MILLISECONDS = 250

interface Idle {
  readonly on: TLSSocket
  readonly askedAt: number
}

/** They ask for something now and then, since a minute without a request is too long. */
class IdleConnections {
  readonly #load: LoadStage
  /** In the order in which they were asked; those before `#oldest` stand further behind once more. */
  readonly #open: Idle[] = []
  #oldest = 0
  /** Connections that the gateway did not take at first. */
  cameAgain = 0

  constructor(load: LoadStage) {
    this.#load = load
  }

  get size(): number {
    return this.#open.length - this.#oldest
  }

  /** Opens so many at once; why one was refused. */
  async more(count: number): Promise<readonly string[]> {
    const opened = await Promise.allSettled(Array.from({ length: count }, (_, i) => this.#connect(i)))
    const askedAt = performance.now()
    for (const one of opened) if (one.status === 'fulfilled') this.#open.push({ on: one.value, askedAt })
    await this.refresh(REFRESH_MILLISECONDS)
    return opened.flatMap((one) =>
      one.status === 'rejected' ? [`a connection was refused: ${String(one.reason)}`] : [],
    )
  }

  async #connect(place: number): Promise<TLSSocket> {
    for (let again = 0; ; again++) {
      try {
        const on = await dial(this.#load.caller(place).tls)
        await this.#ask(on)
        return on
      } catch (error) {
        if (again >= COMES_AGAIN) throw error
        this.cameAgain++
        await sleep(COMES_AGAIN_MILLISECONDS)
      }
    }
  }

  /** Asks again on those that have asked for nothing for so long. */
  async refresh(milliseconds: number): Promise<void> {
    const before = performance.now() - milliseconds
    for (;;) {
      const some = this.#open.slice(this.#oldest, this.#oldest + TOGETHER).filter(({ askedAt }) => askedAt <= before)
      if (some.length === 0) return
      this.#oldest += some.length
      await Promise.all(some.map((one) => this.#askAgain(one)))
    }
  }

  async #askAgain({ on }: Idle): Promise<void> {
    this.#open.push({ on, askedAt: performance.now() })
    await this.#ask(on)
  }

  /** How many had been closed before. */
  close(): number {
    const open = this.#open.slice(this.#oldest)
    const lost = open.filter(({ on }) => on.destroyed).length
    for (const { on } of open) on.destroy()
    return lost
  }

  async #ask(on: TLSSocket): Promise<void> {
    const { host, port } = this.#load.stage.deployment.gateway.listeners.main
    await talk(on, `GET /nowhere HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`)
  }
}

/** Connections with a complete handshake that ask for nothing (threats.md §6: 1.5 GiB, p99 at most doubled). */
export function idleConnections(options: LoadOptions): Promise<LoadReport> {
  const { load } = options
  return withLive(options, async (live) => {
    const before = await measured(live, options.measureMilliseconds)
    const idle = new IdleConnections(load)
    const findings: string[] = []
    let opening = true
    const seldom = live.map((one) => one.callWhile(() => opening, SELDOM_MILLISECONDS))
    while (idle.size < options.count - LIVE && options.goOn(idle.size) && findings.length === 0)
      findings.push(...(await idle.more(Math.min(TOGETHER, options.count - LIVE - idle.size))))
    opening = false
    await Promise.all(seldom)
    await idle.refresh(0)
    const during = await measured(live, options.measureMilliseconds)
    const memory = await load.memory()
    const lost = idle.close()
    if (lost > 0) findings.push(`${lost} idle connections were closed`)
    if (memory !== null && memory > 1.5 * GIBIBYTES) findings.push(`${memory} bytes of resident memory`)
    if (options.timed) findings.push(...slowed('beside idle connections', [before, during], 2))
    const done = idle.size + LIVE
    const resident = memory === null ? 'not known' : `${Math.round(memory / 2 ** 20)} MiB`
    return {
      done,
      findings,
      facts: {
        'p99 without': inMilliseconds(before),
        'p99 with': inMilliseconds(during),
        'gateway, resident': resident,
        'connections that had to come again': idle.cameAgain,
      },
    }
  })
}

/** Processes of a flood: one alone does not come to the rate while the gateway uses both cores. */
const FLOODS = 2
/** Times the capacity: they come to a tenth less than they are told to. */
const FLOOD_TIMES = 11.5

/** Handshakes at ten times what the gateway completes, each of which is left as it begins (p99 at most tripled). */
export function handshakeFlood(options: LoadOptions): Promise<LoadReport> {
  const { load } = options
  return withLive(options, async (live) => {
    const before = await measured(live, options.measureMilliseconds)
    const capacity = await handshakesPerSecond(load, Math.min(2000, options.measureMilliseconds))
    const floods = Array.from({ length: FLOODS }, () =>
      fork(join(import.meta.dirname, 'flood-process.ts'), [], { execArgv: ['--conditions=source'] }),
    )
    try {
      const order = { ...load.stage.deployment.gateway.listeners.main, perSecond: (FLOOD_TIMES * capacity) / FLOODS }
      await Promise.all(floods.map((flood) => told(flood, order)))
      const latencies: number[] = []
      const begun = performance.now()
      let seconds = 0
      for (; seconds < options.count && options.goOn(seconds); seconds++) latencies.push(await measured(live, 1000))
      const ended = await Promise.all(floods.map((flood) => told<{ opened: number }>(flood, { stop: true })))
      const opened = ended.reduce((sum, each) => sum + each.opened, 0)
      const rate = Math.round((1000 * opened) / (performance.now() - begun))
      const during = quantile(latencies, 0.5)
      return {
        done: seconds,
        findings: options.timed ? slowed('beside a flood of handshakes', [before, during], 3) : [],
        facts: {
          'handshakes each second, alone': Math.round(capacity),
          'connections each second in the flood': rate,
          'p99 without': inMilliseconds(before),
          'p99 with, median of the seconds': inMilliseconds(during),
        },
      }
    } finally {
      for (const flood of floods) flood.kill()
    }
  })
}

async function handshakesPerSecond(load: LoadStage, milliseconds: number): Promise<number> {
  const until = performance.now() + milliseconds
  let count = 0
  const one = async () => {
    while (performance.now() < until) {
      ;(await dial(load.caller(0).tls)).destroy()
      count++
    }
  }
  await Promise.all(Array.from({ length: LIVE }, one))
  return Math.max(10, (1000 * count) / milliseconds)
}

async function told<Answer>(child: ChildProcess, message: object): Promise<Answer> {
  const answer = once(child, 'message')
  child.send(message)
  const [first] = (await answer) as [Answer]
  return first
}

/** Clients that send head or body byte by byte, and as many that send nothing at all: every live call is answered. */
export function slowClients(options: LoadOptions): Promise<LoadReport> {
  const { load } = options
  return withLive(options, async (live) => {
    const before = await measured(live, options.measureMilliseconds)
    const { host, port } = load.stage.deployment.gateway.listeners.main
    const slow: Socket[] = []
    let ended = 0
    const keep = <Kind extends Socket>(socket: Kind): Kind => {
      socket
        .on('error', () => undefined)
        .on('close', () => ended++)
        .resume()
      slow.push(socket)
      return socket
    }
    const texts: string[] = []
    for (let i = 0; i < load.callers.length; i++) texts.push(await load.stage.text({ caller: load.caller(i) }))
    const drip = async (i: number) => {
      if (i % 3 === 0) return void keep(connectTcp({ host, port }))
      const socket = keep(await dial(load.caller(i).tls))
      const text = texts[i % texts.length] ?? ''
      const start = i % 3 === 1 ? 20 : text.length - 40
      socket.write(text.slice(0, start))
      let at = start
      const timer = setInterval(() => void (at < text.length - 1 && socket.write(text[at++] ?? '')), 500).unref()
      socket.once('close', () => clearInterval(timer))
    }
    let clients = 0
    const flooding = (async () => {
      for (; clients < options.count && options.goOn(clients); clients++) {
        await drip(clients).catch(() => undefined)
        await sleep(2)
      }
    })()
    const during = await measured(live, options.measureMilliseconds)
    await flooding
    const after = await measured(live, options.measureMilliseconds)
    for (const socket of slow) socket.destroy()
    return {
      done: clients,
      findings: [],
      facts: {
        'p99 without': inMilliseconds(before),
        'p99 while they come': inMilliseconds(during),
        'p99 beside them': inMilliseconds(after),
        'ended by the gateway meanwhile': ended,
        'live calls answered': live.reduce((sum, { allowed }) => sum + allowed, 0),
      },
    }
  })
}

/** Clients whose requests have the same ids, all at once: nobody gets what is another's. */
export async function collidingIds(options: LoadOptions & { readonly clients: number }): Promise<LoadReport> {
  const { load, goOn, count } = options
  await load.begin()
  const live: LiveCaller[] = []
  while (live.length < options.clients) live.push(await load.live(live.length))
  let begun = 0
  const one = async (client: LiveCaller) => {
    await client.denied()
    for (let id = 1; begun < count && goOn(begun) && client.problems.length === 0; id++) {
      begun++
      await client.call(id)
    }
  }
  const from = performance.now()
  await Promise.all(live.map(one))
  const seconds = (performance.now() - from) / 1000
  for (const client of live) client.close()
  const facts = { clients: live.length, 'calls each second': Math.round(begun / seconds) }
  return { done: begun, findings: await load.findings(live), facts }
}
