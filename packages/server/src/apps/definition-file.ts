/**
 * What is approved of one server, in the gateway's state: sealed, so that what was written there by others does not open, and
 * numbered. The newest number lies sealed in a second place, so that an older file that is put back is known as one.
 */

import { join } from 'node:path'
import {
  definitionKey,
  definitionsDigest,
  DoorwardError,
  isDefinitionKind,
  isJsonObject,
  scanJson,
  utf8,
} from '@doorward/core'
import type { Definition, JsonValue } from '@doorward/core'
import { maxDefinitions } from '@doorward/enforcement'
import { sha256 } from '@doorward/sdk'
import type { Sealer } from '@doorward/sdk'
import { makePrivateFolder, readIfPresent, writeDurably } from '../secrets/durable-file.ts'

const MAX_BYTES = 4 * 1024 * 1024
const MARK_BYTES = 4096
const FOLDER = 'definitions'
const limits = { maxBytes: MAX_BYTES, maxDepth: 72, maxKeys: 200_000, prototypeKeys: 'keep' } as const

/** Whoever decides by what the file holds. */
export interface DefinitionReader {
  /** An operator has approved exactly these. */
  approved(definitions: readonly Definition[]): void
  /** These were approved on first use. */
  learned(definitions: readonly Definition[]): void
}

export interface DefinitionFile {
  /**
   * Null where nothing was ever approved. Throws `definitions_unreadable`, and `definitions_rolled_back` for a file that is
   * older than the one that was written last, or that is gone.
   */
  read(): Promise<readonly Definition[] | null>
  /** These and no others; durable when it resolves, and every reader has been told. Throws `definitions_too_large`. */
  write(definitions: readonly Definition[]): Promise<void>
  /** These beside what it holds, which stays as it is. As `write`. */
  add(definitions: readonly Definition[]): Promise<void>
  /** Tells the reader of every write from now on. Returns what ends that. */
  tell(reader: DefinitionReader): () => void
}

export interface DefinitionFileParts {
  readonly stateDir: string
  /** Of the numbers: not in the state folder. */
  readonly markDir: string
  /** Of the gateway's log: names it among others that share `markDir`. */
  readonly origin: string
  readonly server: string
  readonly sealer: Sealer
}

interface Content {
  /** 0 for a file from before there were numbers. */
  readonly sequence: number
  readonly definitions: readonly Definition[]
}

interface Mark {
  readonly sequence: number
  /** Of the definitions of that number. */
  readonly digest: string
}

/** One for each server of a process: it counts its writes. */
export function definitionFile(parts: DefinitionFileParts): DefinitionFile {
  return new SealedDefinitions(parts)
}

class SealedDefinitions implements DefinitionFile {
  readonly #parts: DefinitionFileParts
  readonly #path: string
  readonly #markPath: string
  readonly #readers = new Set<DefinitionReader>()
  #content: Content | null = null
  /** One after the other. */
  #work: Promise<unknown> = Promise.resolve()

  constructor(parts: DefinitionFileParts) {
    const { stateDir, markDir, origin, server } = parts
    this.#parts = parts
    this.#path = join(stateDir, FOLDER, `${server}.sealed`)
    this.#markPath = join(markDir, `${encodeURIComponent(origin)}.${server}.definitions`)
  }

