/** Threats beyond the reference (`TA`), each with the rules that prove what meets it; and what is not claimed. */

import { beyond, core, missing, path, sdk, server, threat } from './threat.ts'
import type { Threat } from './threat.ts'

/** Beyond the reference: what came with people, agents, other proxies and programs that protect themselves. */
export const beyondReference: readonly Threat[] = [
  beyond(
    threat(
      ['TA-1', 'ST', 'An answer of the provider in another browser, mix-up of providers'],
      ['providers', 'authority'],
      'an answer counts in the browser that asked, from the issuer that was asked, once',
      [`${server}/authority/front/sign-in.ts`, `${server}/issuers/id-token.ts`],
    ),
    'AS-12',
    'AS-13',
    'MS-6',
  ),
  beyond(
    threat(
      ['TA-2', 'SE', 'A client that nobody has allowed'],
      ['callers', 'authority'],
      'each client is allowed by each person; codes and refresh tokens are bound and good once',
      [`${server}/authority/front/tokens.ts`, `${server}/transports/consent-pages.ts`],
    ),
    'AS-5',
    'AS-6',
    'AS-7',
    'AS-8',
  ),
  beyond(
    threat(
      ['TA-3', 'ID', 'A document of a stranger is fetched'],
      ['authority', 'providers'],
      'https alone, from nowhere private, no redirects, bounded size, time and number',
      [`${server}/transports/fetch-document.ts`],
    ),
    'AS-11',
    'AT-10',
  ),
  beyond(
    threat(
      ['TA-4', 'D', 'Strangers fill the front'],
      ['authority', 'control'],
      'places per address and in all; who has most makes way',
      [`${server}/authority/front/store.ts`],
    ),
    'AS-14',
  ),
  beyond(
    threat(
      ['TA-5', 'SI', 'An agent answers with a task of somebody else'],
      ['servers', 'upstream'],
      'names of tasks carry their owner; an answer about another task is not passed on',
      [`${path}/agents/task-owners.ts`, `${path}/agents/agent-answers.ts`],
    ),
    'AG-4',
    'AG-5',
  ),
  beyond(
    threat(
      ['TA-6', 'ST', 'A card that is not what was approved'],
      ['servers', 'upstream'],
      'cards are fetched, verified and approved by the gateway, and shown as ours',
      [`${server}/transports/agent-card.ts`, `${path}/agents/card-signature.ts`],
    ),
    'AG-9',
    'AG-10',
  ),
  beyond(
    threat(
      ['TA-7', 'SE', 'A stolen state of a join, a copied machine key'],
      ['keys', 'callers', 'control'],
      'join states move on with each renewal; a copy shows itself and locks that instance alone',
      [`${core}/identity/join-state.ts`, `${server}/authority/join-state.ts`],
    ),
    'BS-2',
    'BS-3',
    'DT-3',
  ),
  beyond(
    threat(
      ['TA-8', 'IT', 'Secrets on the way to a new workload'],
      ['control', 'beside'],
      'the join string proves the authority first, works once, and stands in no argument and no log',
      [`${core}/identity/join-string.ts`, `${server}/authority/attest/join-token.ts`],
    ),
    'BS-4',
    'BS-5',
  ),
  beyond(
    threat(
      ['TA-9', 'TE', 'A chain of agents that widens'],
      ['beside', 'gateway'],
      'each hop narrows what it was given; four actors at most; no one is impersonated',
      [`${server}/authority/exchange-chain.ts`, `${core}/token/read-delegation.ts`],
    ),
    'DX-3',
    'DX-4',
    'DX-5',
    'DX-6',
  ),
  beyond(
    threat(
      ['TA-10', 'TD', 'A store that was put back'],
      ['store', 'authority'],
      'sequences never fall: who has seen the newer state refuses the older one, and the authority does not serve from it',
      [`${server}/authority/restore.ts`, `${sdk}/trust-store.ts`],
    ),
    'RV-7',
    'OP-4',
    'TB-1',
  ),
  beyond(
    threat(
      ['TA-11', 'DR', 'The recovery root or every key is lost or expired'],
      ['keys', 'operators', 'administration'],
      'a root that leaves the machine, a bootstrap that heals what has expired, a rehearsal by command',
      [`${server}/secrets/recovery-root.ts`, `${server}/apps/recovery.ts`],
    ),
    'OP-1',
    'OP-2',
    'RV-6',
  ),
  beyond(
    threat(
      ['TA-12', 'SE', 'A program on the machine asks for another’s identity'],
      ['beside'],
      'the Workload API knows callers by the kernel, and denies whom no rule names',
      [`${server}/transports/workload-api`, `${server}/apps/workload-api`],
    ),
    'WE-1',
    'WE-2',
    'BS-6',
  ),
  beyond(
    missing(
      'a server on the own machine may be plain HTTP (`insecure_upstream: true`) and a database a local socket; servers outside may speak TLS 1.2, with forward secrecy',
      threat(
        ['TA-13', 'TI', 'What passes between the parts is read or changed'],
        ['control', 'administration', 'beside', 'upstream'],
        'TLS 1.3 between our parts, server and client judged each time, names of ciphers and groups configured',
        [`${path}/wire/tls-context.ts`, `${sdk}/mutual-tls.ts`],
      ),
    ),
    'TR-1',
    'TR-2',
    'TR-9',
  ),
  beyond(
    threat(
      ['TA-14', 'D', 'A sidecar or a program is held up by its callers'],
      ['beside', 'administration'],
      'its listener is that of the gateway, with the same limits',
      [`${path}/wire/listener.ts`, `${sdk}/protect/protect-limits.ts`],
    ),
    'FM-16',
    'FM-19',
    'FM-20',
  ),
  beyond(
    threat(
      ['TA-15', 'SI', 'Entries reach the wrong receiver, or somebody reads numbers'],
      ['receivers'],
      'exports name the receiver’s certificate; numbers need a certificate, a token and a role',
      [`${server}/audit/export/client-tls.ts`, `${server}/transports/metrics-route.ts`],
    ),
    'FM-26',
    'AT-2',
  ),
  beyond(
    threat(
      ['TA-16', 'R', 'Who vouched for an identity'],
      ['providers', 'beside'],
      'each admission is on record before its certificate is released, and so is what was verified of who vouched',
      [`${server}/authority/attest/attestors.ts`, `${server}/authority/ledger.ts`],
    ),
    'BS-1',
    'CA-5',
  ),
  beyond(
    threat(
      ['TA-17', 'I', 'What is built or recorded says too much'],
      ['build', 'receivers', 'record'],
      'committed secrets are looked for with every change; arguments are kept only where a rule names them',
      ['scripts/security/secrets.ts', `${core}/kept/keep-rules.ts`, `${core}/kept/secret-filter.ts`],
    ),
    'MS-14',
    'TM-20',
  ),
  beyond(
    threat(
      ['TA-18', 'T', 'A key file is exchanged, or open to others'],
      ['keys', 'authority'],
      'modes and owners are looked at on start and while it runs; sealed files are authenticated; an anchor that differs from its entry stops everything',
      [`${server}/secrets/sealed-file.ts`, `${server}/secrets/signing-key.ts`],
    ),
    'OS25-ASM-5',
    'DT-8',
  ),
  beyond(
    missing(
      'whoever has the key of assertions tells its programs any caller until the process ends; no test steals one',
      threat(
        ['TA-19', 'SE', 'A key that says who calls, or that cosigns logs, is stolen'],
        ['gateway', 'beside'],
        'assertions are of a kind that no verifier of tokens takes and nobody exchanges, for one program, one request and a minute, by a key in the memory of one process; a witness key signs checkpoints alone, and each witness has a memory of its own',
        [
          `${core}/token/principal-assertion.ts`,
          `${core}/audit/cosignature.ts`,
          `${sdk}/assertion-verifier.ts`,
          `${path}/record/witness.ts`,
        ],
      ),
    ),
    'JW-8',
    'DX-2',
    'TM-14',
  ),
]

/** What is not claimed, and why. */
export const nonGoals: readonly string[] = [
  'Code that already runs as the user of the authority, or as root on its machine: it can do what the authority can. Several authorities, the recovery root elsewhere and witnesses make it visible and reparable.',
  'What an allowed tool does with allowed arguments. Policies, approvals and kept arguments narrow and show it.',
  'What a model makes of a text that it was given. The gateway looks for flags in definitions and secrets in answers, and judges no intentions.',
  'People who lend out their own identity, or approve what they have not read.',
  'Counters of one gateway are not those of another: limits are for each gateway.',
  'Traffic analysis: who calls whom, when and how much is visible to the network.',
  'Attackers who can break P-256, AES-256 or SHA-256. Key exchange is hybrid where the platform has it; signatures are not.',
]
