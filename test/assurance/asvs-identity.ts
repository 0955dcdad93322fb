/** ASVS 5.0.0, levels 1 and 2: V6 to V10. `id state | what it asks, in our words | why | controls | proofs`. */

export const asvsIdentity = `
V6.1.1 F | how guessing is slowed is documented | Limits per address and caller; there is no password to guess and no account to lock. | docs/configuration.md docs/detectors.md | ADR11-CFG-rate_limiting.per_ip
V6.1.2 - | words that passwords may not have | There are no passwords. | |
V6.1.3 F | every way to authenticate is documented | Certificates, tokens, edge and platforms, each with its strength and page. | docs/joining.md docs/edge.md docs/login.md docs/adr/0090-the-token-and-its-claims.md | ADR11-CFG-auth.methods[0] ADR11-CFG-auth.methods[1] ADR11-CFG-auth.methods[2]
V6.2.1 - | length of passwords | There are no passwords: people sign in at their provider. | |
V6.2.2 - | change of passwords | There are no passwords. | |
V6.2.3 - | the old password at a change | There are no passwords. | |
V6.2.4 - | frequent passwords | There are no passwords. | |
V6.2.5 - | composition of passwords | There are no passwords. | |
V6.2.6 - | masked fields | There are no passwords. | |
V6.2.7 - | paste and password managers | There are no passwords. | |
V6.2.8 - | passwords as they are typed | There are no passwords. | |
V6.2.9 - | long passwords | There are no passwords. | |
V6.2.10 - | passwords do not expire by themselves | There are no passwords. | |
V6.2.11 - | the list of words is used | There are no passwords. | |
V6.2.12 - | leaked passwords | There are no passwords. | |
V6.3.1 F | guessing is slowed as documented | By address before the handshake, then by caller. | path/wire/connection-gate.ts path/limit.ts | FM-16 ADR11-CFG-rate_limiting.per_ip
V6.3.2 F | no default accounts | A new deployment has no operator until one is invited, and allows nothing. | server/authority/operators.ts docs/adr/0025-first-operator.md | ADR11-CFG-rbac.default_policy
V6.3.3 P | more than one factor | Workloads: a certificate and a token bound to it. Missing: factors of people are their provider's; we demand what it says of them only where the configuration does. | path/identify.ts server/issuers/verified-issuers.ts | TM-3 AS-13
V6.3.4 P | no undocumented way in, and the same strength | Of the internal API two routes take no token, named in a record; every other is enumerated by a test. The front's routes, which are there to get a token, are named in another. Missing: hosts without a certificate, and callers that a proxy vouches for, come in by a weaker way, opt-in and on record as weaker. | docs/adr/0004-routes-without-token.md docs/adr/0072-an-authorization-server-in-front.md core/policy/builtin.ts | AT-2 MS-2
V6.4.1 F | initial secrets are random, short-lived, used once | Join strings are, and never become a lasting secret. | server/authority/attest/join-token.ts core/identity/join-string.ts | BS-3 AT-14
V6.4.2 I | no secret questions | There are none. | docs/joining.md |
V6.4.3 - | reset of passwords | There are no passwords. | |
V6.4.4 P | proof of identity when a factor is lost | A workload joins anew by evidence or by an operator. Missing: for people it is their provider's. | docs/joining.md | BS-2
V6.5.1 F | one-time codes work once | Join strings, codes, proofs and links are consumed in one step. | server/authority/attest/join-token.ts | RP-4 AS-6 AT-14
V6.5.2 F | short secrets are hashed with salt | There is none below 112 bits; join tokens are stored hashed. | server/authority/attest/join-token.ts | BS-3
V6.5.3 F | made by a secure generator | By the platform's. | core/primitives.ts | BS-3
V6.5.4 F | at least 20 bits | 128 and more. | core/identity/join-string.ts | BS-3
V6.5.5 F | a short life of codes | Codes and steps of a sign-in live minutes. | server/authority/front/sign-in.ts | AS-6
V6.6.1 - | telephone | No code goes by telephone. | |
V6.6.2 F | bound to the request that asked for it | State, nonce, verifier and browser of that sign-in. | server/authority/front/sign-in.ts | AS-6 AS-12 AS-13
V6.6.3 F | codes cannot be guessed | They are too long to be guessed, and requests are limited. | server/authority/front/sign-in.ts | AS-14
V6.8.1 F | identities of providers stay apart | A person is issuer and subject, both. | core/token/user-identity.ts server/issuers/verified-issuers.ts | AS-13
V6.8.2 F | assertions are signed, and verified | Each, by configured keys and algorithms. | server/issuers/id-token.ts core/token/foreign-jws.ts | AS-13 ADR11-CFG-auth.methods[1]
V6.8.3 - | SAML | There is no SAML. | |
V6.8.4 P | strength that the provider reports | Claims that the configuration requires of an issuer are verified. Missing: no comparison of acr levels of our own. | server/config/issuer-schema.ts | AS-13
V7.1.1 F | lifetimes of sessions are documented | Idle and absolute ends of sessions, streams, tokens. | docs/configuration.md docs/login.md | MS-7
V7.1.2 F | how many sessions at once | limits.sessions_per_user and streams_per_user. | docs/configuration.md | FM-24
V7.1.3 P | federated sessions are documented | Sign-in, its life and its end are. Missing: no logout by the provider's back channel. | docs/login.md docs/edge.md |
V7.2.1 F | tokens are verified at a trusted place | By gateway, authority or the called program. | path/identify.ts | ADR11-DEC-3
V7.2.2 F | tokens are made for the session | Five minutes, no static key. | server/authority/ledger.ts core/token/mint.ts | ADR11-CFG-auth.token_validation.verify_exp RP-1
V7.2.3 F | reference tokens are random | Session ids and handles are of 128 bits and more. | path/mcp/session.ts | MC-23
V7.2.4 F | a new token at each sign-in | Each sign-in makes its own; refresh tokens are replaced. | server/authority/login.ts server/authority/front/refresh-token.ts | AS-7
V7.3.1 F | an end by inactivity | Sessions that are idle end. | path/mcp/session.ts | MS-7
V7.3.2 F | an absolute end | Tokens five minutes, sign-ins and grants by configuration. | server/config/issuer-settings.ts | MS-7
V7.4.1 F | an ended session is of no use | Denials reach open connections within seconds. | path/withdrawal.ts server/authority/revoke.ts | RV-4 AS-7
V7.4.2 F | a disabled account ends its sessions | A denied identity or person ends all of theirs. | server/authority/revocations.ts | RV-4 RV-5
V7.4.3 - | ending sessions at a changed factor | Factors are the provider's; a denial by issue time ends older sessions. | |
V7.4.4 P | a visible way to sign out | The command has one. Missing: no page of ours is behind a sign-in that lasts. | server/cli/logout.ts |
V7.4.5 F | administrators end sessions | By token, serial, instance, identity and person. | server/cli/revoke.ts | RV-4 OP-10
V7.5.1 - | re-authentication for account attributes | No account of people is kept. | |
V7.5.2 P | people see and end their sessions | A client revokes its refresh token, operators end all. Missing: no page that lists a person's sessions. | server/authority/front/refresh-token.ts | AS-10
V7.6.1 P | lifetimes between provider and us | A sign-in ends with what the provider said at the latest. Missing: its later logout is not heard. | server/authority/login.ts | AS-13
V7.6.2 F | a session begins by an act of the person | Consent for each client; links are opened by POST. | server/transports/consent-pages.ts | MS-6 AS-5
V8.1.1 F | rules of access are documented | Roles, permissions and policies, with a guide that a test walks. | docs/policy.md docs/configuration.md | ADR11-DEC-5
V8.1.2 F | rules of fields are documented | What policies may read of arguments, and what is taken out of answers. | docs/policy.md docs/servers.md | MS-11
V8.2.1 F | functions by permission | Each method, tool and route. | path/authorize.ts | ADR11-DEC-5 AT-1 AT-2
V8.2.2 P | objects by permission | Tasks, sessions, states and resources by URI. Missing: what is behind a server's tool is that server's. | path/owner.ts path/agents/task-owners.ts | AG-4 MC-17 MC-18
V8.2.3 P | fields by permission | Arguments by policy, secrets in answers. Missing: other fields of an answer are not filtered by role. | path/mcp/output-obligations.ts core/policy/call-context.ts | MS-11
V8.3.1 F | enforced at a trusted place | At gateway, authority or called program. | path/pipeline.ts | TM-28
V8.4.1 F | tenants stay apart | Callers are principals; what is one's does not exist for another. | path/owner.ts | TM-28 AG-4 MC-16 MC-17
V9.1.1 F | signatures of tokens are verified first | Before any claim counts. | core/token/verify.ts | TM-2 AT-21
V9.1.2 F | a list of algorithms | One for each key. | core/token/compact-jws.ts | AT-21 JW-2
V9.1.3 F | keys from trusted sources | The trust state and configured issuers; headers with keys are refused. | core/identity/known-keys.ts core/token/key-set.ts | AT-21 JW-7
V9.2.1 F | times hold | nbf, iat and exp, leeway 30 s. | core/token/judge-claims.ts | AT-22
V9.2.2 F | the kind of token is right | By typ and by key; no kind passes for another. | core/token/compact-jws.ts | JW-8
V9.2.3 F | the audience is right | Exactly the one that reads it. | core/token/judge-claims.ts | ADR11-CFG-auth.token_validation.verify_aud JW-3
V9.2.4 F | audiences are unique | One SPIFFE ID or resource for each. | core/identity/audience.ts | JW-3 TM-3
V10.1.1 F | tokens go where they are needed alone | A server gets a token for itself, never the caller's. | server/transports/server-credential.ts | MS-4 AT-36
V10.1.2 F | answers of the same flow alone | State, nonce, PKCE and browser. | server/authority/front/sign-in.ts | AS-12 AS-13 MS-6
V10.2.1 F | CSRF of the code flow | PKCE and state, by our client and our front. | server/transports/sign-in-provider.ts | AS-2 MS-6
V10.2.2 F | mix-up of servers | iss in answers is demanded (RFC 9207). | server/authority/front/sign-in.ts | AS-12
V10.3.1 F | audience at the resource server | Exactly its own. | core/token/judge-claims.ts | ADR11-CFG-auth.token_validation.verify_aud MS-4
V10.3.2 F | delegated rights decide | Scope narrows, subject and actor are both decided about. | core/policy/token-scope.ts path/scopes.ts | DX-3 DX-4
V10.3.3 F | a person by claims that are not reassigned | Issuer and subject. | core/token/user-identity.ts | AS-13
V10.3.4 P | strength of the sign-in at the resource | Required claims of issuers. Missing: none for a single resource. | server/config/issuer-schema.ts | AS-13
V10.4.1 F | redirects are exact | But for the port of the own machine. | core/token/redirect-uri.ts | AS-3
V10.4.2 F | a code works once | A second use ends what came of the first. | server/authority/front/tokens.ts | AS-6
V10.4.3 F | a code is short-lived | A minute. | server/authority/front/sign-in.ts | AS-6
V10.4.4 F | grants that a client needs | Code and refresh alone; no implicit, no password. | server/authority/front/request.ts | AS-1 AS-2
V10.4.5 F | replay of refresh tokens | Replaced at each use and bound to a key. | server/authority/front/refresh-token.ts | AS-7 AS-8
V10.4.6 F | PKCE with S256 | Always. | server/authority/front/request.ts | AS-2
V10.4.7 P | clients that register themselves | Documents are verified and people asked each time. Missing: dynamic registration is not offered. | server/authority/front/client-document.ts | AS-5 AS-11
V10.4.8 F | refresh tokens end | At the configured time, used or not. | server/authority/front/refresh-token.ts | AS-7 AS-15
V10.4.9 P | people revoke tokens | Their client and operators can. Missing: no page for the person. | server/authority/front/refresh-token.ts | AS-10
V10.4.10 - | confidential clients are authenticated | Clients of people are public; workloads use mutual TLS. | |
V10.4.11 F | scopes that a client needs | What was asked and allowed, within what the resource has. | server/authority/front/request.ts | AS-5
V10.5.1 F | replay of ID tokens | The nonce of the sign-in. | server/issuers/id-token.ts | AS-13
V10.5.2 F | the person by sub | Issuer and subject. | server/issuers/id-token.ts | AS-13
V10.5.3 F | metadata of another issuer | The issuer in it is exactly the configured one. | server/issuers/issuer.ts | AS-13
V10.5.4 F | aud of an ID token | Our client id. | server/issuers/id-token.ts | AS-13
V10.5.5 - | back-channel logout | It is not offered. | |
V10.6.1 - | response modes of a provider | The front is no OpenID provider. | |
V10.6.2 - | forced logout at a provider | The front is no OpenID provider. | |
V10.7.1 F | consent for each request | For each client; programs on the own device each time. | server/transports/consent-pages.ts | AS-5 MS-6
V10.7.2 F | consent says what for | Client, redirect, resource and scopes. | server/transports/consent-pages.ts | MS-6
V10.7.3 P | consent can be reviewed and taken back | Operators see and take back grants towards servers. Missing: no page where a person reviews consents to clients. | server/cli/grants.ts | AS-10
`
