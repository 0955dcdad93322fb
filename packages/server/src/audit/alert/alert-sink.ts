/** Findings over HTTPS, one POST each, signed with a secret that both sides know. */

import { toSeconds } from '@doorward/core'
import { HttpPost, notTaken } from '../export/http-post.ts'
import type { HttpAnswer } from '../export/http-post.ts'
import type { ExportSink } from '../export/sink.ts'
import { signatureHeader, signatureOf } from '../export/webhook-sink.ts'
import type { WebhookOptions } from '../export/webhook-sink.ts'

export interface AlertSink extends ExportSink {
  /** How many findings were acknowledged. */
  delivered(): number
  /** One finding beside the queue. Resolves to what a receiver said that acknowledges; rejects as `deliver`. */
  send(json: string, signal: AbortSignal): Promise<HttpAnswer>
}

/** A status of 2xx acknowledges. When the rest of a batch comes again, what was acknowledged of it is not sent again. */
export function alertSink(options: WebhookOptions): AlertSink {
  const post = new HttpPost(options)
  let last = -1
  let count = 0
  const send = async (json: string, signal: AbortSignal): Promise<HttpAnswer> => {
    const signature = signatureOf(json, await options.secret(), toSeconds(options.clock()))
    const answer = await post.send(json, { [signatureHeader]: signature }, signal)
    if (answer.status < 200 || answer.status > 299) throw notTaken(answer, options.url)
    return answer
  }
  return {
    async deliver(batch, signal) {
      for (const { index, json } of batch) {
        if (json === '' || index <= last) continue
        await send(json, signal)
        last = index
        count++
      }
      last = -1
      return { rejected: 0 }
    },
    send,
    delivered: () => count,
    close: async () => post.close(),
  }
}
