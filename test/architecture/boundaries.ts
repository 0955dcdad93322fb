/** The import table of the design as data, and the judgement of one tree of sources against it. */

import { posix } from 'node:path'
import type { SourceFile } from '../../scripts/source-files.ts'
import { moduleImports } from '../../scripts/source-text.ts'

export interface ZoneRow {
  readonly zone: string
  /** Zones of which values and types may be imported; the zone itself always may. */
  readonly values: readonly string[]
  /** Zones of which only types may be imported. */
  readonly types: readonly string[]
}

const serverParts = [
  'config',
  'observability',
  'authority',
  'audit',
  'issuers',
  'acme',
  'storage',
  'state',
  'secrets',
  'policy',
]
const inServer = (...names: readonly string[]): readonly string[] => names.map((name) => `server/${name}`)

/** A folder without a row may not exist. `vocabulary` is what lies directly in core/src, and the JSON grammar. */
export const importTable: readonly ZoneRow[] = [
  { zone: 'core/vocabulary', values: [], types: [] },
  { zone: 'core/identity', values: ['core/vocabulary'], types: [] },
  { zone: 'core/token', values: ['core/vocabulary', 'core/identity'], types: [] },
  { zone: 'core/policy', values: ['core/vocabulary', 'core/identity'], types: [] },
  { zone: 'core/mcp', values: ['core/vocabulary'], types: [] },
  { zone: 'core/a2a', values: ['core/vocabulary'], types: [] },
  { zone: 'core/audit', values: ['core/vocabulary'], types: [] },
  { zone: 'core/kept', values: ['core/vocabulary', 'core/policy'], types: [] },
  { zone: 'core/integrity', values: ['core/vocabulary', 'core/kept'], types: [] },
  { zone: 'core/output', values: ['core/vocabulary', 'core/kept'], types: [] },
  {
    zone: 'core/index',
    values: [
      'core/vocabulary',
      'core/identity',
      'core/token',
      'core/policy',
      'core/mcp',
      'core/a2a',
      'core/audit',
      'core/kept',
      'core/integrity',
      'core/output',
    ],
    types: [],
  },
  { zone: 'enforcement/path', values: ['core/index'], types: [] },
  { zone: 'enforcement/wire', values: ['core/index', 'enforcement/path'], types: [] },
  { zone: 'enforcement/index', values: ['enforcement/path', 'enforcement/wire'], types: [] },
  { zone: 'sdk', values: ['core/index', 'enforcement/index'], types: [] },
  { zone: 'server/config', values: ['core/index', 'server/bin'], types: [] },
  { zone: 'server/observability', values: ['core/index'], types: [] },
  { zone: 'server/authority', values: ['core/index'], types: ['server/observability'] },
  { zone: 'server/audit', values: ['core/index'], types: ['server/observability'] },
  ...inServer('storage', 'state', 'secrets').map((zone) => ({
    zone,
    // Key files and sealing are the SDK's: programs have them without the server.
    values: zone === 'server/secrets' ? ['core/index', 'sdk'] : ['core/index'],
    types: ['enforcement/index', ...inServer('authority', 'audit')],
  })),
  { zone: 'server/acme', values: ['core/index'], types: [] },
  { zone: 'server/issuers', values: ['core/index'], types: ['enforcement/index'] },
  { zone: 'server/policy', values: ['core/index'], types: ['enforcement/index'] },
  {
    zone: 'server/transports',
    values: ['core/index', 'enforcement/index', ...inServer('authority', 'audit')],
    types: ['server/observability'],
  },
  {
    zone: 'server/apps',
    // What the starter judges a runtime by is judged in one place.
    values: ['core/index', 'enforcement/index', 'sdk', ...inServer(...serverParts, 'transports', 'bin')],
    types: [],
  },
  { zone: 'server/cli', values: ['core/index', 'sdk', ...inServer('apps', 'config')], types: [] },
  { zone: 'console', values: ['core/index', 'sdk'], types: [] },
]

/** What lies in core/src without being an area of its own. */
const vocabularyFolders = new Set(['json'])

/** The packages of npm that each zone's package declares; a zone of core may use nothing of Node. */
export type DeclaredPackages = ReadonlyMap<string, ReadonlySet<string>>

const workspacePackages = new Map([
  ['@doorward/core', 'core/index'],
  ['@doorward/enforcement', 'enforcement/index'],
  ['@doorward/sdk', 'sdk'],
  ['@doorward/sdk/testing', 'sdk'],
])

export interface Violation {
  readonly path: string
  readonly line: number
  readonly rule:
    | 'zone_unknown'
    | 'import_forbidden'
    | 'import_types_only'
    | 'node_in_core'
    | 'package_undeclared'
    | 'package_inner_path'
    | 'import_escapes'
    | 'import_missing'
    | 'import_cycle'
  readonly detail: string
}

/** Zone of a path such as `packages/core/src/token/mint.ts`; undefined where the design has no such folder. */
export function zoneOf(path: string): string | undefined {
  const [, name, inside, folder, ...rest] = path.split('/')
  if (name === undefined || folder === undefined) return undefined
  if (name === 'server' && inside === 'bin') return 'server/bin'
  if (inside !== 'src') return undefined
  const inFolder = rest.length > 0
  if (name === 'core') return coreZone(folder, inFolder)
  if (name === 'enforcement') return enforcementZone(folder, inFolder)
  if (name === 'server') return inFolder ? known(`server/${folder}`) : undefined
  return known(name)
}

