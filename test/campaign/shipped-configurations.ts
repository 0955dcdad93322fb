/** Every configuration that we show or start with which a gateway runs, made to run here: addresses and programs are ours, the rest is theirs. */

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseDocument, stringify } from 'yaml'
import { configuration } from '../../examples/agents/system/deployment.ts'
import { fences } from '../fixtures/guide.ts'

const repository = join(import.meta.dirname, '..', '..')

type Mapping = Readonly<Record<string, unknown>>

export interface ShippedConfiguration {
  /** `docs/edge.md, 1`: the first one there. */
  readonly name: string
  readonly text: string
}

/** What `npm start` runs. */
export const quickStart = 'doorward.yaml'

/** What only a gateway has. */
const ofGateway = ['servers', 'services', 'agents', 'edge', 'decisions']

/** That of the quick start, and every one in a document, in its order. */
export async function shippedConfigurations(): Promise<readonly ShippedConfiguration[]> {
  const documents = (await readdir(join(repository, 'docs'))).filter((name) => name.endsWith('.md')).toSorted()
  const shown = await Promise.all(documents.map((name) => configurationsIn(`docs/${name}`)))
  const text = await readFile(join(repository, quickStart), 'utf8')
  const example = configuration(
    '/home/example',
    Array.from({ length: 7 }, (_, at) => at + 1),
  )
  return [{ name: quickStart, text }, { name: 'examples/agents', text: example }, ...shown.flat()]
}

async function configurationsIn(file: string): Promise<readonly ShippedConfiguration[]> {
  const all = fences(await readFile(join(repository, file), 'utf8'))
  const found = all.filter(({ kind, text }) => kind === 'yaml' && ofGateway.some((key) => key in mappingOf(text)))
  return found.map(({ text }, index) => ({ name: `${file}, ${index + 1}`, text }))
}

function mappingOf(text: string): Mapping {
  const value: unknown = parseDocument(text).toJS()
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Mapping) : {}
}

export interface Housed {
  readonly trustDomain: string
  /** YAML below the addresses, as `TestDeployment` takes it. */
  readonly yaml: string
  readonly listeners: string
  readonly authority: string
  readonly authorityListeners: string
  /** What is tried. */
  readonly server: string
  readonly role: string
}

/** Nothing of it changed but its addresses, and that it finds its documents. */
export function asItShips({ text }: ShippedConfiguration): Housed {
  const { trust_domain: _, ...rest } = mappingOf(text)
  const yaml = stringify(rest).replaceAll('examples/', `${join(repository, 'examples')}/`)
  const none = { listeners: '', authority: '', authorityListeners: '' }
  return { ...none, trustDomain: domainOf(text), yaml, server: 'files', role: 'reader' }
}

export interface House {
  /** Where files are that a configuration names. */
  readonly folder: string
  /** The program of every server that is a command. */
  readonly command: readonly string[]
  readonly certificate: { readonly file: string; readonly key_file: string }
  /** Of other people's servers. */
  readonly ca: string
  /** Free; one for each more listener. */
  readonly ports: readonly number[]
}

const addresses = ['trust_domain', 'public_url', 'gateway', 'state', 'listen', 'listeners', 'authority']
/** So wide that nobody waits for them. */
const wide = {
  security: { rate_limiting: { global: '1000000/min', per_ip: '1000000/min', per_user: '400/min' } },
  limits: { handshakes_per_ip: '1000000/min', connections_per_ip: 100 },
}

/** The same with our addresses, programs and files, and wide limits; `tried` is a server and a role of ours beside its own. */
export function housed({ text }: ShippedConfiguration, house: House): Housed {
  const whole = placed(mappingOf(text), house) as Record<string, Mapping>
  const { listeners = {}, authority = {} } = whole
  const rest = Object.fromEntries(Object.entries(whole).filter(([key]) => !addresses.includes(key)))
  const [port, frontPort] = house.ports
  const more = Object.keys(listeners).filter((name) => ['edge', 'decisions'].includes(name))
  const { front } = authority
  return {
    trustDomain: domainOf(text),
    yaml: stringify(
      {
        ...rest,
        servers: { ...rest['servers'], tried: { command: house.command } },
        roles: { ...rest['roles'], tried: ['read:tried/*'] },
        security: { ...wide.security, ...rest['security'] },
        limits: { ...wide.limits, ...rest['limits'] },
      },
      { aliasDuplicateObjects: false },
    ),
    listeners: more.map((name) => `, ${name}: "127.0.0.1:${port}"`).join(''),
    authority: front === undefined ? '' : stringify({ front }).replaceAll(/^(?=.)/gm, '  '),
    authorityListeners: front === undefined ? '' : `, front: "127.0.0.1:${frontPort}"`,
    server: 'tried',
    role: 'tried',
  }
}

function domainOf(text: string): string {
  const { trust_domain: domain } = mappingOf(text)
  return typeof domain === 'string' ? domain : 'acme.example'
}

/** Files are looked for in our folder, and every command is one that is here. */
function placed(value: unknown, house: House, key = ''): unknown {
  if (Array.isArray(value)) return key === 'command' ? house.command : value.map((one) => placed(one, house))
  if (key === 'ca_file') return house.ca
  if (typeof value === 'string') {
    const isPath = value.startsWith('/') || /(?:^|_)(?:file|dir)$/.test(key)
    return isPath ? join(house.folder, value.slice(value.lastIndexOf('/') + 1)) : value
  }
  if (typeof value !== 'object' || value === null) return value
  if (key === 'certificate' && 'file' in value) return house.certificate
  const kept = Object.entries(value).filter(([name]) => !leftOut.has(name))
  return Object.fromEntries(kept.map(([name, inner]) => [name, placed(inner, house, name)]))
}

/** Of a server: lists of definitions that an operator has approved, where its program begins, and what that needs. */
const leftOut: ReadonlySet<string> = new Set(['tools', 'approval', 'cwd', 'env_from', 'card_keys'])
