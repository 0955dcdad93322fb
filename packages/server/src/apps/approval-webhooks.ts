/** Tells groups of approvers of requests, each over its webhook, signed as alerts are; with a link where links are on. */

import { toSeconds } from '@doorward/core'
import type { Clock } from '@doorward/core'
import type { ApprovalDesk, ApprovalRequest, LinkTokens } from '@doorward/enforcement'
import { systemRuntime, timerSleep } from '@doorward/sdk'
import { alertSink } from '../audit/alert/alert-sink.ts'
import { pauseAfter } from '../audit/export/backoff.ts'
import type { WebhookOptions } from '../audit/export/webhook-sink.ts'

export type ApprovalWebhook = Omit<WebhookOptions, 'clock'>

export interface ApprovalNotices {
  /** By group. */
  readonly webhooks: ReadonlyMap<string, ApprovalWebhook>
  /** Origin of links; null where none are sent. */
  readonly linksAt: string | null
}

export interface ApprovalWebhooksParts {
  /** As they are now. */
  readonly notices: () => ApprovalNotices
  /** Name of the log in which the requests are. */
  readonly origin: string
  readonly clock: Clock
  readonly warn: (code: string, text: string) => void
}

const MOST_TRIES = 8

export class ApprovalWebhooks {
  readonly #parts: ApprovalWebhooksParts
  readonly #stopping = new AbortController()

  constructor(parts: ApprovalWebhooksParts) {
    this.#parts = parts
  }

  /** Never throws. What a receiver does not take is tried again as long as somebody has to answer. */
  tell(request: ApprovalRequest, links: LinkTokens, desk: Pick<ApprovalDesk, 'isPending'>): void {
    const { webhooks, linksAt } = this.#parts.notices()
    for (const { by } of request.duties) {
      const webhook = webhooks.get(by)
      if (webhook === undefined) continue
      const token = links.get(by)
      const link = token === undefined || linksAt === null ? null : `${linksAt}/approve/${token.reveal()}`
      void this.#send(
        webhook,
        { group: by, json: JSON.stringify(noticeOf(request, this.#parts.origin, by, link)) },
        () => desk.isPending(request.id),
      )
    }
  }

  close(): void {
    this.#stopping.abort()
  }

  async #send(webhook: ApprovalWebhook, notice: Notice, wanted: () => boolean): Promise<void> {
    const { clock, warn } = this.#parts
    const { signal } = this.#stopping
    const sink = alertSink({ ...webhook, clock })
    let failed: unknown = null
    for (let tries = 1; tries <= MOST_TRIES && wanted() && !signal.aborted; tries++) {
      try {
        await sink.send(notice.json, signal)
        failed = null
        break
      } catch (error) {
        failed = error
        await timerSleep(pauseAfter(tries, systemRuntime.chance(), null), signal)
      }
    }
    await sink.close()
    if (failed !== null && !signal.aborted)
      warn(
        'approval_untold',
        `approvers ${notice.group} were not told of a request: ${failed instanceof Error ? failed.message : 'an unknown failure'}`,
      )
  }
}

interface Notice {
  readonly group: string
  readonly json: string
}

/** What a receiver gets: `link` opens the answer to whoever has it. */
function noticeOf(request: ApprovalRequest, origin: string, group: string, link: string | null): object {
  const { id, caller, action, resource, shown, digest, duties, created, expires } = request
  return {
    v: 1,
    kind: 'approval',
    id,
    origin,
    approvers: group,
    caller: caller['caller'],
    action: action.name,
    effect: action.group,
    resource: { ...resource },
    arguments: shown,
    digest,
    rules: duties.flatMap(({ rules }) => rules),
    created: toSeconds(created),
    expires: toSeconds(expires),
    command: `doorward approvals show ${id}`,
    ...(link === null ? {} : { link }),
  }
}
