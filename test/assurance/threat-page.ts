/** THREAT_MODEL.md. */

import { evidence } from './evidence.ts'
import { fileLink, page, proofLinks, table, testLines } from './page-parts.ts'
import type { Page } from './page-parts.ts'
import { asked, elements, letters, unanswered } from './threat-elements.ts'
import type { ElementId, Letter } from './threat-elements.ts'
import type { Threat } from './threat.ts'
import { nonGoals } from './threats-beyond.ts'
import { threatRows } from './threats.ts'

const PATH = 'THREAT_MODEL.md'
const ids = Object.keys(elements) as ElementId[]
const kinds = Object.keys(letters) as Letter[]

const INTRODUCTION = `What can go wrong, where, and what meets it. The method is STRIDE, per element of the flow of data: each kind of element
has to answer the kinds of threat that it can have. Threats \`TM\` are of our reference of threats, \`TA\` came with what was
built since. Each names its control, the files that hold it, and the tests that prove it; \`partial\` says what no test proves.

What is built of what: [ARCHITECTURE.md](ARCHITECTURE.md). How to report what is missing here: [SECURITY.md](SECURITY.md).`

const ASSETS = `Keys of the authority and of the record; the trust state with roles and denials; policy; the record and its checkpoints;
keys and secrets of workloads and servers; the data and tools behind the gateway; availability; the clock.`

const FLOW = `\`\`\`text
callers ──calls──▶ gateway ──upstream──▶ servers, agents
   │                 │  │ └────exports──▶ receivers
   │              record control
   │                 ┆     ▼
   └──── control ─────▶ authority ──▶ store (SQLite, PostgreSQL)
 beside a program          ▲  ▲ └───▶ keys, secrets
                           │  └─── providers, platforms
        operators ── administration
\`\`\`

Between parts of Doorward every arrow is mutual TLS 1.3, but for the first contact of a workload, which proves the server alone. Edge and front serve clients and browsers of people, who have no
certificate of ours; servers, stores, providers and receivers are reached in the way that the configuration names. Nothing is trusted
for where it comes from, the own machine included.`

/** What one threat has of proofs: of the reference from its row, else from the rules that it names. */
export function proofOf({ id, evidence: named, missing: beside }: Threat) {
  const rows = (named.length > 0 ? named : [id]).map((one) => {
    const row = evidence.get(one)
    if (row === undefined) throw new Error(`${id}: no manifest has ${one}`)
    return row
  })
  const missing = [{ missing: beside }, ...rows].flatMap((row) => (row.missing === undefined ? [] : [row.missing]))
  const partial = beside !== undefined || rows.some(({ met }) => met !== 'whole')
  return { tests: rows.flatMap(({ tests }) => tests), partial, missing }
}

/** Ids of the threats of a kind at an element. */
export function threatsAt(element: ElementId, letter: Letter): readonly string[] {
  return threatRows.filter(({ where, kinds: of }) => where.includes(element) && of.includes(letter)).map(({ id }) => id)
}

function cell(element: ElementId, letter: Letter): string {
  const wanted: readonly Letter[] = asked[elements[element].kind]
  if (!wanted.includes(letter)) return ''
  const found = threatsAt(element, letter)
  return found.length > 0 ? found.join(' ') : `none: ${unanswered[`${element}.${letter}`] ?? ''}`
}

function section(threat: Threat): string {
  const { tests, partial, missing } = proofOf(threat)
  const state = partial ? `partial — ${missing.join('; ')}` : 'full'
  return [
    `### ${threat.id} ${threat.title}`,
    `${threat.kinds.map((kind) => letters[kind]).join(', ')}; at: ${threat.where.map((one) => elements[one].what).join('; ')}.\n**State:** ${state}.`,
    `**Control:** ${threat.control}\n(${threat.files.map((file) => fileLink(PATH, file)).join(', ')}).`,
    ...(threat.evidence.length > 0 ? [`**Rules:** ${proofLinks(PATH, threat.evidence)}`] : []),
    testLines(PATH, tests),
  ].join('\n\n')
}

export function threatModelPage(): Page {
  const partial = threatRows.filter((row) => proofOf(row).partial).length
  return page(PATH, 'Threat model', [
    INTRODUCTION,
    `${threatRows.length} threats: ${threatRows.length - partial} full, ${partial} partial.`,
    `## Assets\n\n${ASSETS}`,
    `## Flow of data\n\n${FLOW}`,
    `## Elements and trust\n\n${table(
      ['element', 'kind', 'trust'],
      ids.map((id) => [elements[id].what, elements[id].kind, elements[id].trust]),
    )}`,
    `## Threats per element\n\n${table(
      ['element', ...kinds.map((kind) => `${kind}: ${letters[kind]}`)],
      ids.map((id) => [elements[id].what, ...kinds.map((kind) => cell(id, kind))]),
    )}`,
    `## What is not claimed\n\n${nonGoals.map((one) => `- ${one}`).join('\n')}`,
    `## Threats\n\n${threatRows.map(section).join('\n\n')}`,
  ])
}
