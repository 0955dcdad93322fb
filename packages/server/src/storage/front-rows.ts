/** Rows of the front's tables as the port has them. */

import type { FrontConsent, FrontGrant, FrontStep, HeldFrontGrant, IssuedFrontToken } from '../authority/front/store.ts'
import type { EpochSeconds } from '@doorward/core'
import { document, seconds, text, textOrNull, texts, whole } from './row.ts'
import type { Row } from './row.ts'

/** What we have written ourselves. */
export function stepOf(row: Row): FrontStep {
  return document(row, 'document') as FrontStep
}

export function grantOf(row: Row): FrontGrant {
  const { request, person, seal } = document(row, 'document') as Pick<FrontGrant, 'request' | 'person' | 'seal'>
  return {
    id: text(row, 'id'),
    seal,
    request,
    person,
    epoch: whole(row, 'epoch'),
    jkt: textOrNull(row, 'jkt'),
    createdAt: seconds(row, 'created_at'),
    expiresAt: seconds(row, 'expires_at'),
  }
}

export function heldGrantOf(row: Row): HeldFrontGrant {
  return { ...grantOf(row), refreshHash: textOrNull(row, 'refresh_hash') }
}

/** Verifiers accept a token for so long after its end. */
const LEEWAY_SECONDS = 30

export function liveTokensOf(row: Row, now: EpochSeconds): readonly IssuedFrontToken[] {
  const tokens = document(row, 'tokens') as readonly IssuedFrontToken[]
  return tokens.filter(({ expiresAt }) => expiresAt + LEEWAY_SECONDS > now)
}

export function consentOf(row: Row): FrontConsent {
  return {
    person: text(row, 'person'),
    clientId: text(row, 'client'),
    redirectUri: text(row, 'redirect'),
    resource: text(row, 'resource'),
    scopes: texts(row, 'scopes'),
    epoch: whole(row, 'epoch'),
    grantedAt: seconds(row, 'granted_at'),
    expiresAt: seconds(row, 'expires_at'),
  }
}
