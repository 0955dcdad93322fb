/** `doorward config check`: judges a configuration without starting anything. */

import type { Command } from 'commander'
import type { JudgedPolicy } from '../apps/policy-preparation.ts'
import { problemLine } from '../config/problem.ts'
import { secondSink } from '../config/second-sink.ts'
import { allowedAudiences, connectionLimits, securityHeaders } from '../config/settings.ts'
import type { Deployment } from '../config/settings.ts'
import { isSidecarFile, loadSidecar } from '../config/sidecar-file.ts'
import type { AskedSettings } from '../config/sidecar-file.ts'
import type { CliContext } from './context.ts'
import { painter, printable } from './output.ts'

export function register(program: Command, context: CliContext): void {
  const config = program
    .command('config')
    .description('judge the configuration')
    .addHelpText('after', '\nExample:\n  doorward config check')
  config
    .command('check')
    .description('tell every mistake in the configuration, or what it means')
    .addHelpText('after', '\nExample:\n  doorward config check --config doorward.yaml')
    .action(async () => {
      if (await isSidecarFile(context.configurationFile)) return checkSidecar(context)
      const deployment = await context.deployment()
      await secondSink(deployment)
      const { judgePolicy } = await import('../apps/policy-preparation.ts')
      const policy = await judgePolicy(deployment)
      if (context.json) context.out(JSON.stringify({ ...meaning(deployment), policy }))
      else for (const line of humanMeaning(deployment, policy, context.color)) context.out(line)
    })
}

/** What `doorward sidecar run` would be told. */
async function checkSidecar(context: CliContext): Promise<void> {
  const { trustDomain, file, inbound, outbound, record } = await loadSidecar(context.configurationFile)
  const { requireRoutes } = await import('@doorward/sdk')
  if (inbound?.asked.kind === 'routes') requireRoutes(inbound.asked.routes)
  const out = outbound.map(({ place, to, id, callers }) => ({ ...place, to, id, callers: callers.kind }))
  if (context.json) {
    const lets =
      inbound === null ? null : { listen: inbound.listen, audience: inbound.audience, ...askedDocument(inbound.asked) }
    context.out(JSON.stringify({ ok: true, file, trust_domain: trustDomain, record, inbound: lets, outbound: out }))
    return
  }
  const paint = painter(context.color)
  context.out(`${paint('green', '✓')} ${file}`)
  context.out(`  trust domain  ${trustDomain}`)
  if (inbound !== null) context.out(`  in            ${inbound.audience}: ${askedText(inbound.asked)}`)
  for (const { to, id } of outbound) context.out(`  out           ${to}: ${id}`)
  if (outbound.some(({ callers }) => callers.kind === 'anybody'))
    context.out(paint('yellow', '  insecure_any_local_process: every process of the machine may use what it stands at'))
}

function askedDocument(asked: AskedSettings): object {
  if (asked.kind === 'routes') return { routes: asked.routes }
  const { kind, ...rest } = asked
  return kind === 'json-rpc' ? { json_rpc: rest } : { [kind]: rest }
}

function askedText(asked: AskedSettings): string {
  switch (asked.kind) {
    case 'routes':
      return `${asked.routes.length} routes`
    case 'mcp':
      return `an MCP server at ${asked.path}`
    case 'a2a':
      return `an agent at ${asked.path}`
    case 'json-rpc':
      return `${Object.keys(asked.methods).length} methods at ${asked.path}`
  }
}

function meaning(deployment: Deployment): object {
  const { configuration } = deployment
  return {
    ok: true,
    file: deployment.file,
    trust_domain: deployment.trustDomain,
    gateway: { public_url: deployment.gateway.publicUrl, listeners: deployment.gateway.listeners },
    authority: { public_url: deployment.authority.publicUrl, listeners: deployment.authority.listeners },
    audiences: [...allowedAudiences(deployment)],
    servers: Object.keys(configuration.servers),
    services: Object.keys(configuration.services),
    agents: Object.keys(configuration.agents),
    roles: [...configuration.security.rbac.policies.map(({ role }) => role), ...Object.keys(configuration.roles)],
    bindings: configuration.bindings,
    headers: securityHeaders(configuration),
    limits: {
      ...configuration.security.rate_limiting,
      loopback_per_ip: connectionLimits(configuration).perIp('127.0.0.1'),
    },
  }
}

/** Issuers in bindings whose tokens nobody accepts. */
function strangersOf({ bindings, issuers }: Deployment['configuration']): readonly string[] {
  const known = new Set(Object.values(issuers).map(({ issuer }) => issuer))
  return [...new Set(bindings.flatMap(({ issuer }) => (issuer === undefined || known.has(issuer) ? [] : [issuer])))]
}

function humanMeaning(deployment: Deployment, policy: JudgedPolicy, color: boolean): readonly string[] {
  const paint = painter(color)
  const { configuration } = deployment
  const servers = Object.entries(configuration.servers)
  const roles = configuration.security.rbac.policies.length + Object.keys(configuration.roles).length
  return [
    `${paint('green', '✓')} ${deployment.file}`,
    `  trust domain  ${deployment.trustDomain}`,
    `  gateway       ${deployment.gateway.publicUrl}`,
    `  authority     ${deployment.authority.publicUrl}`,
    ...servers.map(
      ([name, server]) => `  server        ${name}: ${'url' in server ? server.url : server.command.join(' ')}`,
    ),
    ...Object.entries(configuration.services).map(([name, { url }]) => `  service       ${name}: ${url}`),
    ...Object.entries(configuration.agents).map(([name, { url }]) => `  agent         ${name}: ${url}`),
    `  roles         ${roles}, bindings ${configuration.bindings.length}`,
    `  policies      ${policy.policies} with those of roles, files ${configuration.policy.files.length}`,
    ...(policy.candidate === null
      ? []
      : [
          `  candidate     ${policy.candidate.file}: ${policy.candidate.policies} policies, compared with and not enforced`,
        ]),
    ...policy.warnings.map((warning) => paint('yellow', `  ${printable(problemLine(deployment.file, warning))}`)),
    ...strangersOf(configuration).map((issuer) =>
      paint(
        'yellow',
        `  bindings of users and groups of ${printable(issuer)}: no such issuer is configured, so nobody has these`,
      ),
    ),
    ...(configuration.bindings.length === 0 && configuration.policy.files.length === 0 && servers.length > 0
      ? [paint('yellow', '  no bindings: only roles given at registration allow anything')]
      : []),
  ]
}
