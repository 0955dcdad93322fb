/** The four lists of OWASP that concern a gateway for agents, item by item. */

import { row } from './rows.ts'
import type { AssuranceList } from './rows.ts'

const web: AssuranceList = {
  heading: 'OWASP Top 10:2025',
  source: 'Ids and titles: https://owasp.org/Top10/2025/, edition 2025.',
  rows: [
    row(
      'full',
      ['A01', 'Broken Access Control'],
      'Every route and every method is decided, with deny as the default. What the servers behind do by themselves is theirs.',
      ['path/authorize.ts core/policy/builtin.ts', 'ADR11-CFG-rbac.default_policy AT-2 AT-5 TM-28'],
    ),
    row(
      'full',
      ['A02', 'Security Misconfiguration'],
      'Of our own: unknown keys and unsafe values are refused at start, headers stand on every answer, a key file that others may read stops everything.',
      [
        'server/config/schema.ts server/config/cross-check.ts',
        'OS25-ASM-5 FM-27 ADR11-CFG-headers.X-Content-Type-Options',
      ],
    ),
    row(
      'partial',
      ['A03', 'Software Supply Chain Failures'],
      'Of our own build: pinned packages with hashes, no install scripts, advisories, licences, a bill of materials. Missing: signatures and provenance are made where releases are published, and none has been published.',
      ['DEPENDENCIES.md scripts/security/run.ts', 'TM-16 AT-37'],
    ),
    row(
      'partial',
      ['A04', 'Cryptographic Failures'],
      'At listeners and between our parts TLS 1.3 with named suites and groups; sealed keys, one algorithm for each key. Missing: a server on the own machine may be plain HTTP, by configuration; receivers and servers outside may speak TLS 1.2, with forward secrecy.',
      [
        'path/wire/tls-context.ts server/secrets/sealed-file.ts core/token/compact-jws.ts',
        'ADR11-CFG-tls.min_version ADR11-CFG-tls.cipher_suites[0] TM-2 TM-22 TR-9',
      ],
    ),
    row(
      'partial',
      ['A05', 'Injection'],
      'Names and paths have one spelling, JSON is scanned before it is parsed, no shell is ever started, SQL has parameters. Missing: whether an argument is harmful to the server that gets it is known to its schema and to policy alone.',
      ['core/json/scan.ts path/wire/request-path.ts server/transports/stdio.ts', 'AT-12 AT-26 AT-34 MS-12'],
    ),
    row(
      'partial',
      ['A06', 'Insecure Design'],
      'A threat model by element, decision records, refusal tests and mutants. Missing: nobody from outside has reviewed it.',
      ['THREAT_MODEL.md docs/adr/README.md', 'TM-28 AT-2'],
    ),
    row(
      'full',
      ['A07', 'Authentication Failures'],
      'Mutual TLS and a token bound to it on every request; no passwords; nothing is tried twice without limits.',
      ['path/identify.ts path/identify-edge.ts', 'ADR11-DEC-3 TM-1 TM-2 TM-3 AT-21 AT-22'],
    ),
    row(
      'full',
      ['A08', 'Software or Data Integrity Failures'],
      'Trust state, policy bundles and record are signed or chained; what a server says of itself is approved by digest.',
      ['core/identity/signed-trust-state.ts path/definitions/definition-gate.ts', 'TM-13 TM-14 TM-15'],
    ),
    row(
      'full',
      ['A09', 'Security Logging and Alerting Failures'],
      'A decision is durable before its permit exists; findings are entries, webhooks and metrics.',
      ['path/record.ts server/audit/alert', 'FM-1 FM-2 TM-14 TM-27 DT-1'],
    ),
    row(
      'full',
      ['A10', 'Mishandling of Exceptional Conditions'],
      'A stage that fails refuses; what cannot be recorded does not pass; what is old is not served.',
      ['path/pipeline.ts path/record/suspension.ts', 'AT-30 FM-2 FM-11 FM-12 TM-26'],
    ),
  ],
}

