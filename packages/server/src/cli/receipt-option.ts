/** `--receipt FILE` of a call: the gateway's proof of it, checked with a key that was known before. */

import { DoorwardError, isDoorwardError } from '@doorward/core'
import type { Identity } from '@doorward/sdk'
import { keyText, machineLogs, writeNew } from './audit-places.ts'
import type { CliContext } from './context.ts'

export interface ReceiptOption {
  readonly receipt?: string
  readonly key?: string
}

/** Keeps the receipt of a decision; nothing where none is wanted. */
export type KeepReceipt = (identity: Identity, decision: string | null) => Promise<void>

/** Throws `log_key_missing` before anything is called, when there is no key to believe a receipt with. */
export async function receiptKeeper(context: CliContext, { receipt, key }: ReceiptOption): Promise<KeepReceipt> {
  if (receipt === undefined) return () => Promise.resolve()
  const deployment = await context.deployment()
  const verifierKey = key === undefined ? await keptKey(context) : await keyText(key)
  const { gatewayAudience } = await import('../config/settings.ts')
  return async (identity, decision) => {
    if (decision === null) {
      throw new DoorwardError('receipt_missing', 'the answer names no entry of the record', {
        next: 'look for the call with `doorward audit query`',
      })
    }
    const { id: expectedId } = deployment.gateway
    const wanted = { gateway: gatewayAudience(deployment), expectedId, decision, verifierKey, signal: context.signal }
    const { text } = await identity.receipt(wanted)
    await writeNew(receipt, text, 0o600)
    if (!context.json) context.err(`${receipt} proves that ${decision} stands in the record`)
  }
}

/** The key that the gateway on this machine keeps. */
async function keptKey(context: CliContext): Promise<string> {
  const { readVerifierKey } = await import('../apps/log-places.ts')
  // Where no gateway has run there is no state, and no key in it.
  const logs = await machineLogs(context, { log: 'gateway' }).catch((error: unknown) => {
    if (isDoorwardError(error, 'state_missing')) return null
    throw error
  })
  const vkey = logs === null ? null : await readVerifierKey(logs.copyDir, logs.places[0]?.origin ?? '')
  if (vkey !== null) return vkey
  throw new DoorwardError('log_key_missing', "there is no key to believe the gateway's receipt with", {
    ...(logs === null ? {} : { where: logs.copyDir }),
    next: "name it with --key; on the gateway's machine `doorward audit key --log gateway` shows it",
  })
}
