/** The page of ways in and connections: each control of each of them by its test. */

import type { TestReference } from '../requirements/proving-tests.ts'
import { connections, protections } from './connections.ts'
import type { ConnectionRow } from './connections.ts'
import { fileLink, page, table } from './page-parts.ts'
import type { Page } from './page-parts.ts'
import { surfaces } from './surfaces.ts'
import type { Cell } from './surfaces.ts'

const path = 'docs/assurance/surfaces.md'

const named = ({ file, name }: TestReference) => `“${name}” (${fileLink(path, file)})`

function cell(one: Cell): string {
  return 'instead' in one ? `${one.instead}: ${fileLink(path, one.record)}` : named(one)
}

function protection({ what, files, protection: kind, tests, record }: ConnectionRow): readonly string[] {
  const code = files.map((file) => fileLink(path, `packages/${file}`)).join(' ')
  const decided = record === undefined ? [] : [fileLink(path, record)]
  return [what, protections[kind], code, [...tests.map(named), ...decided].join('; ')]
}

export function surfacesPage(): Page {
  const rows = surfaces.map(({ name, peer, token, permission, recorded }) => [
    name,
    cell(peer),
    cell(token),
    cell(permission),
    cell(recorded),
  ])
  return page(path, 'Ways in, and connections', [
    'ADR-0011 and ADR-OS-025 speak of every request and of all traffic. Here stands each way in on which somebody asks for something, and each place in the code where a connection is opened or taken, with the test against the running part that shows what is refused there. A socket that is not described here fails the tests.',
    '## Ways in',
    table(['way in', 'who is at the connection', 'each request', 'permission', 'on record'], rows),
    '## Connections',
    table(['between', 'protected by', 'code', 'what is refused'], connections.map(protection)),
  ])
}
