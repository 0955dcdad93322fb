/** The admin APIs of authority and gateway, asked about their policies one after the other. */

import { isDoorwardError, isJsonObject } from '@doorward/core'
import type { JsonObject, JsonValue } from '@doorward/core'
import { AdminClient } from '@doorward/sdk'
import type { Identity } from '@doorward/sdk'
import { gatewayAdminAudience } from '../../config/settings.ts'
import type { Deployment } from '../../config/settings.ts'
import type { CliContext } from '../context.ts'
import { asIdentity } from '../identity-option.ts'

export type PartName = 'authority' | 'gateway'

/** What a part answers, or why it does not. */
export type PartAnswer =
  | { readonly part: PartName; readonly answer: JsonObject }
  | { readonly part: PartName; readonly error: { readonly code: string; readonly message: string } }

/** Asks every part of the deployment; one that cannot be asked keeps nobody else from answering. */
export async function askParts(
  context: CliContext,
  as: string | undefined,
  ask: (client: AdminClient) => Promise<JsonObject>,
): Promise<readonly PartAnswer[]> {
  return asIdentity(context, as, async (identity) => {
    const place = { identity, deployment: await context.deployment() }
    return [await askPart('authority', place, ask), await askPart('gateway', place, ask)]
  })
}

/** One part of the deployment. */
export async function askPart(
  part: PartName,
  { identity, deployment }: { readonly identity: Identity; readonly deployment: Deployment },
  ask: (client: AdminClient) => Promise<JsonObject>,
): Promise<PartAnswer> {
  const { authority, gateway } = deployment
  const endpoints = {
    authority: { url: authority.adminUrl, audience: authority.publicUrl, expectedId: authority.id },
    gateway: { url: gateway.adminUrl, audience: gatewayAdminAudience(deployment), expectedId: gateway.id },
  }
  try {
    return { part, answer: await ask(new AdminClient(identity, endpoints[part])) }
  } catch (error) {
    if (!isDoorwardError(error)) throw error
    return { part, error: { code: error.code, message: error.message } }
  }
}

export function objectIn(value: JsonObject, name: string): JsonObject {
  const inner = value[name]
  return inner !== undefined && isJsonObject(inner) ? inner : {}
}

export function textsIn(value: JsonObject, name: string): readonly string[] {
  const list = value[name]
  return Array.isArray(list) ? (list as readonly JsonValue[]).filter((one) => typeof one === 'string') : []
}

/** Number and digest, as people compare them. */
export function versionText(version: JsonObject): string {
  const { sequence, digest } = version
  if (typeof sequence !== 'number' || typeof digest !== 'string') return 'none'
  return `number ${sequence}, ${digest.slice(0, 12)}…`
}
