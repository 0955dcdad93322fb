/** Manifests for Kubernetes: sound by its own schemas, within the restricted profile, and about a system that there is. */

import { deepEqual, equal, match, ok } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { after, describe, test } from 'node:test'
import { parseAllDocuments } from 'yaml'
import type { CliContext } from '../../packages/server/src/cli/context.ts'
import { parseConfiguration } from '../../packages/server/src/config/load.ts'
import { readSidecar } from '../../packages/server/src/config/sidecar-file.ts'
import { repositoryRoot } from '../../scripts/source-files.ts'
import { claims } from '../architecture/document-claims.ts'
import { readMarkdown } from '../architecture/markdown.ts'
import { commandTable } from '../fixtures/command-table.ts'
import { podFaults } from './pod-profile.ts'
import type { Container, PodSpec } from './pod-profile.ts'

interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels?: Readonly<Record<string, string>>
  }
  readonly data?: Readonly<Record<string, string>>
  readonly spec?: {
    readonly template?: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> }
      readonly spec: PodSpec
    }
    readonly selector?: Readonly<Record<string, string>>
    readonly ports?: readonly { readonly port: number; readonly targetPort: string }[]
    readonly podSelector?: { readonly matchLabels?: Readonly<Record<string, string>> }
    readonly policyTypes?: readonly string[]
    readonly ingress?: readonly {
      readonly from?: readonly object[]
      readonly ports?: readonly { readonly port: string }[]
    }[]
    readonly egress?: readonly { readonly to?: readonly object[]; readonly ports?: readonly object[] }[]
  }
}

interface Model {
  new (content: object): { validate(): void }
}

const label = 'app.kubernetes.io/name'
const files = globSync('deploy/kubernetes/*.yaml', { cwd: repositoryRoot }).toSorted()
const manifests = files.flatMap((path) =>
  parseAllDocuments(readFileSync(join(repositoryRoot, path), 'utf8')).map((document) => document.toJS() as Manifest),
)
const of = (kind: string): readonly Manifest[] => manifests.filter((one) => one.kind === kind)
const workloads = [...of('StatefulSet'), ...of('Deployment')]
const podOf = (one: Manifest): PodSpec => one.spec?.template?.spec ?? { containers: [] }
const ours = (one: Manifest): Container =>
  podOf(one).containers.find(({ image = '' }) => image.startsWith('doorward')) ?? { name: 'none' }
const configurationOf = (one: Manifest): Manifest | undefined => {
  const volume = podOf(one).volumes?.find(({ configMap }) => configMap !== undefined)
  return of('ConfigMap').find(({ metadata }) => metadata.name === (volume?.['configMap'] as { name?: string })?.name)
}
const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1))
const moduleOf = ({ apiVersion, kind }: Manifest): string => `kubernetes-models/${apiVersion}/${kind}`
const place = join(repositoryRoot, 'out', 'kubernetes')
after(() => rmSync(place, { recursive: true, force: true }))

describe('the schemas of Kubernetes', () => {
  test('every manifest has values as its kind wants them', async () => {
    for (const one of manifests) {
      const { [one.kind]: Kind } = (await import(moduleOf(one))) as Readonly<Record<string, Model>>
      ok(Kind !== undefined, one.kind)
      new Kind(one).validate()
      let refused = false
      try {
        new Kind({ ...one, metadata: { name: 7 } }).validate()
      } catch {
        refused = true
      }
      ok(refused, `${one.kind} takes any value`)
    }
  })

  test('no manifest has a key that its kind does not know, and one that is misspelled is found', () => {
    mkdirSync(place, { recursive: true })
    const literals = manifests.map((one, at) => {
      const [name, text] = [`import('${moduleOf(one)}').I${one.kind}`, JSON.stringify(one)]
      return `export const sound${at}: ${name} = ${text}\n`
    })
    const stateful = JSON.stringify(of('StatefulSet')[0]).replace(
      '"readOnlyRootFilesystem"',
      '"readOnlyRootFileSystem"',
    )
    writeFileSync(join(place, 'sound.ts'), literals.join(''))
    writeFileSync(
      join(place, 'wrong.ts'),
      `export const wrong: import('kubernetes-models/apps/v1/StatefulSet').IStatefulSet = ${stateful}\n`,
    )
    const compilerOptions = { module: 'nodenext', strict: true, noEmit: true, skipLibCheck: true, types: [] }
    writeFileSync(join(place, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['sound.ts', 'wrong.ts'] }))
    const tsc = join(repositoryRoot, 'node_modules', 'typescript', 'bin', 'tsc')
    const { stdout } = spawnSync(process.execPath, [tsc, '-p', place, '--pretty', 'false'], { encoding: 'utf8' })
    const lines = stdout.split('\n').filter((line) => /error TS/.test(line))
    equal(lines.length, 1, stdout)
    match(lines[0] ?? '', /wrong\.ts.*readOnlyRootFileSystem/)
  })
})

