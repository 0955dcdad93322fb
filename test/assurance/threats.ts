/** Threats of the reference (`TM`), in its order: where, of which kind, what meets them. State and tests are those of their manifest. */

import { core, path, sdk, server, threat } from './threat.ts'
import type { Threat } from './threat.ts'
import { beyondReference } from './threats-beyond.ts'

/** Of the reference, in its order. */
const reference: readonly Threat[] = [
  threat(
    ['TM-1', 'S', 'Forged client certificate'],
    ['callers', 'gateway', 'authority'],
    'mutual TLS 1.3, and our own check of the whole SVID profile and of the issuance mirror after the handshake',
    [`${core}/identity/svid-profile.ts`, `${path}/certificate-standing.ts`],
  ),
  threat(
    ['TM-2', 'S', 'Forged token'],
    ['callers', 'gateway'],
    'one algorithm for each key, from configuration and trust state; a strict grammar; no key is ever taken from a token',
    [`${core}/token/compact-jws.ts`, `${core}/token/verify.ts`],
  ),
  threat(
    ['TM-3', 'S', 'Token used from another certificate'],
    ['callers'],
    'tokens carry the thumbprint of the certificate (RFC 8705) and count over no other',
    [`${path}/identify.ts`],
  ),
  threat(
    ['TM-4', 'SR', 'Replay'],
    ['callers', 'gateway'],
    'five minutes at most, bound to a key; what must happen once consumes an id in one atomic step',
    [`${core}/token/proof-of-possession.ts`, `${server}/state/memory-replay-guard.ts`],
  ),
  threat(
    ['TM-5', 'SE', 'A connection outlives trust'],
    ['callers', 'gateway'],
    'no session is resumed; each request looks at expiry, denial and epoch; open streams end',
    [`${path}/wire/tls-context.ts`, `${path}/withdrawal.ts`],
  ),
  threat(
    ['TM-6', 'S', 'Identity by header'],
    ['callers', 'gateway'],
    'no header says who somebody is; forwarding headers are taken away, names with an underscore are refused',
    [`${path}/wire/request-head.ts`, `${server}/transports/backend-headers.ts`],
  ),
  threat(
    ['TM-7', 'S', 'DNS rebinding, a browser as deputy'],
    ['callers'],
    'Host and Origin are lists, on every request; loopback authenticates too',
    [`${path}/wire/request-head.ts`, `${path}/edge-rules.ts`],
  ),
  threat(
    ['TM-8', 'SE', 'Another process uses the sidecar'],
    ['beside'],
    'the kernel says who is at the other end: user, group, program',
    [`${server}/transports/sidecar`, `${server}/apps/sidecar`],
  ),
  threat(
    ['TM-9', 'S', 'A rogue server'],
    ['servers', 'upstream'],
    'a server is the configured SPIFFE ID or certificate, judged before a byte is sent',
    [`${server}/transports/guarded-upstream.ts`, `${sdk}/server-judge.ts`],
  ),
  threat(
    ['TM-10', 'ST', 'A fake authority'],
    ['authority', 'control', 'beside'],
    'the trust state is signed below the pinned recovery root; the server is proven before anything is sent',
    [`${core}/identity/signed-trust-state.ts`, `${sdk}/trust-client.ts`],
  ),
  threat(
    ['TM-11', 'T', 'Request smuggling'],
    ['calls', 'upstream', 'gateway'],
    'one strict reading of lengths and codings; heads are written anew; a server that is ambiguous loses its connection',
    [`${path}/wire/body-reader.ts`, `${server}/transports/upstream-http-wire.ts`],
  ),
  threat(
    ['TM-12', 'TE', 'Parsers that differ'],
    ['calls', 'gateway'],
    'one bounded scanner before any parser; the body decides, headers only contradict it; one spelling of a path',
    [`${core}/json/scan.ts`, `${core}/mcp/classify.ts`, `${path}/wire/request-path.ts`],
  ),
  threat(
    ['TM-13', 'TE', 'Poisoned, changed or shadowed tools'],
    ['servers', 'upstream'],
    'definitions are approved whole and by digest; what changed is hidden and refused',
    [`${path}/definitions/definition-gate.ts`, `${core}/integrity/definition-change.ts`],
  ),
  threat(
    ['TM-14', 'TR', 'The record is altered, reordered or cut'],
    ['record', 'gateway', 'authority'],
    'a hash chain, signed checkpoints of a Merkle tree, copies at another part and at witnesses',
    [`${path}/record/file-record.ts`, `${core}/audit/merkle-tree.ts`, `${path}/record/witnessed-record.ts`],
  ),
  threat(
    ['TM-15', 'TE', 'Who has the store changes roles or revocations'],
    ['store', 'authority'],
    'what counts is signed and of rising sequence; an anchor that we did not make is denied at once',
    [`${server}/authority/trust-publisher.ts`, `${server}/authority/detect/foreign-keys.ts`],
  ),
  threat(
    ['TM-16', 'T', 'A dependency is tampered with'],
    ['build'],
    'few dependencies, each with a reason, pinned with hashes; no install scripts; advisories and origins are checked',
    ['DEPENDENCIES.md', 'scripts/security/run.ts'],
  ),
  threat(
    ['TM-17', 'SE', 'The clock is set back'],
    ['gateway', 'authority'],
    'a clock never goes back for a decision; an authority whose clock jumps issues nothing',
    [`${server}/authority/clock-guard.ts`, `${path}/detect/clock-steps.ts`],
  ),
  threat(
    ['TM-18', 'R', 'A call that nobody can be held to'],
    ['callers', 'gateway', 'beside', 'servers'],
    'the decision is durable before the permit exists, and its id is in the answer',
    [`${path}/record.ts`, `${path}/permit.ts`],
  ),
  threat(
    ['TM-19', 'R', 'An operator denies a change'],
    ['operators', 'authority'],
    'administration is decided and recorded like every call, with its reason',
    [`${server}/transports/admin-api.ts`, `${server}/authority/ceremony.ts`],
  ),
  threat(
    ['TM-20', 'I', 'Secrets in outputs'],
    ['gateway', 'authority', 'record', 'calls'],
    'secrets are a type that cannot print itself; errors towards callers are general',
    [`${core}/secret.ts`, `${path}/denial.ts`, `${server}/observability/log.ts`],
  ),
  threat(
    ['TM-21', 'I', 'One caller sees what is another’s'],
    ['gateway', 'calls', 'upstream'],
    'ids are bound to their owner; each identity has its own state towards a server',
    [`${path}/owner.ts`, `${path}/mcp/handles.ts`],
  ),
  threat(
    ['TM-22', 'I', 'Keys are stolen at rest'],
    ['keys', 'store'],
    'private keys are sealed; the key that opens them is outside the state',
    [`${server}/secrets/sealed-file.ts`, `${server}/secrets/key-custody.ts`],
  ),
  threat(
    ['TM-23', 'I', 'Enumeration, timing'],
    ['gateway', 'calls'],
    'what is hidden and what does not exist get the same bytes',
    [`${core}/mcp/denial-body.ts`, `${core}/mcp/list-filter.ts`],
  ),
  threat(
    ['TM-24', 'D', 'Floods'],
    ['gateway', 'calls', 'authority'],
    'limits per address before the handshake, on heads, bodies, pace and places; strangers are shed first',
    [`${path}/wire/connection-gate.ts`, `${path}/wire/handshake-queue.ts`, `${path}/load-shedding.ts`],
  ),
  threat(
    ['TM-25', 'D', 'One caller takes everything'],
    ['gateway', 'upstream', 'calls'],
    'quotas per principal and action, calls under way per caller and per server',
    [`${path}/quota.ts`, `${path}/open-calls.ts`, `${server}/transports/bounded-calls.ts`],
  ),
  threat(
    ['TM-26', 'D', 'Authority or store is away'],
    ['authority', 'store', 'control', 'gateway'],
    'sixty seconds in full, to three hundred for whom it knows, then nobody; several authorities',
    [`${path}/trust-holder.ts`, `${server}/authority/lease.ts`],
  ),
  threat(
    ['TM-27', 'D', 'The disk of the record is full, a receiver is down'],
    ['record', 'gateway'],
    'nothing passes that cannot be recorded; exports keep what waits on disk',
    [`${path}/record/reserve.ts`, `${server}/audit/export/backlog.ts`],
  ),
  threat(
    ['TM-28', 'E', 'A missing policy, an unknown verb'],
    ['gateway', 'calls'],
    'default deny, closed lists of methods and routes; decisions agree with a slow reference',
    [`${path}/authorize.ts`, `${core}/mcp/method-rows.ts`, `${core}/policy/builtin.ts`],
  ),
  threat(
    ['TM-29', 'E', 'Scope creep, wildcards, confused deputies'],
    ['gateway', 'servers'],
    'each hop narrows; a token is for one audience; nothing of the caller’s reaches a server',
    [
      `${core}/token/act-chain.ts`,
      `${server}/authority/token-narrowing.ts`,
      `${server}/transports/server-credential.ts`,
    ],
  ),
  threat(
    ['TM-30', 'SE', 'Certificates or tokens that the authority did not give'],
    ['authority', 'keys'],
    'everything issued is recorded first and mirrored; what is unknown is refused at first use, and a ceremony replaces all keys',
    [
      `${server}/authority/ledger.ts`,
      `${server}/authority/detect/forged-credential.ts`,
      `${server}/authority/ceremony.ts`,
    ],
  ),
  threat(
    ['TM-31', 'SE', 'The administration is taken over'],
    ['operators', 'administration', 'authority'],
    'a listener of its own, mutual TLS and a role; no bearer alone, no origins',
    [`${server}/transports/admin-caller.ts`, `${server}/authority/operators.ts`],
  ),
  threat(
    ['TM-32', 'E', 'Code by configuration or metadata'],
    ['beside', 'gateway', 'servers'],
    'no shell, no eval; a process is what the configuration names, with its environment alone',
    [`${server}/transports/stdio.ts`, `${server}/apps/server-sandbox.ts`],
  ),
]

export const threatRows: readonly Threat[] = [...reference, ...beyondReference]
