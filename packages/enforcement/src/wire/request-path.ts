/**
 * Request targets: one spelling per resource. What could be read as another path by anybody behind us is refused,
 * never repaired, so that the path that was judged is the path that is used.
 */

/** Path and query of an origin-form target, or what is ambiguous about it. */
export function readTarget(
  target: string,
): { readonly path: string; readonly query: string } | { readonly problem: string } {
  if (!target.startsWith('/')) return { problem: 'not an origin-form target' }
  if (target.includes('#')) return { problem: 'a fragment' }
  const mark = target.indexOf('?')
  const path = mark < 0 ? target : target.slice(0, mark)
  const query = mark < 0 ? '' : target.slice(mark + 1)
  if (!visible(query)) return { problem: 'a query with a character that is not visible ASCII' }
  const problem = pathProblem(path)
  return problem === null ? { path, query } : { problem }
}

function visible(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code <= 0x20 || code >= 0x7f) return false
  }
  return true
}

/** RFC 3986 §3.3 pchar without `;`, whose parameters some servers cut off. */
const SEGMENT = /^[A-Za-z0-9\-._~!$&'()*+,=:@%]*$/

function pathProblem(path: string): string | null {
  const segments = path.split('/')
  for (let i = 1; i < segments.length; i++) {
    const segment = segments[i]!
    if (segment === '' && i < segments.length - 1) return 'an empty segment'
    if (!SEGMENT.test(segment)) return 'a character that is not accepted in a path'
    if (segment.endsWith('.')) return 'a segment that ends with a dot'
    const escape = segment.includes('%') ? escapeProblem(segment) : null
    if (escape !== null) return escape
  }
  return null
}

/** Percent escapes only where they are needed and only in one spelling: uppercase, valid UTF-8, no delimiters. */
function escapeProblem(segment: string): string | null {
  let decoded: string
  try {
    decoded = decodeURIComponent(segment)
  } catch {
    return 'an escape that is not UTF-8'
  }
  for (const character of decoded) {
    const code = character.codePointAt(0)!
    if (code < 0x20 || code === 0x7f || '/\\%;'.includes(character)) return 'an escaped delimiter or control character'
  }
  const canonical = encodeURIComponent(decoded).replaceAll(/%(?:24|26|2B|2C|3A|3D|40)/g, decodeURIComponent)
  return canonical === segment ? null : 'an escape in another spelling'
}
