/** The text of a new `doorward.yaml`: the servers that were found, effects as proposals, and nothing allowed. */

import { stringify } from 'yaml'

export interface ProposedServer {
  readonly name: string
  readonly server:
    | {
        readonly command: readonly string[]
        readonly cwd: string | null
        readonly env: Readonly<Record<string, string>>
        readonly envFrom: readonly string[]
      }
    | { readonly url: string; readonly insecure: boolean }
  /** Null when the server could not be asked. */
  readonly tools: ProposedTools | null
  /** Shown as a comment above the entry. */
  readonly notes: readonly string[]
}

export interface ProposedTools {
  /** Those that are proposed as approved. */
  readonly names: readonly string[]
  readonly read: readonly string[]
  readonly write: readonly string[]
  /** What the file that is named there holds: what the server defines. It counts as approved. */
  readonly list: { readonly file: string; readonly text: string }
}

export interface Proposal {
  readonly trustDomain: string
  readonly servers: readonly ProposedServer[]
  readonly skipped: readonly { readonly originalName: string; readonly why: string }[]
}

function comment(text: string, indent: string): string {
  return text
    .split('\n')
    .map((line) => `${indent}# ${line.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, ' ')}\n`)
    .join('')
}

function entry({ name, server, tools, notes }: ProposedServer): string {
  const effects = tools !== null && tools.read.length > 0 ? { effects: { read: tools.read } } : {}
  const list = tools === null ? {} : { tools: tools.list.file, approval: 'required' }
  const launch =
    'url' in server
      ? { url: server.url, ...(server.insecure ? { insecure_upstream: true } : {}) }
      : {
          command: server.command,
          ...(server.cwd === null ? {} : { cwd: server.cwd }),
          ...(Object.keys(server.env).length === 0 ? {} : { env: server.env }),
          ...(server.envFrom.length === 0 ? {} : { env_from: server.envFrom }),
        }
  const body = stringify(
    { [name]: { ...launch, ...effects, ...list } },
    { lineWidth: 0, flowCollectionPadding: true, defaultStringType: 'PLAIN' },
  )
  return notes.map((note) => comment(note, '  ')).join('') + body.replaceAll(/^(?=.)/gm, '  ')
}

function example(servers: readonly ProposedServer[]): string {
  const first = servers[0]
  if (first === undefined) return '#   reader: ["read:files/*"]\n'
  const write = first.tools?.write[0]
  return `#   reader: ["read:${first.name}/*"]\n${write === undefined ? '' : `#   editor: ["read:${first.name}/*", "tools/call:${first.name}/${write}"]\n`}`
}

/** YAML that `config check` accepts. */
export function proposalText({ trustDomain, servers, skipped }: Proposal): string {
  return [
    '# Doorward. Nothing is allowed until a role below says so; `doorward config check` judges this file.\n',
    `trust_domain: ${trustDomain}\n\n`,
    servers.length === 0 ? 'servers: {}\n' : `servers:\n${servers.map(entry).join('')}`,
    skipped.length === 0
      ? ''
      : skipped.map(({ originalName, why }) => comment(`left out: ${originalName}: ${why}`, '')).join(''),
    '\n# A permission is read, write, admin, * or an action, narrowed by server and name, for instance:\n',
    example(servers),
    'roles: {}\n\n',
    '# Who has a role: workloads by SPIFFE ID, where * stands for one whole segment, for instance:\n',
    `#   - { role: reader, workloads: ["spiffe://${trustDomain}/agent/*"] }\n`,
    'bindings: []\n',
  ].join('')
}
