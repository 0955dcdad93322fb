/** The page, its charts and its numbers, from the numbers alone: nothing of it is written by hand. */

import { median } from '../statistics.ts'
import type { Measured } from '../statistics.ts'
import type { VariantName } from '../system.ts'
import { addedOver, chartsOf, cpuOf, drawn, halfOf } from './charts.ts'
import type { Chart } from './chart.ts'
import { addedBy, nameOf } from './names.ts'
import { numbersText, stepNames } from './numbers.ts'
import type { LoadName, MeasuredTable, ReportNumbers } from './numbers.ts'

const folder = 'benchmark-report'
const nothing = 'not measured'

/** Path below `docs` → text. */
export function pageFiles(numbers: ReportNumbers): Readonly<Record<string, string>> {
  const charts = chartsOf(numbers)
  const inFolder = { ...drawn(charts), 'numbers.json': numbersText(numbers) }
  const files = Object.entries(inFolder).map(([name, text]) => [`${folder}/${name}`, text] as const)
  return { 'benchmark-report.md': pageOf(numbers, charts), ...Object.fromEntries(files) }
}

function pageOf(numbers: ReportNumbers, charts: Readonly<Record<string, Chart>>): string {
  const { tables } = numbers
  const chart = (name: string) => pictureOf(name, charts[name])
  const sections = [
    headOf(numbers),
    `## In short\n\n${inShort(tables.kept, tables.one)}`,
    `## Controls, one by one\n\n${oneByOne}\n\n${chart('controls')}\n\n${stepTable(numbers)}\n\n${whatIsAdded()}`,
    `## Beside HAProxy and nginx\n\n${besideText}\n\n${besideTable(numbers)}`,
    `## What one caller waits\n\n${waitingText}\n\n${chart('waiting')}\n\n${waitingTable(tables.one)}`,
    `## A connection for each call\n\n${connectingText}\n\n${chart('connecting')}\n\n${connectingTable(tables.fresh)}`,
    `## In front of a stdio server\n\n${stdioText}\n\n${chart('stdio')}\n\n${stdioTable(numbers)}`,
    `## Method\n\n${methodText(numbers)}`,
  ]
  return `${sections.join('\n\n')}\n`
}

function headOf({ at, revision, changed, quick, machine, versions, missing, rounds, seconds }: ReportNumbers): string {
  const known = Object.entries(versions).map(([name, version]) => `${name} ${version ?? '(not here)'}`)
  const warning = quick
    ? '\n**A quick run: it shows that everything runs. Its programs were hardly compiled yet: these numbers compare nothing.**\n'
    : ''
  return `# Benchmark report

Written by \`npm run bench -- report\`, from one run; every word and number of it. What the parts of a call cost, and how it is
measured otherwise: [benchmark.md](benchmark.md). Every number of every round: [numbers.json](${folder}/numbers.json).
${warning}
| | |
| --- | --- |
| begun | ${at.replace('T', ' ').replace('Z', '')} UTC, ${seconds} seconds, rounds: ${rounds} |
| revision | ${revision}${changed ? ', with changes that are not committed' : ''} |
| machine | ${machine.processor}, ${machine.cores} cores, ${machine.memoryGigabytes} GiB, ${machine.system} |
| load before the first process was started | ${machine.loadBefore.toFixed(1)} on ${machine.cores} cores: ${machine.loadBefore < 0.5 ? 'the machine had nothing else to do' : '**others were at work: everything costs and waits more than on a free machine, and not all of it alike**'} |
| load at the end, our own processes among it | ${machine.loadAfter.toFixed(1)} |
| versions | ${known.join(', ')} |
| not measured | ${missing.length === 0 ? 'nothing: all of it was' : missing.join('; ')} |

Nothing is promised here: these are the numbers of one machine in these minutes. What to look at are the ratios, for everything
took its turns in the same rounds.`
}

