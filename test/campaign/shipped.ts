/** Starts every configuration that ships or is shown, and probes it: what can be tried there is refused as it must be. */

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePorts } from '../fixtures/deployment.ts'
import { certificateFiles } from '../fixtures/edge-stage.ts'
import { keySet, platformKey } from '../fixtures/platform-issuer.ts'
import { ProbeStage } from '../fixtures/probe-stage.ts'
import { Findings } from './part.ts'
import type { Assignment, Part, PartReport } from './part.ts'
import { isInShare } from './share.ts'
import { asItShips, housed, quickStart, shippedConfigurations } from './shipped-configurations.ts'
import type { Housed, ShippedConfiguration } from './shipped-configurations.ts'

const hosts = ['mcp.acme.example', 'edge.acme.example', 'sign-in.acme.example']
const secretFiles = ['consent.secret', 'front.secret', 'crm', 'tool', 'approle']
const folders = ['policies', 'doorward-checkpoints', 'audit']
const policyFiles = ['policies/none.cedar', 'extra.cedar']
const policy = 'forbid (principal, action, resource) when { false };\n'

/** What a configuration may name, in the folder of the deployment. */
async function furnished({ system }: ProbeStage, one: ShippedConfiguration): Promise<Housed> {
  const { folder } = system
  const { certificate, ca } = await certificateFiles(folder, hosts)
  const caFile = join(folder, 'other-ca.pem')
  await writeFile(caFile, ca)
  await writeFile(join(folder, 'provider.jwks'), keySet(platformKey('ES256', 'own')))
  for (const name of secretFiles) await writeFile(join(folder, name), `a secret of ${name}\n`, { mode: 0o600 })
  for (const name of folders) await mkdir(join(folder, name))
  for (const name of policyFiles) await writeFile(join(folder, name), policy)
  return housed(one, {
    folder,
    command: ['node', join(folder, 'server.mjs')],
    certificate: { file: certificate.file, key_file: certificate.keyFile },
    ca: caFile,
    ports: await freePorts(2),
  })
}

/** What failed, and how much was tried; why nothing could be is thrown. */
async function probed(
  one: ShippedConfiguration,
): Promise<{ readonly failed: readonly string[]; readonly told: string }> {
  const stage = await ProbeStage.prepare()
  try {
    const home = one.name === quickStart ? asItShips(one) : await furnished(stage, one)
    await stage.system.configure(home.yaml, home)
    await stage.system.up()
    const { attempts, passed, notRun } = await stage.probe({ server: home.server }, home.role)
    const failed = attempts.filter(({ verdict }) => verdict === 'failed').map(({ id, got }) => `${id}: ${got}`)
    return { failed, told: `${one.name} (${passed} as they must, ${notRun} not tried)` }
  } finally {
    await stage.remove()
  }
}

async function run({ count, goOn, share }: Assignment): Promise<PartReport> {
  const findings = new Findings()
  const chosen = all.filter(({ name }) => share === null || isInShare(name, share)).slice(0, count)
  const names: string[] = []
  const passed: string[] = []
  for (const one of chosen) {
    if (!goOn(names.length)) break
    try {
      const { failed, told } = await probed(one)
      for (const each of failed) findings.add(`${one.name}: ${each}`)
      if (failed.length === 0) passed.push(told)
    } catch (error) {
      findings.add(`${one.name}: ${error instanceof Error ? error.message : String(error)}`)
    }
    names.push(one.name)
  }
  return { done: names.length, findings: findings.list, facts: { passed: passed.join('; ') }, names }
}

const all = await shippedConfigurations()

export const shippedProbed: Part = {
  name: 'shipped',
  rule: 'a deployment of each configuration that ships or is shown passes the probe',
  count: all.length,
  names: all.map(({ name }) => name),
  maximumSeconds: 3600,
  run,
}
