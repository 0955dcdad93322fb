/** Requests and answers over something that carries messages both ways, each matched to the other by its id. */

import { DoorwardError, isJsonObject, LIST_LIMITS, scanJson, utf8 } from '@doorward/core'
import type { JsonObject } from '@doorward/core'
import { answeredError } from './inspection.ts'
import type { Conversation } from './inspection.ts'

export interface MessageChannel {
  write(message: Uint8Array, id: number | null): boolean
  stop(): void
  readonly gone: Promise<void>
}

export interface MessageEvents {
  readonly onMessage: (message: Uint8Array) => void
  readonly onExit: (reason: string) => void
}

export interface ConversationPlace {
  readonly where: string
  /** What the server has said beside its messages; nothing by default. */
  readonly said?: () => string
  readonly next?: string
}

export class ChannelConversation implements Conversation {
  readonly where: string
  readonly #channel: MessageChannel
  readonly #place: ConversationPlace
  readonly #answers = new Map<number, { resolve: (result: JsonObject) => void; reject: (error: Error) => void }>()
  #nextId = 1
  #ended: Error | null = null

  constructor(place: ConversationPlace, open: (events: MessageEvents) => MessageChannel) {
    this.where = place.where
    this.#place = place
    this.#channel = open({ onMessage: (message) => this.#onMessage(message), onExit: (how) => this.giveUp(how) })
  }

  request(method: string, params: JsonObject): Promise<JsonObject> {
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      if (this.#ended !== null) return reject(this.#ended)
      this.#answers.set(id, { resolve, reject })
      this.#send({ jsonrpc: '2.0', id, method, params }, id)
    })
  }

  async notify(method: string): Promise<void> {
    this.#send({ jsonrpc: '2.0', method }, null)
  }

  giveUp(how: string): void {
    const { next, said } = this.#place
    this.#ended ??= new DoorwardError('server_start_failed', 'the server could not be asked what it defines', {
      where: this.where,
      got: [how, said?.() ?? ''].filter((part) => part !== '').join(': '),
      ...(next === undefined ? {} : { next }),
    })
    for (const { reject } of this.#answers.values()) reject(this.#ended)
    this.#answers.clear()
  }

  /** Resolves when nothing of it is left. */
  async stop(): Promise<void> {
    this.#channel.stop()
    await this.#channel.gone
  }

  #send(message: JsonObject, id: number | null): void {
    if (!this.#channel.write(utf8(JSON.stringify(message)), id)) this.giveUp('it takes no messages')
  }

  #onMessage(message: Uint8Array): void {
    const scan = scanJson(message, LIST_LIMITS)
    if (!scan.ok || !isJsonObject(scan.value)) return
    const { id, result, error } = scan.value
    const answer = typeof id === 'number' ? this.#answers.get(id) : undefined
    if (answer === undefined || typeof id !== 'number') return
    this.#answers.delete(id)
    if (result !== undefined && isJsonObject(result)) answer.resolve(result)
    else answer.reject(answeredError(this.where, error))
  }
}
