/**
 * Where an authority that runs is asked, on its own machine, for the join string of an operator: a Unix socket in its state
 * folder, which nobody but the folder's owner reaches.
 */

import { join } from 'node:path'
import { exactObject, isText, scanJson } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { checkPrivate } from '@doorward/sdk'
import type { Operators, OperatorWanted } from '../authority/operators.ts'
import { isAuthorityRefusal, refuse } from '../authority/refusal.ts'
import type { AuthorityRefusal } from '../authority/refusal.ts'
import { listenLocally, localLimits } from '../transports/local-socket.ts'

export interface InvitationPlace {
  /** The authority's own state folder. */
  readonly stateDir: string
  readonly operators: Pick<Operators, 'invite'>
  readonly onProblem: (error: unknown) => void
}

/** While it is open. */
export interface Invitations {
  close(): Promise<void>
}

const MAX_ID = 2048
const MAX_ROLE = 64
const MAX_REASON = 200
const JSON_LIMITS = { maxBytes: localLimits.requestBytes, maxDepth: 1, maxKeys: 8 }

export function invitationSocket(stateDir: string): string {
  return join(stateDir, 'invite.sock')
}

/** Whose processes may ask: those of the user as whom this one runs, and the superuser, who can be everybody. Null on Windows. */
export function localPrincipal(): string | null {
  const uid = process.getuid?.()
  return uid === undefined ? null : `local:${uid}`
}

/**
 * Opens it; null where there are no users to tell apart. The state folder must be locked by this process. Throws
 * `state_folder_mode`, and as `listenLocally`.
 */
export async function openInvitations({
  stateDir,
  operators,
  onProblem,
}: InvitationPlace): Promise<Invitations | null> {
  const by = localPrincipal()
  if (by === null) return null
  await checkPrivate(stateDir, 'state_folder_mode')
  const path = invitationSocket(stateDir)
  const answer = async (question: Uint8Array) => {
    // Whoever got in while the folder was open is not answered once it is seen.
    await checkPrivate(stateDir, 'state_folder_mode')
    await checkPrivate(path, 'local_socket_mode')
    return JSON.stringify(await answered(question, operators, by))
  }
  return listenLocally({ path, answer, onProblem })
}

async function answered(question: Uint8Array, operators: InvitationPlace['operators'], by: string): Promise<object> {
  const wanted = readWanted(question)
  const invited =
    wanted === null ? refuse('request_invalid', 'expected an invitation') : await operators.invite(wanted, by)
  if (isAuthorityRefusal(invited)) return { refused: refusalDocument(invited) }
  const { roles, joinString, expiresAt } = invited
  return { invited: { roles, join_string: joinString.reveal(), expires_at: expiresAt, by } }
}

function refusalDocument({ code, explanation, details = {} }: AuthorityRefusal): JsonObject {
  return { code, explanation, details }
}

function readWanted(question: Uint8Array): OperatorWanted | null {
  const scan = scanJson(question, JSON_LIMITS)
  const document = scan.ok ? exactObject(scan.value, ['v', 'id', 'role', 'reason']) : null
  if (document === null || document['v'] !== 1) return null
  const { id, role, reason = null } = document
  if (!isText(id, MAX_ID) || !isText(role, MAX_ROLE)) return null
  return reason === null || isText(reason, MAX_REASON) ? { id, role, reason } : null
}
