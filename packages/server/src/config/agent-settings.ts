/** What of `agents:` a gateway needs, with the files that it names. */

import { resolve } from 'node:path'
import { fromUtf8 } from '@doorward/core'
import type { AgentSection } from './backend-schema.ts'
import { readBoundedFile } from './certificate-file.ts'
import { credentialOf } from './secret-settings.ts'
import type { CredentialSettings } from './secret-settings.ts'

export interface AgentBackendSettings {
  readonly url: string
  readonly insecureUpstream: boolean
  readonly methods: readonly string[]
  readonly requestHeaders: readonly string[]
  readonly answerHeaders: readonly string[]
  readonly answerBytes: number
  readonly redact: boolean
  readonly credential: CredentialSettings | null
  readonly speaks: {
    readonly kind: 'a2a'
    readonly card: string
    readonly approval: 'required' | 'on-first-use' | 'off'
    /** A JWK Set, as text. */
    readonly cardKeys?: string
  }
}

const KEY_SET_BYTES = 65_536

/** Throws `file_unreadable`. */
export async function agentSettings(section: AgentSection, folder: string): Promise<AgentBackendSettings> {
  const { url, card, card_keys: keys, approval } = section
  const cardKeys = keys === undefined ? null : fromUtf8(await readBoundedFile(resolve(folder, keys), KEY_SET_BYTES))
  return {
    url,
    insecureUpstream: section.insecure_upstream,
    methods: ['POST', 'GET'],
    requestHeaders: [],
    answerHeaders: [],
    answerBytes: section.answer_bytes,
    redact: section.output.redact,
    credential: await credentialOf(section, folder),
    speaks: { kind: 'a2a', card, approval, ...(cardKeys === null ? {} : { cardKeys }) },
  }
}
