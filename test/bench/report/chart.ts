/** A chart of horizontal bars as SVG, drawn for a light and a dark page. Pure. */

export interface Bar {
  readonly label: string
  /** One after the other, in the units of the axis; each with the tone of that index. */
  readonly parts: readonly number[]
  /** From where to where it went in rounds; not drawn without. */
  readonly range?: readonly [number, number]
  /** Not ours: in other colours. */
  readonly other?: boolean
}

export interface Chart {
  readonly title: string
  /** Of the axis, with its unit. */
  readonly axis: string
  /** What the tones of a bar's parts stand for; none are explained where a bar has one part. */
  readonly legend: readonly string[]
  readonly bars: readonly Bar[]
  /** Digits of the number beside a bar. */
  readonly digits: number
  /** The number beside a bar: where it ends, or where each of its parts does. */
  readonly numbers: 'end' | 'each'
}

export interface Theme {
  readonly background: string
  readonly text: string
  readonly muted: string
  readonly grid: string
  /** Of parts: the first and the second. */
  readonly ours: readonly [string, string]
  readonly others: readonly [string, string]
}

export const themes = {
  light: {
    background: '#ffffff',
    text: '#1f2328',
    muted: '#59636e',
    grid: '#d1d9e0',
    ours: ['#9ec5f4', '#0b57c2'],
    others: ['#c9ced4', '#6e7781'],
  },
  dark: {
    background: '#0d1117',
    text: '#f0f6fc',
    muted: '#9198a1',
    grid: '#30363d',
    ours: ['#1f4e8c', '#6cb0ff'],
    others: ['#4a515a', '#9aa4af'],
  },
} as const satisfies Readonly<Record<string, Theme>>

const WIDTH = 820
const LEFT = 214
const RIGHT = 92
const TOP = 62
const ROW = 30
const BAR = 18
const BOTTOM = 52
const PLOT = WIDTH - LEFT - RIGHT
const TICKS = 6
const FONT = `font-family="system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', Arial, sans-serif"`

export function svgOf(chart: Chart, theme: Theme): string {
  const height = TOP + chart.bars.length * ROW + BOTTOM
  const most = Math.max(...chart.bars.map(({ parts, range }) => Math.max(sumOf(parts), range?.[1] ?? 0)))
  const step = stepFor(most)
  const end = Math.max(step, Math.ceil(most / step) * step)
  const x = (value: number) => LEFT + (value / end) * PLOT
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" ${FONT} font-size="13">`,
    `<title>${escaped(chart.title)}</title>`,
    `<desc>${escaped(chart.bars.map((bar) => `${bar.label}: ${numberText(bar, chart)}`).join('; '))}</desc>`,
    `<rect width="${WIDTH}" height="${height}" fill="${theme.background}"/>`,
    text(14, 24, chart.title, `fill="${theme.text}" font-size="15" font-weight="600"`),
    ...legendOf(chart, theme),
    ...gridOf({ step, end, x, bottom: height - BOTTOM }, theme),
    text(LEFT + PLOT / 2, height - 12, chart.axis, `fill="${theme.muted}" text-anchor="middle"`),
    ...chart.bars.flatMap((bar, row) => barOf(bar, { y: TOP + row * ROW, x, chart }, theme)),
    '</svg>',
  ]
  return `${lines.join('\n')}\n`
}

interface Place {
  readonly y: number
  readonly x: (value: number) => number
  readonly chart: Chart
}

function barOf(bar: Bar, { y, x, chart }: Place, theme: Theme): readonly string[] {
  const tones = bar.other === true ? theme.others : theme.ours
  const top = y + (ROW - BAR) / 2
  const middle = y + ROW / 2
  const single = bar.parts.length === 1
  let from = 0
  const rectangles = bar.parts.map((part, i) => {
    const [left, right] = [x(from), x(from + part)]
    from += part
    const tone = tones[single ? 1 : Math.min(i, 1)] ?? theme.text
    return `<rect x="${round(left)}" y="${top}" width="${round(Math.max(right - left, 0))}" height="${BAR}" fill="${tone}"/>`
  })
  const beyond = Math.max(from, bar.range?.[1] ?? 0)
  return [
    text(LEFT - 10, middle + 4, bar.label, `fill="${theme.text}" text-anchor="end"`),
    ...rectangles,
    ...(bar.range === undefined ? [] : whisker(bar.range, { x, middle }, theme)),
    text(round(x(beyond)) + 8, middle + 4, numberText(bar, chart), `fill="${theme.text}" ${clearOf(theme)}`),
  ]
}

/** Numbers stand before the lines of the grid. */
function clearOf({ background }: Theme): string {
  return `stroke="${background}" stroke-width="4" paint-order="stroke"`
}

function numberText({ parts }: Bar, { digits, numbers }: Chart): string {
  const ends = parts.map((_part, i) => sumOf(parts.slice(0, i + 1)).toFixed(digits))
  return numbers === 'each' ? ends.join(' / ') : (ends.at(-1) ?? '')
}

function whisker(
  [low, high]: readonly [number, number],
  { x, middle }: { readonly x: Place['x']; readonly middle: number },
  theme: Theme,
): readonly string[] {
  const [left, right] = [round(x(low)), round(x(high))]
  const stroke = `stroke="${theme.text}" stroke-width="1.4"`
  const line = (x1: number, y1: number, x2: number, y2: number) =>
    `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" ${stroke}/>`
  return [
    line(left, middle, right, middle),
    line(left, middle - 4, left, middle + 4),
    line(right, middle - 4, right, middle + 4),
  ]
}

function legendOf({ legend }: Chart, theme: Theme): readonly string[] {
  let left = LEFT
  return legend.flatMap((entry, i) => {
    const at = left
    left += 30 + entry.length * 7
    const swatch = (offset: number, tone: string) =>
      `<rect x="${at + offset}" y="38" width="10" height="12" fill="${tone}"/>`
    return [
      swatch(0, theme.ours[i] ?? theme.text),
      swatch(10, theme.others[i] ?? theme.text),
      text(at + 26, 48, entry, `fill="${theme.muted}" font-size="12"`),
    ]
  })
}

interface Grid {
  readonly step: number
  readonly end: number
  readonly x: Place['x']
  readonly bottom: number
}

function gridOf({ step, end, x, bottom }: Grid, theme: Theme): readonly string[] {
  const lines: string[] = []
  for (let i = 0; i * step <= end * 1.0001; i++) {
    const at = round(x(i * step))
    lines.push(`<line x1="${at}" y1="${TOP}" x2="${at}" y2="${bottom}" stroke="${theme.grid}"/>`)
    const label = Number((i * step).toPrecision(6)).toLocaleString('en')
    lines.push(text(at, bottom + 18, label, `fill="${theme.muted}" text-anchor="middle" font-size="12"`))
  }
  return lines
}

/** 1, 2 or 5 times a power of ten. */
function stepFor(most: number): number {
  const rough = Math.max(most, Number.EPSILON) / TICKS
  const power = 10 ** Math.floor(Math.log10(rough))
  const factor = [1, 2, 5, 10].find((one) => one * power >= rough) ?? 10
  return factor * power
}

function sumOf(parts: readonly number[]): number {
  return parts.reduce((sum, part) => sum + part, 0)
}

function text(x: number, y: number, words: string, attributes: string): string {
  return `<text x="${x}" y="${y}" ${attributes}>${escaped(words)}</text>`
}

function escaped(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