function coreZone(folder: string, inFolder: boolean): string | undefined {
  if (!inFolder) return folder === 'index.ts' ? 'core/index' : 'core/vocabulary'
  return vocabularyFolders.has(folder) ? 'core/vocabulary' : known(`core/${folder}`)
}

/** What decides knows nothing of what it is asked over. */
function enforcementZone(folder: string, inFolder: boolean): string {
  if (!inFolder) return folder === 'index.ts' ? 'enforcement/index' : 'enforcement/path'
  return folder === 'wire' ? 'enforcement/wire' : 'enforcement/path'
}

function known(zone: string): string | undefined {
  return importTable.some((row) => row.zone === zone) ? zone : undefined
}

interface Importer {
  readonly path: string
  readonly zone: string
}

interface ResolvedImport {
  readonly line: number
  readonly specifier: string
  readonly typeOnly: boolean
}

/** Judges every import of the files under `packages/`. Cycles count whether of values or of types. */
export function violations(files: readonly SourceFile[], declared: DeclaredPackages): readonly Violation[] {
  const sources = files.filter((file) => file.path.startsWith('packages/'))
  const paths = new Set(sources.map((file) => file.path))
  const graph = new Map<string, readonly string[]>()
  const found: Violation[] = []
  for (const file of sources) {
    const zone = zoneOf(file.path)
    const imports = moduleImports(file.text)
    graph.set(
      file.path,
      imports.map((each) => relativeTarget(file.path, each.specifier)).filter((to) => to !== undefined),
    )
    if (zone === undefined) {
      found.push({ path: file.path, line: 1, rule: 'zone_unknown', detail: 'no row of the import table covers it' })
      continue
    }
    for (const each of imports) {
      const broken = judgeImport({ path: file.path, zone }, each, paths, declared)
      if (broken !== undefined) found.push({ path: file.path, line: each.line, ...broken })
    }
  }
  return [...found, ...cycles(graph)]
}

type Broken = Pick<Violation, 'rule' | 'detail'>

function judgeImport(
  importer: Importer,
  each: ResolvedImport,
  paths: ReadonlySet<string>,
  declared: DeclaredPackages,
): Broken | undefined {
  const { path, zone } = importer
  const target = relativeTarget(path, each.specifier)
  if (target !== undefined) return judgeRelative(importer, each, target, paths)
  if (each.specifier.startsWith('node:')) {
    return zone.startsWith('core/') ? { rule: 'node_in_core', detail: each.specifier } : undefined
  }
  const name = packageName(each.specifier)
  if (workspacePackages.has(name)) {
    if (name !== each.specifier) return { rule: 'package_inner_path', detail: each.specifier }
    return judgeZone(zone, workspacePackages.get(name) ?? name, each)
  }
  const allowed = declared.get(path.split('/')[1] ?? '')?.has(name) === true
  return allowed ? undefined : { rule: 'package_undeclared', detail: each.specifier }
}

function judgeRelative(
  { path, zone }: Importer,
  each: ResolvedImport,
  target: string,
  paths: ReadonlySet<string>,
): Broken | undefined {
  const home = path.split('/').slice(0, 2).join('/')
  if (!target.startsWith(`${home}/`)) return { rule: 'import_escapes', detail: each.specifier }
  const targetZone = zoneOf(target)
  if (targetZone !== 'server/bin' && !paths.has(target)) return { rule: 'import_missing', detail: each.specifier }
  return judgeZone(zone, targetZone ?? 'unknown', each)
}

function judgeZone(zone: string, target: string, each: ResolvedImport): Broken | undefined {
  const row = importTable.find((candidate) => candidate.zone === zone)
  if (zone === target || row?.values.includes(target) === true) return undefined
  if (row?.types.includes(target) !== true) return { rule: 'import_forbidden', detail: `${zone} → ${target}` }
  return each.typeOnly ? undefined : { rule: 'import_types_only', detail: `${zone} → ${target}` }
}

function relativeTarget(path: string, specifier: string): string | undefined {
  return specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : undefined
}

/** `@scope/name/inner` → `@scope/name`. */
function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

/** One violation for each import that closes a cycle, found depth first in order of path. */
function cycles(graph: ReadonlyMap<string, readonly string[]>): readonly Violation[] {
  const found: Violation[] = []
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): void => {
    const from = trail.indexOf(path)
    if (from >= 0) {
      const detail = [...trail.slice(from), path].join(' → ')
      found.push({ path, line: 1, rule: 'import_cycle', detail })
      return
    }
    if (done.has(path)) return
    for (const target of graph.get(path) ?? []) visit(target, [...trail, path])
    done.add(path)
  }
  for (const path of [...graph.keys()].toSorted()) visit(path, [])
  return found
}

/**
 * Folders under `packages/<name>/src` that hold sources but say nowhere what they decide: neither a README with a
 * sentence nor an index that begins with a comment.
 */
export function silentFolders(files: readonly SourceFile[], readmes: ReadonlySet<string>): readonly string[] {
  const folders = new Set(
    files.filter((file) => file.path.startsWith('packages/')).map((file) => posix.dirname(file.path)),
  )
  return [...folders].toSorted().filter((folder) => {
    const index = files.find((file) => file.path === `${folder}/index.ts`)
    return !readmes.has(folder) && index?.text.startsWith('/**') !== true
  })
}
