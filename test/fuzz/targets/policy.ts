/** What operators write about permissions, against a reading of it by regular expressions. */

import { compilePolicy, parsePermission, parseSpiffeIdPattern, parseTrustDomain, utf8 } from '@doorward/core'
import { permissionCovers } from '../../../packages/core/src/policy/permission.ts'
import { must, refusedOr } from './target.ts'
import type { FuzzTarget } from './target.ts'

const trustDomain = parseTrustDomain('example.org')
const starts = [
  'read:files/*\nspiffe://example.org/agent/*\nfiles\nnotes/a.txt',
  'tools/call:github/get_*_of*\nspiffe://example.org/**\ngithub\nget_a_of_b',
  'GET:orders/v1/*\nspiffe://example.org/agent/planner\norders\nv1/x',
  '*\nspiffe://example.org/a/b/**\nfiles\nx',
  'admin\nspiffe://other.example/a\nfiles\nx',
]
const words = [
  ['*', '**', ':', '/', 'read', 'write', 'admin', 'tools/call', 'files', 'github', '\n', ' ', '\\', '"', '${', ')'],
  ['spiffe://', '__proto__', 'constructor', '\u00e9', 'e\u0301', '\u202e', '\0', '\u2028', '%2f', '..', 'permit('],
  ['//', '");', 'GET', '//*'],
].flat()
const actions = [
  { name: 'tools/call', group: 'write' },
  { name: 'tools/call', group: 'read' },
  { name: 'resources/read', group: 'read' },
  { name: 'GET', group: 'read' },
  { name: 'tools/call', group: 'admin' },
] as const
const codes = new Set(['permission_invalid', 'spiffe_pattern_invalid'])

/** An input is a permission, a pattern of workloads, a server and a name, a line each. */
function judge(input: Uint8Array): string {
  const [text = '', pattern = '', server = '', name = ''] = new TextDecoder().decode(input).split('\n')
  const permission = refusedOr(codes, () => parsePermission(text))
  const who = refusedOr(codes, () => parseSpiffeIdPattern(pattern))
  if (typeof permission !== 'string')
    for (const action of actions) {
      const covers = permissionCovers(permission.value, action, { kind: 'tool', server, name })
      must(
        covers === reads(text, action, { server, name }),
        `${text} ${covers ? 'covers' : 'leaves out'} ${action.name}`,
      )
    }
  const result = compilePolicy({
    trustDomain,
    rbac: [],
    roles: [{ role: 'r', permissions: [text] }],
    bindings: [{ role: 'r', workloads: [pattern] }],
    servers: ['files', 'github', 'orders'],
  })
  if (!result.ok) return result.problems.map(({ code }) => code).join(' ')
  must(typeof permission !== 'string' && typeof who !== 'string', 'compiled, although a part of it is refused')
  must(typeof who === 'string' || who.value.trustDomain === trustDomain, 'a binding for another trust domain')
  const strays = result.policy.policies.filter(({ text: cedar }) => !staysInPlace(cedar))
  must(strays.length === 0, `the text of the permission leaves its place: ${strays[0]?.text}`)
  return 'compiled'
}

/** What the manual says of permissions, in other words. */
function reads(
  text: string,
  action: { readonly name: string; readonly group: string },
  resource: { readonly server: string; readonly name: string },
): boolean {
  const [, verb = '', server, pattern] = /^([^:]+)(?::([^/]*)\/(.*))?$/su.exec(text) ?? []
  const isGroup = verb === action.group && ['read', 'write', 'admin'].includes(verb)
  if (!(verb === '*' || verb === action.name || isGroup)) return false
  if (server === undefined || pattern === undefined) return server === undefined
  const literal = (part: string) => part.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`)
  const matches = new RegExp(`^${pattern.split('*').map(literal).join('.*')}$`, 's')
  return server === resource.server && matches.test(resource.name)
}

/** Strings and remarks of Cedar left out, brackets stand in pairs, and what ends with a semicolon is one policy. */
function staysInPlace(cedar: string): boolean {
  const bare = cedar.replaceAll(/"(?:[^"\\]|\\.)*"|\/\/[^\n]*/gs, '')
  const count = (character: string) => bare.split(character).length - 1
  const pairs = ['()', '[]', '{}'].every(([open = '', close = '']) => count(open) === count(close))
  return pairs && count('"') === 0 && (bare.match(/\b(permit|forbid)\s*\(/g) ?? []).length === count(';')
}

export const policy: FuzzTarget = {
  name: 'policy',
  rule: 'a permission covers what a second reading of it covers, what is refused alone is refused in a policy, and its text stays in its place',
  open: async () => ({ starts: starts.map(utf8), words: words.map(utf8), judge }),
}
