/** ASVS 5.0.0, levels 1 and 2: V11 to V17. `id state | what it asks, in our words | why | controls | proofs`. */

export const asvsPlatform = `
V11.1.1 P | a policy for keys and their life | Each key has its place, life and replacement in writing. Missing: no standard for key management is named and followed as such. | ARCHITECTURE.md docs/recovery.md | CA-2 CA-6
V11.1.2 P | an inventory of cryptography | The table of keys and algorithms. Missing: it is kept by hand, and what each key may not be used for is in the code. | ARCHITECTURE.md | CA-6
V11.2.1 F | implementations of the industry | node:crypto with OpenSSL; own code is grammar, never a primitive. | docs/adr/0002-own-jws.md docs/adr/0015-own-der-writer.md | AT-35
V11.2.2 P | algorithms can be replaced | Algorithms are rows of tables, keys are replaced by ceremony, the key exchange is hybrid. Missing: there is one signature algorithm of ours, a second one is a change of code. | server/authority/ceremony.ts | TR-9 CA-2
V11.2.3 P | 128 bits of security | P-256, AES-256, SHA-256, no smaller group, in all that is ours. Missing: certificates and suites of receivers, servers and providers outside are what the platform takes, RSA of 2048 bits included. | path/wire/tls-context.ts | TR-9 ADR11-CFG-tls.cipher_suites[0]
V11.3.1 F | no weak modes | At rest GCM alone, at our listeners GCM and ChaCha20-Poly1305 alone; nothing is in ECB, and no padding is our own. | server/secrets/sealed-file.ts | ADR11-CFG-tls.cipher_suites[0]
V11.3.2 F | approved ciphers | AES-256-GCM and ChaCha20-Poly1305 at listeners and between our parts, AES-256-GCM at rest; towards receivers and servers outside the suites of the platform. | path/wire/tls-context.ts server/secrets/sealed-file.ts | ADR11-CFG-tls.cipher_suites[0] ADR11-CFG-tls.cipher_suites[1]
V11.3.3 F | encrypted data is authenticated | As V11.3.2. | server/secrets/sealed-file.ts | CA-6
V11.4.1 I | approved hashes | SHA-256 and HMAC-SHA-256. | sdk/platform/hash.ts |
V11.4.2 - | storage of passwords | There are none. | |
V11.4.3 F | hashes resist collisions | 256 bits in signatures and trees. | core/audit/merkle-tree.ts | TM-14
V11.4.4 - | keys from passwords | No key is made of a password. | |
V11.5.1 F | secure random numbers of 128 bits | Ids, nonces and secrets, from the platform's generator. | core/primitives.ts | BS-3 MC-23
V11.6.1 F | approved generation and signatures | P-256 and Ed25519, keys made by the platform. | server/secrets/signing-key.ts | CA-7
V12.1.1 P | versions of TLS | 1.3 alone at every listener, between our parts, and for documents that are fetched. Missing: receivers of exports and servers that are reached by the platform's trust may speak TLS 1.2. | path/wire/tls-context.ts server/audit/export/client-tls.ts | ADR11-CFG-tls.min_version
V12.1.2 P | suites of TLS | Two, and named groups, at every listener and between our parts. Missing: towards databases, providers, receivers and servers outside the suites are the platform's. | path/wire/tls-context.ts server/audit/export/client-tls.ts | ADR11-CFG-tls.cipher_suites[0] ADR11-CFG-tls.cipher_suites[1] TR-9
V12.1.3 F | client certificates are verified first | Chain, profile, mirror, denial, before the identity counts. | path/certificate-standing.ts core/identity/svid-profile.ts | TM-1 X5-7
V12.2.1 F | TLS towards clients, with no way back | Plain text gets no answer. | path/wire/listener.ts | ADR11-CFG-tls.enabled
V12.2.2 F | public certificates outside | Edge and front get theirs by ACME or from files; inside our own anchors are right. | server/apps/acme-certificates.ts docs/edge.md | ADR11-CFG-tls.enabled
V12.3.1 P | encryption on every connection | Between all parts, to stores and receivers. Missing: a server may be plain HTTP on the own machine, when the configuration says so by name. | server/config/backend-schema.ts docs/production.md | ADR11-CFG-tls.client_auth
V12.3.2 F | clients verify servers | On every connection, before a byte is sent. | sdk/server-judge.ts | TR-2
V12.3.3 P | encryption between services | As V12.3.1. Missing: plain HTTP on the own machine, by configuration. | server/config/backend-schema.ts | ADR11-CFG-tls.client_auth
V12.3.4 F | trusted internal certificates | Anchors below a pinned root, or a pinned certificate. | core/identity/signed-trust-state.ts | CA-4 X5-8
V13.1.1 F | what is communicated with is documented | Ports, parts and outside services, and who can name an address. | docs/production.md docs/configuration.md | AS-11
V13.2.1 F | parts authenticate to each other | By certificates of an hour. | sdk/mutual-tls.ts | ADR11-CFG-auth.methods[2]
V13.2.2 P | least privilege between parts | Each part has its identity, scope and routes. Missing: rights of the database's user are set up by the operator. | core/policy/builtin.ts docs/production.md | RV-1
V13.2.3 F | no default credentials | There are none. | docs/adr/0025-first-operator.md | BS-3
V13.2.4 F | a list of what may be contacted | Servers, issuers, receivers by configuration; documents of clients under the rules of fetches. | server/config/schema.ts server/transports/fetch-document.ts | AT-10 AS-11
V13.2.5 F | a list of what the server may load | As V13.2.4; files by configuration alone. | server/config/section-file.ts | AT-10 AT-32
V13.3.1 F | a solution for secrets | Sealed store, Vault, keyring, files of mode 0600. | server/secrets/secret-store.ts server/secrets/vault-source.ts docs/secrets.md | ADR11-CHK-5
V13.3.2 F | least privilege for secrets | By server and by role; held by the process that uses them. | docs/adr/0061-secrets-by-name.md | ADR11-CHK-5
V13.4.1 I | no source control metadata | Packages hold what their list of files names. | docs/adr/0070-the-command-in-few-files.md |
V13.4.2 F | no debug modes | There is none; errors are general. | path/denial.ts | TM-20
V13.4.3 F | no listings of folders | No file is served. | core/policy/builtin.ts | AT-2
V13.4.4 F | no TRACE | Methods are a closed list. | core/policy/builtin.ts | AT-2 MC-6
V13.4.5 F | monitoring is not exposed | Numbers and status are decided like every route. | server/transports/metrics-route.ts | AT-2
V14.1.1 P | sensitive data is classified | Keys, secrets, tokens, arguments, personal data of entries. Missing: no levels, what passes through belongs to who deploys. | THREAT_MODEL.md docs/record.md | MS-14
V14.1.2 P | each level has its protection in writing | For keys, secrets, record and arguments. Missing: as V14.1.1. | docs/record.md docs/secrets.md | MS-14
V14.2.1 F | nothing sensitive in URLs | Tokens in a query count for nothing. | path/identify.ts | MS-4
V14.2.2 F | no caching on the way | Answers are not kept; no-store on what is private. | path/wire/denial-response.ts | TM-20
V14.2.3 F | nothing to third parties | No telemetry; exports go where the configuration says. | docs/exports.md | MS-14
V14.2.4 F | protection as documented | Sealing, redaction, retention, kept arguments by rule. | core/kept/keep-rules.ts server/secrets/sealed-file.ts | MS-14 CA-6
V14.3.1 - | data of browsers is cleared | Pages keep nothing but a cookie of the sign-in. | |
V14.3.2 F | no-store | On pages and answers with tokens. | server/transports/consent-pages.ts | MS-6
V14.3.3 F | no sensitive data in browser storage | Pages have no script. | server/transports/consent-pages.ts | MS-6
V15.1.1 I | times for mending dependencies are documented | For components of others, from the advisory: critical 7 days, high 30, others 90. | SECURITY.md |
V15.1.2 I | a bill of materials | CycloneDX, with origins and licences checked. | scripts/security/sbom.ts DEPENDENCIES.md |
V15.1.3 F | what is costly is documented | Limits and measurements of what costs. | docs/configuration.md docs/benchmark.md | FM-16 FM-22
V15.2.1 P | components within those times | A dated list of advisories and the registry's audit. Missing: where the registry does not answer, the list is as old as its date says; nothing measures that the times are kept. | scripts/security/advisories.ts | AT-37
V15.2.2 F | defences against exhaustion | Every bound of the reference of faults. | path/wire/body-reader.ts path/load-shedding.ts | FM-16 FM-18 FM-19 FM-20 FM-21 FM-22
V15.2.3 I | production has what it needs alone | Test code is in no package but the SDK's own testing entry. | docs/adr/0070-the-command-in-few-files.md |
V15.3.1 F | the fields that are needed alone | Answers of our API are written member by member; views by role. | server/transports/admin-api.ts | TM-28
V15.3.2 F | no redirects followed | By none of our clients. | server/transports/fetch-document.ts | AS-11 MC-24
V15.3.3 F | no mass assignment | Exact members; an unknown one is refused. | core/identity/strict-members.ts | CA-7 AT-20
V15.3.4 F | the address of the caller by intermediaries | PROXY protocol v2 from named addresses alone. | path/wire/proxy-header.ts | AT-4
V15.3.5 F | types and strict comparison | Nominal types, strict equality by lint. | core/primitives.ts | AT-22
V15.3.6 F | no prototype pollution | Refused names, maps and null prototypes. | core/json/scan.ts core/json/object.ts | AT-26
V15.3.7 F | no parameter pollution | What must be single is refused twice. | path/wire/request-head.ts core/json/repeated.ts | AT-6 TR-8
V16.1.1 P | an inventory of logs | Record, process log, exports: formats, places, retention. Missing: access to files is the operating system's. | docs/record.md docs/exports.md docs/production.md | TM-14
V16.2.1 F | when, where, who, what | Each entry has time, part, identity, action, reason, policy. | core/audit/entry.ts | TM-14
V16.2.2 F | synchronous time in UTC | UTC everywhere; clocks that differ are an alarm. | path/detect/clock-steps.ts | FM-10 OP-11
V16.2.3 F | logs go where the inventory says | Configured sinks alone. | server/config/export-check.ts | FM-26
V16.2.4 F | a common format | JSON, OCSF, RFC 5424, OTLP. | server/audit/export/ocsf.ts server/audit/export/rfc5424.ts | FM-26
V16.2.5 F | sensitive data by its level | Secrets never, tokens by id, arguments by rule and digest. | core/kept/secret-filter.ts server/observability/log.ts | MS-14
V16.3.1 P | authentication is logged | Each success, and each refusal of somebody who is known, with its kind. Missing: refusals of strangers are counted by source, reason and second; at most eight a second, whose reason has to be found out, have an entry of their own. | path/record.ts path/record/refusal-counter.ts | DT-1 TM-27
V16.3.2 F | refused authorization is logged | Each decision, allowed or not. | path/record.ts | TM-14
V16.3.3 F | attempts to get around are logged | Refusals by parser and limit are counted and recorded; findings by rate. | path/record/refusal-counter.ts path/detect/refusal-rates.ts | DT-1
V16.3.4 F | errors and failures of controls are logged | Failing stages, servers, TLS and record are entries or findings. | path/detect/failing-servers.ts path/pipeline.ts | AT-30
V16.4.1 F | no injection into logs | Names stay within their line. | server/observability/log.ts | TM-20 MS-14
V16.4.2 F | logs cannot be changed | A chain with signed checkpoints and witnesses shows each change. | path/record/file-record.ts | TM-14
V16.4.3 F | logs go to another system | Exports in order, at least once, over TLS. | server/audit/export/exporter.ts | FM-26
V16.5.1 F | general messages to callers | A table from code to text; details are for the log. | path/denial.ts | TM-20
V16.5.2 F | safe when others fail | Circuits, deadlines, a bounded life without the authority. | server/transports/circuit.ts | FM-11 FM-12
V16.5.3 F | fails closed | A stage that fails refuses. | path/pipeline.ts | AT-30 FM-2
V17.1.1 - | TURN | There is no WebRTC. | |
V17.2.1 - | keys of DTLS | There is no WebRTC. | |
V17.2.2 - | suites of DTLS | There is no WebRTC. | |
V17.2.3 - | SRTP is authenticated | There is no WebRTC. | |
V17.2.4 - | malformed SRTP | There is no WebRTC. | |
V17.3.1 - | floods of signalling | There is no WebRTC. | |
V17.3.2 - | malformed signalling | There is no WebRTC. | |
`
