/** An agent's answer as its caller is told it: one JSON-RPC message, or events with one each. */

import { utf8 } from '@doorward/core'
import type { AgentAnswers } from '../agents/agent-answers.ts'
import { isMediaType } from '../media-type.ts'
import type { AnswerFilter } from './answer-filter.ts'
import { GrowingBytes } from './growing-bytes.ts'
import { eventName, maxEventBytes, SseParser, withData } from './sse.ts'
import type { SseEvent } from './sse.ts'

/** Null for a type that is no answer to the request, and for a character set in which its reader would read something else. */
export function openAgentFilter(contentType: string, answers: AgentAnswers, answerBytes: number): AnswerFilter | null {
  if (isMediaType(contentType, 'application/json')) return new WholeMessage(answers, answerBytes)
  const isEvents = answers.streams && isMediaType(contentType, 'text/event-stream')
  return isEvents ? new MessageEvents(answers, answerBytes) : null
}

const NOTHING = new Uint8Array()
/** Read as a whole, and while it is read nothing else happens: as much as of one event. */
const MESSAGE_BYTES = maxEventBytes

class WholeMessage implements AnswerFilter {
  readonly isWhole = true
  readonly count = 0
  problem: string | null = null
  readonly #body = new GrowingBytes()
  readonly #answers: AgentAnswers
  readonly #most: number

  constructor(answers: AgentAnswers, most: number) {
    this.#answers = answers
    this.#most = Math.min(most, MESSAGE_BYTES)
  }

  push(chunk: Uint8Array): Uint8Array | null {
    if (this.#body.length + chunk.length > this.#most) {
      this.problem = 'a message that is too large'
      return null
    }
    this.#body.append(chunk)
    return NOTHING
  }

  end(): Uint8Array | null {
    const told = this.#answers.told(this.#body.view())
    if (told instanceof Uint8Array) return told
    this.problem = told.problem
    return null
  }
}

const COMMENT = utf8(':\n\n')
const plain: SseEvent = { raw: utf8('\n'), data: null }
const failed: SseEvent = { raw: utf8('event: error\n\n'), data: null }

/** Events without ids: a stream of a task is taken up again by asking for it (A2A 1.0 §3.1.6). */
class MessageEvents implements AnswerFilter {
  readonly isWhole = false
  readonly count = 0
  problem: string | null = null
  readonly #parser: SseParser
  readonly #answers: AgentAnswers

  constructor(answers: AgentAnswers, most: number) {
    this.#answers = answers
    this.#parser = new SseParser(Math.min(most, maxEventBytes))
  }

  push(chunk: Uint8Array): Uint8Array | null {
    const events = this.#parser.push(chunk)
    if (events === null) {
      this.problem = 'an event that is too large'
      return null
    }
    const parts: Uint8Array[] = []
    for (const event of events) {
      const told = this.#told(event)
      if (told === null) return null
      parts.push(told)
    }
    return Buffer.concat(parts)
  }

  /** What has no end is no event. */
  end(): Uint8Array {
    return NOTHING
  }

  #told(event: SseEvent): Uint8Array | null {
    if (event.data === null) return COMMENT
    const told = this.#answers.told(event.data)
    if (told instanceof Uint8Array) return withData(eventName(event) === 'error' ? failed : plain, told)
    this.problem = told.problem
    return null
  }
}
