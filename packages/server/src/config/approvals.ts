/** What the section `approvals` means. */

import { parseSpiffeIdPattern } from '@doorward/core'
import type { SpiffeIdPattern } from '@doorward/core'
import type { ApprovalsSection } from './approval-schema.ts'
import { webhookPlace } from './audit-exports.ts'
import type { Configuration } from './schema.ts'
import type { Deployment } from './settings.ts'

/** Shape as the gateway asks for it. */
export function approvalSettings({ approvals }: Configuration) {
  return {
    waitMilliseconds: approvals.wait_seconds * 1000,
    expiresMilliseconds: approvals.expires_seconds * 1000,
    groups: new Map(Object.entries(approvals.groups).map(([name, group]) => [name, groupOf(group, approvals.links)])),
  }
}

function groupOf({ workloads, users, webhook }: ApprovalsSection['groups'][string], links: boolean) {
  const patterns: readonly SpiffeIdPattern[] = workloads.map((text) => parseSpiffeIdPattern(text))
  return { workloads: patterns, users: new Set(users), links: links && webhook !== undefined }
}

/** Webhooks by group, as their senders ask for them; and where links lead, null where none are sent. */
export function approvalNotices({ configuration, folder }: Pick<Deployment, 'configuration' | 'folder'>) {
  const { groups, links, public_url: publicUrl } = configuration.approvals
  const webhooks = Object.entries(groups).flatMap(([name, { webhook }]) =>
    webhook === undefined ? [] : [[name, webhookPlace(webhook, folder)] as const],
  )
  return { webhooks: new Map(webhooks), linksAt: links && publicUrl !== undefined ? publicUrl : null }
}
