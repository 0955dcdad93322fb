/** Which requests a program has declared: method and path template. What is not declared exists for nobody. */

import { DoorwardError } from '@doorward/core'
import { deny, queryProblem, routeName } from '@doorward/enforcement'
import type { Denial, RequestHead } from '@doorward/enforcement'

/** One of the methods of plain HTTP services, a space, and a template: `GET /orders/{id}`, `POST /files/*`. */
export type RouteText = string

interface Route {
  readonly text: string
  readonly method: string
  readonly segments: readonly string[]
  /** By segment: whether anything that is not empty may stand there. */
  readonly places: readonly boolean[]
  /** It ends with `*`, which stands for one or more. */
  readonly open: boolean
}

const METHODS = new Set(['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE'])
const LITERAL = /^(?:[A-Za-z0-9._~!$&'()+,=:@-]|%[0-9A-F]{2})+$/
const PLACE = /^\{[A-Za-z][A-Za-z0-9_]{0,63}\}$/
const MAX_ROUTES = 1000

/** Throws `route_invalid` for what `protect` would not take. */
export function requireRoutes(texts: readonly RouteText[]): void {
  Object.freeze(new RouteTable(texts))
}

export class RouteTable {
  readonly #routes: readonly Route[]

  /** Throws `route_invalid` for a template that is none, and for one that is declared twice. */
  constructor(texts: readonly RouteText[]) {
    if (texts.length === 0 || texts.length > MAX_ROUTES)
      throw invalid(`${texts.length} routes`, `1 to ${MAX_ROUTES} routes`)
    this.#routes = texts.map(readRoute)
    const shapes = this.#routes.map(({ method, segments }) => [method, ...segments.map(shapeOf)].join('/'))
    const twice = shapes.findIndex((shape, i) => shapes.indexOf(shape) !== i)
    if (twice >= 0) throw invalid(texts[twice] ?? '', 'each route once')
  }

  /** The declared text of the route, or why there is none: `path_unknown`, `http_method` or `request_invalid`. */
  find({ method, path, query }: RequestHead): string | Denial {
    const problem = queryProblem(query)
    if (problem !== null) return problem
    const segments = routeName(path).slice(1).split('/')
    const here = this.#routes.filter((route) => matches(route, segments))
    const [best] = here.filter((route) => route.method === method)
    if (best !== undefined) return best.text
    return here.length === 0
      ? deny('path_unknown', `no route is declared for ${JSON.stringify(path.slice(0, 120))}`)
      : deny('http_method', `expected ${here.map((route) => route.method).join(' or ')}, got ${method}`)
  }
}

function readRoute(text: string): Route {
  const [method = '', path = '', ...more] = text.split(' ')
  if (more.length > 0 || !METHODS.has(method)) throw invalid(text, 'GET /orders/{id}')
  const segments = path === '/' ? [''] : path.slice(1).split('/')
  const fits = segments.every(
    (segment, i) =>
      PLACE.test(segment) ||
      (segment === '*' && i === segments.length - 1) ||
      (LITERAL.test(segment) && segment !== '.' && segment !== '..'),
  )
  if (!path.startsWith('/') || !(fits || path === '/')) throw invalid(text, 'GET /orders/{id}, or a final /*')
  const places = segments.map((segment) => segment === '*' || PLACE.test(segment))
  return { text, method, segments, places, open: segments.at(-1) === '*' }
}

/** Two templates of one shape would be two routes for the same request. */
function shapeOf(segment: string): string {
  return PLACE.test(segment) ? '{}' : segment
}

/** A place stands for one segment that is not empty, a final `*` for one or more. */
function matches({ segments: wanted, places, open }: Route, segments: readonly string[]): boolean {
  if (open ? segments.length < wanted.length : segments.length !== wanted.length) return false
  return wanted.every((want, i) => (places[i] === true ? segments[i] !== '' : want === segments[i]))
}

function invalid(got: string, expected: string): DoorwardError {
  return new DoorwardError('route_invalid', 'a route that cannot be declared', { got: got.slice(0, 120), expected })
}
