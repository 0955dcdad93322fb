/** The page of `npm run bench -- report`: what its numbers say, and nothing else. */

import { deepEqual, doesNotMatch, equal, match, ok } from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { repositoryRoot } from '../../../scripts/source-files.ts'
import { themes } from '../../bench/report/chart.ts'
import { numbersText } from '../../bench/report/numbers.ts'
import type { MeasuredTable, ReportNumbers } from '../../bench/report/numbers.ts'
import { pageFiles } from '../../bench/report/page.ts'
import type { Measured } from '../../bench/statistics.ts'

function measured(cpuOfRounds: readonly number[], milliseconds: readonly [number, number] = [1, 2]): Measured {
  return {
    calls: 1000,
    callsPerSecond: 2345.6,
    p50Microseconds: milliseconds[0] * 1000,
    p99Microseconds: milliseconds[1] * 1000,
    cpuMicrosecondsPerCall: 999_999,
    cpuOfRounds,
  }
}

const table: MeasuredTable = {
  direct: measured([20, 20, 20]),
  tls: measured([100, 104, 102]),
  blind: measured([120, 240, 110]),
  token: measured([130, 260, 121]),
  policy: measured([136, 262, 127]),
  limits: measured([140, 270, 131]),
  record: measured([200, 380, 190]),
  full: measured([360, 480, 341], [1.25, 3.75]),
  haproxy: measured([40, 60, 30]),
  nginx: measured([30, 60, 25]),
  stdio: measured([300, 310, 320]),
  'mcp-proxy': measured([400, 410, 420]),
  supergateway: measured([250, 260, 270]),
}

const numbers: ReportNumbers = {
  format: 1,
  at: '2026-03-04T05:06Z',
  revision: '0123456789ab',
  changed: false,
  quick: false,
  machine: {
    processor: 'A <processor>',
    cores: 2,
    memoryGigabytes: 24,
    system: 'linux x64',
    loadBefore: 3.21,
    loadAfter: 5,
  },
  versions: { 'Node.js': '24.21.0', HAProxy: '2.6.12', nginx: '1.22.1', 'mcp-proxy': '6.7.19' },
  missing: [],
  rounds: 3,
  seconds: 432,
  tables: { kept: table, one: table, fresh: table },
  residentMebibytes: { full: 201 },
}

const page = (of: ReportNumbers) => pageFiles(of)['benchmark-report.md'] ?? ''
const rowsOf = (text: string, name: string) => text.split('\n').filter((line) => line.startsWith(`| ${name} |`))

describe('the page of the benchmark', () => {
  test('a cost is the median of the rounds, what is added that of their differences, a ratio that of their ratios', () => {
    const [row = ''] = rowsOf(page(numbers), '+ MCP checks: the gateway')
    deepEqual(
      row.split('|').map((cell) => cell.trim()),
      ['', '+ MCP checks: the gateway', '360', '341–480', '+151', '3.00 ×', '2,346', '1.25', '3.75', '201', ''],
    )
    const [short = ''] = rowsOf(page(numbers), 'CPU with every control, beside HAProxy and nginx')
    match(short, /\| 9\.00 ×, 12\.00 × \|/)
    match(page(numbers), /MCP checks: the gateway, 151 µs/)
  })

  test('machine, load, versions, revision and day are told', () => {
    const text = page(numbers)
    for (const said of [
      '2026-03-04 05:06 UTC',
      '0123456789ab',
      'A <processor>, 2 cores, 24 GiB',
      '3.2 on 2 cores',
      'nginx 1.22.1',
    ])
      ok(text.includes(said), said)
    doesNotMatch(text, /not committed|quick run/)
    match(page({ ...numbers, changed: true }), /with changes that are not committed/)
    match(page({ ...numbers, quick: true }), /A quick run: .* compare nothing/)
  })

  test('what was not measured has no number anywhere, and the page says why', () => {
    const { nginx: _nginx, 'mcp-proxy': _proxy, supergateway: _super, ...here } = table
    const missing = ['nginx: it is not installed', 'mcp-proxy and supergateway: the registry of npm did not answer']
    const without = { ...numbers, missing, tables: { kept: here, one: here, fresh: here } }
    const files = pageFiles(without)
    const text = files['benchmark-report.md'] ?? ''
    for (const why of missing) ok(text.includes(why))
    for (const name of ['nginx, mutual TLS', 'mcp-proxy, no control', 'supergateway, no control']) {
      const rows = rowsOf(text, name)
      ok(rows.length > 0, name)
      for (const row of rows) doesNotMatch(row.slice(row.indexOf('|', 2)), /\d/)
    }
    for (const [name, svg] of Object.entries(files))
      if (name.endsWith('.svg')) doesNotMatch(svg, /nginx|mcp-proxy|supergateway/)
    match(rowsOf(text, 'CPU with every control, beside HAProxy and nginx')[0] ?? '', /9\.00 ×, not measured/)
  })

  test('noise larger than what a step adds is shown as it is, and draws nothing', () => {
    const noisy = { ...table, token: measured([110, 230, 100]) }
    const files = pageFiles({ ...numbers, tables: { ...numbers.tables, kept: noisy } })
    match(rowsOf(files['benchmark-report.md'] ?? '', '+ token, bound to it')[0] ?? '', /\| −10 \|/)
    doesNotMatch(files['benchmark-report/controls-light.svg'] ?? '', /width="-/)
  })

  test('each chart is a file for light and one for dark pages, with its axis and every bar by name', () => {
    const files = pageFiles(numbers)
    for (const name of ['controls', 'waiting', 'connecting', 'stdio']) {
      for (const [theme, { background }] of Object.entries(themes)) {
        const svg = files[`benchmark-report/${name}-${theme}.svg`] ?? ''
        ok(svg.startsWith('<svg xmlns="http://www.w3.org/2000/svg"') && svg.endsWith('</svg>\n'), name)
        ok(svg.includes(`fill="${background}"`))
        match(svg, name === 'waiting' ? /milliseconds from the call/ : /CPU per .*µs/)
        doesNotMatch(svg, /NaN|Infinity|undefined/)
        ok(page(numbers).includes(`benchmark-report/${name}-${theme}.svg`))
      }
    }
    match(files['benchmark-report/waiting-dark.svg'] ?? '', />1\.25 \/ 3\.75</)
  })

  test('the numbers that are kept make the same page again', () => {
    const files = pageFiles(numbers)
    const kept = JSON.parse(files['benchmark-report/numbers.json'] ?? '') as ReportNumbers
    equal(numbersText(kept), files['benchmark-report/numbers.json'])
    deepEqual(pageFiles(kept), files)
  })

  test('the page that is committed, its charts and its numbers are what the command writes of those numbers', () => {
    const docs = join(repositoryRoot, 'docs')
    const read = (path: string) => readFileSync(join(docs, path), 'utf8')
    const kept = JSON.parse(read('benchmark-report/numbers.json')) as ReportNumbers
    const written = pageFiles(kept)
    const names = readdirSync(join(docs, 'benchmark-report')).map((name) => `benchmark-report/${name}`)
    deepEqual([...names, 'benchmark-report.md'].toSorted(), Object.keys(written).toSorted())
    for (const [path, text] of Object.entries(written)) equal(read(path), text, path)
    equal(kept.quick, false)
  })
})
