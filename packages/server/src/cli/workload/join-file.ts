/** Join strings, handed over by file or standard output, never by argument. */

import { open, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { DoorwardError } from '@doorward/core'
import type { AdminClient, JoinInvitation } from '@doorward/sdk'
import type { CliContext } from '../context.ts'
import { painter } from '../output.ts'

/** The file first: a join string that cannot be kept would be lost. Throws `file_not_written`. */
async function newFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', 0o600)
  } catch (error) {
    throw new DoorwardError('file_not_written', 'the join string cannot be written', {
      where: path,
      got: error instanceof Error ? error.message : String(error),
      next: 'name a file that is not there yet; nothing has been registered',
    })
  }
}

/** Prepares, invites and keeps the join string where it is wanted. An error leaves no file. */
export async function invited(
  client: Pick<AdminClient, 'invite'>,
  id: string,
  {
    out,
    prepare,
    withToken,
  }: {
    readonly out: string | undefined
    readonly prepare?: () => Promise<unknown>
    readonly withToken?: boolean
  },
): Promise<JoinInvitation> {
  const file = out === undefined ? null : await newFile(out)
  try {
    await prepare?.()
    const invitation = await client.invite(id, withToken === undefined ? {} : { withToken })
    await file?.writeFile(`${invitation.joinString.reveal()}\n`)
    return invitation
  } catch (error) {
    if (out !== undefined) await rm(out, { force: true })
    throw error
  } finally {
    await file?.close()
  }
}

export interface Told {
  readonly id: string
  readonly roles: readonly string[]
  readonly out: string | undefined
  /** What was done, before the join string: `registered … as …`. */
  readonly done: string
}

/** The join string alone goes to standard output, so that it can be piped. */
export function tellInvitation(context: CliContext, { joinString, expiresAt }: JoinInvitation, told: Told): void {
  const { id, roles, out, done } = told
  const shown = out === undefined ? joinString.reveal() : null
  if (context.json) {
    context.out(JSON.stringify({ id, roles, join_string: shown, file: out ?? null, expires_at: expiresAt }))
    return
  }
  const paint = painter(context.color)
  const place = out === undefined ? '' : ` in ${out}`
  context.err(`${paint('green', '✓')} ${done}`)
  const life =
    expiresAt === null
      ? 'has no token: it is no secret, and the workload proves itself'
      : `works once, until ${new Date(expiresAt * 1000).toISOString()}`
  context.err(paint('dim', `  join string${place}: ${life}`))
  if (shown !== null) context.out(shown)
}