  read(): Promise<readonly Definition[] | null> {
    return this.#exclusively(async () => {
      const mark = await this.#readMark()
      const content = await this.#readContent()
      this.#refuseOlder(content, mark)
      // A crash may have come between the two writes.
      if (content !== null && content.sequence > (mark?.sequence ?? 0)) await this.#writeMark(content)
      this.#content = content
      return content?.definitions ?? null
    })
  }

  write(definitions: readonly Definition[]): Promise<void> {
    return this.#exclusively(async () => {
      await this.#write(definitions)
      for (const reader of this.#readers) reader.approved(definitions)
    })
  }

  add(definitions: readonly Definition[]): Promise<void> {
    return this.#exclusively(async () => {
      const held = this.#content?.definitions ?? []
      const keys = new Set(held.map(definitionKey))
      const fresh = definitions.filter((one) => !keys.has(definitionKey(one)))
      if (fresh.length > 0) await this.#write([...held, ...fresh])
      for (const reader of this.#readers) reader.learned(fresh)
    })
  }

  tell(reader: DefinitionReader): () => void {
    this.#readers.add(reader)
    return () => void this.#readers.delete(reader)
  }

  /** The number is remembered last: a file whose number nobody remembers yet is newer, never older. */
  async #write(definitions: readonly Definition[]): Promise<void> {
    const content = { sequence: (this.#content?.sequence ?? 0) + 1, definitions }
    const bytes = utf8(JSON.stringify({ v: 2, ...content }))
    if (bytes.length > MAX_BYTES)
      throw new DoorwardError('definitions_too_large', 'the server defines more than can be kept', {
        where: this.#parts.server,
        expected: `at most ${MAX_BYTES} bytes`,
        got: String(bytes.length),
      })
    await makePrivateFolder(join(this.#parts.stateDir, FOLDER))
    await writeDurably(this.#path, await this.#parts.sealer.seal(bytes, this.#purpose('definitions')))
    await this.#writeMark(content)
    this.#content = content
  }

  async #writeMark({ sequence, definitions }: Content): Promise<void> {
    const bytes = utf8(JSON.stringify({ v: 1, sequence, digest: digestOf(definitions) }))
    await makePrivateFolder(this.#parts.markDir)
    await writeDurably(this.#markPath, await this.#parts.sealer.seal(bytes, this.#purpose('definitions-mark')))
  }

  #refuseOlder(content: Content | null, mark: Mark | null): void {
    if (mark === null) return
    const sequence = content?.sequence ?? null
    const sameNumber = sequence === mark.sequence && content !== null
    if (
      sequence !== null &&
      sequence >= mark.sequence &&
      !(sameNumber && digestOf(content.definitions) !== mark.digest)
    )
      return
    throw new DoorwardError('definitions_rolled_back', 'what was approved of a server is not what was approved last', {
      where: this.#path,
      expected: `approval ${mark.sequence} of ${this.#parts.server}, or a newer one`,
      got: sequence === null ? 'no file' : sameNumber ? 'another of the same number' : `approval ${sequence}`,
      next: `find out who has put it there; put the newest file back, or remove it and ${this.#markPath} and approve everything again`,
    })
  }

  async #readContent(): Promise<Content | null> {
    const value = await this.#open(this.#path, MAX_BYTES, 'definitions')
    if (value === null) return null
    const content = contentOf(value)
    if (content === null) throw unreadable(this.#path, 'format 1 or 2')
    return content
  }

  async #readMark(): Promise<Mark | null> {
    const value = await this.#open(this.#markPath, MARK_BYTES, 'definitions-mark')
    if (value === null) return null
    const { v, sequence, digest } = isJsonObject(value) ? value : {}
    if (v !== 1 || !isSequence(sequence) || typeof digest !== 'string') throw unreadable(this.#markPath, 'format 1')
    return { sequence, digest }
  }

  async #open(path: string, maxBytes: number, what: string): Promise<JsonValue | null> {
    const sealed = await readIfPresent(path, maxBytes + 64)
    if (sealed === null) return null
    const bytes = await this.#parts.sealer.open(sealed, this.#purpose(what)).catch((error: unknown) => {
      throw unreadable(path, 'what this gateway has written', error)
    })
    const scan = scanJson(bytes, limits)
    if (!scan.ok) throw unreadable(path, 'JSON')
    return scan.value
  }

  #purpose(what: string): string {
    const { server } = this.#parts
    return `gateway/${what}/${server}`
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#work.then(work)
    this.#work = mine.catch(() => undefined)
    return mine
  }
}

const digestOf = (definitions: readonly Definition[]) => definitionsDigest(definitions, sha256)

function unreadable(where: string, expected: string, cause?: unknown): DoorwardError {
  return new DoorwardError('definitions_unreadable', 'what was approved of a server cannot be read', {
    where,
    expected,
    got: 'altered bytes, another key or another server',
    next: 'find out who has changed it; without the file everything has to be approved again',
    ...(cause === undefined ? {} : { cause }),
  })
}

function isSequence(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0
}

function contentOf(value: JsonValue): Content | null {
  if (!isJsonObject(value)) return null
  const { v, sequence } = value
  const definitions = definitionsOf(value['definitions'])
  if (definitions === null) return null
  if (v === 1) return { sequence: 0, definitions }
  return v === 2 && isSequence(sequence) ? { sequence, definitions } : null
}

function definitionsOf(listed: JsonValue | undefined): readonly Definition[] | null {
  if (!Array.isArray(listed) || listed.length > maxDefinitions) return null
  const definitions = (listed as readonly JsonValue[]).flatMap((one): readonly Definition[] => {
    if (!isJsonObject(one)) return []
    const { kind, name, value: item } = one
    if (!isDefinitionKind(kind) || typeof name !== 'string' || item === undefined || !isJsonObject(item)) return []
    return [{ kind, name, value: item }]
  })
  return definitions.length === listed.length ? definitions : null
}
