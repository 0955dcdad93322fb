/** The traces of a gateway: which calls have one, and the spans of a call that has ended. */

import { hex } from '@doorward/core'
import type { RandomBytes } from '@doorward/core'
import type { StageTimes, BeginTrace, CallTrace } from '@doorward/enforcement'
import { readTraceContext, Sampler, traceparentText } from '../observability/trace-context.ts'
import type { TraceContext } from '../observability/trace-context.ts'
import type { Span } from '../observability/trace-otlp.ts'
import type { CallReport } from '../transports/streamable-http.ts'

export interface TracesParts {
  /** Share of the calls that is kept at most: above 0, and at most 1. */
  readonly ratio: number
  readonly random: RandomBytes
  readonly chance: () => number
}

/** A trace with the ids of our spans that others may get to know. */
export class GatewayTrace implements CallTrace {
  readonly traceId: string
  readonly sampled: boolean
  readonly traceparent: string
  readonly tracestate: string | null
  readonly parentId: string | null
  /** Of the span of the call, and of the one that is above whatever the server does. */
  readonly spanId: string
  readonly upstreamId: string

  constructor(incoming: TraceContext | null, sampled: boolean, random: RandomBytes) {
    const ids = hex(random(incoming === null ? 32 : 16))
    this.spanId = idIn(ids, 0)
    this.upstreamId = idIn(ids, 16)
    this.traceId = incoming?.traceId ?? ids.slice(32)
    this.parentId = incoming?.parentId ?? null
    this.tracestate = incoming?.state ?? null
    this.sampled = sampled
    this.traceparent = traceparentText({ traceId: this.traceId, parentId: this.upstreamId, sampled })
  }
}

/** An id of zeros is none. */
function idIn(ids: string, at: number): string {
  const id = ids.slice(at, at + 16)
  return id === '0000000000000000' ? '0000000000000001' : id
}

/** A call that continues a trace says so onwards, kept or not; one without a trace gets one where it is kept. */
export function traceBeginner({ ratio, random, chance }: TracesParts): BeginTrace {
  const sampler = new Sampler(ratio, chance)
  return ({ headers }) => {
    const incoming = readTraceContext(headers['traceparent'], headers['tracestate'])
    const sampled = sampler.keeps(incoming)
    return incoming === null && !sampled ? null : new GatewayTrace(incoming, sampled, random)
  }
}

/** Names of targets by method, as the semantic conventions for MCP have them. */
const targetOf: Readonly<Record<string, string>> = {
  'tools/call': 'gen_ai.tool.name',
  'prompts/get': 'gen_ai.prompt.name',
  'resources/read': 'mcp.resource.uri',
  'resources/subscribe': 'mcp.resource.uri',
  'resources/unsubscribe': 'mcp.resource.uri',
}
const MAX_TEXT = 512

/** A report that may wait: what the caller has named is cut, and copied so that nothing longer stays behind it. */
export function bounded(report: CallReport): CallReport {
  const { subject } = report
  if (subject === null || subject.length <= MAX_TEXT) return report
  return { ...report, subject: Buffer.from(subject.slice(0, MAX_TEXT)).toString() }
}

const stages = [
  ['identify', 'started', 'identified'],
  ['classify', 'read', 'classified'],
  ['authorize', 'classified', 'authorized'],
  ['record', 'admitted', 'decided'],
] as const satisfies readonly (readonly [string, keyof StageTimes, keyof StageTimes])[]

export interface SpanTools {
  /** Milliseconds since 1970 at which the clock of the times was 0. */
  readonly origin: number
  readonly random: RandomBytes
}

/** The span of the call, and below it one for each stage that it has passed, and one for its server. */
export function spansOf(report: CallReport, trace: GatewayTrace, { origin, random }: SpanTools): readonly Span[] {
  const { times } = report
  const { traceId, spanId } = trace
  const below = { traceId, parentId: spanId, failed: false }
  const passed = stages.filter(([, from, to]) => times[from] > 0 && times[to] > 0)
  const ids = hex(random(8 * passed.length))
  return [
    {
      traceId,
      spanId,
      parentId: trace.parentId,
      name:
        isOwn(report) && report.subject !== null
          ? `${report.method} ${report.subject}`
          : (report.action ?? report.method),
      kind: 'server',
      start: origin + times.started,
      end: origin + times.closed,
      attributes: callAttributes(report),
      failed: report.http >= 500,
    },
    ...passed.map(([name, from, to], i): Span => {
      const [start, end] = [origin + times[from], origin + times[to]]
      return { ...below, spanId: idIn(ids, 16 * i), name, kind: 'internal', start, end, attributes: {} }
    }),
    ...upstreamSpan(report, trace, origin),
  ]
}

function upstreamSpan(report: CallReport, trace: GatewayTrace, origin: number): readonly Span[] {
  const { times, action, server, outcome, code } = report
  if (outcome === null || times.decided === 0 || isOwn(report)) return []
  const failed = code !== 'allowed'
  return [
    {
      traceId: trace.traceId,
      spanId: trace.upstreamId,
      parentId: trace.spanId,
      name: action ?? report.method,
      kind: 'client',
      start: origin + times.decided,
      end: origin + (report.stream === 'none' && times.answered > 0 ? times.answered : times.closed),
      attributes: {
        'mcp.method.name': action,
        'doorward.server': server,
        'error.type': failed ? code : null,
      },
      failed,
    },
  ]
}

function callAttributes(report: CallReport): Span['attributes'] {
  const { action, subject, server, code, outcome, decision, caller, method, http } = report
  const target = action === null ? undefined : targetOf[action]
  return {
    'http.request.method': method,
    'http.response.status_code': http,
    'url.scheme': 'https',
    'url.path': pathOf(report),
    'network.protocol.version': '1.1',
    ...(action === method ? {} : { 'mcp.method.name': action }),
    ...(target === undefined ? {} : { [target]: subject }),
    'doorward.server': server,
    'doorward.caller': caller,
    'doorward.decision': outcome === null ? 'deny' : 'allow',
    'doorward.decision_id': decision,
    'doorward.code': code,
    'error.type': code === 'allowed' ? null : code,
  }
}

/** Of our own API: no server has this name. */
function isOwn({ server }: CallReport): boolean {
  return server === 'gateway'
}

/** The subject of a plain HTTP service and of our own API is a path, and their action the method. */
function pathOf(report: CallReport): string {
  const { action, method, server, subject } = report
  if (isOwn(report)) return subject ?? ''
  const isPath = action === method && subject !== null && subject.startsWith('/')
  return isPath ? `/http/${server ?? ''}${subject}` : `/mcp/${server ?? ''}`
}