const api: AssuranceList = {
  heading: 'OWASP API Security Top 10:2023',
  source: 'Ids and titles: https://owasp.org/API-Security/editions/2023/en/0x11-t10, edition 2023.',
  rows: [
    row(
      'partial',
      ['API1', 'Broken Object Level Authorization'],
      'Tasks, sessions and states belong to who began them, and policies read arguments. Missing: which record behind a server belongs to whom is known to that server.',
      ['path/owner.ts path/agents/task-owners.ts core/policy/call-context.ts', 'TM-21 AG-4 MC-17 MS-8'],
    ),
    row(
      'full',
      ['API2', 'Broken Authentication'],
      'Certificate and bound token on every request; codes and refresh tokens are good once.',
      ['path/identify.ts server/authority/front/tokens.ts', 'ADR11-DEC-3 TM-3 AS-6 AS-7 AS-8'],
    ),
    row(
      'partial',
      ['API3', 'Broken Object Property Level Authorization'],
      'Policies decide by arguments; structured output is checked, secrets in answers are taken out. Missing: no filter by field of what an allowed answer has.',
      ['core/output/schema-check.ts path/mcp/output-obligations.ts', 'MS-11 AT-26'],
    ),
    row(
      'full',
      ['API4', 'Unrestricted Resource Consumption'],
      'Rates, quotas, calls under way, streams, bodies, heads, times: each has a bound and a test.',
      [
        'path/limit.ts path/quota.ts path/wire/body-reader.ts',
        'ADR11-CFG-rate_limiting.global ADR11-CFG-rate_limiting.per_user FM-19 FM-20 FM-21 FM-22 FM-24',
      ],
    ),
    row(
      'full',
      ['API5', 'Broken Function Level Authorization'],
      'Each tool, method and route is an action of its own; administration is a listener and a role of its own.',
      ['core/policy/action.ts server/transports/admin-caller.ts', 'ADR11-DEC-5 AT-1 AT-2 TM-31'],
    ),
    row(
      'partial',
      ['API6', 'Unrestricted Access to Sensitive Business Flows'],
      'Quotas by action, approval of single calls, expectations of time in policies. Missing: whether a flow is harmful in all is for who writes the policy.',
      ['path/quota.ts path/approvals/approval-desk.ts', 'TM-29 FM-24'],
    ),
    row(
      'partial',
      ['API7', 'Server Side Request Forgery'],
      'Our own fetches: https, from nowhere private, no redirects. Missing: what a server fetches for an argument that policy allows.',
      ['server/transports/fetch-document.ts', 'AT-10 AS-11 AG-8'],
    ),
    row(
      'full',
      ['API8', 'Security Misconfiguration'],
      'As A02: strict schema, unsafe start refused, no default credential.',
      ['server/config/schema.ts', 'OS25-ASM-5 FM-27'],
    ),
    row(
      'full',
      ['API9', 'Improper Inventory Management'],
      'Routes, servers and tools are lists; one that nobody has described fails a test or is refused.',
      ['core/policy/builtin.ts path/definitions/known-definitions.ts', 'AT-2 TM-13 TM-28'],
    ),
    row(
      'partial',
      ['API10', 'Unsafe Consumption of APIs'],
      'Answers of servers are parsed strictly, bounded, checked by schema, and lose their redirects and cookies. Missing: what their content means to a model.',
      ['server/transports/upstream-http-answer.ts core/mcp/server-message.ts', 'FM-11 AT-25 MC-24 AG-5'],
    ),
  ],
}

const mcp: AssuranceList = {
  heading: 'OWASP MCP Top 10:2025 (beta)',
  source:
    'Ids and titles: https://github.com/OWASP/www-project-mcp-top-10, folder 2025, a beta whose titles may change (MCP06 had another one before).',
  rows: [
    row(
      'full',
      ['MCP01', 'Token Mismanagement & Secret Exposure'],
      'Tokens are bound, short, and go no further; secrets are sealed and in no output.',
      ['path/identify.ts server/secrets/secret-store.ts core/secret.ts', 'MS-4 MS-14 TM-3 TM-20 ADR11-CHK-5'],
    ),
    row(
      'full',
      ['MCP02', 'Privilege Escalation via Scope Creep'],
      'A scope is a list of permissions and only narrows, at each hop; a changed role bites on the open connection.',
      ['core/policy/token-scope.ts server/authority/token-narrowing.ts', 'DX-3 DX-4 RV-4'],
    ),
    row(
      'partial',
      ['MCP03', 'Tool Poisoning'],
      'Definitions are approved and pinned, changes hidden and refused, suspicious text flagged. Missing: a poisoned description that somebody approves.',
      ['path/definitions/definition-gate.ts core/integrity/text-flags.ts', 'TM-13 MS-13'],
    ),
    row(
      'partial',
      ['MCP04', 'Software Supply Chain Attacks & Dependency Tampering'],
      'Our own packages are pinned and checked; servers run as configured. Missing: no registry of signed servers.',
      ['DEPENDENCIES.md server/apps/server-sandbox.ts', 'TM-16 AT-37 TM-13'],
    ),
    row(
      'partial',
      ['MCP05', 'Command Injection & Execution'],
      'No string of a caller or a server reaches a command line or a shell of ours; policies read arguments. Missing: what a server does with an allowed argument.',
      ['server/transports/stdio.ts core/policy/call-context.ts', 'TM-32 AT-12 MS-11'],
    ),
    row(
      'no',
      ['MCP06', 'Intent Flow Subversion'],
      'The gateway judges calls, not intentions: it cannot tell a call that a model was talked into from any other. It narrows what such a call can do (roles, arguments, quotas, approvals) and shows it in the record.',
      ['path/approvals/approval-desk.ts', 'TM-29'],
    ),
    row(
      'full',
      ['MCP07', 'Insufficient Authentication & Authorization'],
      'Both, on every request, of every method and era.',
      ['path/pipeline.ts', 'MS-2 MC-5 ADR11-DEC-3 AT-1'],
    ),
    row(
      'full',
      ['MCP08', 'Lack of Audit and Telemetry'],
      'Every decision is recorded before its effect, provably; numbers and traces beside it.',
      ['path/record.ts server/observability/metrics.ts', 'TM-14 TM-27 FM-1 FM-26'],
    ),
    row(
      'partial',
      ['MCP09', 'Shadow MCP Servers'],
      'Through the gateway only configured servers exist, and only approved tools. Missing: a server that a host reaches around the gateway is for the network to stop.',
      ['server/config/schema.ts path/definitions/known-definitions.ts', 'TM-13 TM-28'],
    ),
    row(
      'partial',
      ['MCP10', 'Context Injection & Over-Sharing'],
      'Sessions, states and tasks are their caller’s; secrets are taken out of answers; lists show what may be called. Missing: no judgement of other content.',
      ['path/owner.ts core/output/secret-texts.ts core/mcp/list-filter.ts', 'TM-21 MC-13 MC-16 MS-11'],
    ),
  ],
}

