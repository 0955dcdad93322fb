/** Brings the whole shop up: provider, authority, gateway, and each program in a process of its own. */

import { readFileSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect } from '@doorward/sdk'
import type { Loot } from '../attacks/attack.ts'
import { startProvider } from '../programs/provider.ts'
import { placeOf, toEnvironment } from '../programs/shop.ts'
import type { Shop } from '../programs/shop.ts'
import { writerSidecar, writerSockets } from '../programs/writer-sidecar.ts'
import { configuration, Deployment, freePorts, issuer, trustDomain } from './deployment.ts'
import { ownCommand, runCommand, startProgram } from './processes.ts'
import type { Command, Program } from './processes.ts'

export interface RunningShop extends AsyncDisposable {
  readonly shop: Shop
  readonly deployment: Deployment
  /** Alice gives the planner a task; what it answered. */
  readonly task: () => Promise<string>
  /** How many calls have reached anything behind the doors so far. */
  readonly reached: () => number
  /** What attackers get hold of. */
  readonly loot: () => Promise<Loot & AsyncDisposable>
}

/** Those that protect themselves, in the order in which they call each other. */
export const programs = ['service/stock', 'agent/buyer', 'agent/writer', 'agent/planner'] as const

export async function startShop(progress: (text: string) => void): Promise<RunningShop> {
  await using stack = new AsyncDisposableStack()
  const home = await mkdtemp(join(tmpdir(), 'doorward-example-'))
  stack.defer(() => rm(home, { recursive: true, force: true }))
  const deployment = new Deployment(home)
  const [planner, buyer, writer, stock, ...ports] = await freePorts(11)
  const url = (port = 0) => `https://127.0.0.1:${port}`
  const notes = `${url(ports[0])}/mcp/notes`
  const shop: Shop = {
    home,
    issuer,
    planner: url(planner),
    buyer: url(buyer),
    writer: url(writer),
    stock: url(stock),
    notes,
  }
  await prepare(home)
  const provider = stack.use(await startProvider(issuer))
  await writeFile(join(home, 'provider.jwks'), provider.keys)
  await writeFile(join(home, 'doorward.yaml'), configuration(home, ports))
  progress('authority and gateway')
  const output = (name: string) => join(home, 'output', name.replaceAll('/', '+'))
  const up = deployment.command('up', '--json')
  stack.use(await startProgram('doorward up', up, { output: output('up'), ready: /"event":"serving"/ }))
  await deployment.register(shop)
  const env = { ...deployment.env, ...toEnvironment(shop) }
  for (const path of programs) {
    progress(path)
    const command = path === 'agent/writer' ? writerCommand(shop, env) : ownCommand(scriptOf(path), { env, cwd: home })
    stack.use(await startProgram(path, command, { output: output(path), ready: /^listening$/m }))
    if (path === 'agent/writer') stack.use(await startSidecar(shop, deployment, output('sidecar')))
  }
  const taps = [...programs.map(output), join(home, 'notes', 'calls')]
  const running = stack.move()
  return {
    shop,
    deployment,
    task: () =>
      runCommand(ownCommand(scriptOf('laptop/alice'), { env: { ...env, PROVIDER: provider.url }, cwd: home })),
    reached: () => taps.reduce((sum, file) => sum + (readFileSync(file, 'utf8').match(/^handled /gm)?.length ?? 0), 0),
    loot: () => lootOf(shop, deployment),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  }
}

function writerCommand(shop: Shop, env: Command['env']): Command {
  const script = fileURLToPath(new URL('../programs/writer.py', import.meta.url))
  return { file: 'python3', args: [script], env: { ...env, ...writerSockets(shop) }, cwd: shop.home }
}

/** Beside a program in another language: it holds the identity. */
async function startSidecar(shop: Shop, deployment: Deployment, output: string): Promise<Program> {
  await writeFile(join(shop.home, 'writer.yaml'), writerSidecar(shop, trustDomain))
  const command = deployment.command('sidecar', 'run', '--config', 'writer.yaml', '--json')
  return startProgram('the sidecar of agent/writer', command, { output, ready: /"event":"ready"/ })
}

/** The server of the notes may run as another user than we do. */
async function prepare(home: string): Promise<void> {
  await chmod(home, 0o755)
  for (const name of ['keys', 'output', 'run', 'den']) await mkdir(join(home, name), { mode: 0o700 })
  await mkdir(join(home, 'notes'))
  const files = { 'notes.txt': 'lamps: two left, the brass ones go first\n', calls: '' }
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(home, 'notes', name), text)
    await chmod(join(home, 'notes', name), 0o666)
  }
}

function scriptOf(path: string): string {
  return fileURLToPath(new URL(`../programs/${path.split('/')[1]}.ts`, import.meta.url))
}

async function lootOf(shop: Shop, deployment: Deployment): Promise<Loot & AsyncDisposable> {
  await using stack = new AsyncDisposableStack()
  const as = async (path: string) => stack.use(await connect(placeOf(shop, path).identity))
  const [planner, buyer, intern] = [await as('agent/planner'), await as('agent/buyer'), await as('agent/intern')]
  const gateway = await deployment.stolenGateway()
  stack.defer(() => gateway.close())
  const kept = stack.move()
  return {
    shop,
    planner,
    buyer,
    intern,
    gateway,
    usedJoinString: placeOf(shop, 'agent/buyer').identity.join.file,
    den: join(shop.home, 'den'),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}
