/**
 * The messages of `envoy.service.auth.v3.Authorization` by field numbers (Envoy API v3: external_auth.proto, attribute_context.proto,
 * config/core/v3/base.proto and address.proto, type/v3/http_status.proto; google/rpc/status.proto).
 */

import { concat, fromUtf8 } from '@doorward/core'
import { bytesField, numberField, readFields, textField } from '../grpc/protobuf.ts'
import type { Field } from '../grpc/protobuf.ts'

/** What of a CheckRequest is looked at. Undefined for what Envoy did not say. */
export interface CheckRequest {
  readonly method: string | undefined
  /** Path and query, as in the first line of the request. */
  readonly target: string | undefined
  readonly host: string | undefined
  readonly scheme: string | undefined
  readonly address: string | undefined
  /** Percent-escaped PEM of the caller's certificate, and perhaps of those that signed it. */
  readonly certificate: string | undefined
  readonly headers: ReadonlyMap<string, string>
  /** From the configuration of the route, and nobody else. */
  readonly extensions: ReadonlyMap<string, string>
}

const MOST_FIELDS = 256

/** Null for what is no CheckRequest, says something twice, or more than is read. */
export function readCheckRequest(bytes: Uint8Array): CheckRequest | null {
  try {
    const attributes = within(bytes, 1)
    const http = within(within(attributes, 4), 2)
    const source = within(attributes, 1)
    return {
      method: text(http, 2),
      target: text(http, 4),
      host: text(http, 5),
      scheme: text(http, 6),
      address: addressOfSource(source),
      certificate: text(source, 5),
      headers: pairs([...all(http, 3), ...all(only(http, 13) ?? NOTHING, 1)]),
      extensions: pairs(all(attributes, 10)),
    }
  } catch {
    return null
  }
}

/** Of the caller, where nothing else of the message can be read; undefined where that cannot be read either. */
export function readAddress(bytes: Uint8Array): string | undefined {
  try {
    return addressOfSource(within(within(bytes, 1), 1))
  } catch {
    return undefined
  }
}

function addressOfSource(source: Uint8Array): string | undefined {
  return text(within(within(source, 1), 1), 2)
}

const NOTHING = new Uint8Array()

function fieldsOf(bytes: Uint8Array): readonly Field[] {
  const fields = readFields(bytes, MOST_FIELDS)
  if (fields === null) throw new TypeError('no message')
  return fields
}

function all(bytes: Uint8Array, number: number): readonly Uint8Array[] {
  return fieldsOf(bytes).flatMap((field) => (field.number === number ? [field.value] : []))
}

/** Two would be merged by some readers, and the last taken by others. */
function only(bytes: Uint8Array, number: number): Uint8Array | undefined {
  const [value, ...more] = all(bytes, number)
  if (more.length > 0) throw new TypeError('a field twice')
  return value
}

function within(bytes: Uint8Array, number: number): Uint8Array {
  return only(bytes, number) ?? NOTHING
}

function text(bytes: Uint8Array, number: number): string | undefined {
  const value = only(bytes, number)
  return value === undefined ? undefined : fromUtf8(value)
}

/** Entries of a map, or of a HeaderMap, whose values may be `raw_value` as well. */
function pairs(entries: readonly Uint8Array[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const entry of entries) {
    const name = (text(entry, 1) ?? '').toLowerCase()
    const raw = only(entry, 3)
    const value = raw === undefined ? (text(entry, 2) ?? '') : fromUtf8(raw)
    if (found.has(name)) throw new TypeError('a name twice')
    found.set(name, value)
  }
  return found
}

type Headers = Readonly<Record<string, string | readonly string[]>>

/** `CheckResponse` that lets the request go on, with these headers in place of its own, and without those. */
export function allowedResponse(headers: Headers, removed: readonly string[]): Uint8Array {
  const ok = concat(...headerOptions(headers), ...removed.map((name) => textField(5, name)))
  return concat(bytesField(1, numberField(1, 0)), bytesField(3, ok))
}

export interface DeniedResponse {
  readonly status: number
  readonly headers: Headers
  readonly body: string
}

/** `PERMISSION_DENIED`, which with any HTTP status means no. */
const DENIED = 7

/** `CheckResponse` by which Envoy answers its caller itself. */
export function deniedResponse({ status, headers, body }: DeniedResponse): Uint8Array {
  const http = concat(bytesField(1, numberField(1, status)), ...headerOptions(headers), textField(3, body))
  return concat(bytesField(1, numberField(1, DENIED)), bytesField(2, http))
}

/** `HeaderValueOption` without `append`: what is there by that name is replaced. */
function headerOptions(headers: Headers): readonly Uint8Array[] {
  return Object.entries(headers).flatMap(([name, values]) =>
    [values].flat().map((value) => bytesField(2, bytesField(1, concat(textField(1, name), textField(2, value))))),
  )
}
