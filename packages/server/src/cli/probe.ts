/** `doorward probe`: tries a running deployment as an attacker would, and reports what was refused. */

import { readFile, writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { DoorwardError, toSeconds } from '@doorward/core'
import type { ProbeOptions } from '../apps/probe/probe.ts'
import type { ProbeReport, Tried } from '../apps/probe/report.ts'
import type { Deployment } from '../config/settings.ts'
import type { CliContext } from './context.ts'
import { CheckFailed } from './failure.ts'
import { asIdentity, asOption } from './identity-option.ts'
import { painter, printable, table } from './output.ts'
import type { Paint } from './output.ts'

interface ProbeWords {
  readonly as?: string
  readonly server?: string
  readonly role?: string
  readonly only?: string
  readonly patient: boolean
  readonly authorityDown?: string
  readonly authorityUp?: string
  readonly junit?: string
  readonly report?: string
  readonly verify?: string
}

const EXAMPLES = `
Registers workloads of its own under probe/, and removes them at the end; nothing else is left but entries of the record. Who runs
it has to be an operator. Exit code 1 when anything was let in, or is not on the record.

Examples:
  doorward probe
  doorward probe https://mcp.acme.example:8443 --server notes --role reader
  doorward probe --only standing,limits-rate
  doorward probe --patient --authority-down 'systemctl stop doorward-authority' --authority-up 'systemctl start doorward-authority'
  doorward probe --json --junit probe.xml --report probe.json
  doorward probe --verify probe.json`

export function register(program: Command, context: CliContext): void {
  program
    .command('probe')
    .description('try a running deployment as an attacker would, and report what was refused')
    .argument('[url]', 'public URL of the gateway; that of the configuration by default')
    .option(...asOption)
    .option('--server <name>', 'the server to be tried; the first one of the configuration by default')
    .option('--role <name>', 'role that may use it; the first one of the configuration by default')
    .option('--only <names>', 'attempts or kinds of attempts, with commas between; all by default')
    .option('--patient', 'wait some six minutes, for what is held to end', false)
    .option('--authority-down <command>', 'stops the authority; what happens then is tried too')
    .option('--authority-up <command>', 'starts it again; each goes to /bin/sh')
    .option('--junit <file>', 'write the result for continuous integration')
    .option('--report <file>', 'write the result, and beside it its digest, signed: <file>.jws')
    .option('--verify <file>', 'try nothing: say whether a report that was kept is what its workload has signed')
    .addHelpText('after', EXAMPLES)
    .action((url: string | undefined, words: ProbeWords) =>
      words.verify === undefined ? run(context, url, words) : verify(context, url, words),
    )
}

async function run(context: CliContext, url: string | undefined, words: ProbeWords): Promise<void> {
  const deployment = await context.deployment()
  const target = targetOf(deployment, url, words)
  const chosen = chosenBy(deployment, words)
  const { probe } = await import('../apps/probe/probe.ts')
  const { probeOptions } = await import('../apps/probe/options.ts')
  const { junitOf, reportDocument, signReport } = await import('../apps/probe/report.ts')
  await asIdentity(context, words.as, async (operator) => {
    const options = { ...probeOptions(deployment, operator), ...target, ...chosen, signal: context.signal }
    const report = await probe({ ...options, onTried: progress(context) })
    if (words.junit !== undefined) await writeFile(words.junit, junitOf(report))
    if (words.report !== undefined) {
      const text = `${JSON.stringify(reportDocument(report), null, 2)}\n`
      await writeFile(words.report, text)
      await writeFile(`${words.report}.jws`, `${await signReport(text, operator)}\n`)
    }
    if (context.json) context.out(JSON.stringify(reportDocument(report)))
    else for (const line of shown(report, context.color)) context.out(line)
    conclude(context, report)
  })
}

/** The trust state of the identity says who signs here. */
async function verify(context: CliContext, url: string | undefined, words: ProbeWords): Promise<void> {
  const { as, verify: file = '', json: _, ...others } = { json: context.json, ...words }
  if (url !== undefined || Object.values(others).some((value) => value !== undefined && value !== false))
    throw new DoorwardError('options_contradict', '--verify tries nothing', {
      expected: '--verify, with --as or alone',
    })
  const { proveReport } = await import('../apps/probe/report-proof.ts')
  const [text, signed] = [await readText(file), await readText(`${file}.jws`)]
  await asIdentity(context, as, async ({ trust, trustDomain, trustStore }) => {
    const anchors = trustStore.view()?.anchors ?? []
    const proof = proveReport(text, signed, { trustDomain, anchors, now: toSeconds(trust.now()) })
    if (!proof.ok)
      throw new CheckFailed('report_unproven', 'the report is not proven', {
        where: file,
        expected: 'what a workload of this trust domain has signed',
        got: proof.problem,
        next: 'keep the report and its signature as they were written',
      })
    const { by, certificate, endedAt } = proof
    if (context.json) context.out(JSON.stringify({ ok: true, by, certificate, ended_at: endedAt }))
    else context.out(`${file}: signed by ${by} with the certificate ${certificate}, as it was at ${endedAt}`)
  })
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new DoorwardError('file_unreadable', 'a file cannot be read', {
      where: file,
      expected: 'a readable file',
      got: error instanceof Error ? error.message : String(error),
    })
  }
}

