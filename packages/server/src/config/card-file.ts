/** The file with what an agent says of itself. */

import { DoorwardError, parseAgentCard } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { readBoundedFile } from './certificate-file.ts'

const CARD_BYTES = 256 * 1024

/** The card as it stands there, without signatures. Throws `file_unreadable`, and `a2a_card` for one that cannot be shown. */
export async function readCardFile(path: string): Promise<JsonObject> {
  const card = parseAgentCard(await readBoundedFile(path, CARD_BYTES))
  if ('value' in card) return card.value
  throw new DoorwardError('a2a_card', 'the card of this agent cannot be shown', { where: path, got: card.problem })
}
