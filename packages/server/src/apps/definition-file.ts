/** What is approved of one server, in the gateway's state: sealed, so that what was written there by others does not open. */

import { join } from 'node:path'
import { DoorwardError, isDefinitionKind, isJsonObject, scanJson, utf8 } from '@doorward/core'
import type { Definition, JsonValue } from '@doorward/core'
import { maxDefinitions } from '@doorward/enforcement'
import type { Sealer } from '@doorward/sdk'
import { makePrivateFolder, readIfPresent, writeDurably } from '../secrets/durable-file.ts'

const MAX_BYTES = 4 * 1024 * 1024
const FOLDER = 'definitions'
const limits = { maxBytes: MAX_BYTES, maxDepth: 72, maxKeys: 200_000, prototypeKeys: 'keep' } as const

export interface DefinitionFile {
  /** Null where nothing was ever approved. Throws `definitions_unreadable`. */
  read(): Promise<readonly Definition[] | null>
  /** Durable when it resolves. Throws `definitions_too_large`. */
  write(definitions: readonly Definition[]): Promise<void>
}

export function definitionFile(stateDir: string, server: string, sealer: Sealer): DefinitionFile {
  const folder = join(stateDir, FOLDER)
  const path = join(folder, `${server}.sealed`)
  const purpose = `gateway/definitions/${server}`
  return {
    async read() {
      const sealed = await readIfPresent(path, MAX_BYTES + 64)
      if (sealed === null) return null
      const bytes = await sealer.open(sealed, purpose).catch((error: unknown) => {
        throw unreadable(path, 'what this gateway has written', error)
      })
      const scan = scanJson(bytes, limits)
      const definitions = scan.ok ? definitionsOf(scan.value) : null
      if (definitions === null) throw unreadable(path, 'format 1')
      return definitions
    },
    async write(definitions) {
      const bytes = utf8(JSON.stringify({ v: 1, definitions }))
      if (bytes.length > MAX_BYTES)
        throw new DoorwardError('definitions_too_large', 'the server defines more than can be kept', {
          where: server,
          expected: `at most ${MAX_BYTES} bytes`,
          got: String(bytes.length),
        })
      await makePrivateFolder(folder)
      await writeDurably(path, await sealer.seal(bytes, purpose))
    },
  }
}

function unreadable(where: string, expected: string, cause?: unknown): DoorwardError {
  return new DoorwardError('definitions_unreadable', 'what was approved of a server cannot be read', {
    where,
    expected,
    got: 'altered bytes, another key or another server',
    next: 'find out who has changed it; without the file everything has to be approved again',
    ...(cause === undefined ? {} : { cause }),
  })
}

function definitionsOf(value: JsonValue): readonly Definition[] | null {
  const listed = isJsonObject(value) && value['v'] === 1 ? value['definitions'] : undefined
  if (!Array.isArray(listed) || listed.length > maxDefinitions) return null
  const definitions = (listed as readonly JsonValue[]).flatMap((one): readonly Definition[] => {
    if (!isJsonObject(one)) return []
    const { kind, name, value: item } = one
    if (!isDefinitionKind(kind) || typeof name !== 'string' || item === undefined || !isJsonObject(item)) return []
    return [{ kind, name, value: item }]
  })
  return definitions.length === listed.length ? definitions : null
}
