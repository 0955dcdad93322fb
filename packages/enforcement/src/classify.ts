/** Stage 2: which action on which resource. The body decides; what was judged is what is forwarded. */

import type { Action, JsonValue, Resource } from '@doorward/core'
import { isDenial } from './denial.ts'
import type { Denial } from './denial.ts'
import type { Identified } from './identify.ts'

declare const classified: unique symbol

/** One call as a protocol's classifier understood it. */
export interface Call<Detail> {
  readonly action: Action
  readonly resource: Resource
  /** What has to be allowed as well, each by itself; nothing by default. */
  readonly parts?: readonly { readonly action: Action; readonly resource: Resource }[]
  /** Arguments of the call; undefined when it has none. */
  readonly args: unknown
  /** The one text of everything that is asked for, where nothing is rounded, and what of it people are shown. */
  readonly exact?: () => ExactCall
  /** JSON-RPC id to answer a later refusal with. */
  readonly rpcId: string | number | undefined
  /** What the protocol's forwarder needs later. */
  readonly detail: Detail
  /** What may stand against the call beside policy, asked once policy allows it; nothing by default. */
  readonly objection?: (() => Promise<Denial | null>) | null
}

/** What an approval is bound to. */
export interface ExactCall {
  /** Two calls with the same text are the same to the server, but for what names and traces the exchange. */
  readonly text: string
  /** For people; may hold secrets. */
  readonly shown: JsonValue
}

/** Pure: judges the complete body. */
export type Classifier<Detail> = (body: Uint8Array, identified: Identified) => Call<Detail> | Denial

export interface Classified<Detail> {
  readonly [classified]: true
  readonly identified: Identified
  readonly call: Call<Detail>
  /** The exact bytes that were judged. */
  readonly body: Uint8Array
}

export function classify<Detail>(
  caller: Identified,
  body: Uint8Array,
  classifier: Classifier<Detail>,
): Classified<Detail> | Denial {
  const call = classifier(body, caller)
  if (isDenial(call)) return { ...call, caller: caller.principal }
  return { identified: caller, call, body } as Classified<Detail>
}
