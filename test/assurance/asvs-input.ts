/** ASVS 5.0.0, levels 1 and 2: V1 to V5. `id state | what it asks, in our words | why | controls | proofs`. */

export const asvsInput = `
V1.1.1 F | decode once, before anything judges it | One scanner and one path reader; what they read is what goes on. | core/json/scan.ts path/wire/request-path.ts | TM-12 AT-5
V1.1.2 F | encode last, for the reader that gets it | Heads, JSON and pages are written in one place each, from values. | path/wire/denial-response.ts server/transports/consent-pages.ts | AT-4
V1.2.1 F | encode for headers and HTML | Header values have a closed alphabet; pages escape each value. | server/transports/consent-pages.ts server/transports/backend-headers.ts | AT-4 MS-6
V1.2.2 F | encode what goes into URLs, safe schemes alone | Nothing of a caller becomes part of a URL but a path in its one spelling; redirects are http(s) of a list. | path/wire/request-path.ts core/token/redirect-uri.ts | AT-5 AS-3
V1.2.3 F | encode JSON and script | JSON is written by the platform; pages have no script. | core/json/exact-json.ts server/transports/consent-pages.ts | MS-6
V1.2.4 I | parameters in queries of databases | Every statement is fixed text with parameters. | server/storage/authority-rows.ts server/storage/front-rows.ts |
V1.2.5 F | no injection into commands | No shell; arguments are those of the configuration. | server/transports/stdio.ts | TM-32 AT-12
V1.2.6 - | LDAP injection | There is no LDAP. | |
V1.2.7 - | XPath injection | There is no XML. | |
V1.2.8 - | LaTeX | There is no LaTeX. | |
V1.2.9 F | escape in regular expressions | No expression is built from what others send; name patterns are matched by own code in linear time. | core/policy/name-pattern.ts | AT-28
V1.3.1 - | sanitise HTML of editors | No HTML of users is shown. | |
V1.3.2 F | no eval | Policies are compiled to closures, nothing is evaluated as text; a lint rule holds it. | scripts/own-rules.ts | TM-32
V1.3.3 F | cut and restrict before a dangerous use | Names that others choose are bounded and made printable before logs and terminals. | server/observability/log.ts server/cli/output.ts | TM-32
V1.3.4 - | SVG of users | No SVG is taken or shown. | |
V1.3.5 - | scriptable content of users | No Markdown, style or template of users is rendered. | |
V1.3.6 F | server side request forgery | Own fetches go to configured or public https addresses alone, without redirects. | server/transports/fetch-document.ts | AT-10 AS-11
V1.3.7 F | no templates from input | Pages are fixed; values are put in escaped. | server/transports/consent-pages.ts | MS-6
V1.3.8 - | JNDI | There is no Java. | |
V1.3.9 - | memcache | There is none. | |
V1.3.10 F | format strings | No format string comes from outside. | server/observability/log.ts server/cli/output.ts | TM-32
V1.3.11 - | mail injection | No mail is sent. | |
V1.4.1 P | memory safety | JavaScript and WebAssembly; no dependency is native. Missing: the Workload API and sidecars that ask the kernel who connects need one addon, which the operator installs beside. | DEPENDENCIES.md docs/workload-api.md |
V1.4.2 F | range checks of numbers | Integers are exact and bounded where they are read. | core/identity/strict-members.ts core/json/exact-json.ts | TR-8
V1.4.3 P | resources are released | Sockets, files and streams have owners that close them. Missing: the memory of a million handshakes is not measured. | path/wire/listener.ts | AT-18
V1.5.1 - | XML parsers | There is no XML. | |
V1.5.2 F | safe deserialisation | JSON of known shapes alone, scanned for depth, size and repeated names; protobuf of fixed messages. | core/json/scan.ts core/identity/strict-members.ts | AT-26 FM-22
V2.1.1 F | rules of validation are documented | The configuration's keys, messages and refusals are documented and tested against the code. | docs/configuration.md docs/servers.md | FM-22
V2.1.2 F | rules for values together | What keys demand of each other is checked at start and documented. | server/config/cross-check.ts docs/configuration.md | FM-27
V2.1.3 F | limits of business logic are documented | Rates, quotas and bounds, per caller and in all. | docs/configuration.md | ADR11-CFG-rate_limiting.global
V2.2.1 F | positive validation of input | Closed lists of methods, members, headers and types. | core/mcp/method-rows.ts core/identity/strict-members.ts | AT-1 AT-7
V2.2.2 F | validation at a trusted place | Gateway, authority and called program judge; no client is relied upon. | path/pipeline.ts | TM-28
V2.2.3 F | values together make sense | Headers and body agree or the request is refused; lifetimes and clocks that cannot be right are refused. | core/mcp/mirrored-headers.ts server/authority/registration-check.ts | AT-7 DT-8 OP-11
V2.3.1 F | steps in their order | Sessions begin by initialize; sign-in and ceremonies go by stages that cannot be left out. | server/authority/ceremony-stages.ts server/authority/front/sign-in.ts | MC-23 AS-6
V2.3.2 F | limits of logic are enforced | Quotas and bounds of calls, approvals for one call. | path/quota.ts path/approvals/approval-desk.ts | FM-24
V2.3.3 F | transactions | One verb is one transaction; what the store did not confirm is given to nobody. | server/authority/ledger.ts docs/adr/0026-unknown-outcomes.md | FM-5 FM-7
V2.3.4 F | locking of what exists once | One atomic step consumes what counts once, over processes too. | server/authority/attest/join-token.ts | AT-14 RP-4
V2.4.1 F | against automation | Limits per address, caller and action; floods are shed. | path/limit.ts path/load-shedding.ts | FM-16 ADR11-CFG-rate_limiting.per_ip
V3.2.1 F | content is not rendered in a wrong context | nosniff, a type on each answer, pages that cannot be framed. | path/wire/denial-response.ts | ADR11-CFG-headers.X-Content-Type-Options MS-6
V3.2.2 F | text is shown as text | Pages escape each value and run no script. | server/transports/consent-pages.ts | MS-6
V3.3.1 F | cookies are Secure, with a prefix | The front's cookie is. | server/transports/front.ts server/transports/consent-pages.ts | MS-6
V3.3.2 F | SameSite by purpose | Set for the way back from a provider. | server/transports/front.ts server/transports/consent-pages.ts | AS-12
V3.3.3 F | the prefix __Host- | The front's cookie has it. | server/transports/front.ts server/transports/consent-pages.ts | MS-6
V3.3.4 F | HttpOnly | The front's cookie is; no page has a script. | server/transports/front.ts server/transports/consent-pages.ts | MS-6
V3.4.1 P | Strict-Transport-Security for a year, with subdomains | On every answer, a year as ADR-0011 prints it. Missing: includeSubDomains, as the name may have neighbours that are not ours. | server/config/security-schema.ts | ADR11-CFG-headers.Strict-Transport-Security
V3.4.2 F | CORS by a list | Exact origins of the configuration, never a star with credentials. | path/edge-rules.ts | AT-9 AS-16
V3.4.3 P | a content security policy on every answer | On every page. Missing: answers of APIs have none. | server/transports/consent-pages.ts | MS-6
V3.4.4 F | nosniff everywhere | On every answer, refusals of the parser included. | server/config/security-schema.ts | ADR11-CFG-headers.X-Content-Type-Options
V3.4.5 P | a referrer policy | Pages say same-origin or none. Missing: the header on answers of APIs, which no page refers from. | server/transports/consent-pages.ts |
V3.4.6 P | frame-ancestors on every answer | On pages, with X-Frame-Options on all. Missing: the directive on answers of APIs. | server/transports/consent-pages.ts | ADR11-CFG-headers.X-Frame-Options MS-6
V3.5.1 F | requests from elsewhere are told apart | Origins by list, tokens with a proof, pages with a token of their own. | path/edge-rules.ts server/authority/front/sign-in.ts | AT-9 MS-6 AS-16
V3.5.2 F | no way around the preflight | Content type and origin are checked on every request. | path/edge-rules.ts path/media-type.ts | AS-16 AT-9
V3.5.3 F | changes by POST and its like | Decisions of people and calls are POST; GET changes nothing. | server/transports/front-pages.ts core/policy/builtin.ts | MS-6 MC-6
V3.5.4 F | applications on names of their own | Edge, front and administration have names and listeners of their own. | docs/edge.md server/config/edge-check.ts | AT-9
V3.5.5 - | postMessage | No page has a script. | |
V3.7.1 F | client technology that is supported | HTML forms, nothing else. | server/transports/consent-pages.ts | MS-6
V3.7.2 F | redirects to a list | Only to redirects of a client that somebody has allowed. | core/token/redirect-uri.ts | AS-3 AS-4
V4.1.1 P | the type of each answer, with charset | Each answer has its type. Missing: JSON is sent without a charset, as RFC 8259 defines none. | path/wire/denial-response.ts |
V4.1.2 F | no redirect from HTTP to HTTPS for programs | Plain HTTP gets no answer at all. | path/wire/listener.ts | ADR11-CFG-tls.enabled
V4.1.3 F | headers of intermediaries cannot be set by users | Forwarding headers count for nothing; a proxy is believed by its address and binary protocol alone. | path/wire/proxy-header.ts path/wire/request-head.ts | AT-4 TM-6
V4.2.1 F | boundaries of messages | Strict lengths and codings, on both sides. | path/wire/body-reader.ts server/transports/upstream-http-wire.ts | AT-25 TM-11
V4.3.1 - | cost of GraphQL | There is no GraphQL. | |
V4.3.2 - | GraphQL introspection | There is no GraphQL. | |
V4.4.1 - | WebSocket over TLS | There is no WebSocket; upgrades are refused. | |
V4.4.2 - | Origin of WebSocket | There is no WebSocket. | |
V4.4.3 - | tokens of WebSocket | There is no WebSocket. | |
V4.4.4 - | WebSocket after a session | There is no WebSocket. | |
V5.1.1 - | documentation of uploads | No file is uploaded: bodies are messages with a bound. | |
V5.2.1 - | size of files | No file is uploaded; bodies are bounded (V15.2.2). | |
V5.2.2 - | types of files | No file is uploaded. | |
V5.2.3 - | compressed files | No file is uploaded, and request encodings are refused. | |
V5.3.1 - | files that are executed | Nothing uploaded is stored or served. | |
V5.3.2 F | paths of files from trusted data | Paths come from the configuration and from our own ids, never from callers. | server/secrets/state-folder.ts | AT-32
V5.4.1 - | names of downloads | No file is served. | |
V5.4.2 - | names in headers | No file is served. | |
V5.4.3 - | virus scanners | No file is taken or served. | |
`
