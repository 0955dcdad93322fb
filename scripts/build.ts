/**
 * `npm run build`: JavaScript and declarations of every package into its `dist/`, in order of dependency, and then a
 * load of what each package exports; of `server` the command, which is started once. `npm run build -- core` builds only
 * the named packages. What is published of each lies in `out/packages` afterwards. Exit 1 on any error.
 */

import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { repositoryRoot } from './source-files.ts'
import { stage } from './stage.ts'

const order = ['core', 'enforcement', 'sdk', 'server', 'console']

interface Manifest {
  readonly name: string
  readonly exports?: unknown
}

const named = process.argv.slice(2)
const unknown = named.filter((name) => !order.includes(name))
if (unknown.length > 0) {
  console.error(`unknown package ${unknown.join(', ')}; expected ${order.join(', ')}`)
  process.exitCode = 2
} else {
  const chosen = order.filter((name) => named.length === 0 || named.includes(name)).filter(hasSources)
  const built = (name: string): boolean => (name === 'server' ? buildCommand() : compile(name) && loads(name))
  const staged = (name: string): boolean => {
    stage(name)
    return true
  }
  process.exitCode = chosen.every((name) => built(name) && staged(name)) ? 0 : 1
}

/** Its types are checked with all others; nobody imports it. */
function buildCommand(): boolean {
  const started =
    runNode(['scripts/bundle.ts']) && runNode([join('packages', 'server', 'dist', 'main.js'), '--version'])
  console.log(`server: ${started ? 'built' : 'not built'}`)
  return started
}

function hasSources(name: string): boolean {
  return existsSync(join(repositoryRoot, 'packages', name, 'src'))
}

/** Declarations are resolved from the `dist/` of the packages before it, as an installed copy would. */
function compile(name: string): boolean {
  const home = join(repositoryRoot, 'packages', name)
  const config = join(repositoryRoot, 'out', 'build', `${name}.json`)
  const compilerOptions = {
    rootDir: join(home, 'src'),
    outDir: join(home, 'dist'),
    noEmit: false,
    declaration: true,
    customConditions: [],
  }
  rmSync(compilerOptions.outDir, { recursive: true, force: true })
  mkdirSync(join(repositoryRoot, 'out', 'build'), { recursive: true })
  const include = [join(home, 'src')]
  const extended = join(repositoryRoot, 'tsconfig.json')
  writeFileSync(config, JSON.stringify({ extends: extended, compilerOptions, include, exclude: [] }, null, 2))
  const built = runNode(['node_modules/typescript/bin/tsc', '-p', config])
  console.log(`${name}: ${built ? 'built' : 'not built'}`)
  if (built) copyData(home)
  return built
}

/** What the sources read beside themselves: everything but TypeScript and words. */
function copyData(home: string): void {
  cpSync(join(home, 'src'), join(home, 'dist'), {
    recursive: true,
    filter: (path) => !/\.(tsx?|md)$/.test(path),
  })
}

function loads(name: string): boolean {
  const manifest = JSON.parse(readFileSync(join(repositoryRoot, 'packages', name, 'package.json'), 'utf8')) as Manifest
  if (manifest.exports === undefined) return true
  return runNode(['--input-type=module', '--eval', `await import(${JSON.stringify(manifest.name)})`])
}

function runNode(args: readonly string[]): boolean {
  return spawnSync(process.execPath, args, { cwd: repositoryRoot, stdio: 'inherit' }).status === 0
}
