/** The report of a recovery: what was done when, who has followed, and how the old keys were refused; signed like a checkpoint. */

import { signNote } from '@doorward/core'
import type { EpochMillis, JsonObject, NoteSigner } from '@doorward/core'
import type { Canary, Ceremony } from './ceremony.ts'

/** One attempt with an old key. */
export interface ProbeResult {
  /** Whose listener, such as `gateway main`. */
  readonly listener: string
  /** `host:port`. */
  readonly address: string
  /** `control`, which must be let in; `certificate`, `token`, `live connection`, `resumption`, which must be refused. */
  readonly attempt: string
  /** Of the old key; empty where none signed anew. */
  readonly keyId: string
  readonly got: string
  /** It went as it must. */
  readonly ok: boolean
}

export interface RecoveryReport {
  readonly verdict: 'proven' | 'unproven'
  /** C2SP signed note; its text is `firstLine` and one line of JSON. */
  readonly note: string
}

export interface ReportParts {
  readonly trustDomain: string
  readonly signer: NoteSigner
  readonly madeAt: EpochMillis
  /** Who has tried the old keys. */
  readonly by: string
}

/** The key of the log signs checkpoints too: their first line is the log's origin, and never this. */
export const reportHead = 'doorward/recovery-report/v1'
/** Beyond it a note is read by nobody. */
const MAX_TEXT = 120_000

/** Signs what happened. Throws `note_malformed` or what custody throws. */
export async function signReport(
  ceremony: Ceremony,
  probes: readonly ProbeResult[],
  parts: ReportParts,
): Promise<RecoveryReport> {
  const verdict = isProven(ceremony, probes) ? 'proven' : 'unproven'
  const whole = { ...documentOf(ceremony, parts), probes: probes.map(probeDocument), verdict }
  const text = `${reportHead}\n${JSON.stringify(whole)}\n`
  if (text.length <= MAX_TEXT) return { verdict, note: await signNote(text, parts.signer) }
  // Counts stay when there is no room for names.
  const short = { ...whole, stages: whole.stages.map((stage) => ({ ...stage, stragglers: [] })) }
  return { verdict, note: await signNote(`${reportHead}\n${JSON.stringify(short)}\n`, parts.signer) }
}

/** Every old key of everybody who took part was tried, as certificate or as token, and nothing was let in. */
export function isProven({ authorities, canary }: Ceremony, probes: readonly ProbeResult[]): boolean {
  const signed = canary?.signed ?? []
  const tried = new Set(probes.map(({ keyId }) => keyId))
  const complete = authorities.every(({ name }) =>
    (['certificate', 'token'] as const).every((kind) => signed.some((one) => isBy(one, name, kind))),
  )
  return complete && signed.every(({ keyId }) => tried.has(keyId)) && probes.every(({ ok }) => ok)
}

function isBy(canary: Canary, name: string, kind: Canary['kind']): boolean {
  return canary.authority === name && canary.kind === kind
}

function documentOf(ceremony: Ceremony, { trustDomain, madeAt, by }: ReportParts) {
  const { id, kind, emergency, reason, authorities, excluded, replaces, epoch, startedAt, stages } = ceremony
  const names = (list: Ceremony['authorities']) => list.map(({ name }) => name)
  return {
    trust_domain: trustDomain,
    ceremony: { id, kind, emergency, reason, by: ceremony.by, epoch, started_at: startedAt },
    authorities: names(authorities),
    excluded: names(excluded),
    replaced: replaces,
    stages: stages.map(({ stage, at, followers, acknowledged, reissued, straggling, stragglers, note }, index) => ({
      stage,
      at,
      milliseconds: Math.max(0, (stages[index + 1]?.at ?? madeAt) - at),
      followers,
      acknowledged,
      reissued,
      straggling,
      stragglers,
      note,
    })),
    made_at: madeAt,
    probed_by: by,
  }
}

function probeDocument({ listener, address, attempt, keyId, got, ok }: ProbeResult): JsonObject {
  return { listener, address, attempt, key_id: keyId, got, ok }
}
