/** Where some of the frames of a journal begin, as far as they have been read: for finding one without reading all before it. */

export interface Mark {
  readonly index: number
  readonly offset: number
}

/** Segments that are remembered, and how many frames lie between two marks: some kilobytes for each segment. */
const MAX_SEGMENTS = 64
const STRIDE = 256

/** Segments only grow: what was once found stays where it is for as long as its segment is there. */
export class SegmentMarks {
  readonly #segments = new Map<number, Mark[]>()

  /** A frame of the segment that begins with entry `segment`. Frames may be told in any order, and again. */
  note(segment: number, mark: Mark): void {
    if ((mark.index - segment) % STRIDE !== 0) return
    const marks = this.#segments.get(segment) ?? []
    if (mark.index !== segment + marks.length * STRIDE) return
    marks.push(mark)
    this.#segments.delete(segment)
    this.#segments.set(segment, marks)
    const [oldest] = this.#segments.keys()
    if (this.#segments.size > MAX_SEGMENTS && oldest !== undefined) this.#segments.delete(oldest)
  }

  clear(): void {
    this.#segments.clear()
  }

  /** The last mark that is not behind `index`. */
  nearest(segment: number, index: number): Mark | undefined {
    const marks = this.#segments.get(segment)
    return marks?.[Math.min(Math.floor((index - segment) / STRIDE), marks.length - 1)]
  }
}
