/** The forger at every door: what was tried, and how it was refused. */

import { ProbeConnection } from '../probe-connection.ts'
import type { ProbeAnswer, ProbeMaterial } from '../probe-connection.ts'
import type { ProbeTarget } from '../denied-keys.ts'
import type { ForgedIdentity, Forger } from './forger.ts'

export interface ForgeryAttempt {
  readonly listener: string
  readonly code: string
  readonly refused: boolean
}

/** Connections of the forger that a server has not ended: tried again when the keys are denied. */
export interface OpenForgery {
  readonly target: ProbeTarget
  readonly connection: ProbeConnection
  readonly token: string
}

export interface Forgery {
  readonly forged: ForgedIdentity
  readonly attempts: readonly ForgeryAttempt[]
  readonly open: readonly OpenForgery[]
}

/** A new certificate and a token for every door, as this identity. */
export async function tryEveryDoor(
  forger: Forger,
  id: string,
  targets: readonly ProbeTarget[],
  epoch: number,
): Promise<Forgery> {
  const forged = await forger.certificate(id)
  const attempts: ForgeryAttempt[] = []
  const open: OpenForgery[] = []
  for (const target of targets) {
    const token = await forger.token(id, forged, target.audience, epoch)
    const connection = await ProbeConnection.open(target.place, forged)
    if (!(connection instanceof ProbeConnection)) {
      attempts.push(attemptOf(target, connection))
      continue
    }
    attempts.push(attemptOf(target, await connection.ask({ ...target, token })))
    open.push({ target, connection, token })
  }
  return { forged, attempts, open }
}

/** The same connections once more. */
export async function tryAgain(open: readonly OpenForgery[]): Promise<readonly ForgeryAttempt[]> {
  return Promise.all(
    open.map(async ({ target, connection, token }) => attemptOf(target, await connection.ask({ ...target, token }))),
  )
}

/** Whether a certificate that was good is let in nowhere any more. */
export async function isRefusedEverywhere(targets: readonly ProbeTarget[], material: ProbeMaterial): Promise<boolean> {
  const answers = await Promise.all(
    targets.map(async (target) => {
      const connection = await ProbeConnection.open(target.place, material)
      if (!(connection instanceof ProbeConnection)) return connection
      const answer = await connection.ask({ ...target, token: null })
      connection.close()
      return answer
    }),
  )
  return answers.every((answer) => answer.kind === 'refused' && answer.code !== 'token_missing')
}

function attemptOf({ listener }: ProbeTarget, answer: ProbeAnswer): ForgeryAttempt {
  const { kind, code } = answer
  return { listener, code, refused: kind === 'refused' && code !== 'token_missing' }
}
