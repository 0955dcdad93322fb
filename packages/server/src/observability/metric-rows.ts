/** Every metric of gateway, authority and sidecar: docs/monitoring.md says the same. */

import type { MetricKind, MetricRow } from './metrics.ts'

function row(kind: MetricKind, name: string, help: string, ...labels: readonly string[]): MetricRow {
  return { name, kind, help, labels }
}

/** Seconds; from what a call costs here to what a slow server takes. */
const callSeconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const waitSeconds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1]
const lagSeconds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]

function seconds(buckets: readonly number[], name: string, help: string, ...labels: readonly string[]): MetricRow {
  return { ...row('histogram', name, help, ...labels), buckets }
}

/** Of both parts. */
export const ownRows = {
  build: row('info', 'doorward_build', 'The version that runs, and which part it is.', 'version', 'part'),
  ready: row('gauge', 'doorward_ready', '1 when calls can be served now.'),
  refusals: row('counter', 'doorward_refusals', 'Refused requests.', 'listener', 'code'),
  limitHits: row('counter', 'doorward_limit_hits', 'Refused requests that were over a limit.', 'limit'),
  connections: row('gauge', 'doorward_connections', 'Open connections.', 'listener'),
  handshakes: row('counter', 'doorward_handshakes', 'Completed TLS handshakes.', 'listener'),
  shedding: row('gauge', 'doorward_shedding', '1 for what is turned away because there is too much to do.', 'what'),
  handshakesRefused: row(
    'counter',
    'doorward_handshakes_refused',
    'Connections and handshakes that were refused, and requests that are no HTTP.',
    'listener',
    'reason',
  ),
  apiRequests: row('counter', 'doorward_api_requests', 'Requests to our own API by result.', 'route', 'code'),
  apiSeconds: seconds(
    callSeconds,
    'doorward_api_request_duration_seconds',
    'What allowed requests to our own API took once they were on record; streams are left out.',
    'route',
  ),
  recordState: row('gauge', 'doorward_record_state', '1 for the state that the record is in.', 'state'),
  recordEntries: row('gauge', 'doorward_record_entries', 'Acknowledged entries of the log.'),
  recordUncovered: row('gauge', 'doorward_record_uncovered_entries', 'Entries that no checkpoint covers yet.'),
  recordQueued: row('gauge', 'doorward_record_queued_entries', 'Entries that wait for the disk.'),
  recordSyncs: row('counter', 'doorward_record_syncs', 'Syncs of the journal.'),
  recordCommits: row('summary', 'doorward_record_commit_duration_seconds', 'What group commits took, sync included.'),
  recordAppends: row('counter', 'doorward_record_appends', 'Entries that were made durable.', 'kind'),
  exportState: row('gauge', 'doorward_export_state', '1 for the state that an export is in.', 'export', 'state'),
  exportLagging: row(
    'gauge',
    'doorward_export_lagging',
    '1 when more waits for an export than its spool may hold.',
    'export',
  ),
  exportWaiting: row('gauge', 'doorward_export_waiting_entries', 'Entries that wait for an export.', 'export'),
  exportAcknowledged: row(
    'gauge',
    'doorward_export_acknowledged_entries',
    'Index of the first entry that the receiver has not acknowledged.',
    'export',
  ),
  exportRejected: row(
    'counter',
    'doorward_export_rejected_entries',
    'Entries that the receiver has said not to keep.',
    'export',
  ),
  trustAge: row('gauge', 'doorward_trust_age_seconds', 'Since the authority last confirmed the trust state.'),
  trustState: row('gauge', 'doorward_trust_state', '1 for how the trust state is relied on.', 'state'),
  trustSequence: row('gauge', 'doorward_trust_sequence', 'Sequence of the trust state that is held.'),
  trustEpoch: row('gauge', 'doorward_trust_epoch', 'Epoch of the trust state that is held.'),
  certificateSeconds: row(
    'gauge',
    'doorward_certificate_remaining_seconds',
    'Until our own certificate ends; it is renewed at half of its life.',
  ),
  policy: row('info', 'doorward_policy', 'The policy that decides, by its digest.', 'digest'),
  policySequence: row('gauge', 'doorward_policy_sequence', 'Activations of a policy since the start.'),
  policyReloads: row('counter', 'doorward_policy_reloads', 'Readings of the policy by result.', 'outcome'),
  policyShadow: row(
    'gauge',
    'doorward_policy_shadow_differences',
    'Decisions that the candidate policy would have made otherwise, since it was taken up.',
  ),
  detections: row(
    'counter',
    'doorward_detections',
    'Detections and findings that were put on record.',
    'detector',
    'severity',
  ),
  cpu: row('counter', 'process_cpu_seconds', 'Processor time, of user and system.'),
  memory: row('gauge', 'process_resident_memory_bytes', 'Resident memory.'),
  files: row('gauge', 'process_open_fds', 'Open file descriptors; where the platform tells.'),
  started: row('gauge', 'process_start_time_seconds', 'When the process started, in seconds since 1970.'),
  loopLag: seconds(
    lagSeconds,
    'doorward_event_loop_lag_seconds',
    'How late a timer of the event loop came, forty times a second.',
  ),
} as const satisfies Readonly<Record<string, MetricRow>>

