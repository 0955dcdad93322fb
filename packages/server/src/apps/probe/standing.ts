/** Attempts with what was good and is denied: a certificate, a token, a name that is registered again, a stream that is open. */

import { judged } from './attempt.ts'
import type { Attempt, Judged } from './attempt.ts'
import { cutCode, decisionsIn, toldBy } from './attempt.ts'
import { endSession } from './authorization.ts'
import { HeldConnection } from './held.ts'
import { requestOf } from './request.ts'
import type { Member, Scene } from './scene.ts'
import type { WireMaterial, WireOutcome } from './wire.ts'

/** Longer than a denial takes to each gateway that is reached. */
const spreadMilliseconds = 5000
const againMilliseconds = 100

interface Shown {
  readonly material: WireMaterial
  readonly token: string
}

interface Denying {
  readonly id: string
  readonly title: string
  /** What has to be told afterwards. */
  readonly code: string
  readonly deny: (member: Member, shown: Shown) => Promise<unknown>
}

export function standingAttempts(scene: Scene): readonly Attempt[] {
  const { admin } = scene.options
  const rows: readonly Denying[] = [
    {
      id: 'certificate',
      title: 'a certificate that was good until it was revoked',
      code: 'certificate_denied',
      deny: ({ identity }) =>
        admin.revoke({ subject: 'serial', serial: identity.credentials.current().certificate.serial }, reason),
    },
    {
      id: 'token',
      title: 'a token that was good until it was revoked',
      code: 'token_denied',
      deny: (_, { token }) => admin.revoke({ subject: 'token', token: idOf(token) }, reason),
    },
    {
      id: 'again',
      title: 'what was held under a name that was removed and registered again',
      code: 'identity_denied',
      deny: async ({ identity }) => {
        await admin.removeWorkload(identity.id.uri)
        await admin.addWorkload(identity.id.uri, [scene.options.role], { again: true })
      },
    },
  ]
  return [...rows.map((row) => denied(scene, row)), openStream(scene)]
}

const reason = 'doorward probe'

function denied(scene: Scene, { id, title, code, deny }: Denying): Attempt {
  return {
    id: `standing-${id}`,
    kind: 'standing',
    title,
    requirement: 'ADR11-REQ-1',
    run: async () => {
      const member = await scene.admit(`standing-${id}`)
      const shown = { material: member.material(), token: await member.token() }
      const ask = () => scene.send(shown.material, requestOf(scene, shown.token))
      const before = await ask()
      await endSession(scene, before, shown)
      if (toldBy(before) !== 'allowed') return judged(false, 'allowed at first', toldBy(before), before)
      await deny(member, shown)
      const after = await untilRefused(scene, ask, shown)
      const decisions = [...[before, ...after].flatMap(decisionsIn), ...after.flatMap(cutIn)]
      const got = toldBy(after.at(-1)!)
      return { verdict: got === code ? 'passed' : 'failed', expected: `allowed, then ${code}`, got, decisions }
    },
  }
}

/** All that was told until it was refused, or the time was over. */
async function untilRefused(scene: Scene, ask: () => Promise<WireOutcome>, shown: Shown): Promise<WireOutcome[]> {
  const outcomes: WireOutcome[] = []
  const deadline = performance.now() + spreadMilliseconds
  for (;;) {
    const outcome = await ask()
    outcomes.push(outcome)
    const goesOn = toldBy(outcome) === 'allowed' || cutIn(outcome).length > 0
    if (!goesOn || performance.now() > deadline) return outcomes
    await endSession(scene, outcome, shown)
    await new Promise((resolve) => setTimeout(resolve, againMilliseconds))
  }
}

/** A call that was under way when its caller was denied: its connection ended before the answer. */
function cutIn({ answers, ended }: WireOutcome): Judged['decisions'] {
  return answers.length === 0 && ended === 'closed' ? [{ entry: null, code: cutCode }] : []
}

function idOf(token: string): string {
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as unknown
  return String((claims as { readonly jti?: unknown }).jti)
}

const streamMilliseconds = 10_000
/** A stream that ends by itself sooner shows nothing. */
const lastsMilliseconds = 1000

/** A stream that is open while nothing is asked: it has to end by itself. */
function openStream(scene: Scene): Attempt {
  const expected = 'a stream that ends when its holder is denied'
  return {
    id: 'standing-stream',
    kind: 'standing',
    title: 'a stream that is open when its holder is denied',
    requirement: 'ADR11-REQ-1',
    run: async () => {
      const member = await scene.admit('standing-stream')
      const shown = { material: member.material(), token: await member.token() }
      const connection = new HeldConnection(scene.place, shown.material)
      try {
        const opened = await scene.send(shown.material, requestOf(scene, shown.token))
        if (toldBy(opened) !== 'allowed') return judged(false, 'allowed at first', toldBy(opened), opened)
        return await endedStream(scene, { connection, shown, opened, expected })
      } finally {
        connection.close()
      }
    },
  }
}

interface Streaming {
  readonly connection: HeldConnection
  readonly shown: Shown
  readonly opened: WireOutcome
  readonly expected: string
}

async function endedStream(scene: Scene, { connection, shown, opened, expected }: Streaming): Promise<Judged> {
  const session = opened.answers[0]?.headers.get('mcp-session-id')
  const decisions = decisionsIn(opened)
  if (session === undefined)
    return { verdict: 'not_run', expected, got: 'the server has no sessions, and no streams of them', decisions }
  await connection.until(() => connection.open, streamMilliseconds)
  const changes = {
    method: 'GET',
    headers: { 'Mcp-Session-Id': session, 'Content-Type': null },
    body: '',
    length: null,
  }
  connection.write(requestOf(scene, shown.token, { ...changes, keep: true }))
  await connection.until(() => connection.text.includes('\r\n\r\n'), streamMilliseconds)
  const entry = /^doorward-decision: (\S+)/im.exec(connection.text)?.[1]
  const code = /^doorward-code: (\S+)/im.exec(connection.text)?.[1] ?? 'no code'
  const all = [...decisions, { entry: entry ?? null, code }]
  if (!connection.text.startsWith('HTTP/1.1 200 ')) return { verdict: 'failed', expected, got: code, decisions: all }
  if (await connection.until(() => isOver(connection.text), lastsMilliseconds))
    return { verdict: 'not_run', expected, got: 'the server ends its streams by itself', decisions: all }
  await scene.options.admin.revoke({ subject: 'token', token: idOf(shown.token) }, reason)
  const ended = await connection.until(() => isOver(connection.text), streamMilliseconds)
  const over = ended || connection.ended !== null
  return { verdict: over ? 'passed' : 'failed', expected, got: over ? 'ended' : 'still open', decisions: all }
}

/** The last chunk (RFC 9112 §7.1). */
function isOver(text: string): boolean {
  return text.endsWith('\r\n0\r\n\r\n')
}