function inShort(kept: MeasuredTable, one: MeasuredTable): string {
  const cpu = (a: VariantName, b: VariantName) => times(ratioOf(kept[a], kept[b]))
  const added = (name: 'p50Microseconds' | 'p99Microseconds') => {
    const [full, blind] = [one.full?.[name], one.blind?.[name]]
    return full === undefined || blind === undefined ? nothing : `${((full - blind) / 1000).toFixed(2)} ms`
  }
  const steps = stepNames.slice(1).map((name, i) => {
    const before = stepNames[i]
    return { name, added: before === undefined ? null : addedOver(kept[name], kept[before]) }
  })
  const [dearest] = steps.toSorted((a, b) => (b.added ?? 0) - (a.added ?? 0))
  const most =
    dearest === undefined || dearest.added === null
      ? nothing
      : `${nameOf[dearest.name].replace('+ ', '')}, ${dearest.added.toFixed(0)} µs`
  return `| one call | |
| --- | --- |
| CPU with every control, beside forwarding blindly with mutual TLS | ${cpu('full', 'blind')} |
| CPU with every control, beside HAProxy and nginx | ${cpu('full', 'haproxy')}, ${cpu('full', 'nginx')} |
| CPU forwarding blindly, beside HAProxy and nginx | ${cpu('blind', 'haproxy')}, ${cpu('blind', 'nginx')} |
| the step that adds most | ${most} |
| what one caller waits longer than with forwarding blindly, half of the calls and 99 of 100 | ${added('p50Microseconds')}, ${added('p99Microseconds')} |
| CPU with every control in front of a stdio server, beside mcp-proxy and supergateway, which have none | ${cpu('stdio', 'mcp-proxy')}, ${cpu('stdio', 'supergateway')} |`
}

const oneByOne = `Each step is a process of its own with everything of the one before it and one thing more: the gateway's own listener, stages, trust,
policy engine and record, put together up to there. The last one is the gateway as the command line composes it. Steps in between
exist in the benchmark alone, and nothing that is shipped can be opened so.`

const besideText = `Two proxies that decide nothing, with mutual TLS 1.3 and kept connections on both sides: HAProxy with two threads, nginx with one
process. They are written in C, and their TLS is that of their own OpenSSL.`

const waitingText = `One connection, one call at a time: what is added to it, and nothing that comes of crowding.`

const connectingText = `Nothing is kept: a TCP connection, a full TLS 1.3 handshake without tickets, one call. Four callers at once. Here the certificate costs
what it costs, and the signature of the token is checked each time instead of once per connection. Our listener takes the hybrid
post-quantum group first, which the OpenSSL of HAProxy and nginx may not have; the way to the server stays open for everybody.`

const stdioText = `The same stdio server behind the gateway, over mutual TLS and with every control, and behind two proxies from npm, which speak plain HTTP
and have no identity, no permission and no record. The server's own process is not counted for anybody.`

function stepTable({ tables: { kept }, residentMebibytes }: ReportNumbers): string {
  const rows = stepNames.map((name, i) => {
    const measured = kept[name]
    const before = stepNames[i - 1]
    const added = before === undefined ? null : addedOver(measured, kept[before])
    return [
      nameOf[name],
      cpuText(measured),
      spread(measured),
      before === undefined ? '' : signed(added),
      before === undefined ? '' : times(ratioOf(measured, kept.blind)),
      ...speed(measured),
      String(residentMebibytes[name] ?? nothing),
    ]
  })
  const head = ['step', 'CPU µs', 'rounds', 'added µs', 'times mutual TLS', 'calls/s', 'p50 ms', 'p99 ms', 'MiB']
  return `${tableText(head, rows)}

CPU: the median of the rounds; \`rounds\`: a quarter of them was below, a quarter above. \`added\` and \`times\`: the median of what they were in each round; where
it is below what rounds differ by, it says nothing. \`MiB\`: memory of the process at the end.`
}

function whatIsAdded(): string {
  const rows = stepNames.map((name) => `| ${nameOf[name]} | ${addedBy[name]} |`)
  return ['| step | what it adds |', '| --- | --- |', ...rows].join('\n')
}

function besideTable({ tables: { kept } }: ReportNumbers): string {
  const names = ['haproxy', 'nginx', 'blind', 'full', 'direct'] as const
  const rows = names.map((name) => [
    name === 'blind' ? 'ours, forwarding blindly' : name === 'full' ? 'ours, every control' : nameOf[name],
    cpuText(kept[name]),
    spread(kept[name]),
    times(ratioOf(kept[name], kept.haproxy)),
    times(ratioOf(kept[name], kept.nginx)),
    ...speed(kept[name]),
  ])
  const head = [
    '16 kept connections',
    'CPU µs',
    'rounds',
    'times HAProxy',
    'times nginx',
    'calls/s',
    'p50 ms',
    'p99 ms',
  ]
  return tableText(head, rows)
}

function waitingTable(one: MeasuredTable): string {
  const names = ['direct', ...stepNames, 'nginx', 'haproxy', 'stdio', 'mcp-proxy', 'supergateway'] as const
  const rows = names.map((name) => {
    const behind = ['stdio', 'mcp-proxy', 'supergateway'].includes(name) ? ', stdio server' : ''
    return [`${nameOf[name]}${behind}`, cpuText(one[name]), spread(one[name]), ...speed(one[name])]
  })
  return tableText(['one kept connection', 'CPU µs', 'rounds', 'calls/s', 'p50 ms', 'p99 ms'], rows)
}