export const gatewayRows = {
  calls: row(
    'counter',
    'doorward_calls',
    'Calls of MCP servers by decision and result.',
    'server',
    'group',
    'decision',
    'code',
  ),
  callSeconds: seconds(
    callSeconds,
    'doorward_call_duration_seconds',
    'Allowed calls, from the head of the request to the end of the answer; streams of sessions are left out.',
    'server',
  ),
  ownSeconds: seconds(
    callSeconds,
    'doorward_call_own_duration_seconds',
    'The same without waiting for the server.',
    'server',
  ),
  recordWait: seconds(
    waitSeconds,
    'doorward_call_record_wait_seconds',
    'How long allowed calls waited for their decision to be durable.',
  ),
  upstreamCalls: row('counter', 'doorward_upstream_calls', 'Calls that went to a server.', 'server'),
  upstreamFailures: row(
    'counter',
    'doorward_upstream_failures',
    'Calls that a server failed, by what it did.',
    'server',
    'code',
  ),
  upstreamSeconds: seconds(
    callSeconds,
    'doorward_upstream_duration_seconds',
    'From handing a call to a server to the beginning of its answer.',
    'server',
  ),
  circuit: row(
    'gauge',
    'doorward_upstream_circuit',
    '1 for the state of the circuit of a server: while it is open nothing is sent there.',
    'server',
    'state',
  ),
  reloads: row(
    'counter',
    'doorward_configuration_reloads',
    'Readings of the whole configuration by result.',
    'outcome',
  ),
  approvals: row('gauge', 'doorward_approvals', 'Requests for approvals by their state.', 'state'),
  approvalsWaiting: row('gauge', 'doorward_approvals_waiting_calls', 'Calls that wait for an approver.'),
  approvalEvents: row(
    'counter',
    'doorward_approval_events',
    'What became of requests for approvals, as the record has it.',
    'event',
  ),
  askedDecisions: row(
    'counter',
    'doorward_asked_decisions',
    'Decisions that proxies of others have asked for, by the proxy.',
    'proxy',
    'server',
    'decision',
    'code',
  ),
  edgeCertificateSeconds: row(
    'gauge',
    'doorward_edge_certificate_remaining_seconds',
    'Until the certificate of the edge ends; 0 while it has none. Told where there is an edge.',
    'listener',
  ),
  callsOpen: row('gauge', 'doorward_calls_open', 'Answers that are under way.'),
  sessions: row('gauge', 'doorward_sessions', 'MCP sessions.'),
  streams: row('gauge', 'doorward_streams', 'Open streams of sessions.'),
  spans: row('counter', 'doorward_trace_spans', 'Spans of traced calls by what became of them.', 'result'),
} as const satisfies Readonly<Record<string, MetricRow>>

export const authorityRows = {
  issued: row('counter', 'doorward_issued', 'What was issued, as the record has it.', 'kind'),
  serving: row(
    'gauge',
    'doorward_authority_serving',
    '1 when the authority signs, 0 when something keeps it from that.',
  ),
  storeUp: row('gauge', 'doorward_store_up', '1 when the store answered the scrape.'),
  storeSeconds: row('gauge', 'doorward_store_read_seconds', 'What the reading for this scrape took.'),
  delegationSeconds: row(
    'gauge',
    'doorward_delegation_remaining_seconds',
    'Until the delegation of the recovery root ends, and nothing can be published.',
  ),
  slots: row('gauge', 'doorward_key_slots', 'Keys of the authorities by purpose and state.', 'purpose', 'state'),
  authorities: row('gauge', 'doorward_authorities', 'Authorities on the store by whether their lease lives.', 'live'),
  followers: row('gauge', 'doorward_followers', 'Followers that were heard of within the last minutes.'),
  behind: row('gauge', 'doorward_followers_behind', 'Followers that have not acknowledged the newest trust state.'),
  workloads: row('gauge', 'doorward_workloads', 'Registered workloads.'),
  certificates: row('gauge', 'doorward_certificates', 'Certificates that are in force.'),
  alarms: row('gauge', 'doorward_alarms', 'Alarms in the store, whoever raised them.'),
  frontCertificateSeconds: row(
    'gauge',
    'doorward_front_certificate_remaining_seconds',
    'Until the certificate of the front ends; 0 while it has none. Told where there is a front.',
    'listener',
  ),
} as const satisfies Readonly<Record<string, MetricRow>>

/** Of a sidecar, which has no API: told at a port of its own machine. */
export const sidecarRows = {
  calls: row(
    'counter',
    'doorward_sidecar_calls',
    'Calls that have ended, into the program and out of it.',
    'direction',
  ),
  underWay: row('gauge', 'doorward_sidecar_calls_open', 'Calls that are under way.', 'direction'),
  refusals: row('counter', 'doorward_sidecar_refusals', 'Refused requests and connections.', 'direction', 'code'),
} as const satisfies Readonly<Record<string, MetricRow>>

const { build, ready, certificateSeconds, trustAge, recordEntries, cpu, memory, files, started } = ownRows

export const rowsOf: Readonly<Record<'gateway' | 'authority' | 'sidecar', readonly MetricRow[]>> = {
  gateway: [...Object.values(ownRows), ...Object.values(gatewayRows)],
  authority: [...Object.values(ownRows), ...Object.values(authorityRows)],
  sidecar: [
    build,
    ready,
    certificateSeconds,
    trustAge,
    recordEntries,
    cpu,
    memory,
    files,
    started,
    ...Object.values(sidecarRows),
  ],
}