function targetOf(deployment: Deployment, url: string | undefined, { server, role }: ProbeWords) {
  const { configuration, file, gateway } = deployment
  const servers = Object.keys(configuration.servers)
  const roles = [...Object.keys(configuration.roles), ...configuration.security.rbac.policies.map((one) => one.role)]
  const chosen = chosenOf('server', servers, server, file)
  return {
    url: (url ?? gateway.publicUrl).replace(/\/$/, ''),
    server: chosen,
    role: chosenOf('role', roles, role, file),
  }
}

function chosenOf(what: string, known: readonly string[], wanted: string | undefined, file: string): string {
  const chosen = wanted ?? known[0]
  if (chosen !== undefined && known.includes(chosen)) return chosen
  throw new DoorwardError(`${what}_unknown`, `the configuration has no such ${what}`, {
    where: file,
    expected: known.length === 0 ? `a ${what}` : known.slice(0, 20).join(', '),
    got: wanted ?? 'none',
    next: `name one with --${what}`,
  })
}

/** What is tried beside what always is. */
function chosenBy(
  { configuration: { trust } }: Deployment,
  { only, patient, authorityDown: down, authorityUp: up }: ProbeWords,
): Pick<ProbeOptions, 'only' | 'patient' | 'authorityAway'> {
  if ((down === undefined) !== (up === undefined))
    throw new DoorwardError('options_contradict', 'what is stopped has to be started again', {
      expected: '--authority-down and --authority-up, or none of them',
    })
  const staleness = { fullSeconds: trust.full_seconds, reducedSeconds: trust.reduced_seconds }
  return {
    only: only?.split(',') ?? [],
    patient,
    authorityAway: down === undefined || up === undefined ? null : { down, up, staleness },
  }
}

function progress(context: CliContext): ProbeOptions['onTried'] {
  if (!context.interactive || context.json) return () => undefined
  return ({ id }, done, all) =>
    void context.stdout.write(`\r\u001b[K${done} of ${all}: ${id}${done === all ? '\r\u001b[K' : ''}`)
}

const paints: Readonly<Record<Tried['verdict'], readonly [Paint, string]>> = {
  passed: ['green', '✓'],
  failed: ['red', '✗'],
  not_run: ['yellow', '?'],
}

function shown({ attempts, url, passed, failed, notRun }: ProbeReport, color: boolean): readonly string[] {
  const paint = painter(color)
  const kinds = [...new Set(attempts.map(({ kind }) => kind))]
  const summary = kinds.map((kind) => {
    const of = attempts.filter((one) => one.kind === kind)
    const good = of.filter(({ verdict }) => verdict === 'passed').length
    const requirements = [...new Set(of.map(({ requirement }) => requirement))]
    return [paint(good === of.length ? 'green' : 'red', `${good} of ${of.length}`), kind, requirements.join(', ')]
  })
  const rest = attempts.filter(({ verdict }) => verdict !== 'passed')
  const rows = rest.map(({ id, title, verdict, expected, got, requirement }) => {
    const [paintOf, mark] = paints[verdict]
    return [paint(paintOf, mark), id, printable(title), `expected ${expected}`, `got ${printable(got)}`, requirement]
  })
  return [
    table(['AS THEY MUST', 'KIND', 'REQUIREMENTS'], summary, color),
    ...(rows.length === 0 ? [] : ['', table(['', 'ATTEMPT', 'WHAT', 'EXPECTED', 'GOT', 'REQUIREMENT'], rows, color)]),
    '',
    `${url}: ${passed} of ${attempts.length} as they must, ${failed} not, ${notRun} could not be tried`,
  ]
}

function conclude(context: CliContext, { failed, attempts, url }: ProbeReport): void {
  if (failed === 0) return
  if (context.json) {
    context.fail()
    return
  }
  const names = attempts.filter(({ verdict }) => verdict === 'failed').map(({ id }) => id)
  throw new CheckFailed('probe_failed', 'a promise is not kept', {
    where: url,
    got: names.slice(0, 10).join(', '),
    next: 'each names the requirement that it proves',
  })
}
