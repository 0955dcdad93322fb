/** By when something has to be done, on a clock that no one sets. */

declare const moment: unique symbol

/** Milliseconds of `performance.now()`. */
export type Deadline = number & { readonly [moment]: true }

export function deadline(milliseconds: number): Deadline {
  return (performance.now() + milliseconds) as Deadline
}

/** Milliseconds for a timer; at least one. */
export function remaining(end: Deadline): number {
  return Math.max(1, Math.ceil(end - performance.now()))
}

export function isOver(end: Deadline): boolean {
  return performance.now() >= end
}
