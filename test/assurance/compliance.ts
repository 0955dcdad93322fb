/** What auditors ask of whoever deploys, which control gives which evidence, and what stays with the organisation. */

import { row } from './rows.ts'
import type { AssuranceList } from './rows.ts'

const soc2: AssuranceList = {
  heading: 'SOC 2',
  source:
    'Trust Services Criteria of the AICPA, 2017 with the points of focus of 2022: ids of the common criteria, said in our words. Criteria that are not here (CC1 to CC5, CC9) are of the organisation alone.',
  rows: [
    row(
      'partial',
      ['CC6.1', 'logical access'],
      'Evidence: roles and bindings in the configuration, `doorward policy explain`, decisions on record. Missing: systems that are not behind a gateway.',
      ['path/authorize.ts docs/policy.md', 'ADR11-DEC-5 TM-28'],
    ),
    row(
      'partial',
      ['CC6.2', 'access is registered and authorised before it is given'],
      'Evidence: entries of registration, invitation and join, with who and why. Missing: the approval within the organisation.',
      ['server/authority/registrations.ts docs/joining.md', 'BS-1 BS-3 CA-5'],
    ),
    row(
      'partial',
      ['CC6.3', 'access is changed and removed'],
      'Evidence: entries of revocation, acknowledged by every instance. Missing: that the periodical review of the audit calendar is done.',
      ['server/authority/revoke.ts docs/revocation.md', 'RV-2 RV-4 RV-5'],
    ),
    row(
      'partial',
      ['CC6.6', 'against threats from outside'],
      'Evidence: refusals by code, `doorward probe`, limits. Missing: the network around it.',
      ['path/limit.ts docs/probe.md', 'TM-24 FM-16'],
    ),
    row(
      'partial',
      ['CC6.7', 'information in transit'],
      'Evidence: `doorward doctor` and `doorward probe` try each listener with what is older than TLS 1.3. Missing: a server on the own machine may be plain HTTP and a database a local socket, by configuration; receivers and servers outside may speak TLS 1.2, with forward secrecy.',
      ['path/wire/tls-context.ts docs/doctor.md', 'ADR11-CFG-tls.min_version ADR11-CFG-tls.client_auth'],
    ),
    row(
      'partial',
      ['CC6.8', 'unauthorised software'],
      'Evidence: approved definitions, pinned packages, bill of materials. Missing: the machines themselves.',
      ['path/definitions/definition-gate.ts scripts/security/sbom.ts', 'TM-13 TM-16'],
    ),
    row(
      'partial',
      ['CC7.1', 'vulnerabilities and changes of configuration are found'],
      'Evidence: `npm run security`, entries of each reload with what it changed. Missing: scans of the machines.',
      ['scripts/security/run.ts server/apps/gateway-reload-entries.ts', 'FM-27 AT-37'],
    ),
    row(
      'full',
      ['CC7.2', 'anomalies are watched for'],
      'Evidence: detections on record, alerts, metrics, exports to a SIEM.',
      ['path/detect/refusal-rates.ts docs/detectors.md docs/monitoring.md', 'DT-1 DT-2 DT-4 FM-26'],
    ),
    row(
      'partial',
      ['CC7.3', 'events are evaluated'],
      'Evidence: `doorward audit query`, inclusion proofs. Missing: who decides, and by when.',
      ['server/audit/query.ts docs/record.md', 'TM-14'],
    ),
    row(
      'partial',
      ['CC7.4', 'response to incidents'],
      'Evidence: runbooks that a test carries out, ceremonies with a report that anybody can verify. Missing: the people of the organisation.',
      ['server/authority/ceremony-report.ts docs/runbooks/README.md docs/recovery.md', 'RV-6 TM-30'],
    ),
    row(
      'partial',
      ['CC7.5', 'recovery'],
      'Evidence: reports of recovery and drills. Missing: restoration of what is behind.',
      ['docs/recovery.md server/apps/recovery.ts', 'RV-6 OP-1 OP-2'],
    ),
    row(
      'partial',
      ['CC8.1', 'changes are managed'],
      'Evidence: policy and configuration change as a whole and on record, candidates are tried first. Missing: the approval of a change before it is made.',
      ['server/apps/policy-reload.ts server/apps/policy-replay.ts', 'FM-27'],
    ),
    row(
      'partial',
      ['A1.2', 'availability'],
      'Evidence: several authorities and gateways, failover tests, drain. Missing: capacity and places of the deployment.',
      ['server/authority/lease.ts docs/production.md', 'OP-12 FM-12 FM-30'],
    ),
    row(
      'partial',
      ['C1.1', 'confidential information'],
      'Evidence: what is kept of arguments by rule, redaction, retention. Missing: which information is confidential.',
      ['core/kept/keep-rules.ts docs/record.md', 'MS-14 TM-20'],
    ),
  ],
}