const agentic: AssuranceList = {
  heading: 'OWASP Top 10 for Agentic Applications 2026',
  source:
    'Ids and titles: https://genai.owasp.org/resource/owasp-top-10-for-agentic-applications-for-2026/ (December 2025), taken from articles about it: the document itself was not at hand.',
  rows: [
    row(
      'no',
      ['ASI01', 'Agent Goal Hijack'],
      'What an agent wants is not judged. What it can do is bounded by role, arguments, quota and approval, whatever it wants.',
      ['path/authorize.ts', 'ADR11-DEC-5 TM-29'],
    ),
    row(
      'partial',
      ['ASI02', 'Tool Misuse & Exploitation'],
      'Policies by argument, effects of tools, quotas, approval of single calls. Missing: a permitted call for a wrong end.',
      ['core/policy/call-context.ts path/tool-effects.ts path/quota.ts', 'MS-11 AT-34 FM-24'],
    ),
    row(
      'full',
      ['ASI03', 'Identity & Privilege Abuse'],
      'Every agent has an identity of its own, bound to a key; people act through it by short tokens; chains narrow.',
      ['path/identify.ts server/authority/exchange-chain.ts', 'DX-1 DX-2 DX-3 DX-4 DX-5 TM-3'],
    ),
    row(
      'partial',
      ['ASI04', 'Agentic Supply Chain Vulnerabilities'],
      'Tools and cards are approved by digest and signature. Missing: models, prompts and the packages of servers.',
      ['path/definitions/definition-gate.ts path/agents/card-signature.ts', 'TM-13 AG-9 TM-16'],
    ),
    row(
      'partial',
      ['ASI05', 'Unexpected Code Execution (RCE)'],
      'The gateway executes nothing that a caller or server says. Missing: what agents and servers execute by themselves.',
      ['server/transports/stdio.ts server/apps/server-sandbox.ts', 'TM-32 AT-12'],
    ),
    row(
      'no',
      ['ASI06', 'Memory & Context Poisoning'],
      'What an agent remembers is not seen. Callers’ states are kept apart.',
      ['path/owner.ts', 'TM-21'],
    ),
    row(
      'full',
      ['ASI07', 'Insecure Inter-Agent Communication'],
      'Agents call each other over mutual TLS, by approved cards and closed lists of methods; tasks are their principal’s.',
      [
        'path/agents/agent-request.ts server/transports/agent-call.ts',
        'AG-2 AG-3 AG-4 AG-5 AG-7 AG-9 ADR11-CFG-tls.client_auth',
      ],
    ),
    row(
      'partial',
      ['ASI08', 'Cascading Failures'],
      'Circuits, deadlines, bounded calls, chains of four; revocation reaches open streams. Missing: budgets over a whole chain of agents.',
      ['server/transports/circuit.ts server/transports/bounded-calls.ts', 'FM-11 DX-5 RV-4'],
    ),
    row(
      'partial',
      ['ASI09', 'Human-Agent Trust Exploitation'],
      'An approval shows the exact call and is good for it alone. Missing: who approves without reading.',
      ['path/approvals/approval-request.ts server/transports/approval-page.ts', 'TM-29 ADR11-REQ-3'],
    ),
    row(
      'partial',
      ['ASI10', 'Rogue Agents'],
      'Revocation within seconds, on open connections too; refusals by rate are found. Missing: an agent that stays within what it may.',
      ['server/authority/revoke.ts path/detect/refusal-rates.ts', 'RV-4 RV-5 DT-1 AT-16'],
    ),
  ],
}

export const owasp: readonly AssuranceList[] = [web, api, mcp, agentic]