describe('confinement', () => {
  test('everything but the namespace is in the namespace, which enforces the restricted profile', () => {
    const [namespace] = of('Namespace')
    equal(namespace?.metadata.labels?.['pod-security.kubernetes.io/enforce'], 'restricted')
    const elsewhere = manifests.filter(
      ({ kind, metadata }) => kind !== 'Namespace' && metadata.namespace !== 'doorward',
    )
    deepEqual(elsewhere, [])
  })

  for (const one of workloads) {
    const pod = podOf(one)
    test(`${one.metadata.name}: its pod is within the restricted profile, and would be refused with any part of it undone`, () => {
      deepEqual(podFaults(pod), [])
      const [first = { name: 'none' }, ...rest] = pod.containers
      const changed = (change: Partial<Container>): PodSpec => ({
        ...pod,
        containers: [{ ...first, ...change }, ...rest],
      })
      const undone: readonly PodSpec[] = [
        { ...pod, hostNetwork: true },
        { ...pod, automountServiceAccountToken: true },
        { ...pod, securityContext: { ...pod.securityContext, runAsUser: 0 } },
        { ...pod, securityContext: { ...pod.securityContext, seccompProfile: { type: 'Unconfined' } } },
        { ...pod, volumes: [{ name: 'host', hostPath: { path: '/' } }] },
        changed({ securityContext: { ...first.securityContext, allowPrivilegeEscalation: true } }),
        changed({ securityContext: { ...first.securityContext, readOnlyRootFilesystem: false } }),
        changed({ securityContext: { ...first.securityContext, capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] } } }),
        changed({ ports: [{ name: 'main', containerPort: 8443, hostPort: 8443 }] }),
        changed({ resources: {} }),
        changed({ image: 'doorward:latest' }),
      ]
      for (const other of undone) equal(podFaults(other).length, 1, JSON.stringify(podFaults(other)))
    })
  }

  test('all traffic is denied but what is named, both ways, and what is named goes to ports that somebody opens', () => {
    const policies = of('NetworkPolicy').map(({ spec = {} }) => spec)
    const deny = policies.find(
      ({ podSelector = {}, ingress, egress }) => podSelector.matchLabels === undefined && !ingress && !egress,
    )
    deepEqual(deny?.policyTypes, ['Ingress', 'Egress'])
    for (const { podSelector, ingress = [], egress = [] } of policies) {
      const pods = workloads.filter(
        ({ spec }) => spec?.template?.metadata.labels[label] === podSelector?.matchLabels?.[label],
      )
      const open = pods.flatMap((one) => (ours(one).ports ?? []).map(({ name }) => name))
      for (const { from = [], ports = [] } of ingress) {
        ok(from.length > 0 && ports.length > 0, 'an opening without a source or a port')
        deepEqual(
          ports.filter(({ port }) => !open.includes(port)),
          [],
        )
      }
      for (const { to = [], ports = [] } of egress) ok(to.length > 0 && ports.length > 0, 'a way out to everywhere')
    }
  })
})

describe('the system that they are about', () => {
  for (const one of workloads) {
    const container = ours(one)

    test(`${one.metadata.name}: what it starts is a command, with a configuration that doorward accepts`, async () => {
      const document = readMarkdown(`\`doorward ${(container.args ?? []).join(' ')}\`\n`)
      const program = await commandTable({} as CliContext)
      const claim = claims['commands, with their options']
      deepEqual(claim?.(document, { path: 'pod.md', program, documents: new Map() }), [])
      const [[name, text] = ['', '']] = Object.entries(configurationOf(one)?.data ?? {})
      ok(container.args?.includes(`/etc/doorward/${name}`))
      if (name === 'sidecar.yaml')
        equal(readSidecar(text, name).inbound?.listen.port, container.ports?.[0]?.containerPort)
      else parseConfiguration(text, name)
    })

    test(`${one.metadata.name}: its ports are those on which it listens, and its probes ask what is there`, () => {
      const [[name, text] = ['', '']] = Object.entries(configurationOf(one)?.data ?? {})
      const listeners = name === 'sidecar.yaml' ? null : parseConfiguration(text, name)
      const ports: Partial<Record<string, number>> = Object.fromEntries(
        (container.ports ?? []).map(({ name: port, containerPort }) => [port, containerPort]),
      )
      if (listeners !== null) {
        const {
          main,
          public: open,
          enrol,
        } = container.args?.[0] === 'authority'
          ? listeners.authority.listeners
          : { main: listeners.listen ?? '', public: listeners.listeners.public, enrol: undefined }
        const said: Readonly<Record<string, number>> = {
          main: portOf(main),
          ...(enrol === undefined ? {} : { enrol: portOf(enrol) }),
          public: portOf(open),
        }
        deepEqual({ ...ports }, { ...said })
        const probes = ['startupProbe', 'livenessProbe', 'readinessProbe'] as const
        deepEqual(
          probes.map((probe) => container[probe]?.httpGet),
          ['/livez', '/livez', '/readyz'].map((path) => ({ path, port: 'public', scheme: 'HTTPS' })),
        )
      }
      const service = of('Service').find(
        ({ spec }) => spec?.selector?.[label] === one.spec?.template?.metadata.labels[label],
      )
      for (const { port, targetPort } of service?.spec?.ports ?? []) equal(ports[targetPort], port)
      ok((service?.spec?.ports ?? []).length > 0)
    })
  }

  test('there are an authority, a gateway and a program beside a sidecar', () => {
    deepEqual(
      workloads.map(({ kind, metadata }) => `${kind} ${metadata.name}`),
      ['StatefulSet authority', 'StatefulSet orders', 'Deployment gateway'],
    )
    deepEqual(files.map((path) => basename(path)).length, 5)
  })
})
