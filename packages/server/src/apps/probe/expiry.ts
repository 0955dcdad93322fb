/** What ends while it is held: one has to wait for it. */

import { workloadLimits } from '@doorward/core'
import { decisionsIn, judged, notRun, refusedBy, toldBy } from './attempt.ts'
import type { Attempt, Judged } from './attempt.ts'
import { endSession } from './authorization.ts'
import { HeldConnection } from './held.ts'
import { requestOf } from './request.ts'
import type { Scene } from './scene.ts'
import type { WireMaterial, WireOutcome } from './wire.ts'

/** A moment after the end; the clock of the gateway is another one. */
const afterMilliseconds = 2000
/** Clocks may differ by so much for a token (`LEEWAY_SECONDS`). */
const leewayMilliseconds = 31_000
const lookMilliseconds = 4000
/** Opens nothing, and is judged like everything. */
const nothing = { body: '{}', keep: true } as const

interface Held {
  readonly material: WireMaterial
  /** When it ends, in milliseconds since 1970. */
  readonly endsAt: number
  readonly token: string
  readonly tokenEndsAt: number
  readonly before: WireOutcome
  /** How a connection that began in time ended. */
  readonly connection: Promise<string>
}

export interface ExpiryAttempts {
  readonly attempts: readonly Attempt[]
  /** Lets what is to end begin; where nobody waits for it, nothing. What was told of that. */
  readonly begin: () => Promise<Judged['decisions']>
}

/** `patient`: whoever runs it waits some six minutes. */
export function expiryAttempts(scene: Scene, patient: boolean): ExpiryAttempts {
  let held: Held | null = null
  const row = (id: string, title: string, run: (held: Held) => Promise<Judged>): Attempt => ({
    id: `expiry-${id}`,
    kind: 'expiry',
    title,
    requirement: 'ADR11-REQ-1',
    run: async () => {
      if (held === null) return notRun('refused after its end', 'one has to wait for it: --patient')
      if (toldBy(held.before) !== 'allowed') return judged(false, 'allowed at first', toldBy(held.before), held.before)
      return run(held)
    },
  })
  return {
    begin: async () => {
      if (!patient) return []
      held = await begun(scene)
      return decisionsIn(held.before)
    },
    attempts: [
      row('certificate', 'a certificate that was good until it ended', (one) => ofCertificate(scene, one)),
      row('connection', 'a connection that began before its certificate ended', async ({ connection }) => {
        const got = await connection
        return judged(got !== 'answered', 'no answer after the end', got)
      }),
      row('token', 'a token that was good until it ended', (one) => ofToken(scene, one)),
    ],
  }
}

async function begun(scene: Scene): Promise<Held> {
  const member = await scene.admit('expiry', { ttl_seconds: workloadLimits.leastTtlSeconds })
  const shown = { material: member.material(), token: await member.token() }
  const before = await scene.send(shown.material, requestOf(scene, shown.token))
  await endSession(scene, before, shown)
  const endsAt = member.identity.credentials.current().certificate.notAfter * 1000
  const token = await scene.caller.token()
  const connection = kept(scene, shown, endsAt)
  return { material: shown.material, endsAt, token, tokenEndsAt: endOf(token), before, connection }
}

/** Asked for nothing every few seconds, since one that is idle would be closed for that. */
async function kept(
  scene: Scene,
  { material, token }: { readonly material: WireMaterial; readonly token: string },
  endsAt: number,
): Promise<string> {
  const connection = new HeldConnection(scene.place, material)
  try {
    await connection.until(() => connection.open, lookMilliseconds)
    for (;;) {
      scene.options.signal.throwIfAborted()
      const over = Date.now() > endsAt + afterMilliseconds
      const answer = await connection.ask(requestOf(scene, token, nothing))
      const code = answer?.headers.get('doorward-code') ?? connection.ended ?? 'silent'
      if (answer === null || code === 'certificate_expired') return code
      if (over) return 'answered'
      const left = endsAt + afterMilliseconds + 1 - Date.now()
      await connection.until(() => false, Math.min(lookMilliseconds, left))
    }
  } finally {
    connection.close()
  }
}

async function ofCertificate(scene: Scene, { material, endsAt, token }: Held): Promise<Judged> {
  await waited(endsAt + afterMilliseconds, scene.options.signal)
  return refusedBy(await scene.send(material, requestOf(scene, token)), [
    'certificate_expired',
    'alert_certificate_expired',
    'closed',
  ])
}

/** With a certificate that goes on. */
async function ofToken(scene: Scene, { token, tokenEndsAt }: Held): Promise<Judged> {
  await waited(tokenEndsAt + leewayMilliseconds, scene.options.signal)
  return refusedBy(await scene.send(scene.caller.material(), requestOf(scene, token)), ['token_expired'])
}

function endOf(token: string): number {
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as unknown
  return Number((claims as { readonly exp?: unknown }).exp) * 1000
}

async function waited(until: number, signal: AbortSignal): Promise<void> {
  while (Date.now() < until) {
    signal.throwIfAborted()
    await new Promise((resolve) => setTimeout(resolve, Math.min(1000, until - Date.now())))
  }
}
