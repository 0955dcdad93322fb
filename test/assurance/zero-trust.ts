/** The seven tenets of NIST SP 800-207, section 2.1. */

import { row } from './rows.ts'
import type { AssuranceList } from './rows.ts'

export const zeroTrust: AssuranceList = {
  heading: 'NIST SP 800-207: the tenets of zero trust',
  source:
    'Section 2.1 of NIST SP 800-207 (August 2020), https://doi.org/10.6028/NIST.SP.800-207; the tenets are said in our words.',
  rows: [
    row(
      'full',
      ['Tenet 1', 'everything is a resource'],
      'Tools, prompts, tasks, routes, numbers and status are resources with actions of their own; no route is without a decision, but the few of ADR 0004.',
      ['core/policy/builtin.ts docs/adr/0004-routes-without-token.md', 'AT-2 TM-28 MC-5'],
    ),
    row(
      'partial',
      ['Tenet 2', 'secure communication wherever it is'],
      'Plain text gets no answer of HTTP; for who calls, loopback and the own network count for nothing. Missing: a server on the own machine may be plain HTTP and a database a local socket, when the configuration says so by name.',
      ['path/wire/listener.ts path/wire/tls-context.ts', 'ADR11-CFG-tls.enabled ADR11-CFG-tls.client_auth TR-1 AT-9'],
    ),
    row(
      'full',
      ['Tenet 3', 'access for one session at a time'],
      'Access is for one request: a token of five minutes for one audience and one certificate, and a decision each time.',
      ['path/identify.ts core/token/judge-claims.ts', 'ADR11-DEC-3 TM-3 RP-1 AT-22'],
    ),
    row(
      'full',
      ['Tenet 4', 'dynamic policy'],
      'Roles, trust state, arguments, time, address and approvals decide; a change bites on the open connection.',
      ['core/policy/call-context.ts path/standing-decisions.ts', 'RV-4 AT-22 MC-19 AG-6'],
    ),
    row(
      'partial',
      ['Tenet 5', 'integrity and posture of assets is watched'],
      'Attestation when a workload joins, join states at each renewal, definitions of servers, program digests on the own machine. Missing: the state of a workload’s machine after it has joined is not measured.',
      ['server/authority/attest/attestors.ts core/identity/join-state.ts', 'BS-1 BS-2 BS-6 DT-2 DT-3 TM-13'],
    ),
    row(
      'full',
      ['Tenet 6', 'authentication and authorization before access'],
      'No connection to a server is opened before the decision is durable: the type of a permit cannot be had otherwise.',
      ['path/permit.ts path/pipeline.ts', 'ADR11-CFG-auth.require_auth ADR11-DEC-3 AT-1 TM-6'],
    ),
    row(
      'full',
      ['Tenet 7', 'collect what happens, and use it'],
      'Every decision is recorded with policy version and reason; detections, metrics and traces are made of it; candidates of policy are tried against the record.',
      ['path/record.ts path/detect/refusal-rates.ts server/apps/policy-replay.ts', 'FM-1 FM-26 DT-1 DT-4 TM-14'],
    ),
  ],
}