const iso: AssuranceList = {
  heading: 'ISO/IEC 27001:2022, Annex A',
  source:
    'Ids and titles of the controls of Annex A, edition 2022. Controls that are not here are of the organisation, its people and its places.',
  rows: [
    row(
      'partial',
      ['A.5.15', 'Access control'],
      'Evidence: roles, policies, decisions. Missing: the rule of the organisation that they follow.',
      ['path/authorize.ts docs/policy.md', 'ADR11-DEC-5'],
    ),
    row(
      'partial',
      ['A.5.16', 'Identity management'],
      'Evidence: registrations, ids that are never reassigned. Missing: identities of people, which are their provider’s.',
      ['server/authority/registrations.ts', 'SID-8 OP-7'],
    ),
    row(
      'full',
      ['A.5.17', 'Authentication information'],
      'Evidence: join strings once, keys that never leave, no passwords.',
      ['docs/adr/0092-what-a-new-workload-is-given.md', 'BS-3 BS-5 CA-6'],
    ),
    row(
      'partial',
      ['A.5.18', 'Access rights'],
      'Evidence: entries of each grant and removal, a calendar for the review with its commands. Missing: that it is done.',
      ['server/authority/revocations.ts', 'RV-4 RV-5'],
    ),
    row(
      'partial',
      ['A.5.25', 'Assessment and decision on information security events'],
      'Evidence: findings with severity and a next step. Missing: who assesses.',
      ['docs/detectors.md', 'DT-1 DT-4'],
    ),
    row(
      'partial',
      ['A.5.26', 'Response to information security incidents'],
      'Evidence: runbooks for six incidents, revocation and recovery with reports. Missing: who carries them out, and whom the organisation has to tell.',
      ['docs/runbooks/README.md docs/recovery.md docs/revocation.md', 'RV-4 RV-6'],
    ),
    row('full', ['A.5.28', 'Collection of evidence'], 'Evidence: entries with proofs that anybody verifies offline.', [
      'server/audit/prove.ts docs/record.md',
      'TM-14',
    ]),
    row(
      'full',
      ['A.8.2', 'Privileged access rights'],
      'Evidence: operators by invitation and reason, visible to all others, on record.',
      ['server/authority/operators.ts', 'TM-19 TM-31'],
    ),
    row(
      'full',
      ['A.8.3', 'Information access restriction'],
      'Evidence: default deny, decisions by action and resource.',
      ['path/authorize.ts', 'ADR11-CFG-rbac.default_policy TM-28'],
    ),
    row('full', ['A.8.5', 'Secure authentication'], 'Evidence: certificate and bound token for each request.', [
      'path/identify.ts',
      'ADR11-DEC-3 TM-1 TM-3',
    ]),
    row(
      'partial',
      ['A.8.8', 'Management of technical vulnerabilities'],
      'Evidence: advisories and audit with each change, times for our own and for others’ components in SECURITY.md. Missing: what is installed where.',
      ['SECURITY.md scripts/security/run.ts', 'AT-37'],
    ),
    row('full', ['A.8.9', 'Configuration management'], 'Evidence: strict schema, changes as a whole and on record.', [
      'server/config/schema.ts server/apps/gateway-reload.ts',
      'FM-27',
    ]),
    row(
      'partial',
      ['A.8.12', 'Data leakage prevention'],
      'Evidence: secrets are taken out of answers. Missing: other content.',
      ['core/output/secret-texts.ts', 'MS-11'],
    ),
    row('full', ['A.8.15', 'Logging'], 'Evidence: the record, with its chain, checkpoints and witnesses.', [
      'path/record.ts',
      'TM-14 FM-1',
    ]),
    row('full', ['A.8.16', 'Monitoring activities'], 'Evidence: metrics, rules for alerts, detections.', [
      'docs/monitoring.md docs/detectors.md',
      'DT-1 DT-4 DT-7',
    ]),
    row('full', ['A.8.17', 'Clock synchronization'], 'Evidence: clocks that differ are an alarm and stop issuance.', [
      'server/authority/clock-guard.ts',
      'FM-10 OP-11',
    ]),
    row(
      'partial',
      ['A.8.20', 'Networks security'],
      'Evidence: mutual TLS between all parts. Missing: the network itself.',
      ['path/wire/tls-context.ts', 'ADR11-CFG-tls.client_auth'],
    ),
    row('full', ['A.8.24', 'Use of cryptography'], 'Evidence: the table of keys, algorithms and lives.', [
      'ARCHITECTURE.md docs/adr/0091-our-own-authority-and-its-rotation.md',
      'CA-2 CA-6 TR-9',
    ]),
    row(
      'partial',
      ['A.8.25', 'Secure development life cycle'],
      'Evidence: threat model, decision records, gates with each change. Missing: a review from outside.',
      ['CONTRIBUTING.md THREAT_MODEL.md', 'TM-28'],
    ),
  ],
}

