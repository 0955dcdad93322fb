/** Events as batches of JSON over HTTPS, signed with a secret that both sides know. */

import { createHmac } from 'node:crypto'
import { toSeconds } from '@doorward/core'
import type { Clock, Secret } from '@doorward/core'
import { HttpPost, notTaken } from './http-post.ts'
import type { HttpTarget } from './http-post.ts'
import type { ExportEvent, ExportSink } from './sink.ts'

export interface WebhookOptions extends HttpTarget {
  /** Read for each batch, so that it can be replaced. */
  readonly secret: () => Promise<Secret>
  readonly clock: Clock
}

export const signatureHeader = 'doorward-signature'

/** `t=<seconds since the epoch>,v1=<HMAC-SHA256 over "<t>.<body>" in hexadecimal>`. */
export function signatureOf(body: string, secret: Secret, seconds: number): string {
  return `t=${seconds},v1=${createHmac('sha256', secret.reveal()).update(`${seconds}.${body}`).digest('hex')}`
}

/** `{"v":1,"origin":…,"first":…,"last":…,"events":[…]}` with OCSF events in order. */
export function webhookBody(batch: readonly ExportEvent[]): string {
  const [first] = batch
  const head = { v: 1, origin: first?.origin, first: first?.index, last: batch.at(-1)?.index }
  return `${JSON.stringify(head).slice(0, -1)},"events":[${batch.map(({ json }) => json).join(',')}]}`
}

/** A status of 2xx acknowledges: the receiver says by it that it keeps the batch. Its body is not looked at. */
export function webhookSink(options: WebhookOptions): ExportSink {
  const post = new HttpPost(options)
  return {
    async deliver(batch, signal) {
      const body = webhookBody(batch)
      const signature = signatureOf(body, await options.secret(), toSeconds(options.clock()))
      const answer = await post.send(body, { [signatureHeader]: signature }, signal)
      if (answer.status < 200 || answer.status > 299) throw notTaken(answer, options.url)
      return { rejected: 0 }
    },
    close: async () => post.close(),
  }
}
