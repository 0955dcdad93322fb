/** `decisions`: proxies of others that ask us about the requests that they hold. */

import { z } from 'zod'
import { origin } from './edge-schema.ts'
import { section } from './section.ts'

const kinds = ['nginx', 'caddy', 'traefik', 'haproxy', 'envoy'] as const

/** Where callers reach the service, at the proxy: an https origin, with the path of its root where it has one. */
const serviceUrl = z.string().refine(
  (text) => {
    const url = URL.canParse(text) ? new URL(text) : null
    if (url === null || url.protocol !== 'https:' || text !== `${url.origin}${url.pathname.replace(/\/$/, '')}`)
      return false
    return /^(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$/.test(text.slice(url.origin.length))
  },
  { error: 'not where a service is; expected https://host[:port][/path], lowercase, without a final slash' },
)

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, {
  error: 'not the name of a proxy; expected lowercase letters, digits and -',
})

const proxy = section({
  /** SPIFFE ID of the workload that it is. */
  id: z.string().max(2048),
  /** In which headers it asks. */
  kind: z.enum(kinds, { error: `not a kind of proxy; expected ${kinds.join(', ')}` }),
  /** Names of `decisions.services`; it may ask about no other. */
  services: z
    .array(z.string())
    .min(1, { error: 'no service, hence nothing to ask about; expected at least one' })
    .max(256),
})

export const decisions = section({
  /** By which proxies reach the listener, where that is not its address. */
  public_url: origin.optional(),
  /** Of `services`, those whose requests another proxy forwards. */
  services: z
    .record(z.string(), section({ public_url: serviceUrl }))
    .refine((services) => Object.keys(services).length > 0, { error: 'no service; expected at least one' }),
  proxies: z
    .record(name, proxy)
    .refine((proxies) => Object.keys(proxies).length > 0, { error: 'nobody may ask; expected at least one proxy' }),
})

export type DecisionsSection = z.output<typeof decisions>
