/** What keeps a person's grant that person's own, each with the change that disables it and the test that must then turn red. */

import type { Control } from './controls.ts'
import type { Edit } from './disabled-build.ts'

const consents = 'packages/server/src/apps/credentials/consents.ts'
const grants = 'packages/server/src/apps/credentials/user-grants.ts'
const credential = 'packages/server/src/apps/credentials/user-credential.ts'
const pages = 'packages/server/src/transports/consent-pages.ts'
const server = 'packages/server/src/transports/authorization-server.ts'
const tokens = 'packages/server/src/transports/token-request.ts'
const resource = 'packages/server/src/transports/protected-resource.ts'

function control(name: string, test: string, ...edits: readonly Edit[]): Control {
  return { name, edits, test: { file: 'test/refusals/user-grants.test.ts', name: test } }
}

function ofDiscovery(name: string, test: string, ...edits: readonly Edit[]): Control {
  return { name, edits, test: { file: 'test/unit/server/authorization-discovery.test.ts', name: test } }
}

function ofStepUp(name: string, test: string, ...edits: readonly Edit[]): Control {
  return { name, edits, test: { file: 'test/refusals/step-up.test.ts', name: test } }
}

const comesBack = 'what comes back counts in the browser that went away, with its state, and once'

export const grantControls: readonly Control[] = [
  control('grants.person', 'another person who signs in at the link grants nothing', {
    file: consents,
    from: 'if (person !== begun.user)',
    to: "if (person === '')",
  }),
  control('grants.browser', comesBack, {
    file: consents,
    from: 'if (!timingSafeEqual(shown, begun.browser)) return null',
    to: '',
  }),
  control('grants.once', comesBack, {
    file: consents,
    from: '    this.#begun.delete(state)\n    return begun',
    to: '    return begun',
  }),
  control('grants.repeated', comesBack, {
    file: pages,
    from: 'if (found.has(name) || value.length > 4096) return null',
    to: '',
  }),
  control('grants.link.once', 'a link is good once', {
    file: consents,
    from: '    this.#asked.delete(id)\n    this.#forgetBegun(now)',
    to: '    this.#forgetBegun(now)',
  }),
  control(
    'grants.issuer.planned',
    'an issuer that is taken away between any two steps of a consent has said who nobody is',
    {
      file: consents,
      from: 'if (!this.#isBelieved(begun.issuer, begun.believed)) return this.#refused(begun, unbelieved)',
      to: '',
    },
  ),
  control(
    'grants.issuer.kept',
    'an issuer that is taken away between any two steps of a consent has said who nobody is',
    {
      file: grants,
      from: 'if (!denied && believed()) return grant',
      to: 'if (!denied) return grant',
    },
  ),
  control('grants.link.ends', 'a link ends after ten minutes', {
    file: consents,
    from: 'if (expires <= now) this.#asked.delete(id)',
    to: 'if (expires <= 0) this.#asked.delete(id)',
  }),
  control('grants.origin', 'looking at the link begins nothing, and a form of another origin neither', {
    file: pages,
    from: "if (origin !== publicUrl || site !== 'same-origin')",
    to: 'if (origin === undefined)',
  }),
  control('grants.iss', 'an answer that names another issuer, or none, is refused', {
    file: consents,
    from: 'if (iss === undefined ? namesIssuer : iss !== issuer)',
    to: 'if (iss === issuer && !namesIssuer)',
  }),
  control('grants.user', 'a workload for itself is refused, and nothing is sent', {
    file: credential,
    from: "      if (subject.kind !== 'user')\n        return { code: 'credential_user_needed', explanation: `${client.name} is called for people alone` }\n",
    to: "      if (subject.kind !== 'user') return { fields: {}, use: {} }\n",
  }),
  control('grants.flight', 'tokens are refreshed before they end, by one question for all, and the new ones are kept', {
    file: grants,
    from: 'if (other !== undefined) return other',
    to: '',
  }),
  control(
    'grants.ended',
    'a token that its server refuses is replaced once, and a grant that the provider ended is asked for again',
    {
      file: grants,
      from: "error.got === 'invalid_grant'",
      to: "error.got === 'never'",
    },
  ),
  control('grants.denied', 'a person who is denied loses what they granted, here and at the provider', {
    file: grants,
    from: 'return before !== undefined && since <= before',
    to: 'return before !== undefined && since < 0',
  }),
  control('grants.taken-back', 'a person who is denied loses what they granted, here and at the provider', {
    file: tokens,
    from: 'if (server.revocation === null) return',
    to: 'if (server.revocation !== null) return',
  }),
  control(
    'grants.redacted',
    'a person grants it once in a browser, and calls in their name alone go with their token',
    {
      file: credential,
      from: '        known.remember(`${grant.id} ${grant.version}`, grant.access)\n',
      to: '',
    },
  ),
  ofStepUp('grants.step-up', 'what configuration does not allow is asked of nobody', {
    file: credential,
    from: 'if (!scopes.every((scope) => allowed.has(scope)))',
    to: 'if (scopes.length === 0)',
  }),
  ofStepUp(
    'grants.step-up.once',
    'a server that is not content with what it demanded has nobody asked again, but for an hour later',
    {
      file: credential,
      from: 'if (grants.age(grant) >= PAUSE_SECONDS || ',
      to: 'if (grants.age(grant) >= 0 || ',
    },
  ),
  ofStepUp('grants.step-up.off', 'without step_up the refusal is the server’s own', {
    file: credential,
    from: 'if (stepUp.length === 0 || ',
    to: 'if (',
  }),
  ofStepUp(
    'grants.document',
    'an authorization server that reads no documents is not asked, and one with a registered client has none to read',
    {
      file: 'packages/server/src/apps/credentials/grant-client.ts',
      from: 'if (clientDocuments) return documentUrl',
      to: 'if (issuer !== documentUrl || clientDocuments) return documentUrl',
    },
  ),
  ofDiscovery(
    'grants.issuer',
    'metadata of another issuer, without S256, or with endpoints that are not https is refused',
    {
      file: server,
      from: "if (values === null || member(values, 'issuer') !== issuer)",
      to: 'if (values === null)',
    },
  ),
  ofDiscovery(
    'grants.s256',
    'metadata of another issuer, without S256, or with endpoints that are not https is refused',
    {
      file: server,
      from: "if (!Array.isArray(methods) || !methods.includes('S256'))",
      to: 'if (methods === 0)',
    },
  ),
  ofDiscovery(
    'grants.resource',
    'a resource of another origin or path, or another authorization server, is not followed',
    {
      file: resource,
      from: 'if (!isText(resource, MAX_TEXT) || !isOf(resource, url))',
      to: 'if (!isText(resource, MAX_TEXT))',
    },
  ),
  ofDiscovery(
    'grants.server',
    'a resource of another origin or path, or another authorization server, is not followed',
    {
      file: resource,
      from: 'if (!Array.isArray(servers) || !servers.includes(issuer))',
      to: 'if (servers === 0)',
    },
  ),
]