const pci: AssuranceList = {
  heading: 'PCI DSS 4.0.1',
  source:
    'Numbers of the twelve requirements, said in our words. Doorward holds no card data; it stands before systems that may. Requirements 3, 5, 9 and 12 are not helped by it.',
  rows: [
    row(
      'partial',
      ['1', 'network security controls'],
      'Evidence: what may call what, as policy. Missing: filters of the network.',
      ['docs/policy.md', 'TM-28'],
    ),
    row(
      'partial',
      ['2', 'secure configurations'],
      'Evidence: no defaults, strict schema, `doorward config check`. Missing: the systems around.',
      ['server/config/schema.ts', 'FM-27 OS25-ASM-5'],
    ),
    row(
      'partial',
      ['4', 'strong cryptography in transit'],
      'Evidence: TLS 1.3, named suites, certificates of an hour. Missing: a server on the own machine may be plain HTTP, by configuration; receivers and servers outside may speak TLS 1.2, with forward secrecy.',
      ['path/wire/tls-context.ts', 'ADR11-CFG-tls.min_version ADR11-CFG-tls.cipher_suites[0]'],
    ),
    row(
      'partial',
      ['6', 'secure software'],
      'Evidence: pinned packages, advisories, times for mending. Missing: that whoever deploys was trained by the exercises, and reviews.',
      ['SECURITY.md DEPENDENCIES.md', 'AT-37 TM-16'],
    ),
    row(
      'partial',
      ['7', 'access by need to know'],
      'Evidence: roles with deny as the default, decisions. Missing: that the review of the audit calendar is done.',
      ['path/authorize.ts', 'ADR11-CFG-rbac.default_policy ADR11-DEC-5'],
    ),
    row(
      'partial',
      ['8', 'identify and authenticate'],
      'Evidence: one identity for each workload and person, no shared credential. Missing: second factors of people, which are their provider’s.',
      ['path/identify.ts', 'ADR11-DEC-3 BS-2 AS-13'],
    ),
    row(
      'partial',
      ['10', 'log and monitor'],
      'Evidence: the record, protected and exported, clocks watched. Missing: the daily review, and how long entries are kept, which is configured.',
      ['path/record.ts docs/record.md docs/exports.md', 'TM-14 FM-26 FM-10'],
    ),
    row(
      'partial',
      ['11', 'test security regularly'],
      'Evidence: `doorward probe` and `doorward authority drill`, with reports; a guide for testers. Missing: penetration tests by others.',
      ['docs/probe.md docs/penetration-test.md docs/recovery.md', 'AT-2 RV-6'],
    ),
  ],
}

export const compliance: readonly AssuranceList[] = [soc2, iso, pci]
