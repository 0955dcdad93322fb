import { deepEqual, equal } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { messageEvent, SseParser, withData, withoutData } from '@doorward/enforcement'

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (data: Uint8Array) => new TextDecoder('utf-8', { ignoreBOM: true }).decode(data)

function parse(input: string, cuts: readonly number[] = []): readonly (readonly [raw: string, data: string | null])[] {
  const parser = new SseParser()
  const whole = bytes(input)
  const events = [...cuts, whole.length]
    .toSorted((a, b) => a - b)
    .flatMap((end, i, ends) => parser.push(whole.subarray(i === 0 ? 0 : ends[i - 1], end)) ?? [])
  return events.map(({ raw, data }) => [text(raw), data === null ? null : text(data)])
}

test('events keep their bytes and give their data', () => {
  deepEqual(
    parse('id: 1\nevent: message\ndata: {"a":9007199254740993}\n\nretry: 10\n\n: comment\n\ndata: a\ndata:b\n\n'),
    [
      ['id: 1\nevent: message\ndata: {"a":9007199254740993}\n\n', '{"a":9007199254740993}'],
      ['retry: 10\n\n', null],
      [': comment\n\n', null],
      ['data: a\ndata:b\n\n', 'a\nb'],
    ],
  )
})

test('a priming event has empty data', () => deepEqual(parse('id: 7\ndata: \n\n'), [['id: 7\ndata: \n\n', '']]))

test('lines may end in CR LF or CR', () => {
  deepEqual(parse('data: a\r\n\r\ndata: b\r\rdata: c\n\n'), [
    ['data: a\r\n\r\n', 'a'],
    ['data: b\r\r', 'b'],
    ['data: c\n\n', 'c'],
  ])
})

test('a line that is no field and no comment is left out: another reader might find a field in it', () => {
  deepEqual(parse('\u00ef\u00bb\u00bfdata: a\n\ndatax: 1\ndata: b\nid\n data: c\nDATA: d\n\nid: 1\r\nx\r\n\r\n'), [
    ['\n', null],
    ['data: b\nid\n\n', 'b'],
    ['id: 1\n\n', null],
  ])
})

test('a byte order mark is taken off where readers do so, and nowhere else', () => {
  const event: readonly (readonly [string, string])[] = [['data: a\n\n', 'a']]
  for (const cuts of [[], [1], [2], [3], [1, 2, 3, 4]]) deepEqual(parse('\ufeffdata: a\n\n', cuts), event)
  deepEqual(parse('\ufeff\ufeffdata: a\n\ndata: b\n\n\ufeffdata: c\n\n'), [
    ['\n', null],
    ['data: b\n\n', 'b'],
    ['\n', null],
  ])
})

test('no line of what passes is two lines to a reader that cuts texts', () => {
  const ends = ['\u000b', '\u000c', '\u001c', '\u001d', '\u001e', '\u0085', '\u2028', '\u2029']
  for (const end of ends) {
    const hidden = `${end}data: {"b":2}${end}${end}`
    for (const line of [`id: 1${hidden}`, `event: a${hidden}`, `: c${hidden}`, `retry: 5${hidden}`])
      deepEqual(parse(`${line}\ndata: {"a":1}\n\n`), [['data: {"a":1}\n\n', '{"a":1}']])
  }
  for (const end of ends.slice(5)) {
    const message = { a: `\u00e4${end}data: {"b":2}${end}${end}\u2027\u0084\u20a8` }
    const [event] = parse(`id: 7\ndata: ${JSON.stringify(message)}\n\n`)
    const [raw = '', data] = event ?? []
    deepEqual([JSON.parse(data ?? ''), raw], [message, `id: 7\ndata: ${data}\n\n`])
    for (const passed of [raw, text(messageEvent(bytes(JSON.stringify(message))))])
      equal(/[\u000b\u000c\u001c-\u001e\u0085\u2028\u2029]/.test(passed), false)
  }
})

test('an unfinished event is not an event', () => deepEqual(parse('data: a\n'), []))

test('how the stream is cut changes nothing', () => {
  const line = fc.constantFrom('data: x', 'data:{"é":1e400}', 'id: 1', 'event: message', ': c', 'retry: 5', 'data')
  const stream = fc.array(
    fc.tuple(fc.array(line, { minLength: 1, maxLength: 4 }), fc.constantFrom('\n', '\r\n', '\r')),
    { maxLength: 6 },
  )
  fc.assert(
    fc.property(stream, fc.array(fc.nat(200), { maxLength: 8 }), (events, cuts) => {
      const input = events.map(([lines, end]) => [...lines, ''].map((one) => one + end).join('')).join('')
      const length = bytes(input).length
      const whole = parse(input)
      equal(whole.map(([raw]) => raw).join(''), input.slice(0, whole.map(([raw]) => raw).join('').length))
      deepEqual(
        parse(
          input,
          cuts.filter((cut) => cut < length),
        ),
        whole,
      )
    }),
    { numRuns: 200 },
  )
})

test('an event above the limit ends the stream, in one piece or in many', () => {
  equal(new SseParser(64).push(bytes(`data: ${'x'.repeat(100)}\n\n`)), null)
  const parser = new SseParser(64)
  let last: unknown = []
  for (let i = 0; i < 100 && last !== null; i++) last = parser.push(bytes('x'))
  equal(last, null)
})

test('many small pieces cost no more than few large ones', () => {
  const parser = new SseParser()
  for (let i = 0; i < 200_000; i++) parser.push(Uint8Array.of(120))
  equal(parser.push(bytes('\n\n'))?.length, 1)
})

test('an event of many lines is an event', () => {
  const many = 400_000
  const [event] = new SseParser().push(bytes(`${'data:1\n'.repeat(many)}x\n\n`)) ?? []
  equal(event?.data?.length, 2 * many - 1)
  equal(messageEvent(bytes(`[${'1,\r'.repeat(many)}1]`)).length, 'event: message\n\n'.length + many * 9 + 10)
  equal(text(messageEvent(bytes('\u2028'.repeat(many)))).length, 'event: message\ndata: \n\n'.length + many * 6)
})

test('other data keeps id, event, retry and comments', () => {
  const [event] = new SseParser().push(bytes('id: 1\nretry: 5\n: c\nevent: message\ndata: {"a":1}\n\n')) ?? []
  equal(text(withData(event!, bytes('{"b":\n2}'))), 'id: 1\nretry: 5\n: c\nevent: message\ndata: {"b":\ndata: 2}\n\n')
})

test('an event that is taken away keeps what a resumption needs', () => {
  const [event] = new SseParser().push(bytes('id: 1\nevent: message\ndata: {"a":1}\n\n')) ?? []
  equal(text(withoutData(event!)!), 'id: 1\n\n')
  const [bare] = new SseParser().push(bytes('data: {"a":1}\n\n')) ?? []
  equal(withoutData(bare!), null)
})

test('a message becomes one event', () =>
  equal(text(messageEvent(bytes('{"a":1}'))), 'event: message\ndata: {"a":1}\n\n'))
