/** Events to a collector that speaks OTLP over HTTP. */

import type { Secret } from '@doorward/core'
import { HttpPost, notTaken } from './http-post.ts'
import type { HttpTarget } from './http-post.ts'
import { otlpBody, rejectedOf } from './otlp.ts'
import { DeliveryError } from './sink.ts'
import type { ExportSink } from './sink.ts'

export interface OtlpOptions extends HttpTarget {
  /** Value of the Authorization header, read for each batch; null sends none. */
  readonly authorization: (() => Promise<Secret>) | null
  /** Of this program. */
  readonly version: string
}

/**
 * Status 200 with an `ExportLogsServiceResponse` acknowledges. Records that it calls rejected count as such and are not
 * sent again, as OTLP demands; they stay in the log. Any other status is tried again: OTLP would have the batch dropped
 * where it is not one of 429, 502, 503 and 504, but the record is not to be dropped, so the export fails until somebody
 * puts it right. `Retry-After` is kept to.
 */
export function otlpSink(options: OtlpOptions): ExportSink {
  const post = new HttpPost(options)
  return {
    async deliver(batch, signal) {
      const authorization =
        options.authorization === null ? {} : { authorization: (await options.authorization()).reveal() }
      const answer = await post.send(otlpBody(batch, options.version), authorization, signal)
      if (answer.status !== 200) throw notTaken(answer, options.url)
      const rejected = rejectedOf(answer.body)
      if (rejected === null || rejected > batch.length) {
        throw new DeliveryError('export_answer', 'the answer is none of OTLP', {
          where: options.url,
          expected: 'ExportLogsServiceResponse as JSON',
          got: `${answer.contentType} ${answer.body.slice(0, 100)}`.trim(),
        })
      }
      return { rejected }
    },
    close: async () => post.close(),
  }
}