function connectingTable(fresh: MeasuredTable): string {
  const rows = [...stepNames, 'nginx' as const, 'haproxy' as const].map((name) => [
    nameOf[name],
    cpuText(fresh[name]),
    spread(fresh[name]),
    times(ratioOf(fresh[name], fresh.blind)),
    ...speed(fresh[name]),
  ])
  const head = ['a connection for each call', 'CPU µs', 'rounds', 'times mutual TLS', 'calls/s', 'p50 ms', 'p99 ms']
  return tableText(head, rows)
}

function stdioTable({ tables: { kept }, residentMebibytes }: ReportNumbers): string {
  const rows = (['stdio', 'mcp-proxy', 'supergateway'] as const).map((name) => [
    nameOf[name],
    cpuText(kept[name]),
    spread(kept[name]),
    name === 'stdio' ? '' : times(ratioOf(kept.stdio, kept[name])),
    ...speed(kept[name]),
    String(residentMebibytes[name] ?? nothing),
  ])
  const head = [
    '16 kept connections',
    'CPU µs',
    'rounds',
    'the gateway, times this',
    'calls/s',
    'p50 ms',
    'p99 ms',
    'MiB',
  ]
  return tableText(head, rows)
}

function methodText({ tables, rounds }: ReportNumbers): string {
  const calls = (name: LoadName) => Object.values(tables[name]).reduce((sum, measured) => sum + measured.calls, 0)
  const all = (['kept', 'one', 'fresh'] as const).map((name) => calls(name).toLocaleString('en'))
  return `- Every call is a \`tools/call\` of 200 bytes, answered by the same server with one JSON result. One call is under way on each connection;
  the next one begins when the answer is there. Callers, server, authority and each variant are processes of their own on loopback.
- Before anything was measured, each step was called without a certificate, without a token, with the token of a workload that has no
  role, and as it should be. It refused what it has to refuse, by the code for it, and nothing else, or there would be no page. Limits are wide
  enough not to refuse; what they count is counted.
- Each process is warmed up with 15,000 calls or for eight seconds. Then come rounds (here ${rounds}): in each of them every variant has its turn under
  every load, another one first each time; turns are short, so that whatever else runs hits neighbours alike. Measured calls: ${all[0]} with 16 kept connections, ${all[1]} with one, ${all[2]} on connections of their own.
- The CPU is that of the process under test with all its threads, as the kernel counts it. Towards the server everything keeps its connections, over
  mutual TLS; nginx does not check the server's chain there, since it cannot without a name.
- Callers and server want the same cores as what is measured: calls in a second are those of the whole machine, and not what a
  gateway with cores of its own would do. CPU per call depends on that less, but it does: by caches and clock frequency, and by what is done
  at a fixed rate or for several calls together, such as syncs and checkpoints of the record, of which each call has more where there are fewer.
- A ratio is the median of the ratios of the rounds. What rounds differ by is in every table; a difference below that is noise.`
}

/** The median of the ratios of rounds. */
function ratioOf(a: Measured | undefined, b: Measured | undefined): number | null {
  const ratios = (a?.cpuOfRounds ?? []).flatMap((cpu, i) => {
    const other = b?.cpuOfRounds[i]
    return other === undefined || other === 0 ? [] : [cpu / other]
  })
  return ratios.length === 0 ? null : median(ratios)
}

function cpuText(measured: Measured | undefined): string {
  return cpuOf(measured)?.toFixed(0) ?? nothing
}

function spread(measured: Measured | undefined): string {
  return (
    halfOf(measured)
      ?.map((cpu) => cpu.toFixed(0))
      .join('–') ?? ''
  )
}

function speed(measured: Measured | undefined): readonly string[] {
  if (measured === undefined) return ['', '', '']
  const { callsPerSecond, p50Microseconds, p99Microseconds } = measured
  return [
    Math.round(callsPerSecond).toLocaleString('en'),
    (p50Microseconds / 1000).toFixed(2),
    (p99Microseconds / 1000).toFixed(2),
  ]
}

function signed(value: number | null): string {
  return value === null ? nothing : `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(0)}`
}

function times(value: number | null): string {
  return value === null ? nothing : `${value.toFixed(2)} ×`
}

function tableText(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map((_name, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n')
}

/** Both themes; where none is known, the light one. The text is what the chart shows. */
function pictureOf(name: string, chart: Chart | undefined): string {
  if (chart === undefined || chart.bars.length === 0) return ''
  return `<picture>
  <source media="(prefers-color-scheme: dark)" srcset="${folder}/${name}-dark.svg">
  <img alt="${chart.title}; the numbers are in the table below" src="${folder}/${name}-light.svg">
</picture>`
}
