/** Servers behind standard input and output: a process for each session or caller, so many at once, and none for nobody. */

import type { Principal } from '@doorward/core'
import { DuplexSession } from './duplex-session.ts'
import type { Channel, ChannelEvents, DuplexSessionOptions } from './duplex-session.ts'
import { LateProcess } from './late-process.ts'
import type { VariablesFor } from './late-process.ts'
import { ModernStdio } from './modern-stdio.ts'
import { ProcessStarts } from './process-starts.ts'
import { RefusedSession } from './refused-session.ts'
import type { ServerVersionsParts } from './server-versions.ts'
import { StdioProcess } from './stdio.ts'
import type { StdioCommand } from './stdio.ts'
import type { Upstream } from './upstream.ts'

export interface StdioUpstreamOptions extends DuplexSessionOptions {
  readonly name: string
  readonly command: StdioCommand
  /** What its processes are given of our secrets; null for nothing, the default. */
  readonly variablesFor?: VariablesFor | null
  readonly onLog: (text: string) => void
  /** Processes at once; 64 by default. */
  readonly processes?: number
  /** A session of which nothing is under way for so long ends with its process; 30 minutes by default. */
  readonly idleMilliseconds?: number
  /** Writes an entry about an act of the gateway's own; rejects when it is not durable. */
  readonly recordAct: ServerVersionsParts['recordAct']
  /** Uniform in [0, 1), for pauses after crashes. */
  readonly chance: () => number
}

const PROCESSES = 64
const IDLE_MILLISECONDS = 30 * 60_000
/** A process that has lived so long has not crashed on its way up. */
const LIVES_AFTER = 10_000

/** Starts nothing before the first session. */
export function openStdioUpstream(options: StdioUpstreamOptions): Upstream {
  const { processes: most = PROCESSES, idleMilliseconds = IDLE_MILLISECONDS, monotonic } = options
  const starts = new ProcessStarts({ ...options, processes: most })
  const sessions = new Set<DuplexSession>()
  const open = (events: ChannelEvents, principal: Principal | null) => openProcess(options, events, principal)
  const modern = new ModernStdio({ ...options, starts, open, messageBytes: options.limits.messageBytes })
  const sweep = () => {
    const before = monotonic() - idleMilliseconds
    for (const session of sessions) session.endIfIdle(before)
    modern.endIdle(before)
  }
  const sweeping = setInterval(sweep, Math.min(idleMilliseconds / 2, SWEEP_MILLISECONDS)).unref()
  return {
    name: options.name,
    transport: 'stdio',
    modern,
    open(session) {
      const start = starts.start(session.owner)
      if ('refused' in start) return new RefusedSession(session, start)
      const opened = new DuplexSession(session, options, open)
      sessions.add(opened)
      const lives = setTimeout(start.lives, LIVES_AFTER).unref()
      void opened.gone.then(() => {
        clearTimeout(lives)
        sessions.delete(opened)
        start.ended(opened.crashed ? 'crashed' : 'asked')
      })
      return opened
    },
    async close() {
      clearInterval(sweeping)
      for (const session of sessions) session.end()
      await Promise.all([modern.close(), ...[...sessions].map((session) => session.gone)])
    },
  }
}

const SWEEP_MILLISECONDS = 30_000

function openProcess(
  { command, limits, onLog, variablesFor = null }: StdioUpstreamOptions,
  events: ChannelEvents,
  principal: Principal | null,
): Channel {
  if (variablesFor !== null)
    return new LateProcess({ command, variablesFor, principal, lineBytes: limits.messageBytes, onLog }, events)
  return new StdioProcess(command, limits.messageBytes, {
    onLine: events.onMessage,
    onLog,
    onExit: (reason) => events.onExit('upstream_unavailable', reason),
  })
}
