/** `doorward gateway add`: one more gateway, as the authority decides, and a join string for it. */

import type { Command } from 'commander'
import { gatewayRole, workloadId } from '@doorward/core'
import type { CliContext } from './context.ts'
import { asOption } from './identity-option.ts'
import { invited, tellInvitation } from './workload/join-file.ts'
import { administerWorkloads } from './workload/refusal.ts'

interface AddOptions {
  readonly as?: string
  readonly dns: readonly string[]
  readonly ip: readonly string[]
  readonly again: boolean
  readonly out?: string
}

export function registerGatewayAdd(gateway: Command, context: CliContext): void {
  gateway
    .command('add')
    .description('register a gateway and print a join string for it: one use, ten minutes')
    .argument('<name>', 'its name; its id is doorward/gateway/<name>')
    .option('--dns <name...>', 'DNS names by which clients dial it', [])
    .option('--ip <address...>', 'IP addresses by which clients dial it', [])
    .option('--again', 'it was removed before, and the same gateway returns', false)
    .option('--out <file>', 'write the join string to this file (mode 0600) instead of standard output')
    .option(...asOption)
    .addHelpText('after', '\nExample:\n  doorward gateway add eu --dns mcp.acme.example --out gateway.join')
    .action((name: string, options: AddOptions) => add(context, name, options))
}

async function add(context: CliContext, name: string, options: AddOptions): Promise<void> {
  const { trustDomain } = await context.deployment()
  const { uri: id } = workloadId(trustDomain, 'doorward', 'gateway', name)
  const { dns, ip, again, out } = options
  await administerWorkloads(context, options.as, async (client) => {
    const prepare = () => client.addGateway(name, { dns_names: dns, ip_addresses: ip, ...(again ? { again } : {}) })
    const invitation = await invited(client, id, { out, prepare })
    tellInvitation(context, invitation, { id, roles: [gatewayRole], out, done: `registered ${id}` })
  })
}
