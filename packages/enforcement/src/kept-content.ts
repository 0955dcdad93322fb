/** What of arguments and results goes into the entries of a call: nothing, unless a rule says so. */

import { createHmac } from 'node:crypto'
import { canonicalJson, isJsonObject, keepMembers, keepRuleFor, scanJson, withoutSecrets } from '@doorward/core'
import type { Action, JsonObject, JsonValue, KeepRule, KeepRules, Resource } from '@doorward/core'

type Hmac = ReturnType<typeof createHmac>

/** One call, as far as rules look at it. */
export interface KeptCall {
  readonly action: Action
  readonly resource: Resource
  readonly args: unknown
}

/** Is shown what is sent to the caller. */
export interface ResultKeeper {
  /** A complete JSON answer. */
  whole(body: Uint8Array): void
  /** A part of a stream. */
  part(bytes: Uint8Array): void
  /** For the outcome's entry; null when there was no answer. */
  taken(): JsonObject | null
}

/** A JSON-RPC answer is so much longer than its result, at most. */
const ENVELOPE_BYTES = 1024
const RESULT_LIMITS = { maxDepth: 32, maxKeys: 10_000 }

export class KeptContent {
  readonly #rules: KeepRules
  readonly #key: Uint8Array

  /** `key`: for HMACs, of the writer's own. */
  constructor(rules: KeepRules, key: Uint8Array) {
    this.#rules = rules
    this.#key = key
  }

  /** For the decision's entry: empty without a rule. */
  decision(call: KeptCall): { readonly kept?: JsonObject } {
    const rule = keepRuleFor(this.#rules, call.action, call.resource)
    if (rule === null || rule.arguments === null) return {}
    const hmac = (value: JsonValue) => this.hmacOf(value)
    const kept = keepMembers(rule.arguments, call.args, { hmac, maxBytes: rule.maxBytes })
    return { kept: 'problem' in kept ? { problem: kept.problem } : { arguments: kept.members } }
  }

  /** Null without a rule about results. */
  result(call: KeptCall): ResultKeeper | null {
    const rule = keepRuleFor(this.#rules, call.action, call.resource)
    return rule === null || rule.result === null
      ? null
      : new OneResult(rule, this, () => createHmac('sha256', this.#key))
  }

  /** HMAC-SHA-256 over the canonical value (RFC 8785), hexadecimal: equal for equal values of this log alone. */
  hmacOf(value: JsonValue): string {
    return createHmac('sha256', this.#key).update(canonicalJson(value)).digest('hex')
  }
}

class OneResult implements ResultKeeper {
  readonly #rule: KeepRule
  readonly #content: KeptContent
  readonly #newHmac: () => Hmac
  #stream: Hmac | null = null
  #bytes = 0
  #taken: JsonObject | null = null

  constructor(rule: KeepRule, content: KeptContent, newHmac: () => Hmac) {
    this.#rule = rule
    this.#content = content
    this.#newHmac = newHmac
  }

  whole(body: Uint8Array): void {
    this.#taken = { bytes: body.length, ...(this.#value(body) ?? this.#answer(body)) }
  }

  part(bytes: Uint8Array): void {
    this.#stream ??= this.#newHmac()
    this.#stream.update(bytes)
    this.#bytes += bytes.length
  }

  taken(): JsonObject | null {
    if (this.#stream === null) return this.#taken
    const [stream, bytes] = [this.#stream, this.#bytes]
    this.#stream = null
    this.#taken = { bytes, of: 'stream', hmac: stream.digest('hex') }
    return this.#taken
  }

  /** Null for what is too large, or no answer with a result. */
  #value(body: Uint8Array): JsonObject | null {
    const { maxBytes, result: mode } = this.#rule
    if (body.length > maxBytes + ENVELOPE_BYTES) return null
    const scan = scanJson(body, { ...RESULT_LIMITS, maxBytes: body.length })
    if (!scan.ok || !isJsonObject(scan.value) || !Object.hasOwn(scan.value, 'result')) return null
    const result = scan.value['result'] ?? null
    if (mode === 'hmac') return { of: 'result', hmac: this.#content.hmacOf(result) }
    const stored = withoutSecrets(result)
    return Buffer.byteLength(JSON.stringify(stored)) > maxBytes ? null : { of: 'result', stored }
  }

  #answer(body: Uint8Array): JsonObject {
    return { of: 'answer', hmac: this.#newHmac().update(body).digest('hex') }
  }
}
