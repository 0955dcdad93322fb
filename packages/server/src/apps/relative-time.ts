/** How far a moment is from now, for people. */

/** `in 3 d`, `2 min ago`: `seconds` from now, negative for what has passed. */
export function relativeTime(seconds: number): string {
  const size = Math.abs(seconds)
  const [count, unit] =
    size < 90
      ? [size, 's']
      : size < 5400
        ? [size / 60, 'min']
        : size < 172_800
          ? [size / 3600, 'h']
          : [size / 86_400, 'd']
  const text = `${Math.round(count)} ${unit}`
  return seconds >= 0 ? `in ${text}` : `${text} ago`
}
