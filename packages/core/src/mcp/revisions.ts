/** The protocol revisions that we understand, and how a version names one. */

import type { JsonValue } from '../json-value.ts'
import { isJsonObject, member } from '../json/object.ts'
import type { Revision } from './method.ts'
import { REVISION_2024_11_05 } from './revision-2024-11-05.ts'
import { REVISION_2025_03_26 } from './revision-2025-03-26.ts'
import { REVISION_2025_06_18 } from './revision-2025-06-18.ts'
import { REVISION_2025_11_25 } from './revision-2025-11-25.ts'
import { REVISION_2026_07_28 } from './revision-2026-07-28.ts'

/** Oldest first. */
export const REVISIONS: ReadonlyMap<string, Revision> = new Map(
  [REVISION_2024_11_05, REVISION_2025_03_26, REVISION_2025_06_18, REVISION_2025_11_25, REVISION_2026_07_28].map(
    (revision) => [revision.version, revision],
  ),
)

/** What is served of each era, newest first. */
export const LEGACY_VERSIONS: readonly string[] = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05']
export const MODERN_VERSIONS: readonly string[] = ['2026-07-28']

/** What this release serves, newest first. */
export const SUPPORTED_VERSIONS: readonly string[] = [...MODERN_VERSIONS, ...LEGACY_VERSIONS]

/** The version of a session whose client sends no `MCP-Protocol-Version` (2025-06-18, basic/transports). */
export const DEFAULT_VERSION = '2025-03-26'

/** True for every version from 2026-07-28 on, known or not; versions are dates and order as text. */
export function isModernVersion(version: string): boolean {
  return version >= REVISION_2026_07_28.version
}

/** The legacy revision of that name, if it is supported. */
export function legacyRevision(version: string, supported: readonly string[]): Revision | undefined {
  const revision = supported.includes(version) ? REVISIONS.get(version) : undefined
  return revision?.era === 'legacy' ? revision : undefined
}

/** The version that an `initialize` result settles on, or null when it is none that is supported. */
export function negotiatedVersion(result: JsonValue, supported: readonly string[]): string | null {
  const version = isJsonObject(result) ? member(result, 'protocolVersion') : undefined
  return typeof version === 'string' && legacyRevision(version, supported) !== undefined ? version : null
}
