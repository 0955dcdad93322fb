/** Asks the authority that runs on this machine, as this user, for the join string of an operator. */

import { lstat } from 'node:fs/promises'
import { DoorwardError, isDoorwardError, isJsonObject, isSeconds, scanJson, Secret, utf8 } from '@doorward/core'
import type { EpochSeconds, JsonObject, JsonValue } from '@doorward/core'
import { checkPrivate } from '@doorward/sdk'
import type { OperatorWanted } from '../authority/operators.ts'
import { isMissing } from '../secrets/durable-file.ts'
import { askLocally, localLimits } from '../transports/local-socket.ts'
import { invitationSocket, localPrincipal } from './authority-invitation.ts'

export interface InvitedHere {
  readonly roles: readonly string[]
  readonly joinString: Secret
  readonly expiresAt: EpochSeconds
  /** As whom the record knows who has asked. */
  readonly by: string
}

/** The authority has said no. */
export class InvitationRefused extends DoorwardError {
  /** `reason` says which conflict it is. */
  readonly details: JsonObject

  constructor(code: string, message: string, details: JsonObject) {
    super(code, message)
    this.details = details
  }
}

/**
 * `stateDir` is the authority's own. Throws `authority_not_running`, `authority_other_user`, `state_unreadable`, `state_folder_mode`,
 * `invitation_unsupported` on Windows, `invitation_lost` when there was no answer, and `InvitationRefused`.
 */
export async function requestInvitation(stateDir: string, wanted: OperatorWanted): Promise<InvitedHere> {
  await checkOwner(stateDir)
  const { id, role, reason } = wanted
  const path = invitationSocket(stateDir)
  const line = await askLocally(path, JSON.stringify({ v: 1, id, role, reason })).catch((error: unknown) => {
    throw isDoorwardError(error, 'local_socket_absent') ? notRunning(stateDir) : lost(error, path)
  })
  return readAnswer(line) ?? lostAs(path, 'an answer of another release')
}

/** Nobody but the folder's owner can have put a socket there. */
async function checkOwner(stateDir: string): Promise<void> {
  if (localPrincipal() === null)
    throw new DoorwardError('invitation_unsupported', 'there are no local invitations on this system', {
      next: 'start the authority with doorward up, which makes an operator',
    })
  const status = await lstat(stateDir).catch((error: unknown) => {
    throw isMissing(error) ? notRunning(stateDir) : unreadable(stateDir, error)
  })
  const uid = process.getuid?.()
  if (status.uid !== uid)
    throw new DoorwardError('authority_other_user', 'the authority here belongs to another user', {
      where: stateDir,
      expected: `uid ${status.uid}`,
      got: `uid ${uid}`,
      next: `run this command as the user that the authority runs as: sudo -u '#${status.uid}' …`,
    })
  await checkPrivate(stateDir, 'state_folder_mode')
}

function unreadable(where: string, error: unknown): DoorwardError {
  return new DoorwardError('state_unreadable', 'the state folder cannot be read', {
    where,
    got: error instanceof Error ? error.message : String(error),
    next: 'run this command as the user that the authority runs as',
  })
}

function notRunning(where: string): DoorwardError {
  return new DoorwardError('authority_not_running', 'no authority serves from this state folder', {
    where,
    next: 'start it here with doorward authority run, and wait until it says that it is ready; one that waits for the recovery root invites nobody',
  })
}

/** What was asked for may have happened: the record says so, and asking again does no harm. */
function lost(error: unknown, where: string): DoorwardError {
  return lostAs(where, isDoorwardError(error) ? (error.got ?? error.message) : String(error))
}

function lostAs(where: string, got: string): never {
  throw new DoorwardError('invitation_lost', 'the authority did not answer', {
    where,
    got,
    next: 'ask again; what the authority wrote to standard error says why',
  })
}

function readAnswer(line: string): InvitedHere | null {
  const scan = scanJson(utf8(line), { maxBytes: localLimits.answerBytes, maxDepth: 8, maxKeys: 100 })
  const answer = scan.ok && isJsonObject(scan.value) ? scan.value : {}
  const { invited, refused } = answer
  if (isJsonObject(refused)) throw refusalIn(refused)
  return isJsonObject(invited) ? readInvited(invited) : null
}

function refusalIn({ code, explanation, details }: JsonObject): InvitationRefused {
  const text = (value: JsonValue | undefined, fallback: string) => (typeof value === 'string' ? value : fallback)
  return new InvitationRefused(
    text(code, 'refused'),
    text(explanation, 'refused'),
    isJsonObject(details) ? details : {},
  )
}

function readInvited({ roles, join_string, expires_at, by }: JsonObject): InvitedHere | null {
  if (!Array.isArray(roles) || typeof join_string !== 'string' || !isSeconds(expires_at) || typeof by !== 'string')
    return null
  const names = (roles as readonly JsonValue[]).filter((role) => typeof role === 'string')
  return { roles: names, joinString: new Secret(join_string), expiresAt: expires_at, by }
}
