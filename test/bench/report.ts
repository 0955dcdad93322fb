/** What the numbers say, as text and as JSON. Judging is pure. */

import type { Measurement, VariantTable } from './measure.ts'
import type { Measured } from './statistics.ts'
import type { OverallName } from './system.ts'

export interface Machine {
  readonly cores: number
  readonly memoryGigabytes: number
  readonly platform: string
  readonly node: string
  readonly openssl: string
  /** Null where it is not installed. */
  readonly haproxy: string | null
}

export interface BenchReport {
  readonly machine: Machine
  readonly measurement: Measurement
  readonly ratios: Readonly<Record<string, number | null>>
  /** Microseconds of CPU per call of the gateway with every control, taken apart. */
  readonly parts: readonly { readonly part: string; readonly microseconds: number | null; readonly how: string }[]
}

const labels: Readonly<Record<OverallName, string>> = {
  direct: 'direct to the server',
  listener: 'listener alone, no server behind',
  blind: 'gateway forwarding blindly',
  full: 'gateway, every control, durable record',
  haproxy: 'HAProxy',
  stdio: 'gateway, every control, stdio server',
  'mcp-proxy': 'mcp-proxy, plain HTTP, stdio server',
  supergateway: 'supergateway, plain HTTP, stdio server',
}

const shown = Object.keys(labels) as OverallName[]

const inProcess = 'in process, fixed work'

export function reportOf(machine: Machine, measurement: Measurement): BenchReport {
  const { many, crowd, one, stages } = measurement
  const cpu = (name: OverallName) => many[name]?.cpuMicrosecondsPerCall ?? null
  const forward = difference(cpu('blind'), cpu('listener'))
  const staged = ['identify', 'classify', 'authorize', 'limit', 'record', 'outcome', 'judge answer']
  const known = staged.reduce((sum, name) => sum + (stages[name] ?? 0), 0)
  const rest = difference(cpu('full'), cpu('blind'))
  return {
    machine,
    measurement,
    ratios: {
      'CPU, every control / forwarding blindly': ratio(cpu('full'), cpu('blind')),
      'CPU, every control / HAProxy': ratio(cpu('full'), cpu('haproxy')),
      'CPU, every control / forwarding blindly, 64 connections': ratio(
        crowd.full?.cpuMicrosecondsPerCall ?? null,
        crowd.blind?.cpuMicrosecondsPerCall ?? null,
      ),
      'CPU, forwarding blindly / HAProxy': ratio(cpu('blind'), cpu('haproxy')),
      'CPU, every control with a stdio server / mcp-proxy': ratio(cpu('stdio'), cpu('mcp-proxy')),
      'CPU, every control with a stdio server / supergateway': ratio(cpu('stdio'), cpu('supergateway')),
      'calls/s, every control / forwarding blindly': ratio(rate(many.full), rate(many.blind)),
      'calls/s, every control / direct': ratio(rate(many.full), rate(many.direct)),
      'added p50 over forwarding blindly, one connection, ms': added(one, 'p50Microseconds'),
      'added p99 over forwarding blindly, one connection, ms': added(one, 'p99Microseconds'),
    },
    parts: [
      { part: 'listener: TLS, HTTP, header hygiene', microseconds: cpu('listener'), how: 'variant of its own' },
      { part: 'forward', microseconds: forward, how: 'forwarding blindly − listener' },
      ...staged.map((part) => ({ part, microseconds: stages[part] ?? null, how: inProcess })),
      {
        part: 'session, reply, log line, the rest',
        microseconds: difference(rest, known),
        how: 'every control − the parts above',
      },
    ],
  }
}

function rate(measured: Measured | undefined): number | null {
  return measured?.callsPerSecond ?? null
}

function ratio(a: number | null, b: number | null): number | null {
  return a === null || b === null || b === 0 ? null : a / b
}

function difference(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a - b
}

function added({ full, blind }: VariantTable, of: 'p50Microseconds' | 'p99Microseconds'): number | null {
  return full === undefined || blind === undefined ? null : (full[of] - blind[of]) / 1000
}

export function textOf(report: BenchReport): string {
  const { machine, measurement } = report
  const lines = [
    `machine: ${machine.cores} cores, ${machine.memoryGigabytes} GiB, ${machine.platform}; Node ${machine.node}, ` +
      `OpenSSL ${machine.openssl}, ${machine.haproxy ?? 'no HAProxy'}`,
    `method: 200-byte tools/call over kept connections, mutual TLS 1.3 on both sides of everything, each part a process`,
    `of its own on loopback; ${measurement.rounds} rounds, in each of them every variant; CPU of the process under test`,
    '',
    ...tableLines('16 connections', measurement.many),
    '',
    ...tableLines('64 connections', measurement.crowd, Object.keys(measurement.crowd) as OverallName[]),
    '',
    ...tableLines('1 connection', measurement.one),
    '',
    'CPU of one call with every control, µs',
    ...report.parts.map(({ part, microseconds, how }) => `  ${part.padEnd(38)}${cell(microseconds, 1)}   ${how}`),
    `  ${'beside: first use of a token'.padEnd(38)}${cell(measurement.stages['first use of a token'] ?? null, 1)}   once per connection and token`,
    '',
    ...Object.entries(report.ratios).map(([name, value]) => `${name.padEnd(56)}${cell(value, 2)}`),
  ]
  return lines.join('\n')
}

function tableLines(title: string, table: VariantTable, names: readonly OverallName[] = shown): readonly string[] {
  const head = `${title.padEnd(40)}${['calls/s', 'p50 ms', 'p99 ms', 'CPU µs/call', 'per round'].map((name) => name.padStart(12)).join('')}`
  const row = (name: OverallName) => {
    const measured = table[name]
    if (measured === undefined) return `${labels[name].padEnd(40)}${'NOT MEASURED'.padStart(12)}`
    const { callsPerSecond, p50Microseconds, p99Microseconds, cpuMicrosecondsPerCall, cpuOfRounds } = measured
    const spread =
      cpuOfRounds.length === 0 ? '' : `${Math.min(...cpuOfRounds).toFixed(0)}–${Math.max(...cpuOfRounds).toFixed(0)}`
    return (
      labels[name].padEnd(40) +
      cell(callsPerSecond, 0) +
      cell(p50Microseconds / 1000, 3) +
      cell(p99Microseconds / 1000, 3) +
      cell(cpuMicrosecondsPerCall, 0) +
      spread.padStart(12)
    )
  }
  return [head, ...shown.filter((name) => names.includes(name)).map(row)]
}

function cell(value: number | null, digits: number): string {
  return (value === null ? 'NOT MEASURED' : value.toFixed(digits)).padStart(12)
}
